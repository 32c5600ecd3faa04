"""Results as messages: each application has one reply queue, and workers answer to it.

The queue lives as long as somebody consumes it, and a day without a consumer at most.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from kombu import Connection, Consumer, Queue
from kombu.exceptions import DecodeError

from celeriac.reference.clock import Clock
from celeriac.reference.codecs import accepted_types, decode, encode
from celeriac.reference.connections import Pool, connect_once, connection_errors, discard, open_connection
from celeriac.reference.context import Context
from celeriac.reference.publishing import attempt_until, publish_raw
from celeriac.reference.retry import RetryPolicy
from celeriac.reference.settings import Settings

__all__ = ["RpcBackend"]

logger = logging.getLogger(__name__)

#: How long a worker tries to deliver a result, and a caller to get its reply connection back.
_PERSISTENCE = RetryPolicy(20, 0, 1, 1)


class RpcBackend:
    """The result back end ``rpc://``."""

    def __init__(self, url: str, settings: Settings, clock: Clock, pool: Pool) -> None:
        self.reply_to = str(uuid4())
        self._url = url
        self._settings = settings
        self._clock = clock
        self._pool = pool
        self._records: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
        self._accept = accepted_types(settings.result_accept_content or settings.accept_content)
        self._connection: Connection | None = None
        self.errors = connection_errors(open_connection(url, settings))

    @property
    def queue(self) -> Queue:
        """Answer the reply queue of this application."""
        expires = self._settings.result_expires
        return Queue(
            self.reply_to, durable=False, auto_delete=True, expires=float(expires) if expires else None
        )

    def prepare(self, channel: Any, task_id: str) -> None:
        """Declare the reply queue over the connection that is about to publish the call (MSG-014)."""
        declared = channel.connection.client.declared_entities
        if self.reply_to not in declared:
            self.queue.declare(channel=channel)
            declared.add(self.reply_to)

    def store(self, record: Mapping[str, Any], context: Context) -> None:
        """Send the record to whoever called, if anybody wants it (RES-023)."""
        if not context.reply_to:
            return
        encoded = encode(record, self._settings.result_serializer)
        with self._pool.acquire() as connection:

            def attempt() -> None:
                try:
                    _send(connect_once(connection), encoded, context)
                except BaseException:
                    discard(connection)
                    raise

            attempt_until(attempt, _PERSISTENCE, self._clock, connection_errors(connection))

    def records(self, task_id: str) -> list[Mapping[str, Any]]:
        """Answer the records of a task that have been read from the reply queue."""
        return self._records[task_id]

    def receive(self, task_id: str, seen: int, timeout: float | None) -> None:
        """Read the reply queue until something arrives or ``timeout`` seconds have passed."""
        connection = self._consuming()
        try:
            connection.transport.drain_events(connection.connection, timeout=timeout)
            while True:
                connection.transport.drain_events(connection.connection, timeout=0)
        except TimeoutError:
            return
        except connection_errors(connection) as error:
            logger.warning("the connection that results arrive on was lost: %s", error)
            discard(connection)
            self._connection = None

    def close(self) -> None:
        """Close the connection that results arrive on."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.release()

    def _consuming(self) -> Connection:
        if self._connection is None:
            connection = open_connection(self._url, self._settings)
            attempt_until(
                lambda: self._consume(connection), _PERSISTENCE, self._clock, connection_errors(connection)
            )
            self._connection = connection
        return self._connection

    def _consume(self, connection: Connection) -> None:
        try:
            channel = connect_once(connection)
            Consumer(channel, [self.queue], no_ack=True, on_message=self._arrived).consume()
        except BaseException:
            discard(connection)
            raise

    def _arrived(self, message: Any) -> None:
        try:
            record = decode(message.body, message.content_type, message.content_encoding, self._accept)
            task_id, _ = record["task_id"], record["status"]
        except (DecodeError, KeyError, TypeError) as error:
            logger.error("a reply cannot be read and is ignored: %s", error)
            return
        self._records[task_id].append(record)


def _send(channel: Any, encoded: Any, context: Context) -> None:
    assert context.reply_to is not None
    publish_raw(
        channel,
        encoded.data,
        exchange="",
        routing_key=context.reply_to,
        priority=0,
        content_type=encoded.content_type,
        content_encoding=encoded.content_encoding,
        headers={},
        properties={"correlation_id": context.correlation_id or context.id, "delivery_mode": 1},
    )
