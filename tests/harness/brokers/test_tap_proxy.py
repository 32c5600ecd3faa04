"""The proxy itself: bytes go through untouched, connections can be refused and cut, all of it is recorded."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from celeriac.conformance.history import History
from celeriac.conformance.providers import Node
from celeriac.conformance.tap import Frame, Tap
from celeriac.conformance.tap.loop import SharedLoop

derandomised = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

Until = Callable[[Callable[[], bool]], None]


def connect(port: int) -> socket.socket:
    """Connect as a client that gives up after a while."""
    return socket.create_connection(("127.0.0.1", port), timeout=20)


@pytest.fixture(params=["amqp", "redis"])
def tap(request: pytest.FixtureRequest, server: Any, history: History) -> Iterator[Tap]:
    """A tap in front of a server that understands nothing."""
    with Tap("127.0.0.1", server.port, request.param, history) as tap:
        yield tap


def is_reset(port: int) -> bool:
    """Connect and answer whether the connection is reset, which may happen before connecting has returned."""
    try:
        with connect(port) as client:
            client.recv(1)
    except ConnectionResetError:
        return True
    return False


HOSTILE = [
    b"\x00" * 100,
    b"GET / HTTP/1.1\r\nHost: broker\r\n\r\n",
    b"AMQP\x00\x00\x09\x01" + b"\xff" * 64,
    b"AMQP\x00\x00\x09\x01\x01\x00\x00\x00\x00\x00\x04\x00\x0a\x00\x63\xce",
    b"*1\r\n$99999999999999\r\n",
    b"*1\r\n*1\r\n:1\r\n",
    b"$-5\r\n",
]


@pytest.mark.parametrize("data", HOSTILE)
def test_hostile_bytes_reach_the_broker(tap: Tap, server: Any, data: bytes) -> None:
    """Bytes that the decoder cannot read arrive at the broker exactly as they were sent."""
    with connect(tap.port) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        assert server.ended.wait(20)
    assert bytes(server.received) == data


@derandomised
@given(chunks=st.lists(st.binary(min_size=1, max_size=400), min_size=1, max_size=6))
def test_any_bytes_reach_both_sides(history: History, chunks: list[bytes]) -> None:
    """Whatever is sent in either direction arrives complete, in order and unchanged."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        _tap_before(listener, history) as tap,
        connect(tap.port) as client,
        listener.accept()[0] as broker,
    ):
        for sender, receiver in ((client, broker), (broker, client)):
            for chunk in chunks:
                sender.sendall(chunk)
            sender.shutdown(socket.SHUT_WR)
            assert _everything(receiver) == b"".join(chunks)


def _tap_before(listener: socket.socket, history: History) -> Tap:
    return Tap("127.0.0.1", listener.getsockname()[1], "amqp", history)


def _everything(source: socket.socket) -> bytes:
    source.settimeout(20)
    return b"".join(iter(lambda: source.recv(65536), b""))


def test_garbage_is_noted_once_per_side(tap: Tap, server: Any, until: Until) -> None:
    """A stream that cannot be read is noted once for its connection and side, with the first reason."""
    with connect(tap.port) as client:
        client.sendall(b"*x\r\ngarbage")
        until(lambda: len(server.received) == 11)
        client.sendall(b"more of it\r\n")
        until(lambda: len(server.received) == 23)
        assert [(note.direction, bool(note.reason)) for note in tap.garbled] == [("client", True)]
        server.clients[0].sendall(b"?garbage\r\n")
        assert client.recv(100) == b"?garbage\r\n"
    assert [note.direction for note in tap.garbled] == ["client", "broker"]


def test_an_unreadable_client_does_not_silence_the_broker(
    server: Any, history: History, until: Until
) -> None:
    """After a client's garbage the broker's side of the connection is still decoded."""
    close = b"\x01\x00\x00\x00\x00\x00\x16\x00\x0a\x00\x32\x01\xf5\x0bFRAME_ERROR\x00\x00\x00\x00\xce"
    with Tap("127.0.0.1", server.port, "amqp", history) as tap, connect(tap.port) as client:
        client.sendall(b"AMQP\x00\x00\x09\x01" + b"\xff" * 30)
        until(lambda: len(server.received) == 38)
        server.clients[0].sendall(close)
        assert client.recv(100) == close
    (record,) = history.of("closed")
    assert (record.scope, record.by, record.code, record.text) == ("connection", "broker", 501, "FRAME_ERROR")


