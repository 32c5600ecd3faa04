"""Unmodified clients through the tap: the history is what was done."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import amqp
import kombu
import pytest
import redis

from celeriac.conformance.history import History
from celeriac.conformance.providers import Node, Provider, find
from celeriac.conformance.tap import Tap

Until = Callable[[Callable[[], bool]], None]

#: The kinds that say what became of messages.
FATES = ("published", "delivered", "acked", "rejected", "requeued", "closed", "cancelled", "stored")


@pytest.fixture(scope="session")
def embedded() -> Iterator[Node]:
    """The embedded broker on TCP, with a short lease."""
    with find("embedded") as provider:
        yield provider.node("channel-close")


@pytest.fixture(params=["embedded", "rabbit"])
def node(request: pytest.FixtureRequest) -> Node:
    """An AMQP broker whose lease is short."""
    found = request.getfixturevalue(request.param)
    return found.node("channel-close") if isinstance(found, Provider) else found


@pytest.fixture
def queue() -> str:
    """A queue name that nobody else uses."""
    return f"tap-{uuid.uuid4()}"


def fates(history: History) -> list[tuple[str, Any]]:
    """Answer what became of messages: kind and task id."""
    return [(record.kind, record.data.get("task_id")) for record in history if record.kind in FATES]


def open_connection(node: Node, tap: Tap) -> amqp.Connection:
    """Connect py-amqp through the tap."""
    connection = amqp.Connection(f"127.0.0.1:{tap.port}", userid=node.username, password=node.password)
    connection.connect()
    return connection


def drain(connection: amqp.Connection) -> None:
    """Handle what the broker sends until an error ends it."""
    while True:
        connection.drain_events(timeout=20)


def take(channel: amqp.Channel, queue: str) -> amqp.Message:
    """Get a message as soon as there is one."""
    deadline = time.monotonic() + 20
    while (got := channel.basic_get(queue)) is None:
        assert time.monotonic() < deadline, f"no message in {queue}"
    return got


def message(task_id: str, body: bytes = b"[[], {}, {}]", **properties: Any) -> amqp.Message:
    """Write a task message."""
    headers = {"id": task_id, "task": "t.add", "retries": 0, "eta": None, "timelimit": [None, None]}
    return amqp.Message(
        body,
        application_headers=headers,
        content_type="application/json",
        correlation_id=task_id,
        **properties,
    )


def test_py_amqp_publishes_and_settles(
    node: Node, tapped: Callable[..., Tap], history: History, queue: str
) -> None:
    """What py-amqp declares, binds, publishes, gets and settles is in the history in that order."""
    tap = tapped(node)
    with open_connection(node, tap) as connection, connection.channel() as channel:
        channel.exchange_declare(queue, "topic", auto_delete=True)
        channel.queue_declare(queue, auto_delete=False, durable=True, arguments={"x-max-priority": 5})
        channel.queue_bind(queue, queue, "a.*")
        for number in range(4):
            channel.basic_publish(message(f"t{number}", priority=1), exchange=queue, routing_key="a.b")
        got = [channel.basic_get(queue) for _ in range(4)]
        channel.basic_ack(got[1].delivery_tag, multiple=True)
        channel.basic_reject(got[2].delivery_tag, requeue=False)
        channel.basic_reject(got[3].delivery_tag, requeue=True)
        channel.basic_get(queue, no_ack=True)
        assert channel.basic_get(queue) is None
        channel.queue_delete(queue)
    assert fates(history)[:12] == [
        *[("published", f"t{number}") for number in range(4)],
        *[("delivered", f"t{number}") for number in range(4)],
        ("acked", "t0"),
        ("acked", "t1"),
        ("rejected", "t2"),
        ("requeued", "t3"),
    ]
    again = history.of("delivered", task_id="t3")[1]
    assert (again.queue, again.redelivered, again.no_ack) == (queue, True, True)
    assert [(r.entity, r.name, r.type, r.durable) for r in history.of("declared")] == [
        ("exchange", queue, "topic", False),
        ("queue", queue, None, True),
    ]
    assert [(r.queue, r.exchange, r.routing_key) for r in history.of("bound")] == [(queue, queue, "a.*")]
    assert tap.garbled == []


def test_headers_and_properties_are_read_as_sent(
    node: Node, tapped: Callable[..., Tap], history: History, queue: str
) -> None:
    """Headers and properties of every kind come out of the tap as the client put them in."""
    headers = {
        "text": "é",
        "number": 7,
        "big": 2**40,
        "yes": True,
        "none": None,
        "list": [1, "a"],
        "map": {"k": 1.5},
    }
    sent = amqp.Message(
        b"\x00\xff", application_headers=headers, delivery_mode=2, priority=3, expiration="60000"
    )
    tap = tapped(node)
    with open_connection(node, tap) as connection, connection.channel() as channel:
        channel.basic_publish(sent, routing_key=queue, mandatory=False)
    (published,) = history.of("published")
    assert published.headers == headers
    assert published.body == b"\x00\xff"
    assert published.properties == {"delivery_mode": 2, "priority": 3, "expiration": "60000"}


def test_a_large_body_is_published_whole(
    node: Node, tapped: Callable[..., Tap], history: History, queue: str
) -> None:
    """A message of 16 MiB, in many frames, passes and is recorded with its body."""
    body = bytes(range(256)) * 65536
    tap = tapped(node)
    with open_connection(node, tap) as connection, connection.channel() as channel:
        channel.queue_declare(queue, auto_delete=False)
        channel.basic_publish(message("large", body), routing_key=queue)
        got = channel.basic_get(queue, no_ack=True)
        channel.queue_delete(queue)
    assert got.body == body if isinstance(got.body, bytes) else got.body.encode("latin-1") == body
    assert [record.body == body for record in history.of("published")] == [True]
    assert fates(history)[:2] == [("published", "large"), ("delivered", "large")]


def test_an_overdue_delivery_closes_the_channel(
    node: Node, tapped: Callable[..., Tap], history: History, queue: str, until: Until
) -> None:
    """A delivery that is held longer than the lease ends in a 406 by the broker and goes back to the queue."""
    tap = tapped(node)
    assert node.lease is not None
    with open_connection(node, tap) as connection:
        channel = connection.channel()
        channel.queue_declare(queue, auto_delete=False)
        channel.basic_publish(message("held"), routing_key=queue)
        channel.basic_consume(queue, callback=lambda delivery: None)
        with pytest.raises(amqp.PreconditionFailed):
            drain(connection)
        until(lambda: bool(history.of("requeued", task_id="held")))
        again = connection.channel()
        assert again.basic_get(queue, no_ack=True).delivery_info["redelivered"]
        again.queue_delete(queue)
    delivered, closed = history.of("delivered")[0], history.of("closed", by="broker")[0]
    assert (closed.scope, closed.code) == ("channel", 406)
    assert "timed out" in closed.text
    assert closed.at - delivered.at >= node.lease.timeout - history.slack - 0.01
    assert fates(history)[:5] == [
        ("published", "held"),
        ("delivered", "held"),
        ("closed", None),
        ("requeued", "held"),
        ("delivered", "held"),
    ]


def test_a_lost_connection_gives_back(
    node: Node, tapped: Callable[..., Tap], history: History, queue: str
) -> None:
    """When the tap cuts a consumer off, its deliveries are requeued and the broker hands them out again."""
    tap = tapped(node)
    connection = open_connection(node, tap)
    channel = connection.channel()
    channel.queue_declare(queue, auto_delete=False)
    for task_id in ("one", "two"):
        channel.basic_publish(message(task_id), routing_key=queue)
        assert take(channel, queue).delivery_info["redelivered"] is False
    tap.drop()
    connection.collect()
    assert fates(history)[4:] == [("requeued", "one"), ("requeued", "two")]
    with open_connection(node, tap) as other, other.channel() as channel:
        assert take(channel, queue).delivery_info["redelivered"]
        channel.queue_delete(queue)


def test_a_refused_client_sees_a_connection_error(
    node: Node, tapped: Callable[..., Tap], history: History
) -> None:
    """A client that is turned away gets one of kombu's recoverable connection errors, attempt by attempt."""
    tap = tapped(node)
    tap.refuse()
    recoverable = kombu.Connection(node.url_at(tap.port)).recoverable_connection_errors
    for _ in range(2):
        with pytest.raises(recoverable):
            open_connection(node, tap)
    assert [record.kind for record in history] == ["refused", "refused"]


