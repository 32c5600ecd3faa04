"""A client through a tap, and a look at the same queue past it."""

from __future__ import annotations

import time
import uuid
from contextlib import suppress
from typing import Any

import kombu
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from celeriac.conformance.providers import Node
from celeriac.conformance.tap import Tap

__all__ = ["BROKEN", "Line"]

#: What a client may raise whose connection is broken.
BROKEN = (OSError, OperationalError, RedisError)


class Line:
    """A kombu client that goes through a tap, and the harness's own look into the queue."""

    def __init__(self, node: Node, tap: Tap) -> None:
        self.tap = tap
        self.queue = f"tap-{uuid.uuid4()}"
        self.url = node.url_at(tap.port)
        self.direct = kombu.Connection(node.url)
        self.inside = self.direct.channel()
        self.inside.queue_declare(self.queue, durable=True, auto_delete=False)
        self.clients: list[kombu.Connection] = []

    def connect(self, **options: Any) -> kombu.Connection:
        """Answer a new client, connected by one attempt; over AMQP it waits for confirms."""
        options = {"confirm_publish": True, **options} if self.tap.protocol == "amqp" else options
        client = kombu.Connection(self.url, connect_timeout=20, transport_options=options)
        self.clients.append(client)
        client._ensure_connection(max_retries=0, reraise_as_library_errors=False)
        return client

    def publish(self, client: kombu.Connection, task_id: str, body: str = "[[], {}, {}]") -> None:
        """Publish a task message, once; over AMQP this returns when the broker has confirmed it."""
        headers = {"id": task_id, "task": "t.add"}
        channel = client.default_channel
        labels = {"content_type": "application/json", "content_encoding": "utf-8"}
        message = channel.prepare_message(body, 0, **labels, headers=headers, properties={})
        channel.basic_publish(message, exchange="", routing_key=self.queue)

    def waiting(self) -> list[str]:
        """Take every message out of the queue; answer the ids of their tasks."""
        taken = iter(lambda: self.inside.basic_get(self.queue, no_ack=True), None)
        return [message.headers["id"] for message in taken]

    def holds(self, *task_ids: str) -> bool:
        """Wait until as many messages have been seen in the queue; answer whether it is these, and no others."""
        found: list[str] = []
        deadline = time.monotonic() + 20
        while len(found) < len(task_ids) and time.monotonic() < deadline:
            found += self.waiting()
        return sorted([*found, *self.waiting()]) == sorted(task_ids)

    def close(self) -> None:
        """Remove the queue and close every connection."""
        self.tap.disarm()
        self.inside.queue_delete(self.queue)
        for client in (*self.clients, self.direct):
            with suppress(*BROKEN):
                client.collect() if self.tap.protocol == "amqp" else client.release()
