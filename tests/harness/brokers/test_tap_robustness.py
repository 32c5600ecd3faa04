"""The tap under load and under ill treatment: many connections, large messages, peers that half go or vanish."""

from __future__ import annotations

import itertools
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import kombu
import pytest

from celeriac.conformance.history import History
from celeriac.conformance.tap import BROKER, CLIENT, PUBLISH, BlackHole, Cut, Delay, Partition, Stall, Tap
from tests.harness.brokers.lines import BROKEN, Line

Until = Callable[[Callable[[], bool]], None]

CONNECTIONS = 100
LARGE = 16 * 1024 * 1024


@pytest.fixture(params=["amqp", "redis"])
def tap(request: pytest.FixtureRequest, server: Any, history: History) -> Iterator[Tap]:
    """A tap in front of a server that understands nothing."""
    with Tap("127.0.0.1", server.port, request.param, history) as tap:
        yield tap


def connect(tap: Tap) -> socket.socket:
    """Connect as a client that gives up after a while."""
    return socket.create_connection(("127.0.0.1", tap.port), timeout=20)


def vanish(end: socket.socket) -> None:
    """Go without a farewell: the other side gets a reset."""
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.close()


@pytest.mark.parametrize(
    "garbage", [b"\x00" * 70_000, b"HTTP/1.1 400 Bad Request\r\n\r\n", b"$-7\r\n", b"\x01\x00"]
)
def test_garbage_from_the_broker_reaches_the_client(
    tap: Tap, server: Any, until: Until, garbage: bytes
) -> None:
    """Whatever a broker says arrives as it was said, and faults that look for frames find none in it."""
    tap.arm(Cut(BROKER, nth=1))
    with connect(tap) as client:
        until(lambda: len(server.clients) == 1)
        server.clients[0].sendall(garbage)
        server.clients[0].shutdown(socket.SHUT_WR)
        received = b"".join(iter(lambda: client.recv(65536), b""))
    assert received == garbage


def test_a_client_that_says_no_more_is_still_answered(tap: Tap, server: Any, until: Until) -> None:
    """After a client has closed its half, the broker hears that, and its last words arrive."""
    with connect(tap) as client:
        client.sendall(b"?bye")
        client.shutdown(socket.SHUT_WR)
        until(server.ended.is_set)
        assert bytes(server.received) == b"?bye"
        server.clients[0].sendall(b"?farewell")
        server.clients[0].close()
        assert b"".join(iter(lambda: client.recv(100), b"")) == b"?farewell"


def test_a_broker_that_says_no_more_is_still_told(tap: Tap, server: Any, until: Until) -> None:
    """After a broker has closed its half, the client hears that, and what it still says arrives."""
    with connect(tap) as client:
        until(lambda: len(server.clients) == 1)
        server.clients[0].shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
        client.sendall(b"?wait")
        until(lambda: bytes(server.received) == b"?wait")


def test_a_client_that_vanishes_takes_its_connection_along(
    tap: Tap, server: Any, history: History, until: Until
) -> None:
    """When a client is gone without a word, the broker's side ends, and nothing is left in the tap."""
    client = connect(tap)
    until(lambda: len(history.of("connected")) == len(server.clients) == 1)
    vanish(client)
    until(server.ended.is_set)
    until(lambda: not tap.connections())
    assert len(history.of("disconnected")) == 1


def test_a_broker_that_vanishes_takes_its_connection_along(
    tap: Tap, server: Any, history: History, until: Until
) -> None:
    """When a broker is gone without a word, its client is reset, and nothing is left in the tap."""
    with connect(tap) as client:
        until(lambda: len(history.of("connected")) == len(server.clients) == 1)
        server.clients[0].shutdown(socket.SHUT_RD)  # wakes the server's own reader
        until(server.ended.is_set)
        vanish(server.clients[0])
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    until(lambda: not tap.connections())
    assert len(history.of("disconnected")) == 1


