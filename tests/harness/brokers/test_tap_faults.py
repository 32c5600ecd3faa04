"""Faults on the wire, with unmodified clients: what the history says is what the broker has."""

from __future__ import annotations

import socket
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import kombu
import pytest

from celeriac.conformance.history import History
from celeriac.conformance.providers import Node, Provider
from celeriac.conformance.tap import (
    BROKER,
    CLIENT,
    PUBLISH,
    BlackHole,
    Census,
    Cut,
    Delay,
    Fault,
    Partition,
    Stall,
    Tap,
    duplicate_delivery,
)
from tests.harness.brokers.lines import BROKEN, Line

Until = Callable[[Callable[[], bool]], None]

PING, PONG = b"*1\r\n$4\r\nPING\r\n", b"+PONG\r\n"


def published(history: History) -> list[str]:
    """Answer the tasks whose messages the broker has got, by the history."""
    return [str(record.task_id) for record in history.of("published")]


def test_a_publish_that_is_cut_before_never_happened(line: Line, history: History) -> None:
    """A publish cut on its way raises, is not recorded and is in no queue; the next one, elsewhere, is."""
    client = line.connect()
    line.publish(client, "kept")
    line.tap.arm(cut := Cut(CLIENT, PUBLISH))
    with pytest.raises(BROKEN):
        line.publish(client, "lost")
    assert (cut.fired, len(history.of("disconnected"))) == (1, 1)
    line.publish(line.connect(), "later")
    assert published(history) == ["kept", "later"]
    assert line.holds("kept", "later")


def test_a_publish_that_is_cut_after_has_happened(line: Line, history: History) -> None:
    """A publish whose confirmation is cut off raises, but the broker has it, and so has the history."""
    client = line.connect()
    line.tap.arm(Cut(CLIENT, PUBLISH, when="after"))
    with pytest.raises(BROKEN):
        line.publish(client, "taken")
    assert published(history) == ["taken"]
    assert line.holds("taken")


def test_some_publishes_in_a_row_are_cut(line: Line, history: History) -> None:
    """A cut may be meant for several frames in a row, and then lets the next one pass."""
    line.tap.arm(cut := Cut(CLIENT, PUBLISH, nth=2, times=2))
    outcomes = []
    for number in range(4):
        try:
            line.publish(line.connect(), f"t{number}")
            outcomes.append(True)
        except BROKEN:
            outcomes.append(False)
    assert (outcomes, cut.fired) == ([True, False, False, True], 2)
    assert published(history) == ["t0", "t3"]


def test_wherever_a_publish_is_cut_the_history_tells_the_truth(line: Line, history: History) -> None:
    """Cut at each frame of connecting and publishing, the broker has exactly what is recorded as published."""
    line.tap.arm(census := Census())
    line.publish(line.connect(), "counted")
    line.tap.disarm()
    places = census.places()
    assert {place.direction for place in places} == {CLIENT, BROKER}
    for number, place in enumerate(places):
        with line.tap.armed(place), suppress(*BROKEN):
            line.publish(line.connect(), f"t{number}")
        assert place.fired == 1, f"not cut {place}"
    sent = published(history)
    assert len(set(sent)) == len(sent)
    assert 1 < len(sent) < len(places)
    assert line.holds(*sent)


def test_new_connections_into_a_black_hole_are_never_answered(line: Line, history: History) -> None:
    """In a black hole a connection is accepted and recorded, and whoever waits for an answer waits in vain."""
    line.tap.arm(BlackHole())
    with socket.create_connection(("127.0.0.1", line.tap.port), timeout=0.2) as client:
        client.sendall(PING)
        with pytest.raises(TimeoutError):
            client.recv(1)
        client.settimeout(20)
        line.tap.disarm(BlackHole())
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    assert [record.kind for record in history] == ["connected", "disconnected"]


def test_open_connections_fall_into_a_black_hole(line: Line, history: History, until: Until) -> None:
    """An open connection that speaks into a black hole is unheard and cut at its end; a silent one goes on."""
    speaker, listener = line.connect(), line.connect()
    for client in (speaker, listener):
        assert client.default_channel
    line.tap.arm(BlackHole())
    done = threading.Event()

    def speak() -> None:
        with suppress(*BROKEN):
            line.publish(speaker, "swallowed")
        done.set()

    threading.Thread(target=speak, daemon=True).start()
    until(lambda: bool(line.tap._holes) or any(relay.lossy for relay in tuple(line.tap._relays)))
    assert not done.is_set()
    line.tap.disarm()
    assert done.wait(20)
    line.publish(listener, "heard")
    assert published(history) == ["heard"]
    assert line.holds("heard")


