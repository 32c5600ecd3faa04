"""The broker on TCP, for unmodified clients in any language: asyncio outside, the sans-IO connection inside.

    async with BrokerServer(broker, port=0) as server: ...          # inside a running loop
    with BrokerThread(broker, port=0) as server: server.port, ...   # beside anything else

One loop owns the broker: whoever is on another thread goes through ``BrokerThread.call``.  Heartbeats and grace times
are wall time, whatever clock the broker has; a broker with a wall clock is stepped when something is due.  With a
``MovableClock``, ``advance`` moves the broker's time and nothing else:

    with BrokerThread(Broker(MovableClock())) as server: server.advance(31 * 60)
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeVar

from celeriac.reference.broker.broker import Broker
from celeriac.reference.broker.codec import HEARTBEAT_FRAME
from celeriac.reference.broker.connection import ServerConnection
from celeriac.reference.broker.handshake import ServerOptions
from celeriac.reference.clock import MovableClock, VirtualClock, WallClock

__all__ = ["BrokerServer", "BrokerThread"]

Answer = TypeVar("Answer")

#: Seconds in which a client may read the last words after the connection was closed.
GRACE = 30.0
#: Octets that may wait in a socket's buffer before the client's own input is no longer read.
HIGH_WATER = 1 << 20


class _Protocol(asyncio.Protocol):
    """Carries bytes between one socket and one connection."""

    def __init__(self, server: BrokerServer) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._connection: ServerConnection
        self._flush: asyncio.Handle | None = None
        self._grace: asyncio.TimerHandle | None = None
        self._beat: asyncio.TimerHandle | None = None
        self._heard = self._said = self._loop.time()
        self._ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accept a client."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=HIGH_WATER)
        host, port, *_ = transport.get_extra_info("peername") or ("unknown", 0)
        self._connection = ServerConnection(
            self._server.broker, peer=f"{host}:{port}", options=self._server.options, on_output=self._schedule
        )
        self._server.protocols.add(self)

    def data_received(self, data: bytes) -> None:
        """Feed the connection and send what it answers."""
        self._heard = self._loop.time()
        if self._ended:
            return
        self._connection.feed(data)
        self._send()
        if self._beat is None and self._connection.heartbeat:
            self._keep_beating()
        self._server.reschedule()

    def eof_received(self) -> bool:
        """Hear that the client says no more."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Give back what the client held."""
        for handle in (self._flush, self._grace, self._beat):
            if handle is not None:
                handle.cancel()
        self._connection.lost()
        self._server.forget(self)

    def pause_writing(self) -> None:
        """Read no more from a client that does not read."""
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        self._transport.resume_reading()

    def abort(self) -> None:
        """Cut the connection."""
        self._transport.abort()

    def _schedule(self) -> None:
        if self._flush is None:
            self._flush = self._loop.call_soon(self._send)

    def _send(self) -> None:
        self._flush = None
        if self._ended:
            return
        if data := self._connection.outgoing():
            self._said = self._loop.time()
            self._transport.write(data)
        if self._connection.reset:
            self._ended = True
            self._transport.abort()
        elif self._connection.closed:
            self._end()
        elif self._connection.closing and self._grace is None:
            self._grace = self._loop.call_later(GRACE, self._transport.abort)

    def _end(self) -> None:
        """Close our half and let the client finish: closing at once would destroy what it has not read yet."""
        self._ended = True
        if self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()
        if self._grace is None:
            self._grace = self._loop.call_later(GRACE, self._transport.abort)

    def _keep_beating(self) -> None:
        interval = self._connection.heartbeat / 2
        now = self._loop.time()
        if now - self._heard > 4 * interval:
            self._transport.abort()
            return
        if now - self._said >= interval and not self._ended:
            self._said = now
            self._transport.write(HEARTBEAT_FRAME)
        self._beat = self._loop.call_later(interval, self._keep_beating)


