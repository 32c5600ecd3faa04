"""The wire tap: a loopback proxy between implementation and broker that writes the history.

Theory of operation
-------------------
Every connection to the tap's port becomes one connection to the broker and one ``Observer``, which knows the
protocol and nothing of sockets.  A chunk of bytes goes through three stations:

    read  ->  observe (decode, record)  ->  forward (the very same bytes)

Observing comes first, so a record is in the history before the other side can react to what it says: a message
is published before it is delivered, acked before the ack can free a prefetch slot.  Two connections of one
broker have no common order but that one; stamps of different connections are as close as the loop is quick.

The bytes that go on are the bytes that came in.  What the decoder does not understand is noted once per
connection and direction in ``Tap.garbled``, that direction is not decoded any further, and the traffic flows on:
the broker is to see every malformed frame that a client sends.

A connection is over for the history as soon as one side ends it, because nothing can be settled on it from then
on; what the other side still has to say is forwarded.

Faults have their place in ``_Relay.pass_on``, which sees every chunk before it is forwarded, together with the
frames that it completes; today it only shows them to ``on_frame``.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self

from celeriac.conformance.history import History
from celeriac.conformance.tap.amqp import AmqpObserver
from celeriac.conformance.tap.loop import SharedLoop
from celeriac.conformance.tap.observer import BROKER, CLIENT, Direction, Frame, Observer
from celeriac.conformance.tap.redis import Ledger, RedisObserver

__all__ = ["Garbled", "Tap"]

HOST = "127.0.0.1"
CHUNK = 64 * 1024

_loop = SharedLoop("celeriac-tap")
_connections = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Garbled:
    """A stream that the tap could not read: who sent it on which connection, and what was wrong first."""

    connection: int
    direction: Direction
    reason: str


class Tap:
    """A wire tap in front of one broker; every public method may be called from any thread.

    Args:
        target_host: where the broker listens.
        target_port: the broker's port.
        protocol: ``amqp`` or ``redis``.
        history: takes the records, observer ``tap``.
        ledger: what is held unacked on Redis; taps in front of the same broker share one.
        on_frame: is shown every frame before it is forwarded, on the tap's thread; must be quick.
        now: answers the epoch seconds with which records are stamped.

    Attributes:
        port: the port on loopback that clients connect to, 0 before ``start``.
        garbled: the streams that could not be read.
    """

    def __init__(
        self,
        target_host: str,
        target_port: int,
        protocol: Literal["amqp", "redis"],
        history: History,
        *,
        ledger: Ledger | None = None,
        on_frame: Callable[[int, Frame], None] | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.now = now
        self.target = target_host, target_port
        self.protocol = protocol
        self.history = history
        self.ledger = ledger or Ledger()
        self.on_frame = on_frame
        self.port = 0
        self.garbled: list[Garbled] = []
        self._refusing = False
        self._drops = 0
        self._server: asyncio.Server | None = None
        self._relays: set[_Relay] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> int:
        """Listen on loopback and answer the port, which the kernel chose."""
        _loop.acquire()
        try:
            self.port = _loop.run(self._listen())
        except BaseException:
            _loop.release()
            raise
        return self.port

    def close(self) -> None:
        """Stop listening and cut every connection; may be called twice."""
        if self._server is not None:
            _loop.run(self._shut())
            _loop.release()

    def refuse(self, yes: bool = True) -> None:
        """Reset new connections as soon as they are accepted, or stop doing so; open ones are untouched."""
        self._refusing = yes

    def drop(self) -> None:
        """Cut every open connection on both sides; all of them are in the history when this returns.

        A connection whose broker side is not open yet is refused.
        """
        _loop.run(self._cut())

    def nudge(self) -> None:
        """Send a heartbeat both ways over every open AMQP connection: whoever waits for its socket wakes up."""
        _loop.run(self._nudge())

    def connections(self) -> set[int]:
        """Answer the numbers of the open connections."""
        return {relay.connection for relay in tuple(self._relays)}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def record(self, kind: str, **data: Any) -> None:
        """Add an observation of this tap to the history."""
        self.history.add(kind, self.now(), "tap", **data)

    def observer(self, connection: int) -> Observer:
        """Answer a decoder for a new connection."""

        def emit(kind: str, **data: Any) -> None:
            self.record(kind, connection=connection, **data)

        return RedisObserver(emit, self.ledger) if self.protocol == "redis" else AmqpObserver(emit)

    async def _listen(self) -> int:
        self._server = await asyncio.start_server(self._accepted, HOST, 0, limit=CHUNK)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _shut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _cut(self) -> None:
        self._drops += 1
        for relay in tuple(self._relays):
            relay.cut()

    async def _nudge(self) -> None:
        for relay in tuple(self._relays):
            relay.nudge()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with contextlib.suppress(asyncio.CancelledError):  # by close(); asyncio would log it
            await self._serve(reader, writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        drops = self._drops
        broker = None if self._refusing else await self._reach_broker()
        if broker is not None and (self._refusing or drops != self._drops):  # meanwhile
            _reset(broker[1])
            broker = None
        if broker is None:
            self.record("refused")
            _reset(writer)
            return
        relay = _Relay(self, (reader, writer), broker)
        self._relays.add(relay)
        try:
            await relay.run()
        finally:
            self._relays.discard(relay)

    async def _reach_broker(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        try:
            return await asyncio.open_connection(*self.target, limit=CHUNK)
        except OSError:
            return None


class _Relay:
    """One connection through the tap."""

    def __init__(
        self,
        tap: Tap,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        broker: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self.tap = tap
        self.connection = next(_connections)
        self.client = client
        self.broker = broker
        self.observer = tap.observer(self.connection)
        self._unreadable: set[Direction] = set()
        self._over = False
        peer = client[1].get_extra_info("peername")
        tap.record("connected", connection=self.connection, peer=f"{peer[0]}:{peer[1]}")

    async def run(self) -> None:
        """Carry bytes both ways until both sides have ended."""
        (from_client, to_client), (from_broker, to_broker) = self.client, self.broker
        both = (self._pump(CLIENT, from_client, to_broker), self._pump(BROKER, from_broker, to_client))
        try:
            await asyncio.gather(*both)
        finally:
            self.cut()

    def cut(self) -> None:
        """End both sides at once."""
        self._end()
        for _, writer in (self.client, self.broker):
            _reset(writer)

    def nudge(self) -> None:
        """Send a heartbeat to each side that may get one now."""
        for sender, (_, writer) in ((BROKER, self.client), (CLIENT, self.broker)):
            beat = None if sender in self._unreadable else self.observer.heartbeat_from(sender)
            if beat and not self._over and not writer.transport.get_write_buffer_size():
                writer.write(beat)

    def pass_on(self, direction: Direction, data: bytes) -> bytes:
        """Answer what is to be forwarded instead of ``data``: ``data``."""
        if not self._over and direction not in self._unreadable:
            for frame in self._observe(direction, data):
                if self.tap.on_frame is not None:
                    self.tap.on_frame(self.connection, frame)
        return data

    def _observe(self, direction: Direction, data: bytes) -> list[Frame]:
        try:
            return self.observer.feed(direction, data)
        except Exception as exc:  # noqa: BLE001 - whatever a client sends, its bytes go on
            self._unreadable.add(direction)
            self.tap.garbled.append(Garbled(self.connection, direction, f"{type(exc).__name__}: {exc}"))
            return []

    async def _pump(
        self, direction: Direction, source: asyncio.StreamReader, sink: asyncio.StreamWriter
    ) -> None:
        try:
            while data := await source.read(CHUNK):
                sink.write(self.pass_on(direction, data))
                await sink.drain()
        except OSError:
            self.cut()
            return
        self._end()
        with contextlib.suppress(OSError, RuntimeError):
            sink.write_eof()

    def _end(self) -> None:
        if not self._over:
            self._over = True
            self.tap.record("disconnected", connection=self.connection)
            self.observer.lost()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN: nobody waits, nothing lingers."""
    connection = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
