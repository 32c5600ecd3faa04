"""The inside of a worker process that an adapter starts.

The adapter writes two messages of the protocol on the worker's standard input, a ``begin`` and a
``start_worker``, and keeps it open: when it ends, so does the worker, at once.  Events go to the original standard
output as lines of the protocol, everything else to standard error.  The process leads a group of its own, which holds
its pool and ends with it.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

from celeriac.conformance import envelopes
from celeriac.conformance.adapter import Event, Scenario, WorkerSpec
from celeriac.conformance.serving import Channel, private_stdin, private_stdout

__all__ = ["Orders", "orders"]


@dataclass(frozen=True, slots=True)
class Orders:
    """What the adapter told a worker process: its scenario, itself, and where to report."""

    scenario: Scenario
    spec: WorkerSpec
    emit: Callable[[Event], None]


def orders() -> Orders:
    """Read the orders of this process, and from now on die with the adapter.

    Raises:
        ProtocolError: standard input does not carry the two messages.
    """
    source = private_stdin()
    channel = Channel(private_stdout())
    scenario: Scenario = _read(source, "begin")["scenario"]
    spec: WorkerSpec = _read(source, "start_worker")["spec"]
    threading.Thread(target=_die_with_parent, args=(source,), daemon=True).start()
    return Orders(scenario, spec, channel.emit)


def _read(source: BinaryIO, expected: str) -> dict[str, Any]:
    operation, arguments = envelopes.request_from_json(envelopes.parse(source.readline(envelopes.LINE_LIMIT)))
    if operation != expected:
        raise envelopes.ProtocolError(f"a worker process is told {expected!r} first, not {operation!r}")
    return arguments


def _die_with_parent(source: BinaryIO) -> None:
    while source.read(1):
        pass
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)
