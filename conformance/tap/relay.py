"""One connection through the tap: bytes in, bytes out, and how each side learns that it is over.

A cut at a frame ends the two sides differently.  Whoever sent the frame is reset.  Whoever was to receive it still
gets all that went before: a reset may destroy what the other side has not read yet, and then a message would be
recorded as published that the broker never saw.  So the broker is told the end in order, and is listened to, unheard
by the client, until it has hung up itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import Any, Protocol, TypeAlias

from celeriac.conformance.tap.faults import Faults, Passage
from celeriac.conformance.tap.observer import BROKER, CLIENT, Direction, Observer

__all__ = ["CHUNK", "Hole", "Relay", "Streams", "Surroundings", "reset"]

CHUNK = 64 * 1024

Streams: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Surroundings(Protocol):
    """What a connection needs of its tap."""

    faults: Faults

    def record(self, kind: str, **data: Any) -> None:
        """Add an observation to the history."""

    def passage(self, connection: int, observer: Observer) -> Passage:
        """Answer the way through the faults for a new connection."""

    def observer(self, connection: int) -> Observer:
        """Answer a decoder for a new connection."""

    def stir(self) -> None:
        """Let everybody who waits look again whether the wait is over."""

    async def stirred(self) -> None:
        """Wait until somebody stirs."""


class Relay:
    """A connection of a client, and the one to the broker that it became.

    Args:
        tap: where it goes through.
        connection: its number.
        client: streams from and to the client.
        broker: streams from and to the broker.
    """

    def __init__(self, tap: Surroundings, connection: int, client: Streams, broker: Streams) -> None:
        self.connection = connection
        self.client = client
        self.broker = broker
        self._tap = tap
        self._observer = tap.observer(connection)
        self._passage = tap.passage(connection, self._observer)
        self._over = False
        self._gone = False
        self._unheard: set[Direction] = set()
        tap.record("connected", connection=connection, peer=_peer(client))

    @property
    def lossy(self) -> bool:
        """Answer whether a black hole has swallowed something of it."""
        return self._passage.lossy

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
        self._gone = True
        for _, writer in (self.client, self.broker):
            reset(writer)
        self._tap.stir()

    def nudge(self) -> None:
        """Send a heartbeat to each side that may get one now."""
        for sender, (_, writer) in ((BROKER, self.client), (CLIENT, self.broker)):
            beat = b"" if self._silent(sender) else self._observer.heartbeat_from(sender)
            if beat and not writer.transport.get_write_buffer_size():
                writer.write(beat)

    def _silent(self, sender: Direction) -> bool:
        faults = self._tap.faults
        cut_off = self.lossy or faults.swallowing or faults.stalls(sender)
        return self._over or cut_off or not self._passage.reads(sender)

    async def _pump(
        self, direction: Direction, source: asyncio.StreamReader, sink: asyncio.StreamWriter
    ) -> None:
        try:
            while data := await source.read(CHUNK):
                await self._wait(direction)
                if self._gone or not self._pass_on(direction, data, sink):
                    return
                if direction not in self._unheard:
                    await sink.drain()
            await self._wait(direction)
        except OSError:
            self.cut()
            return
        self._finish(direction, sink)

    async def _wait(self, direction: Direction) -> None:
        """Stand still as long as the faults want it."""
        faults = self._tap.faults
        while not self._gone and faults.stalls(direction):
            await self._tap.stirred()
        if seconds := faults.delay(direction):
            await asyncio.sleep(seconds)

    def _pass_on(self, direction: Direction, data: bytes, sink: asyncio.StreamWriter) -> bool:
        """Hand on what the faults leave of a chunk; answer whether more may follow."""
        if direction in self._unheard:
            return True
        passed = self._passage.through(direction, data)
        if passed.data:
            sink.write(passed.data)
        if passed.cut:
            self._cut_at(direction)
        return not passed.cut

    def _cut_at(self, direction: Direction) -> None:
        """End the connection after what has just been handed on."""
        self._end()
        (_, to_client), (_, to_broker) = self.client, self.broker
        if direction == CLIENT:
            self._unheard.add(BROKER)
            reset(to_client)
            _end_of_stream(to_broker)
        else:
            reset(to_broker)
            to_client.close()

    def _finish(self, direction: Direction, sink: asyncio.StreamWriter) -> None:
        """Tell the other side that this one says no more; in a black hole only the broker hears of it."""
        self._end()
        if direction == CLIENT and self.lossy:
            self.cut()
        elif not (self.lossy or direction in self._unheard):
            _end_of_stream(sink)

    def _end(self) -> None:
        if not self._over:
            self._over = True
            self._passage.end()
            self._tap.record("disconnected", connection=self.connection)
            self._observer.lost()


class Hole:
    """A connection that was accepted and is never answered."""

    def __init__(self, tap: Surroundings, connection: int, client: Streams) -> None:
        self.connection = connection
        self._tap = tap
        self._client = client
        self._over = False

    async def run(self) -> None:
        """Swallow what the client says until it ends or is cut."""
        reader, _ = self._client
        self._tap.record("connected", connection=self.connection, peer=_peer(self._client))
        try:
            while await reader.read(CHUNK):
                pass
        except OSError:
            pass
        finally:
            self.cut()

    def cut(self) -> None:
        """Reset the client."""
        if not self._over:
            self._over = True
            self._tap.record("disconnected", connection=self.connection)
            reset(self._client[1])


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN: nobody waits, nothing lingers."""
    connection = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _end_of_stream(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, RuntimeError):
        writer.write_eof()


def _peer(streams: Streams) -> str:
    host, port, *_ = streams[1].get_extra_info("peername") or ("?", 0)  # it may have gone already
    return f"{host}:{port}"
