"""The ``broker`` command: serve the embedded broker on TCP for anybody's tests.

python -m celeriac.reference broker --port 5672 --dialect rabbit-3.10 --consumer-timeout 2000 --tick 500
"""

from __future__ import annotations

import argparse
import asyncio
import difflib
import hashlib
import json
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, TextIO

from celeriac.reference.broker.broker import Broker
from celeriac.reference.broker.dialect import DIALECTS, RABBIT_3_10
from celeriac.reference.broker.events import Event
from celeriac.reference.broker.tcp import BrokerServer
from celeriac.reference.clock import WallClock

__all__ = ["USAGE_ERROR", "add_arguments", "run"]

#: Exit status for arguments that cannot be used.
USAGE_ERROR = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to ``parser``."""
    parser.add_argument(
        "--port", type=_port, default=5672, help="where to listen; 0 for a free port (default: 5672)"
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: 127.0.0.1)")
    parser.add_argument(
        "--dialect", default=RABBIT_3_10.name, help=f"{', '.join(DIALECTS)} (default: {RABBIT_3_10.name})"
    )
    parser.add_argument(
        "--consumer-timeout",
        type=_milliseconds,
        metavar="MS",
        help="how long a delivery may stay unacknowledged (default: the dialect's)",
    )
    parser.add_argument(
        "--tick",
        type=_milliseconds,
        metavar="MS",
        help="how often that is checked (default: the dialect's)",
    )
    parser.add_argument("--trace", metavar="FILE", help="append every event to FILE, a JSON object per line")


def run(args: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM; answer the exit status: 0, or 4 when ``args`` cannot be used."""
    if args.dialect not in DIALECTS:
        near = difflib.get_close_matches(args.dialect, DIALECTS, 1)
        hint = f", did you mean {near[0]}" if near else ""
        return _refuse(f"unknown dialect {args.dialect!r}{hint}? There are {', '.join(DIALECTS)}.")
    broker = Broker(
        WallClock(),
        args.dialect,
        consumer_timeout_ms=args.consumer_timeout,
        channel_tick_ms=args.tick,
        record=False,
    )
    with ExitStack() as stack:
        try:
            trace = stack.enter_context(open(args.trace, "a", encoding="utf-8")) if args.trace else None  # noqa: PTH123  a device or pipe will do, too
        except OSError as error:
            return _refuse(
                f"cannot write the trace to {args.trace}: {error.strerror}; choose another --trace."
            )
        if trace is not None:
            broker.events.subscribe(lambda event: _write(trace, event))
        return asyncio.run(_serve(broker, args.host, args.port))


async def _serve(broker: Broker, host: str, port: int) -> int:
    server = BrokerServer(broker, host=host, port=port)
    try:
        await server.start()
    except OSError as error:
        reason = os.strerror(error.errno).lower() if error.errno and error.errno > 0 else str(error)
        return _refuse(
            f"cannot listen on {host}:{port}: {reason}; choose another --port, or --port 0 for a free one."
        )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    print(f"Test broker ({broker.dialect.name}) listens on {host}:{server.port}: {server.url}", flush=True)
    await stop.wait()
    await server.stop()
    return 0


def _refuse(reason: str) -> int:
    print(f"celeriac.reference broker: {reason}", file=sys.stderr)
    return USAGE_ERROR


def _write(trace: TextIO, event: Event) -> None:
    line = {"seq": event.seq, "at": event.at, "kind": event.kind, "session": event.session}
    data = {name: value for name, value in event.data.items() if name != "properties"}
    trace.write(json.dumps({**line, **data}, default=_readable) + "\n")
    trace.flush()


def _readable(value: Any) -> Any:
    """Show a body by its size and digest, anything else that is not JSON by its text."""
    if isinstance(value, bytes):
        return {"size": len(value), "sha256": hashlib.sha256(value).hexdigest()}
    return dict(value) if isinstance(value, Mapping) else str(value)


def _port(text: str) -> int:
    return _number(text, 65_535, "a port number from 0 to 65535")


def _milliseconds(text: str) -> int:
    return _number(text, 2**53, "a number of milliseconds")


def _number(text: str, most: int, wanted: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= most):
        raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
    return int(text)
