"""The Celery adapter: a driver in a process of its own, replaced where a scenario must start from nothing.

Celery keeps the retry policy of a call in its process-wide connection pool, where later calls inherit it: such
cases begin with ``fresh=True``.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

from celeriac.conformance.process import ProcessAdapter

__all__ = ["CeleryAdapter"]

#: Seconds: a refused broker costs Celery 6 s without retries and a dead result back end 19 s, which is no hang.
_DEADLINE = 30.0


#: Keeps packages of the caller's out of an environment that has its own.
_ISOLATED: Mapping[str, str] = {"PYTHONPATH": ""}


class CeleryAdapter(ProcessAdapter):
    """Celery, as it is installed in an environment.

    Args:
        python: the interpreter of that environment; this process' own when None.
        variant: Celery alone, or with a package that changes a part of it; a name of ``variants.VARIANTS``.
    """

    def __init__(self, python: str | None = None, variant: str = "celery") -> None:
        command = [python or sys.executable, "-m", "celeriac.adapters.celery.driver", variant]
        super().__init__(command, env=_ISOLATED if python else None, deadline=_DEADLINE, ahead=True)
