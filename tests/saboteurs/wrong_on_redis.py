"""Saboteurs that show on Redis only: envelopes, keys and channels.

The virtual stage has no Redis, so ``test_saboteurs_on_redis.py`` judges these with a real one.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any
from unittest import mock

from kombu.transport.virtual import Channel

from celeriac.reference.codecs import Encoded
from celeriac.reference.results import redis
from celeriac.reference.results.redis import RedisBackend
from tests.saboteurs.variants import Change, Saboteur

__all__ = ["SABOTEURS"]

_augment = Channel._inplace_augment_message
_encode_body = Channel.encode_body


def enveloped(change: Callable[[dict[str, Any]], None]) -> Change:
    """Answer the exchange that changes the properties in each envelope."""

    def augment(self: Any, message: dict[str, Any], exchange: str, routing_key: str) -> None:
        _augment(self, message, exchange, routing_key)
        change(message["properties"])

    return mock.patch.object(Channel, "_inplace_augment_message", augment)


def _camel_case(properties: dict[str, Any]) -> None:
    if "correlation_id" in properties:
        properties["correlationId"] = properties.pop("correlation_id")


def _queue_as_exchange(properties: dict[str, Any]) -> None:
    info = properties["delivery_info"]
    info["exchange"] = info["routing_key"]


def _encoded_twice(self: Any, body: Any, encoding: str | None = None) -> tuple[str, Any]:
    once, label = _encode_body(self, body, encoding)
    return base64.b64encode(once.encode()).decode(), label


def _kept_for_ever(self: RedisBackend, key: str, encoded: Encoded) -> None:
    self._client.set(key, encoded.data)
    self._client.publish(key, encoded.data)


def _not_announced(self: RedisBackend, key: str, encoded: Encoded) -> None:
    self._client.setex(key, int(self._settings.result_expires), encoded.data)


SABOTEURS = (
    Saboteur(
        "envelope_in_camel_case",
        "the properties in an envelope have names in camel case",
        (enveloped(_camel_case),),
        "MSG-015",
        seen="celery-node 0.5.9",
    ),
    Saboteur(
        "body_encoded_twice",
        "the body in an envelope is base64 of base64",
        (mock.patch.object(Channel, "encode_body", _encoded_twice),),
        "MSG-016",
    ),
    Saboteur(
        "queue_as_exchange",
        "the exchange in an envelope is the name of the queue",
        (enveloped(_queue_as_exchange),),
        "MSG-017",
    ),
    Saboteur(
        "one_delivery_tag",
        "all envelopes have the same delivery tag",
        (mock.patch.object(Channel, "_next_delivery_tag", return_value="1"),),
        "MSG-018",
    ),
    Saboteur(
        "key_of_its_own",
        "the key of a record has another prefix",
        (mock.patch.object(redis, "KEY_PREFIX", "celeriac-task-meta-"),),
        "RES-020",
        also=("RES-021", "RES-022"),
        because="nothing under the right key neither expires nor is announced",
    ),
    Saboteur(
        "kept_for_ever",
        "a record does not expire",
        (mock.patch.object(RedisBackend, "_write", _kept_for_ever),),
        "RES-021",
    ),
    Saboteur(
        "not_announced",
        "a record is stored under its key and published nowhere",
        (mock.patch.object(RedisBackend, "_write", _not_announced),),
        "RES-022",
        seen="aio-celery 0.22.0, celery-asyncio 6.0.0a6",
    ),
)
