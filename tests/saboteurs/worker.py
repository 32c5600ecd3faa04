"""The reference's worker command with the changes of a variant: ``python -m tests.saboteurs.worker ID``."""

from __future__ import annotations

import importlib
import sys
from contextlib import ExitStack

from celeriac.adapters.forking import fork_on_request
from celeriac.adapters.reference.worker import AHEAD, main
from tests.saboteurs import roster

__all__: list[str] = []

if __name__ == "__main__":
    for name in AHEAD:
        importlib.import_module(name)
    with ExitStack() as changes:
        for change in roster.VARIANTS[sys.argv[1]].changes:
            changes.enter_context(change)
        sys.exit(fork_on_request(main))