@pytest.mark.parametrize("fault", [Stall(CLIENT), Partition(), BlackHole()], ids=str)
def test_a_drop_ends_what_is_held_back(
    tap: Tap, server: Any, history: History, until: Until, fault: Any
) -> None:
    """A connection whose bytes are held back can be dropped, and they never arrive."""
    with connect(tap) as client:
        until(lambda: len(history.of("connected")) == 1)
        tap.arm(fault)
        client.sendall(b"?held back")
        tap.drop()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    until(server.ended.is_set)
    tap.disarm()
    until(lambda: not tap.connections())
    assert len(history.of("disconnected")) == 1
    assert not server.received


@pytest.mark.parametrize("fault", [Stall(CLIENT), Partition(), BlackHole(), Delay(CLIENT, 60)], ids=str)
def test_a_tap_closes_whatever_is_held_back(server: Any, history: History, until: Until, fault: Any) -> None:
    """A tap whose faults hold bytes and connections back can be closed at any time."""
    tap = Tap("127.0.0.1", server.port, "redis", history)
    tap.start()
    with connect(tap) as old:
        until(lambda: len(history.of("connected")) == 1)
        tap.arm(fault)
        old.sendall(b"*1\r\n$4\r\nPING\r\n")
        with connect(tap) as new:
            new.sendall(b"*1\r\n$4\r\nPING\r\n")
            tap.close()
            for client in (old, new):
                with suppress(ConnectionResetError):
                    assert client.recv(1) == b""
    assert not server.received


def test_a_hundred_connections_at_once(line: Line, history: History) -> None:
    """A hundred clients at a time publish and are told apart, and none of them loses anything."""
    together = threading.Barrier(CONNECTIONS, timeout=60)

    def work(number: int) -> None:
        client = line.connect()
        together.wait()
        line.publish(client, f"t{number}")
        together.wait()

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(work, range(CONNECTIONS)))
    names = [f"t{number}" for number in range(CONNECTIONS)]
    records = history.of("published")
    assert sorted(record.task_id for record in records) == sorted(names)
    assert len({record.connection for record in records}) == CONNECTIONS
    assert line.holds(*names)


def test_a_large_message_goes_through_and_comes_back(line: Line, history: History) -> None:
    """A message of 16 MiB arrives whole, is recorded with its body, and is delivered whole."""
    body = "x" * LARGE
    client = line.connect()
    line.publish(client, "large", body)
    assert len(history.of("published", task_id="large")[0].body) >= LARGE
    message = None
    while message is None:
        message = client.default_channel.basic_get(line.queue, no_ack=True)
    assert len(message.body) == LARGE
    assert line.tap.garbled == []
    assert history.of("disconnected") == []


def test_a_large_message_can_be_cut(line: Line, history: History) -> None:
    """A message of 16 MiB that is cut at its end has not been published, however much of it had passed."""
    client = line.connect()
    line.tap.arm(cut := Cut(CLIENT, PUBLISH))
    with pytest.raises(BROKEN):
        line.publish(client, "large", "x" * LARGE)
    assert cut.fired == 1
    assert history.of("published") == []
    assert line.holds()


def test_faults_come_and_go_while_traffic_flows(line: Line, history: History) -> None:
    """With faults armed and disarmed all the time, the history and the broker agree on every message in the end."""
    over = threading.Event()
    numbers = itertools.count()

    def work() -> None:
        client: kombu.Connection | None = None
        while not over.is_set():
            try:
                client = client or line.connect()
                line.publish(client, f"t{next(numbers)}")
            except BROKEN:
                client = None

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for number in range(60):
        fault = (
            Cut(CLIENT, PUBLISH, when="after"),
            Stall(BROKER),
            Cut(CLIENT, PUBLISH),
            Partition(),
            Cut(BROKER, nth=3),
            BlackHole(),
        )[number % 6]
        with line.tap.armed(fault):
            over.wait(0.01)
        over.wait(0.005)
    over.set()
    line.tap.disarm()
    for worker in workers:
        worker.join(60)
        assert not worker.is_alive()
    sent = [str(record.task_id) for record in history.of("published")]
    assert len(sent) == len(Counter(sent)) > 0
    assert line.holds(*sent)
