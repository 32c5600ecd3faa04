"""The ``broker`` command: serve the embedded broker on TCP for anybody's tests.

python -m celeriac.reference broker --port 5672 --dialect rabbit-3.10 --consumer-timeout 2000 --tick 500

Its first line on standard output tells people where it listens.  With ``--control`` a second one tells programs, in
JSON: ``url``, and ``control`` with ``port`` and ``token``.
"""

from __future__ import annotations

import argparse
import asyncio
import difflib
import json
import os
import signal
import sys
from contextlib import AsyncExitStack, ExitStack
from typing import TYPE_CHECKING, TextIO

from celeriac.reference.broker.broker import Broker
from celeriac.reference.broker.dialect import DIALECTS, RABBIT_3_10
from celeriac.reference.broker.events import Event
from celeriac.reference.broker.readable import readable, to_json
from celeriac.reference.broker.tcp import BrokerServer
from celeriac.reference.clock import MovableClock, WallClock

if TYPE_CHECKING:
    from celeriac.reference.broker.control_server import ControlServer

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
    parser.add_argument(
        "--control",
        type=_port,
        metavar="PORT",
        help="let whoever has the token move the clock and read the record, on this port of 127.0.0.1; 0 for a free "
        "port (default: nobody can)",
    )
    parser.add_argument(
        "--until-stdin-closes",
        action="store_true",
        help="end when standard input does, as it does when whoever started the broker dies",
    )


def run(args: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM; answer the exit status: 0, or 4 when ``args`` cannot be used."""
    if args.dialect not in DIALECTS:
        near = difflib.get_close_matches(args.dialect, DIALECTS, 1)
        hint = f", did you mean {near[0]}" if near else ""
        return _refuse(f"unknown dialect {args.dialect!r}{hint}? There are {', '.join(DIALECTS)}.")
    if args.control is not None and not _is_loopback(args.host):
        return _refuse(
            f"--control is for a broker on loopback, not on {args.host}; leave out --host or --control."
        )
    controlled = args.control is not None
    broker = Broker(
        MovableClock() if controlled else WallClock(),
        args.dialect,
        consumer_timeout_ms=args.consumer_timeout,
        channel_tick_ms=args.tick,
        record=controlled,
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
        return asyncio.run(_serve(broker, args))


async def _serve(broker: Broker, args: argparse.Namespace) -> int:
    stop = asyncio.Event()
    try:
        _end_with(stop, stdin=args.until_stdin_closes)
    except OSError as error:
        return _refuse(f"--until-stdin-closes wants a pipe as standard input: {error.strerror}.")
    server = BrokerServer(broker, host=args.host, port=args.port)
    control = _control(server, args.control)
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(server)
        except OSError as error:
            return _refuse(_taken(error, args.host, args.port, "--port"))
        try:
            await stack.enter_async_context(control or AsyncExitStack())
        except OSError as error:
            return _refuse(_taken(error, "127.0.0.1", args.control, "--control"))
        print(
            f"Test broker ({broker.dialect.name}) listens on {args.host}:{server.port}: {server.url}",
            flush=True,
        )
        if control is not None:
            way = {"port": control.port, "token": control.token}
            print(json.dumps({"url": server.url, "control": way}), flush=True)
        await stop.wait()
    return 0


def _control(server: BrokerServer, port: int | None) -> ControlServer | None:
    if port is None:
        return None
    from celeriac.reference.broker.control_server import ControlServer

    return ControlServer(server, port)


def _end_with(stop: asyncio.Event, *, stdin: bool) -> None:
    """Set ``stop`` on a signal, and at the end of standard input if ``stdin``."""
    loop = asyncio.get_running_loop()

    def read() -> None:
        if not os.read(0, 4096):
            loop.remove_reader(0)
            stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if stdin:
        loop.add_reader(0, read)


def _taken(error: OSError, host: str, port: int, option: str) -> str:
    reason = os.strerror(error.errno).lower() if error.errno and error.errno > 0 else str(error)
    return f"cannot listen on {host}:{port}: {reason}; choose another {option}, or {option} 0 for a free one."


def _is_loopback(host: str) -> bool:
    from ipaddress import ip_address

    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _refuse(reason: str) -> int:
    print(f"celeriac.reference broker: {reason}", file=sys.stderr)
    return USAGE_ERROR


def _write(trace: TextIO, event: Event) -> None:
    trace.write(to_json(readable(event)) + "\n")
    trace.flush()


def _port(text: str) -> int:
    return _number(text, 65_535, "a port number from 0 to 65535")


def _milliseconds(text: str) -> int:
    return _number(text, 2**53, "a number of milliseconds")


def _number(text: str, most: int, wanted: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= most):
        raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
    return int(text)
