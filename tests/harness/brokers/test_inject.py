"""What the harness does at the broker by itself: before a scenario, for it, and to see whether its clock moves."""

from __future__ import annotations

from collections.abc import Callable

import amqp
import kombu
import pytest
import redis
from kombu.transport.redis import Channel, Mutex, MutexHeld

from celeriac.conformance.inject import AmqpInjector, Injector, RedisInjector
from celeriac.conformance.providers import Node, Provider, find


def test_sweeps_are_free_when_a_scenario_begins(valkey: Node) -> None:
    """The lock of a worker that was killed while it swept keeps no worker of the next scenario from sweeping."""
    name, expiry = Channel.unacked_mutex_key, Channel.unacked_mutex_expire
    injector = RedisInjector(valkey.url)
    with redis.Redis.from_url(valkey.url) as client:
        assert client.lock(name, timeout=expiry).acquire(blocking=False)
        with pytest.raises(MutexHeld), Mutex(client, name, expiry):
            pass
        injector.open("a-queue")
        with Mutex(client, name, expiry):
            assert client.exists(name)
    injector.close()


def test_sorted_sets_are_queues_too(valkey: Node) -> None:
    """A message in a hash, whose tag is in the sorted set of its queue, waits there; both are gone afterwards."""
    injector = RedisInjector(valkey.url)
    injector.open("sorted")
    with redis.Redis.from_url(valkey.url) as client:
        client.hset("message:tag-1", "payload", '{"headers": {"id": "t1"}}')
        client.zadd("queue:sorted", {"tag-1": 1.0})
        assert injector.waiting() == {"sorted": ["t1"]}
        injector.close()
        assert not client.exists("queue:sorted", "message:tag-1")


def test_a_queue_has_the_arguments_that_it_is_declared_with() -> None:
    """A queue that is declared with arguments has them: who declares it without is refused; it is gone afterwards."""
    with find("embedded") as provider, kombu.Connection(provider.node().url) as connection:
        injector = AmqpInjector(provider.node().url)
        injector.open("plain")
        injector.declare("special", {"x-queue-type": "quorum"})
        connection.channel().queue_declare("plain", durable=True, auto_delete=False)
        with pytest.raises(amqp.PreconditionFailed):
            connection.channel().queue_declare("special", durable=True, auto_delete=False)
        injector.close()
        with pytest.raises(amqp.NotFound):
            connection.channel().queue_declare("special", passive=True)


@pytest.mark.parametrize(
    ("flavour", "source", "kind"), [("embedded", None, AmqpInjector), ("valkey", "process", RedisInjector)]
)
def test_it_is_seen_whether_a_broker_is_moved(
    flavour: str, source: str | None, kind: Callable[[str], Injector], obtain: Callable[..., Provider]
) -> None:
    """What ends after half the time is gone where the broker's clock is moved, and there where it is not."""
    with obtain(flavour, source) as provider:
        injector = kind(provider.node().url)
        injector.open("a-queue")
        assert injector.outlives(3600.0, lambda seconds: None)
        assert not injector.outlives(3600.0, provider.moved)
        injector.close()


@pytest.mark.parametrize(
    ("flavour", "source", "kind"), [("embedded", None, AmqpInjector), ("valkey", "process", RedisInjector)]
)
def test_a_broker_is_asked_while_it_is_there(
    flavour: str, source: str | None, kind: Callable[[str], Injector], obtain: Callable[..., Provider]
) -> None:
    """Asking a broker to answer needs nothing of it, and one that is gone is no error."""
    with obtain(flavour, source) as provider:
        injector = kind(provider.node().url)
        injector.open("a-queue")
        injector.ask()
    injector.ask()
    injector.close()
