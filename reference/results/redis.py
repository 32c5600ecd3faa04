"""Results in Redis: one key for each task, and a publication on the channel of the same name."""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final
from uuid import uuid4

import redis
from kombu.exceptions import DecodeError
from redis.backoff import NoBackoff
from redis.retry import Retry

from celeriac.reference.clock import Clock
from celeriac.reference.codecs import Encoded, accepted_types, decode, encode
from celeriac.reference.context import Context
from celeriac.reference.publishing import attempt_until
from celeriac.reference.results.base import READY_STATES
from celeriac.reference.retry import RetryPolicy
from celeriac.reference.settings import Settings

__all__ = ["KEY_PREFIX", "RedisBackend"]

logger = logging.getLogger(__name__)

KEY_PREFIX: Final = "celery-task-meta-"

_PERSISTENCE: Final = RetryPolicy(20, 0, 1, 1)


class RedisBackend:
    """The result back end ``redis://``."""

    errors: tuple[type[BaseException], ...] = (redis.ConnectionError, redis.TimeoutError, OSError)

    def __init__(self, url: str, settings: Settings, clock: Clock) -> None:
        self.reply_to = str(uuid4())
        self._settings = settings
        self._clock = clock
        self._prefix = settings.result_backend_transport_options.get("global_keyprefix", "") + KEY_PREFIX
        self._accept = accepted_types(settings.result_accept_content or settings.accept_content)
        timeout = settings.broker_connection_timeout or None
        self._client: Any = redis.Redis.from_url(
            url, socket_connect_timeout=timeout, socket_timeout=timeout, retry=Retry(NoBackoff(), 0)
        )
        self._pubsub: Any = None
        self._subscribed: set[str] = set()
        self._records: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)

    def prepare(self, channel: Any, task_id: str) -> None:
        """Subscribe before the call is published, so that no state can be missed (ONM-001)."""
        if task_id in self._subscribed:
            return
        if self._pubsub is None:
            self._pubsub = self._client.pubsub()
        try:
            self._pubsub.subscribe(self._prefix + task_id)
        except self.errors:
            self._drop_subscriptions()
            raise
        self._subscribed.add(task_id)

    def store(self, record: Mapping[str, Any], context: Context) -> None:
        """Write the key and publish the same bytes, unless the task has succeeded already (RES-020 to RES-022)."""
        encoded = encode(record, self._settings.result_serializer)
        key = self._prefix + record["task_id"]
        attempt_until(lambda: self._write(key, encoded), _PERSISTENCE, self._clock, self.errors)

    def records(self, task_id: str) -> list[Mapping[str, Any]]:
        """Answer the records of a task that were published since it was called, or the stored one."""
        return self._records[task_id]

    def receive(self, task_id: str, seen: int, timeout: float | None) -> None:
        """Read publications for at most ``timeout`` seconds, or until something arrives.

        A subscription that was lost, or never made because another process called the task, is made again.  The
        key says what was missed meanwhile, and what a worker has stored that publishes nothing.
        """
        try:
            if task_id not in self._subscribed:
                self.prepare(None, task_id)
                self._read_key(task_id)
            if not self._read_publications(1.0 if timeout is None else min(1.0, timeout)):
                self._read_key(task_id)
        except self.errors as error:
            logger.warning("the connection that results arrive on was lost: %s", error)
            self._drop_subscriptions()
            self._clock.sleep(min(1.0, timeout) if timeout is not None else 1.0)

    def close(self) -> None:
        """Close all connections."""
        self._drop_subscriptions()
        self._client.close()

    def _write(self, key: str, encoded: Encoded) -> None:
        if self._has_succeeded(key):
            return
        expires = self._settings.result_expires
        with self._client.pipeline(transaction=True) as pipe:
            if expires:
                pipe.setex(key, math.ceil(expires), encoded.data)
            else:
                pipe.set(key, encoded.data)
            pipe.publish(key, encoded.data)
            pipe.execute()

    def _has_succeeded(self, key: str) -> bool:
        data = self._client.get(key)
        if data is None or _labels(self._settings.result_serializer)[0] not in self._accept:
            return False
        record = self._decoded(data)
        return record is not None and record["status"] == "SUCCESS"

    def _read_key(self, task_id: str) -> None:
        data = self._client.get(self._prefix + task_id)
        record = None if data is None else self._decoded(data)
        if record is not None and (record["status"] in READY_STATES or not self._records[task_id]):
            self._note(record)

    def _read_publications(self, timeout: float) -> bool:
        """Answer whether anything arrived within ``timeout`` seconds."""
        first = message = self._pubsub.get_message(timeout=timeout)
        while message is not None:
            record = self._decoded(message["data"]) if message["type"] == "message" else None
            if record is not None:
                self._note(record)
            message = self._pubsub.get_message(timeout=0)
        return first is not None

    def _note(self, record: Mapping[str, Any]) -> None:
        """Keep a record, unless the end of its task is known: key and publication both tell of it."""
        known = self._records[record["task_id"]]
        if not any(earlier["status"] in READY_STATES for earlier in known):
            known.append(record)

    def _decoded(self, data: bytes) -> Mapping[str, Any] | None:
        content_type, encoding = _labels(self._settings.result_serializer)
        try:
            record: Mapping[str, Any] = decode(data, content_type, encoding, self._accept)
            _ = record["task_id"], record["status"]
        except (DecodeError, KeyError, TypeError) as error:
            logger.error("a stored result cannot be read and is ignored: %s", error)
            return None
        return record

    def _drop_subscriptions(self) -> None:
        pubsub, self._pubsub = self._pubsub, None
        self._subscribed.clear()
        if pubsub is not None:
            pubsub.close()


def _labels(serializer: str) -> tuple[str, str]:
    sample = encode(None, serializer)
    return sample.content_type, sample.content_encoding