def test_kombu_on_redis_is_followed(
    valkey: Node, tapped: Callable[..., Tap], history: History, queue: str
) -> None:
    """What kombu does with lists and hashes on Redis reads like what it does with queues on AMQP."""
    tap = tapped(valkey)
    with kombu.Connection(valkey.url_at(tap.port)) as connection, connection.SimpleQueue(queue) as simple:
        simple.put([], headers={"id": "t1"}, priority=4)
        first = simple.get(timeout=20)
        first.requeue()
        simple.get(timeout=20).ack()
        simple.put([], headers={"id": "t2"})
        simple.get(timeout=20).reject()
    assert fates(history) == [
        ("published", "t1"),
        ("delivered", "t1"),
        ("requeued", "t1"),
        ("delivered", "t1"),
        ("acked", "t1"),
        ("published", "t2"),
        ("delivered", "t2"),
        ("acked", "t2"),
    ]
    assert [(r.queue, r.bucket) for r in history.of("published")] == [(queue, 3), (queue, 0)]
    assert [r.redelivered for r in history.of("delivered")] == [False, True, False]
    assert [(r.queue, r.exchange) for r in history.of("bound")] == [(queue, queue)]
    assert tap.garbled == []


def test_an_expired_visibility_timeout_is_seen(
    valkey: Node, tapped: Callable[..., Tap], history: History, queue: str, until: Until
) -> None:
    """A message held longer than the visibility timeout is requeued by the next client that connects."""
    tap = tapped(valkey)
    holder = kombu.Connection(valkey.url_at(tap.port))
    simple = holder.SimpleQueue(queue)
    simple.put([], headers={"id": "t1"})
    held = simple.get(timeout=20)
    with kombu.Connection(valkey.url_at(tap.port), transport_options={"visibility_timeout": 0}) as sweeper:
        sweeper.default_channel.qos.restore_visible()
        with sweeper.SimpleQueue(queue) as again:
            copy = again.get(timeout=20)
            held.ack()
            copy.ack()
    simple.close()
    holder.release()
    assert fates(history) == [
        ("published", "t1"),
        ("delivered", "t1"),
        ("requeued", "t1"),
        ("delivered", "t1"),
        ("acked", "t1"),
    ]
    assert [r.redelivered for r in history.of("delivered")] == [False, True]


