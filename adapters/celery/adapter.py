"""The Celery adapter: a driver in a process of its own, replaced where a scenario must start from nothing.

Celery keeps the retry policy of a call in its process-wide connection pool, where later calls inherit it: such
cases begin with ``fresh=True``.
"""

from __future__ import annotations

import sys

from celeriac.conformance.process import ProcessAdapter

__all__ = ["CeleryAdapter"]

#: Seconds: a refused broker costs Celery 6 s without retries and a dead result back end 19 s, which is no hang.
_DEADLINE = 30.0


class CeleryAdapter(ProcessAdapter):
    """Celery, as it is installed in this environment."""

    def __init__(self) -> None:
        super().__init__([sys.executable, "-m", "celeriac.adapters.celery.driver"], deadline=_DEADLINE)
