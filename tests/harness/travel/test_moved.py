"""Brokers that cannot read the file of the clock: what time would do to them is done for them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import amqp
import pytest
import redis

from celeriac.conformance.providers import LeaseTimes, Node, Provider, find
from celeriac.conformance.travel import ControlFile

Until = Callable[[Callable[[], bool]], None]

#: Milliseconds by which ends may seem to differ on a busy machine; a key that was moved twice is 40 s off.
ROUNDING = 5_000


# -- Redis ------------------------------------------------------------------------------------------------------


@pytest.fixture
def client(server: Node) -> Iterator[Any]:
    """A client of a private Redis."""
    client: Any = redis.Redis.from_url(server.url, decode_responses=True)
    yield client
    client.close()


def ends(client: Any, *keys: str) -> list[int]:
    """Answer the moments (milliseconds) at which keys end, by the server's own clock."""
    with client.pipeline(transaction=True) as pipe:
        pipe.time()
        for key in keys:
            pipe.pttl(key)
        (seconds, micros), *left = pipe.execute()
    return [seconds * 1000 + micros // 1000 + milliseconds for milliseconds in left]


def test_keys_are_nearer_to_their_end(redis_provider: Provider, client: Any) -> None:
    """Each key ends earlier by as much as time was moved, once, and a key without an end has none."""
    names = [f"key-{number}" for number in range(3000)]
    with client.pipeline() as pipe:
        for number, name in enumerate(names):
            pipe.set(name, "", px=20_000 if number % 3 else 900_000_000)
        pipe.set("for ever", "")
        pipe.execute()
    lasting = names[::3]
    before = ends(client, *lasting)
    redis_provider.moved(40.0)
    after = ends(client, *lasting)
    assert set(client.scan_iter(count=1000)) == {*lasting, "for ever"}
    assert client.ttl("for ever") == -1
    gaps = [earlier - later - 40_000 for earlier, later in zip(before, after, strict=True)]
    assert max(map(abs, gaps)) <= ROUNDING


def test_a_key_ends_at_its_moment(redis_provider: Provider, client: Any) -> None:
    """What is kept for a day is there after 23 hours and gone after 25, in as many steps as one likes."""
    client.setex("result", 86_400, "4")
    for _ in range(23):
        redis_provider.moved(3600.0)
    assert client.get("result") == "4"
    redis_provider.moved(3600.0)
    redis_provider.moved(3600.0)
    assert client.get("result") is None


class Blocked:
    """A client that waits for a list on a thread of its own."""

    def __init__(self, server: Node, timeout: int, until: Until) -> None:
        self._client: Any = redis.Redis.from_url(server.url, decode_responses=True, socket_timeout=60)
        self.identity = self._client.client_id()
        self.answers: list[Any] = []
        self._thread = threading.Thread(target=self._wait, args=(timeout,))
        self._thread.start()
        self._owner: Any = redis.Redis.from_url(server.url, decode_responses=True)
        until(self.waits)

    def _wait(self, timeout: int) -> None:
        self.answers.append(self._client.brpop(["queue"], timeout))

    def waits(self) -> bool:
        """Ask the server whether it waits."""
        return any(
            "b" in one["flags"] for one in self._owner.client_list() if int(one["id"]) == self.identity
        )

    def answer(self) -> Any:
        """Answer what it was answered, once it is."""
        self._thread.join(20)
        (answer,) = self.answers
        self._client.close()
        self._owner.close()
        return answer


def test_a_wait_is_over_early(redis_provider: Provider, server: Node, until: Until) -> None:
    """A client that waits for a list is answered that time is up, long before the machine's time is."""
    blocked = Blocked(server, 900, until)
    redis_provider.moved(1.0)
    assert blocked.answer() is None


def test_a_wait_for_ever_is_left_alone(
    redis_provider: Provider, server: Node, until: Until, client: Any
) -> None:
    """Where somebody waits for ever nobody is told that time is up, and what comes later is received."""
    blocked = Blocked(server, 0, until)
    redis_provider.moved(100_000.0, unblock=False)
    assert blocked.waits()
    client.lpush("queue", "message")
    assert blocked.answer() == ("queue", "message")


def test_nothing_is_started_to_be_moved() -> None:
    """Moving time starts no server."""
    with find("redis", "process") as provider:
        provider.moved(60.0)
        assert provider._nodes == {}


# -- the embedded broker ----------------------------------------------------------------------------------------


@pytest.fixture
def embedded() -> Iterator[Provider]:
    """The embedded broker on TCP, with its real times."""
    control = ControlFile()
    with find("embedded") as provider:
        provider.follow(control)
        yield provider
    control.close()


def connect(node: Node, stack: ExitStack) -> amqp.Channel:
    """Open a channel with py-amqp."""
    connection = amqp.Connection(
        f"{node.host}:{node.port}", userid=node.username, password=node.password, heartbeat=0
    )
    connection.connect()
    stack.callback(connection.collect)
    return connection.channel()


def test_a_lease_of_half_an_hour_ends_at_once(embedded: Provider) -> None:
    """A delivery is held for half an hour of the broker's time, and ends its channel at the look that follows."""
    node = embedded.node("channel-close")
    assert node.lease == LeaseTimes(1800.0, 60.0, "channel-close")
    with ExitStack() as stack:
        channel = connect(node, stack)
        held: list[Any] = []
        channel.queue_declare("q")
        channel.basic_publish(amqp.Message(b"x"), routing_key="q")
        channel.basic_consume("q", callback=held.append)
        channel.connection.drain_events(timeout=20)
        assert len(held) == 1
        embedded.moved(1790.0)
        channel.queue_declare("q", passive=True)
        embedded.moved(70.0)
        with pytest.raises(amqp.PreconditionFailed, match="timed out"):
            channel.connection.drain_events(timeout=20)


def test_every_embedded_broker_is_moved(embedded: Provider) -> None:
    """The clocks of all brokers of a provider are moved, by the same amount."""
    with ExitStack() as stack:
        channels = [connect(embedded.node(lease), stack) for lease in (None, "consumer-cancel", "redeliver")]
        for channel in channels:
            channel.queue_declare("q")
            for seconds in (50, 150):
                channel.basic_publish(amqp.Message(b"x", expiration=str(seconds * 1000)), routing_key="q")
            assert channel.queue_declare("q", passive=True).message_count == 2
        embedded.moved(100.0)
        for channel in channels:
            assert channel.queue_declare("q", passive=True).message_count == 1