@pytest.mark.parametrize("fault", [Stall(CLIENT), Stall(BROKER), Partition()], ids=str)
def test_what_is_held_back_arrives_in_order(line: Line, history: History, fault: Fault) -> None:
    """While a direction stalls a publish does not come to its end; released, everything goes on as if nothing was."""
    client = line.connect()
    line.publish(client, "t0")
    line.tap.arm(fault)
    done = threading.Event()

    def speak() -> None:
        for number in range(1, 4):
            line.publish(client, f"t{number}")
        done.set()

    threading.Thread(target=speak, daemon=True).start()
    assert not done.wait(0.1)
    if fault != Stall(BROKER):
        assert published(history) == ["t0"]
    line.tap.disarm(fault)
    assert done.wait(20)
    assert published(history) == ["t0", "t1", "t2", "t3"]
    assert line.holds("t0", "t1", "t2", "t3")
    assert history.of("disconnected") == []


def test_new_connections_hang_in_a_partition(line: Line, history: History) -> None:
    """Whoever connects during a partition hangs, and is served when it heals."""
    with line.tap.armed(Partition()):
        client = socket.create_connection(("127.0.0.1", line.tap.port), timeout=20)
        client.sendall(PING if line.tap.protocol == "redis" else b"AMQP\x00\x00\x09\x01")
        assert len(history) == 0
    with client:
        assert client.recv(1)
    assert history.of("connected")


def test_a_delay_makes_things_late(line: Line) -> None:
    """What a delayed side sends arrives no sooner than its delay, and arrives."""
    client = line.connect()
    line.publish(client, "soon")
    for direction in (CLIENT, BROKER):
        with line.tap.armed(Delay(direction, 0.15)):
            before = time.monotonic()
            client.default_channel.queue_declare(line.queue, passive=True)
            assert time.monotonic() - before >= 0.15


def test_a_lost_ack_makes_rabbitmq_deliver_again(
    rabbit: Provider, lines: Callable[[Node], Line], history: History, until: Until
) -> None:
    """On AMQP a worker whose ack was lost loses its connection, and gets the message again on the next, marked."""
    line = lines(rabbit.node("channel-close"))
    line.publish(line.connect(), "twice")
    first, second = line.connect(), line.connect()
    line.tap.arm(duplicate_delivery("amqp"))
    settle(first, take(first, line.queue))
    with pytest.raises(BROKEN):
        first.drain_events(timeout=20)
    again = take(second, line.queue)
    assert again.delivery_info["redelivered"]
    settle(second, again)
    until(lambda: bool(history.of("acked")))
    fates = [record.kind for record in history.task("twice")]
    assert fates == ["published", "delivered", "requeued", "delivered", "acked"]


def test_a_lost_ack_makes_redis_deliver_again(
    valkey: Node, lines: Callable[[Node], Line], history: History, until: Until
) -> None:
    """On Redis a message whose ack was lost is delivered again after the visibility timeout."""
    line = lines(valkey)
    line.publish(line.connect(), "twice")
    first, second = line.connect(), line.connect(visibility_timeout=0)
    message = take(first, line.queue)
    line.tap.arm(duplicate_delivery("redis"))
    with pytest.raises(BROKEN):
        settle(first, message)
    until(lambda: second.default_channel.qos.restore_visible() or bool(history.of("requeued")))
    settle(second, take(second, line.queue))
    fates = [record.kind for record in history.task("twice")]
    assert fates == ["published", "delivered", "requeued", "delivered", "acked"]


def take(client: kombu.Connection, queue: str) -> Any:
    """Get a message as soon as there is one."""
    deadline = time.monotonic() + 20
    while (message := client.default_channel.basic_get(queue)) is None:
        assert time.monotonic() < deadline, f"no message in {queue}"
    return message


def settle(client: kombu.Connection, message: Any) -> None:
    """Acknowledge a message."""
    client.default_channel.basic_ack(message.delivery_tag)


def test_frames_before_a_cut_arrive_even_in_one_chunk(valkey: Node, tapped: Callable[..., Tap]) -> None:
    """Of commands that come in one write, those before the cut are executed, and those after it are not."""
    tap, key = tapped(valkey), f"tap-{uuid.uuid4()}"
    command = b"*3\r\n$5\r\nRPUSH\r\n$%d\r\n%s\r\n$1\r\n%d\r\n"
    commands = [command % (len(key), key.encode(), number) for number in range(5)]
    tap.arm(Cut(CLIENT, "RPUSH", nth=4))
    with socket.create_connection(("127.0.0.1", tap.port), timeout=20) as client:
        client.sendall(b"".join(commands))
        with suppress(ConnectionResetError):
            while client.recv(100):
                pass
    with kombu.Connection(valkey.url) as direct:
        store = direct.default_channel.client
        deadline = time.monotonic() + 20
        while store.llen(key) < 3:
            assert time.monotonic() < deadline
        assert store.lrange(key, 0, -1) == [b"0", b"1", b"2"]
        store.delete(key)


def test_a_reply_may_be_the_last_word(valkey: Node, tapped: Callable[..., Tap]) -> None:
    """After a cut behind a reply the client has the reply, and then the end of the stream."""
    tap = tapped(valkey)
    tap.arm(Cut(BROKER, "reply", nth=2, when="after"))
    with socket.create_connection(("127.0.0.1", tap.port), timeout=20) as client:
        for _ in range(2):
            client.sendall(PING)
            assert client.recv(len(PONG)) == PONG
        assert client.recv(1) == b""