def test_connections_are_recorded_and_numbered(tap: Tap, history: History, until: Until) -> None:
    """Every connection is recorded when it begins and when it ends, under a number of its own."""
    with connect(tap.port) as first, connect(tap.port):
        until(lambda: len(history.of("connected")) == 2)
        peers = [record.peer for record in history.of("connected")]
        assert "{}:{}".format(*first.getsockname()) in peers
        assert history.of("disconnected") == []
    until(lambda: len(history.of("disconnected")) == 2)
    numbers = {record.connection for record in history.of("connected")}
    assert len(numbers) == 2
    assert {record.connection for record in history.of("disconnected")} == numbers


def test_a_connection_that_the_broker_ends_is_over(
    tap: Tap, server: Any, history: History, until: Until
) -> None:
    """When the broker hangs up, the client hears it and the history has it."""
    with connect(tap.port) as client:
        until(lambda: len(server.clients) == 1)
        server.clients[0].shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
        assert len(history.of("disconnected")) == 1


def test_refused_connections_are_reset_and_recorded(tap: Tap, history: History, until: Until) -> None:
    """While the tap refuses, every attempt is reset and recorded, and open connections live on."""
    with connect(tap.port) as old:
        until(lambda: len(history.of("connected")) == 1)
        tap.refuse()
        for _ in range(3):
            assert is_reset(tap.port)
        assert [record.kind for record in history] == ["connected", "refused", "refused", "refused"]
        tap.refuse(False)
        with connect(tap.port):
            until(lambda: len(history.of("connected")) == 2)
        old.sendall(b"alive")
        assert history.of("disconnected", connection=history.of("connected")[0].connection) == []


def test_an_unreachable_broker_refuses(history: History) -> None:
    """Where no broker listens, the tap turns clients away and records it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        tap = _tap_before(listener, history)
    with tap:
        assert is_reset(tap.port)
    assert [record.kind for record in history] == ["refused"]


def test_dropping_cuts_both_sides(tap: Tap, server: Any, history: History, until: Until) -> None:
    """A drop resets the client, ends the broker's side and is in the history when it returns."""
    with connect(tap.port) as client:
        until(lambda: len(history.of("connected")) == 1)
        tap.drop()
        assert len(history.of("disconnected")) == 1
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        assert server.ended.wait(20)
    with connect(tap.port):
        until(lambda: len(history.of("connected")) == 2)


def test_a_closed_tap_is_gone(server: Any, history: History, until: Until) -> None:
    """Closing cuts every connection, frees the port, may be repeated and leaves no thread."""
    tap = Tap("127.0.0.1", server.port, "amqp", history)
    tap.start()
    with connect(tap.port) as client:
        until(lambda: len(history.of("connected")) == 1)
        tap.close()
        tap.close()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    with pytest.raises(ConnectionRefusedError):
        connect(tap.port)
    assert "celeriac-tap" not in {thread.name for thread in threading.enumerate()}


def test_taps_share_one_thread(server: Any, history: History) -> None:
    """Several taps run on one thread, which ends with the last of them."""
    with Tap("127.0.0.1", server.port, "amqp", history), Tap("127.0.0.1", server.port, "redis", history):
        assert [thread.name for thread in threading.enumerate()].count("celeriac-tap") == 1
    assert "celeriac-tap" not in {thread.name for thread in threading.enumerate()}


def test_a_loop_that_nobody_uses_refuses_work() -> None:
    """Work for a loop that is not running is an error that says what to do."""

    async def nothing() -> None: ...

    with pytest.raises(RuntimeError, match=r"acquire\(\) it first"):
        SharedLoop("test").run(nothing())


def test_frames_are_shown_before_they_are_forwarded(valkey: Node, tapped: Callable[..., Tap]) -> None:
    """The frame hook sees commands and replies in the order in which they pass."""
    frames: list[Frame] = []
    tap = tapped(valkey, on_frame=lambda connection, frame: frames.append(frame))
    with connect(tap.port) as client:
        client.sendall(b"*1\r\n$4\r\nPING\r\n")
        assert client.recv(100) == b"+PONG\r\n"
    assert [(frame.direction, frame.name) for frame in frames] == [("client", "PING"), ("broker", "reply")]


def test_a_large_message_passes(valkey: Node, tapped: Callable[..., Tap]) -> None:
    """A value of 16 MiB goes through the tap and comes back the same."""
    value = bytes(range(256)) * (65536 + 1)
    tap = tapped(valkey)
    with redis.Redis(port=tap.port) as client:
        client.set("large", value)
        assert client.get("large") == value
        client.delete("large")
    assert tap.garbled == []
