"""The reference's own worker command, for the application and the queues that standard input orders."""

from __future__ import annotations

import importlib
import sys

from celeriac.adapters.forking import fork_on_request
from celeriac.reference.__main__ import main as command

__all__ = ["main"]

#: What needs no orders, and takes most of the time.
AHEAD = ("celeriac.adapters.reference.application", "celeriac.reference.worker.command")


def main() -> int:
    """Wait for orders, then run the command; answer its exit status."""
    from celeriac.adapters.reference.worker_app import told

    app = "celeriac.adapters.reference.worker_app:app"
    queues = ["-Q", ",".join(told.spec.queues)] if told.spec.queues else []
    return command(["worker", app, *queues, "-n", told.spec.name, "-l", "INFO"])


if __name__ == "__main__":
    for name in AHEAD:
        importlib.import_module(name)
    sys.exit(fork_on_request(main))