class BrokerServer:
    """A listening broker inside a running event loop.

    Args:
        broker: what clients talk to.
        host: where to listen; loopback unless told otherwise.
        port: 0 lets the kernel choose.
        options: credentials and limits.

    Attributes:
        protocols: the open connections.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        options: ServerOptions | None = None,
    ) -> None:
        self.broker = broker
        self.host = host
        self.options = options or ServerOptions()
        self.protocols: set[_Protocol] = set()
        self._wanted = port
        self._server: asyncio.Server | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._armed: tuple[float | None, float] | None = None  # due moment, how far the clock was moved
        self._empty: asyncio.Event | None = None
        self._stopped = False

    @property
    def port(self) -> int:
        """The port it listens on."""
        assert self._server is not None, "start the server first"
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        """An AMQP URL that connects to it."""
        user, password = next(iter(self.options.credentials.items()))
        return f"amqp://{user}:{password}@{self.host}:{self.port}//"

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the address is taken or not there.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Protocol(self), self.host, self._wanted, backlog=512)
        self.broker.clock.attach(self.broker)
        self.reschedule()

    async def stop(self) -> None:
        """Stop listening and cut every connection."""
        self._stopped = True
        self.broker.clock.detach(self.broker)
        if self._timer is not None:
            self._timer.cancel()
        for protocol in tuple(self.protocols):
            protocol.abort()
        if self._server is not None:
            self._server.close()
        if self.protocols:
            self._empty = asyncio.Event()
            await self._empty.wait()

    def forget(self, protocol: _Protocol) -> None:
        """Hear that a connection is gone."""
        self.protocols.discard(protocol)
        if self._empty is not None and not self.protocols:
            self._empty.set()
        self.reschedule()

    def reschedule(self) -> None:
        """Arm the timer for the next thing that is due; for brokers on a wall clock."""
        clock = self.broker.clock
        if self._stopped or not isinstance(clock, WallClock):
            return
        due = self.broker.next_due()
        wanted = due, clock.moved if isinstance(clock, MovableClock) else 0.0
        if wanted == self._armed and self._timer is not None:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._armed, self._timer = wanted, None
        if due is not None:
            delay = max(0.0, due - clock.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self._step)

    def advance(self, seconds: float) -> None:
        """Move the broker's time; what comes due has happened when this returns, each at its moment.

        Clients hear of it when the loop goes on, so they react to all of it at once, after the last of it.

        Raises:
            TypeError: the broker's clock cannot be moved.
            ValueError: time cannot go back, or not as far as that.
        """
        clock = self.broker.clock
        if not isinstance(clock, MovableClock | VirtualClock):
            raise TypeError(f"a {type(clock).__name__} cannot be moved; give the broker a MovableClock()")
        try:
            clock.advance(seconds)
        finally:
            self.reschedule()

    def _step(self) -> None:
        self._timer = None
        self.broker.step()
        self.reschedule()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()


class BrokerThread:
    """A listening broker on an event loop of its own, in a background thread.

    Args: as for ``BrokerServer``.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        options: ServerOptions | None = None,
    ) -> None:
        self.broker = broker
        self._server = BrokerServer(broker, host=host, port=port, options=options)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._server.port

    @property
    def url(self) -> str:
        """An AMQP URL that connects to it."""
        return self._server.url

    def start(self) -> None:
        """Listen; returns when clients can connect.

        Raises:
            OSError: the address is taken or not there.
        """
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(self._server.start())
        except BaseException:
            loop.close()
            raise
        self._loop = loop
        self._thread = threading.Thread(target=loop.run_forever, name="celeriac-broker", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening, cut every connection and end the thread; once is enough, twice is harmless."""
        loop, thread = self._loop, self._thread
        self._loop = self._thread = None
        if loop is None or thread is None:
            return
        asyncio.run_coroutine_threadsafe(self._server.stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    def call(self, function: Callable[[], Answer]) -> Answer:
        """Run ``function`` on the thread that owns the broker, and answer what it answers or raise what it raises."""
        loop = self._loop
        assert loop is not None, "start the server first"

        async def run() -> Answer:
            try:
                return function()
            finally:
                self._server.reschedule()

        return asyncio.run_coroutine_threadsafe(run(), loop).result()

    def advance(self, seconds: float) -> None:
        """Move the broker's time, from any thread; see ``BrokerServer.advance``."""
        self.call(lambda: self._server.advance(seconds))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