@pytest.mark.parametrize("version", [2, 3])
def test_redis_py_is_followed_in_both_protocols(
    valkey: Node, tapped: Callable[..., Tap], history: History, queue: str, version: int, until: Until
) -> None:
    """Pipelines, transactions and subscriptions of redis-py are matched in RESP2 and in RESP3."""
    tap = tapped(valkey)
    record = b'{"task_id": "t1", "status": "SUCCESS", "result": 4}'
    with redis.Redis(port=tap.port, protocol=version) as client, client.pubsub() as pubsub:
        pubsub.subscribe("celery-task-meta-t1")
        until(lambda: pubsub.get_message(timeout=1) is not None)
        with client.pipeline(transaction=True) as pipe:
            pipe.execute_command("SETEX", "celery-task-meta-t1", 60, record).publish(
                "celery-task-meta-t1", record
            ).execute()
        until(lambda: (pubsub.get_message(timeout=1) or {}).get("data") == record)
        with client.pipeline(transaction=False) as pipe:
            pipe.set(queue, "no list").lpush(queue, "x").delete(queue).execute(raise_on_error=False)
        client.delete("celery-task-meta-t1")
    (stored,) = history.of("stored")
    assert (stored.task_id, stored.state, stored.result, stored.expires_in) == ("t1", "SUCCESS", 4, 60.0)
    assert tap.garbled == []
