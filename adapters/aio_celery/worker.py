"""aio-celery's own worker command, for the application and the queues that standard input orders.

It runs one task at a time, like the workers of the other adapters, unless the scenario asks for another concurrency.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

from aio_celery.__main__ import main as command

from celeriac.adapters.forking import fork_on_request

__all__ = ["main"]

#: What a worker logs when every queue is being consumed.
_CONSUMES = "Waiting for messages"


class _Ready(logging.Handler):
    """Calls a function when the worker says that it consumes."""

    def __init__(self, action: Callable[[], None]) -> None:
        super().__init__()
        self._action = action

    def emit(self, record: logging.LogRecord) -> None:
        """Look at one line of the log."""
        if record.getMessage().startswith(_CONSUMES):
            self._action()


def main() -> None:
    """Wait for orders, then run the command."""
    from celeriac.adapters.aio_celery.worker_app import reporter, told

    logging.getLogger("aio_celery.worker").addHandler(_Ready(lambda: reporter("ready")))
    settings = {**told.scenario.settings, **told.spec.settings}
    concurrency = f"--concurrency={settings.get('worker_concurrency', 1)}"
    queues = [f"--queues={','.join(told.spec.queues)}"] if told.spec.queues else []
    app = "celeriac.adapters.aio_celery.worker_app:app"
    sys.argv = ["aio_celery", "worker", concurrency, *queues, app]
    command()


if __name__ == "__main__":
    fork_on_request(main)
