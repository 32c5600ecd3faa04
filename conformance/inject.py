"""How the harness puts messages and results of its own into a broker, past the tap and past the implementation."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, Protocol
from uuid import uuid4

import kombu
import redis
from amqp import Message

from celeriac.conformance.messages import WireMessage, redis_envelope, redis_key, reply_message

__all__ = ["AmqpInjector", "Injector", "RedisInjector"]

#: Seconds for which the harness's own results are kept.
_KEPT = 600


class Injector(Protocol):
    """Sends harness messages to the queue of a scenario."""

    def open(self, queue: str) -> None:
        """Connect and make sure the queue is there."""

    def declare(self, queue: str, arguments: Mapping[str, Any]) -> None:
        """Make sure that another queue is there, with these arguments where queues have such things."""

    def waiting(self) -> Mapping[str, Collection[str]]:
        """Answer the ids of the tasks that wait in each queue that was opened or declared here.

        Over AMQP nobody can look without taking: their messages are gone afterwards.
        """

    def unacked(self) -> Mapping[str, str]:
        """Answer what the clients of Redis have noted as held, delivery tag to the id of the task.

        Over AMQP it is the broker that knows, and gives back what is held by itself.
        """

    def send(self, message: WireMessage, queue: str) -> None:
        """Put a message into the queue."""

    def store(self, record: Mapping[str, Any], reply_to: str) -> None:
        """Store a result record where callers look for it."""

    def outlives(self, seconds: float, move: Callable[[float], None]) -> bool:
        """Answer whether something that ends in half as many seconds is there after ``move(seconds)``."""

    def ask(self) -> None:
        """Return when the broker has answered, and so has been at work; one that is gone is not an error."""

    def close(self, also: Iterable[str] = ()) -> None:
        """Remove the queues and disconnect; a broker that is gone is not an error.

        Args:
            also: names of queues and exchanges that others have declared in this scenario.
        """


class AmqpInjector:
    """Sends through the default exchange over a connection of its own.

    Args:
        url: ``amqp://...`` or ``inproc://NAME``.
    """

    def __init__(self, url: str) -> None:
        self._connection = kombu.Connection(url)
        self._queues: set[str] = set()

    @cached_property
    def _channel(self) -> Any:
        return self._connection.channel()

    def open(self, queue: str) -> None:
        """Connect and declare the queue as the implementations do: durable, without arguments."""
        self.declare(queue, {})

    def declare(self, queue: str, arguments: Mapping[str, Any]) -> None:
        """Declare another queue."""
        self._queues.add(queue)
        self._channel.queue_declare(queue, durable=True, auto_delete=False, arguments=dict(arguments))

    def waiting(self) -> Mapping[str, Collection[str]]:
        """Take everything out of every queue."""
        return {queue: list(self._taken(queue)) for queue in sorted(self._queues)}

    def _taken(self, queue: str) -> Iterator[str]:
        while (message := self._channel.basic_get(queue, no_ack=True)) is not None:
            headers = message.properties.get("application_headers") or {}
            yield str(headers.get("id"))

    def unacked(self) -> Mapping[str, str]:
        """Answer nothing."""
        return {}

    def send(self, message: WireMessage, queue: str) -> None:
        """Publish to the default exchange, with the queue's name as routing key."""
        properties: dict[str, Any] = dict(message.properties)
        wire = Message(
            message.body,
            content_type=message.content_type,
            content_encoding=message.content_encoding,
            application_headers=dict(message.headers),
            **properties,
        )
        self._channel.basic_publish(wire, exchange="", routing_key=queue)

    def outlives(self, seconds: float, move: Callable[[float], None]) -> bool:
        """Let a message expire in a queue of its own."""
        name = self._channel.queue_declare("", exclusive=True).queue
        self._channel.basic_publish(Message(b"", expiration=str(round(seconds * 500))), routing_key=name)
        self._channel.queue_declare(name, passive=True)  # answered after its arrival, at the old time
        move(seconds)
        return self._channel.basic_get(name, no_ack=True) is not None

    def store(self, record: Mapping[str, Any], reply_to: str) -> None:
        """Send the record to the queue ``reply_to``."""
        self.send(reply_message(record), reply_to)

    def ask(self) -> None:
        """Set a limit that nothing here depends on."""
        with contextlib.suppress(*self._errors):
            self._channel.basic_qos(0, 0, False)

    def close(self, also: Iterable[str] = ()) -> None:
        """Delete the queues, the exchanges of these names, and disconnect."""
        try:
            for name in sorted({*self._queues, *also}):
                self._channel.queue_delete(name)
                self._channel.exchange_delete(name)
            self._connection.release()
        except self._errors:
            self._connection.collect()

    @property
    def _errors(self) -> tuple[type[BaseException], ...]:
        return (*self._connection.connection_errors, *self._connection.channel_errors, OSError)


