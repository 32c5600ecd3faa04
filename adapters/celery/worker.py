"""A real ``celery worker`` that reports itself; started by the driver.

It has one solo pool and none of the chatter between workers (gossip, mingle, heartbeats, remote control), which no
requirement speaks of and every wire record would show.  A signal wakes its event loop, which by itself would notice
a request to stop only at the end of a wait of up to ten seconds.
"""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from celery import signals
from celery.bin.celery import celery as command
from kombu.asynchronous import get_event_loop

from celeriac.adapters.celery.application import accepts_pickle, application, forget_environment
from celeriac.adapters.probes import Reporter
from celeriac.adapters.worker_child import Orders, orders

__all__ = ["main"]


def main() -> None:
    """Run the worker that standard input orders."""
    told = orders()
    forget_environment()
    reporter = Reporter(told.spec.name, time.time, told.emit)
    settings = {**told.scenario.settings, **told.spec.settings}
    if accepts_pickle(settings):
        os.environ["C_FORCE_ROOT"] = "1"
    app = application(told.scenario, reporter, broker_url=told.spec.broker_url, settings=told.spec.settings)

    wakeup = _wakeup_descriptor()

    def ready(**_: Any) -> None:
        get_event_loop().add_reader(wakeup, os.read, wakeup, 1)
        reporter("ready")

    signals.worker_ready.connect(ready, weak=False)
    command.params[0].default = app  # as --app would; unlike app.worker_main, the command keeps the exit code
    command.main(args=_arguments(told), prog_name="celery")


def _wakeup_descriptor() -> int:
    """Answer a descriptor that becomes readable with every signal."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    return reader


def _arguments(told: Orders) -> list[str]:
    return [
        "worker",
        "--pool=solo",
        f"--hostname={told.spec.name}@celeriac",
        f"--queues={','.join(told.spec.queues)}",
        "--without-gossip",
        "--without-mingle",
        "--without-heartbeat",
        "--loglevel=INFO",
    ]


if __name__ == "__main__":
    main()
