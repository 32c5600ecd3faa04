"""The child of the Celery adapter: imports Celery, and serves the contract on standard input and output."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from celeriac.conformance.adapter import Adapter
from celeriac.conformance.process import serve
from celeriac.conformance.verdicts import HarnessError

__all__ = ["main"]


class _NotInstalled(Adapter):
    """What is served where there is no Celery."""

    def hello(self) -> Mapping[str, Any]:
        """Say what to do.

        Raises:
            HarnessError: always.
        """
        raise HarnessError("Celery is not installed: pip install 'celeriac[celery]'")


def main(arguments: Sequence[str] = ()) -> None:
    """Serve until standard input ends; an argument names a variant."""
    try:
        from celeriac.adapters.celery.implementation import CeleryDriver
    except ModuleNotFoundError as error:
        if error.name != "celery":
            raise
        serve(_NotInstalled())
    else:
        serve(CeleryDriver(*arguments))


if __name__ == "__main__":
    main(sys.argv[1:])