#: Where kombu notes what a client has taken from a list and not settled, by delivery tag.
UNACKED = "unacked"

#: What kombu holds while it looks for messages whose visibility timeout is over.
SWEEP_LOCK = "unacked_mutex"


class RedisInjector:
    """Pushes envelopes onto the list of the queue.

    Args:
        url: ``redis://...``.
    """

    def __init__(self, url: str) -> None:
        self._client: Any = redis.Redis.from_url(url)
        self._queues: set[str] = set()

    def open(self, queue: str) -> None:
        """Make sure that the server answers and that sweeps are free to happen; lists need no declaration.

        A worker that was killed while it looked for overdue messages has left the lock that keeps everybody else
        from looking, for five minutes.
        """
        self._queues.add(queue)
        self._client.delete(SWEEP_LOCK)

    def declare(self, queue: str, arguments: Mapping[str, Any]) -> None:
        """Remember the queue: lists need no declaration, and every queue has priorities."""
        self._queues.add(queue)

    def waiting(self) -> Mapping[str, Collection[str]]:
        """Look into the lists of every queue, and into the sorted sets that celery-redis-plus has in their place."""
        return {queue: list(self._ids(queue)) for queue in sorted(self._queues)}

    def _ids(self, queue: str) -> Iterator[str]:
        for key in {redis_key(queue, priority) for priority in range(10)}:
            for item in self._client.lrange(key, 0, -1):
                yield _task_in(json.loads(item))
        for key in self._messages(queue):
            yield _task_in(json.loads(self._client.hget(key, "payload")))

    def _messages(self, queue: str) -> list[str]:
        """Answer the key of each message whose tag is in the sorted set of a queue."""
        return [f"message:{tag.decode()}" for tag in self._client.zrange(f"queue:{queue}", 0, -1)]

    def unacked(self) -> Mapping[str, str]:
        """Look into the hash of that name, which all queues share."""
        held = self._client.hgetall(UNACKED)
        return {tag.decode(): _task_in(json.loads(note)[0]) for tag, note in held.items()}

    def send(self, message: WireMessage, queue: str) -> None:
        """Push to the end from which nobody consumes, as producers do."""
        priority = message.properties.get("priority") or 0
        self._client.lpush(redis_key(queue, priority), message.envelope or redis_envelope(message, queue))

    def outlives(self, seconds: float, move: Callable[[float], None]) -> bool:
        """Let a key expire."""
        key = f"celeriac.{uuid4()}"
        self._client.set(key, b"", px=round(seconds * 500))
        move(seconds)
        return bool(self._client.delete(key))

    def store(self, record: Mapping[str, Any], reply_to: str) -> None:
        """Write the record to the key of its task for a while, and publish it on the channel of that name."""
        key, text = f"celery-task-meta-{record['task_id']}", json.dumps(record)
        with self._client.pipeline() as pipe:
            pipe.setex(key, _KEPT, text)
            pipe.publish(key, text)
            pipe.execute()

    def ask(self) -> None:
        """Send a ping."""
        with contextlib.suppress(redis.ConnectionError):
            self._client.ping()

    def close(self, also: Iterable[str] = ()) -> None:
        """Delete every list whose name begins like one of the queues, the sorted sets and their messages, too."""
        with contextlib.suppress(redis.ConnectionError):
            for queue in self._queues:
                lists = self._client.scan_iter(match=f"{queue}*")
                for key in (*lists, *self._messages(queue), f"queue:{queue}", f"messages_index:{queue}"):
                    self._client.delete(key)
        self._client.connection_pool.disconnect()


def _task_in(envelope: Mapping[str, Any]) -> str:
    return str(envelope["headers"].get("id"))
