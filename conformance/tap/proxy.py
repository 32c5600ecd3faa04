"""The wire tap: a loopback proxy between implementation and broker that writes the history.

Theory of operation
-------------------
Every connection to the tap's port becomes one connection to the broker and one ``Observer``, which knows the
protocol and nothing of sockets.  A chunk of bytes goes through three stations:

    read  ->  wait (stalls, delays)  ->  read, decide, record frame by frame  ->  forward (the very same bytes)

The third is a ``Passage`` (``faults.py``), which is shared with the in-process site; ``relay.py`` does the rest for one
connection, and this module for all of them.

Recording comes before forwarding, so a record is in the history before the other side can react to what it says: a
message is published before it is delivered, acked before the ack can free a prefetch slot.  Two connections of one
broker have no common order but that one; stamps of different connections are as close as the loop is quick.

Deciding comes before recording, so what a fault keeps from the broker has never been published.  Faults are values that
are armed and disarmed from any thread; they show in the history only by what happens: connections that are refused,
end, or begin and are never heard of again.  What a side sends while it is stalled is recorded when it passes.  Into a
black hole a client speaks unrecorded; what a broker says meanwhile is recorded, because the broker has said it.

Without faults the bytes that go on are the bytes that came in.  What the decoder does not understand is noted once per
connection and direction in ``Tap.garbled``, that direction is not decoded any further, and the traffic flows on:
the broker is to see every malformed frame that a client sends.

A connection is over for the history as soon as one side ends it, because nothing can be settled on it from then
on; what the other side still has to say is forwarded.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from celeriac.conformance.history import History
from celeriac.conformance.tap.amqp import AmqpObserver
from celeriac.conformance.tap.faults import Fault, Faults, Passage, Refuse
from celeriac.conformance.tap.loop import SharedLoop
from celeriac.conformance.tap.observer import Direction, Frame, Observer
from celeriac.conformance.tap.redis import Ledger, RedisObserver
from celeriac.conformance.tap.relay import CHUNK, Hole, Relay, Streams, reset

__all__ = ["Garbled", "Tap"]

HOST = "127.0.0.1"
#: Turns of the loop that a connection may take from being accepted to being served; asyncio needs four.
TURNS = 10

Carried = TypeVar("Carried", Relay, Hole)

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
        faults: what goes wrong at present; change it by ``arm`` and ``disarm``.
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
        self.faults = Faults()
        self._drops = 0
        self._change = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._relays: set[Relay] = set()
        self._holes: set[Hole] = set()
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
        if yes:
            self.arm(Refuse())
        else:
            self.disarm(Refuse())

    def arm(self, *faults: Fault) -> None:
        """Let things go wrong: whatever is not forwarded yet when this returns is subject to the faults."""
        self.faults.arm(*faults)

    def disarm(self, *faults: Fault) -> None:
        """End faults, all of them when none is named; what they held back goes on, what they broke is cut."""
        if faults:
            self.faults.disarm(*faults)
        else:
            self.faults.clear()
        if self._server is not None:
            _loop.do(self._eased)

    @contextlib.contextmanager
    def armed(self, *faults: Fault) -> Iterator[None]:
        """Let things go wrong for a while."""
        self.arm(*faults)
        try:
            yield
        finally:
            self.disarm(*faults)

    def drop(self) -> None:
        """Cut every open connection on both sides; all of them are in the history when this returns.

        A connection whose broker side is not open yet is refused.
        """
        _loop.run(self._cut())

    def nudge(self) -> None:
        """Send a heartbeat both ways over every open AMQP connection: whoever waits for its socket wakes up."""
        _loop.run(self._nudge())

    @property
    def is_open(self) -> bool:
        """Answer whether it listens."""
        return self._server is not None

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

    def passage(self, connection: int, observer: Observer) -> Passage:
        """Answer the way through the faults for a new connection."""

        def garbled(direction: Direction, reason: str) -> None:
            self.garbled.append(Garbled(connection, direction, reason))

        def shown(frame: Frame) -> None:
            if self.on_frame is not None:
                self.on_frame(connection, frame)

        return Passage(observer, self.faults, garbled, shown)

    def stir(self) -> None:
        """Let everybody who waits look again; on the tap's thread."""
        self._change.set()
        self._change = asyncio.Event()

    async def stirred(self) -> None:
        """Wait until somebody stirs; on the tap's thread."""
        await self._change.wait()

    def _eased(self) -> None:
        self.stir()
        if not self.faults.swallowing:
            useless: list[Relay | Hole] = [relay for relay in self._relays if relay.lossy]
            for connection in [*useless, *self._holes]:
                connection.cut()

    async def _listen(self) -> int:
        self._server = await asyncio.start_server(self._accepted, HOST, 0, limit=CHUNK)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _shut(self) -> None:
        if self._server is not None:
            await self._stop_listening(self._server)
            self._server = None
        await self._cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @staticmethod
    async def _stop_listening(server: asyncio.Server) -> None:
        """Accept nobody more, and close only when those who were accepted are served: asyncio would leak them."""
        for listener in server.sockets:
            asyncio.get_running_loop().remove_reader(listener.fileno())
        for _ in range(TURNS):
            await asyncio.sleep(0)
        server.close()

    async def _cut(self) -> None:
        self._drops += 1
        everything: list[Relay | Hole] = [*self._relays, *self._holes]
        for connection in everything:
            connection.cut()
        self.stir()

    async def _nudge(self) -> None:
        for relay in tuple(self._relays):
            relay.nudge()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            await self._serve(reader, writer)
        except asyncio.CancelledError:  # by close(); asyncio would log it
            reset(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client, drops = (reader, writer), self._drops

        def turned_away() -> bool:
            return self.faults.refusing or drops != self._drops

        while self.faults.parted and not turned_away():
            await self.stirred()
        if self.faults.swallowing and not turned_away():
            await self._carry(Hole(self, next(_connections), client), self._holes)
            return
        broker = None if turned_away() else await self._reach_broker()
        if broker is not None and turned_away():  # meanwhile
            reset(broker[1])
            broker = None
        if broker is None:
            self.record("refused")
            reset(writer)
            return
        await self._carry(Relay(self, next(_connections), client, broker), self._relays)

    async def _carry(self, connection: Carried, open_ones: set[Carried]) -> None:
        open_ones.add(connection)
        try:
            await connection.run()
        finally:
            open_ones.discard(connection)

    async def _reach_broker(self) -> Streams | None:
        try:
            return await asyncio.open_connection(*self.target, limit=CHUNK)
        except OSError:
            return None
