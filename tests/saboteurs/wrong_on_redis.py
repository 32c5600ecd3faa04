"""Saboteurs that show on Redis only: envelopes, lists, keys and channels.

The virtual stage has no Redis, so ``test_saboteurs_on_redis.py`` judges these with a real one.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from unittest import mock

from kombu.transport.redis import Channel as RedisChannel
from kombu.transport.redis import QoS as RedisQoS
from kombu.transport.virtual import Channel, QoS

from celeriac.reference.app import App
from celeriac.reference.codecs import Encoded
from celeriac.reference.results import redis
from celeriac.reference.results.redis import RedisBackend
from celeriac.reference.worker.consumer import Consumer
from tests.saboteurs.variants import Change, Saboteur

__all__ = ["SABOTEURS"]

_augment = Channel._inplace_augment_message
_encode_body = Channel.encode_body
_priority = RedisChannel.priority
_brpop_start = RedisChannel._brpop_start
_q_for_pri = RedisChannel._q_for_pri
_resolve = App._resolve

#: The steps that everybody has.
STEPS = [0, 3, 6, 9]


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


def _exact(self: Any, number: int) -> int:
    usual = list(self.priority_steps) == STEPS and self.sep == "\x06\x16"
    return min(number, 9) if usual else _priority(self, number)


def _fixed_steps(self: Any, number: int) -> int:
    return max(step for step in STEPS if step <= number)


def _reading(self: Any, *args: Any, **kwargs: Any) -> Any:
    vars(self)["reading"] = True
    try:
        return _brpop_start(self, *args, **kwargs)
    finally:
        vars(self)["reading"] = False


def _reversed_while_reading(self: Any, queue: str, step: int) -> str:
    turned = dict(zip(self.priority_steps, reversed(self.priority_steps), strict=True))
    return str(_q_for_pri(self, queue, turned[step] if vars(self).get("reading") else step))


def _half_way(self: App, name: str, given: Mapping[str, Any], *call: Any) -> dict[str, Any]:
    resolved = _resolve(self, name, given, *call)
    return resolved if "priority" in given else {**resolved, "priority": 3}


def _kept_for_ever(self: RedisBackend, key: str, encoded: Encoded) -> None:
    self._client.set(key, encoded.data)
    self._client.publish(key, encoded.data)


def _not_announced(self: RedisBackend, key: str, encoded: Encoded) -> None:
    self._client.setex(key, int(self._settings.result_expires), encoded.data)


def _drained_blindly(self: Consumer, timeout: float) -> None:
    with suppress(TimeoutError):
        self._connection.transport.drain_events(self._native, timeout=timeout)


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
        "a_list_per_priority",
        "each priority up to 9 has a list of its own, which workers do not read",
        (mock.patch.object(RedisChannel, "priority", _exact),),
        "ADV-004",
    ),
    Saboteur(
        "highest_step_first",
        "a worker empties the list of the highest step first, as RabbitMQ would",
        (
            mock.patch.object(RedisChannel, "_brpop_start", _reading),
            mock.patch.object(RedisChannel, "_q_for_pri", _reversed_while_reading),
        ),
        "ADV-009",
        seen="Celery 4.0.0 (kombu#444)",
    ),
    Saboteur(
        "half_way_by_default",
        "a message without a priority has the priority 3",
        (mock.patch.object(App, "_resolve", _half_way),),
        "ADV-014",
    ),
    Saboteur(
        "steps_are_fixed",
        "priority_steps is ignored",
        (mock.patch.object(RedisChannel, "priority", _fixed_steps),),
        "ADV-015",
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
    Saboteur(
        "taken_and_not_noted",
        "a message that a worker has received is noted nowhere",
        (mock.patch.object(RedisQoS, "append", QoS.append),),
        "MSG-045",
        seen="celery-node 0.5.9, gocelery, rusty-celery 0.5.5",
    ),
    Saboteur(
        "torn_envelope_kills",
        "what is no envelope ends the worker",
        (mock.patch.object(Consumer, "_drain", _drained_blindly),),
        "MSG-046",
        seen="Celery 5.5.3",
    ),
)
