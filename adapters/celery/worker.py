"""A real ``celery worker`` that reports itself; started by the driver.

It has a prefork pool, as Celery is deployed, of one process where no setting says otherwise, and none of the chatter
between workers (gossip, mingle, heartbeats, remote control), which no requirement speaks of and every wire record would
show.  A signal wakes its event loop, which by itself would notice a request to stop only at the end of a wait of up to
ten seconds.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from celery import signals
from celery.bin.celery import celery as command
from kombu.asynchronous import get_event_loop

from celeriac.adapters.celery.application import accepts_pickle, application, forget_environment
from celeriac.adapters.celery.variants import VARIANTS, Variant
from celeriac.adapters.forking import fork_on_request
from celeriac.adapters.probes import Reporter
from celeriac.adapters.worker_child import Orders, orders

__all__ = ["main"]


def main(variant: Variant) -> None:
    """Run the worker that standard input orders."""
    told = orders()
    forget_environment()
    reporter = Reporter(told.spec.name, time.time, told.emit)
    settings = {**told.scenario.settings, **told.spec.settings}
    if accepts_pickle(settings):
        os.environ["C_FORCE_ROOT"] = "1"
    app = application(
        told.scenario, reporter, variant, broker_url=told.spec.broker_url, settings=told.spec.settings
    )

    loop = _Loop()

    def ready(**_: Any) -> None:
        loop.when_turning(lambda: reporter("ready"))

    signals.worker_ready.connect(ready, weak=False)
    command.params[0].default = app  # as --app would; unlike app.worker_main, the command keeps the exit code
    command.main(args=_arguments(told, variant), prog_name="celery")


class _Loop:
    """Access to the worker's event loop, which every signal wakes."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)

    def when_turning(self, action: Callable[[], None]) -> None:
        """Do ``action`` in the second turn of the loop.

        In the first turn a worker on AMQP reads its socket once and ignores errors: what arrives then is not
        treated like what arrives later.
        """
        hub = get_event_loop()
        hub.add_reader(self._reader, os.read, self._reader, 1)

        def first_turn() -> None:
            hub.call_soon(action)
            os.write(self._writer, b"\0")

        hub.call_soon(first_turn)


def _arguments(told: Orders, variant: Variant) -> list[str]:
    queues = [f"--queues={','.join(told.spec.queues)}"] if told.spec.queues else []
    return [
        "worker",
        f"--pool={variant.pool}",
        f"--concurrency={_concurrency(told)}",
        f"--hostname={told.spec.name}@celeriac",
        *queues,
        "--without-gossip",
        "--without-mingle",
        "--without-heartbeat",
        "--loglevel=INFO",
    ]


def _concurrency(told: Orders) -> int:
    return int({**told.scenario.settings, **told.spec.settings}.get("worker_concurrency", 1))


if __name__ == "__main__":
    fork_on_request(lambda: main(VARIANTS[sys.argv[1]]))
