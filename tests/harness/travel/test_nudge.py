"""Heartbeats that the tap slips in, with unmodified clients: they wake whoever may be woken, and break nothing."""

from __future__ import annotations

import asyncio
import struct
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import amqp
import pytest

from celeriac.conformance.history import History
from celeriac.conformance.providers import Node, find
from celeriac.conformance.tap import BROKER, CLIENT, BlackHole, Fault, Stall, Tap
from celeriac.conformance.tap.observer import Frame

Until = Callable[[Callable[[], bool]], None]


class Line:
    """Three taps in a row: the middle one nudges, the outer two see what arrives at the client and at the broker.

    Args:
        node: the broker.
        stack: closes everything.

    Attributes:
        to_client: the names of the frames that reach the client.
        to_broker: the names of the frames that reach the broker.
        on_frame: is called for every frame that passes the middle.
    """

    def __init__(self, node: Node, stack: ExitStack) -> None:
        self.to_client: list[str] = []
        self.to_broker: list[str] = []
        self.on_frame: Callable[[], None] = lambda: None
        self.node = node
        self.stack = stack
        self.inner = self._tap(node.port, self._seen(CLIENT, self.to_broker))
        self.middle = self._tap(self.inner.port, lambda connection, frame: self.on_frame())
        self.outer = self._tap(self.middle.port, self._seen(BROKER, self.to_client))

    def _seen(self, direction: str, names: list[str]) -> Callable[[int, Frame], None]:
        def note(connection: int, frame: Frame) -> None:
            if frame.direction == direction:
                names.append(frame.name)

        return note

    def _tap(self, port: int, on_frame: Callable[[int, Frame], None]) -> Tap:
        return self.stack.enter_context(Tap("127.0.0.1", port, "amqp", History(), on_frame=on_frame))

    def connect(self, heartbeat: int = 60) -> amqp.Connection:
        """Connect py-amqp through all three."""
        connection = amqp.Connection(
            f"127.0.0.1:{self.outer.port}",
            userid=self.node.username,
            password=self.node.password,
            heartbeat=heartbeat,
            confirm_publish=True,
        )
        connection.connect()
        self.stack.callback(connection.collect)
        return connection

    @property
    def garbled(self) -> list[object]:
        """Answer what the taps could not read."""
        return [garbled for tap in (self.inner, self.middle, self.outer) for garbled in tap.garbled]


@pytest.fixture
def line() -> Iterator[Line]:
    """The embedded broker behind three taps."""
    with find("embedded") as provider, ExitStack() as stack:
        yield Line(provider.node(), stack)


def beats(names: list[str]) -> int:
    """Count heartbeats."""
    return names.count("heartbeat")


def test_a_nudge_is_a_heartbeat_both_ways(line: Line, until: Until) -> None:
    """A client that beats and its broker get one heartbeat each for every nudge."""
    connection = line.connect()
    for number in (1, 2, 3):
        line.middle.nudge()
        until(lambda number=number: beats(line.to_broker) == beats(line.to_client) == number)  # type: ignore[misc]
    assert connection.transport.read_frame() == (8, 0, b"")


def test_a_client_that_neither_beats_nor_consumes_is_left_alone(line: Line, until: Until) -> None:
    """Who has switched heartbeats off gets none, unless it consumes and so reads all the time; the broker gets them."""
    channel = line.connect(heartbeat=0).channel()
    line.middle.nudge()
    channel.queue_declare("q")
    assert (beats(line.to_client), beats(line.to_broker)) == (0, 1)
    channel.basic_consume("q")
    line.middle.nudge()
    channel.queue_declare("q", passive=True)
    assert (beats(line.to_client), beats(line.to_broker)) == (1, 2)


def test_nobody_is_nudged_in_a_handshake(line: Line) -> None:
    """Nudged after every single frame, a connection still opens, and the first heartbeat comes after it is open."""

    def nudge_soon() -> None:
        nudges.append(asyncio.ensure_future(line.middle._nudge()))

    nudges: list[asyncio.Future[None]] = []
    line.on_frame = nudge_soon
    line.connect().channel()
    assert len(nudges) > 6
    assert beats(line.to_client) > 0
    assert line.to_client.index("heartbeat") > line.to_client.index("connection.tune")
    assert line.to_client.index("heartbeat") >= line.to_client.index("connection.open-ok")
    assert line.to_broker.index("heartbeat") > line.to_broker.index("connection.open")
    assert line.garbled == []


@pytest.mark.parametrize("size", [0, 1, 100_000, 131_064, 1_000_000])
def test_messages_survive_nudges(line: Line, size: int) -> None:
    """Nudged after every frame of them, messages of any size arrive at the broker and come back as they were sent."""
    nudges: list[asyncio.Future[None]] = []
    channel = line.connect().channel()
    line.on_frame = lambda: nudges.append(asyncio.ensure_future(line.middle._nudge()))
    queue = str(uuid.uuid4())
    body = (b"0123456789" * (size // 10 + 1))[:size]
    channel.queue_declare(queue)
    for _ in range(5):
        channel.basic_publish(amqp.Message(body), routing_key=queue)
    for _ in range(5):
        message = channel.basic_get(queue, no_ack=True)
        assert message is not None
        assert (message.body or b"") == body  # py-amqp has no bytes for nothing
    assert min(beats(line.to_client), beats(line.to_broker)) > 0
    assert line.garbled == []


def test_a_frame_that_is_half_way_through_is_not_broken(line: Line, until: Until) -> None:
    """While half of a frame has passed, its direction gets no heartbeat, only the other; the message stays whole."""
    connection = line.connect()
    channel = connection.channel()
    channel.queue_declare("q")
    body = b"x" * 50_000
    frame = struct.pack(">BHL", 3, channel.channel_id, len(body)) + body + b"\xce"
    method = struct.pack(">HHH", 60, 40, 0) + b"\x00" + b"\x01q" + b"\x00"
    header = struct.pack(">HHQH", 60, 0, len(body), 0)
    for kind, payload in ((1, method), (2, header)):
        connection.sock.sendall(
            struct.pack(">BHL", kind, channel.channel_id, len(payload)) + payload + b"\xce"
        )
    connection.sock.sendall(frame[:20_000])
    (relay,) = line.middle._relays
    observer: Any = relay._observer
    until(lambda: len(observer._readers[CLIENT]) == 20_000)
    line.middle.nudge()
    until(lambda: beats(line.to_client) == 1)
    connection.sock.sendall(frame[20_000:])
    message = channel.basic_get("q", no_ack=True)
    assert message is not None
    assert len(message.body) == len(body)
    assert beats(line.to_broker) == 0
    line.middle.nudge()
    until(lambda: beats(line.to_broker) == 1)
    assert line.garbled == []


@pytest.mark.parametrize("fault", [BlackHole(), Stall(BROKER)], ids=["black hole", "stall"])
def test_what_a_fault_holds_back_a_nudge_does_not_replace(line: Line, fault: Fault) -> None:
    """Whom a fault keeps from hearing its broker does not hear a heartbeat either, until the fault is over."""
    channel = line.connect().channel()
    line.middle.arm(fault)
    line.middle.nudge()
    line.middle.disarm(fault)
    channel.queue_declare("q")
    assert beats(line.to_client) == 0
