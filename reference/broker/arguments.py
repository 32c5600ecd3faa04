"""The ``x-`` arguments of queues and consumers: what they may be, and what RabbitMQ says when they are not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from celeriac.reference.broker.dialect import Dialect
from celeriac.reference.broker.errors import ChannelError
from celeriac.reference.broker.messages import Arguments
from celeriac.reference.broker.model import Limits

__all__ = [
    "EQUIVALENT",
    "consumer_priority",
    "consumer_timeout",
    "inequivalence",
    "limits",
    "type_name",
    "where",
]

#: Queue arguments that a second declaration must repeat; others are not compared.
EQUIVALENT = (
    "x-expires",
    "x-message-ttl",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-priority",
    "x-overflow",
    "x-queue-mode",
    "x-single-active-consumer",
    "x-queue-type",
)
#: Arguments that quorum queues do not have.
_NOT_QUORUM = ("x-max-priority", "x-queue-mode")
_OVERFLOWS = ("drop-head", "reject-publish", "reject-publish-dlx")
_QUEUE_TYPES = ("classic", "quorum")
_HIGHEST_PRIORITY = 255

#: Python type of a decoded field -> its name in RabbitMQ's texts.  ``bool`` must precede ``int``.
_TYPE_NAMES: tuple[tuple[type, str], ...] = (
    (bool, "bool"),
    (int, "signedint"),
    (float, "double"),
    (str, "longstr"),
    (bytes, "longstr"),
    (datetime, "timestamp"),
    (Mapping, "table"),
    (list, "array"),
    (type(None), "void"),
)


def type_name(value: Any) -> str:
    """Answer RabbitMQ's name for the type of a decoded field."""
    if type(value) is int and not -(2**31) <= value < 2**31:
        return "long"
    return next((name for kind, name in _TYPE_NAMES if isinstance(value, kind)), type(value).__name__)


def where(kind: str, name: str, vhost: str) -> str:
    """Answer how RabbitMQ names an entity: ``queue 'q' in vhost '/'``."""
    return f"{kind} '{name}' in vhost '{vhost}'"


def _integer(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return f'"expected integer, got {type_name(value)}"'
    return None


def _non_negative(value: Any) -> str | None:
    return _integer(value) or (f"{{value_negative,{value}}}" if value < 0 else None)


def _positive(value: Any) -> str | None:
    return _non_negative(value) or ("{value_zero,0}" if value == 0 else None)


def _priority(value: Any) -> str | None:
    too_high = isinstance(value, int) and value > _HIGHEST_PRIORITY
    return _non_negative(value) or (f"{{max_value_exceeded,{value}}}" if too_high else None)


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) else f"{{unacceptable_type,{type_name(value)}}}"


def _overflow(value: Any) -> str | None:
    return _text(value) or (None if value in _OVERFLOWS else "invalid_overflow")


def _queue_type(value: Any) -> str | None:
    return _text(value) or (None if value in _QUEUE_TYPES else f"\"unsupported queue type '{value}'\"")


#: Argument -> what is wrong with a value, None when it is right.
_CHECKS: Mapping[str, Callable[[Any], str | None]] = {
    "x-queue-type": _queue_type,
    "x-expires": _positive,
    "x-message-ttl": _non_negative,
    "x-dead-letter-routing-key": _text,
    "x-max-length": _non_negative,
    "x-max-length-bytes": _non_negative,
    "x-max-priority": _priority,
    "x-overflow": _overflow,
}


def limits(arguments: Arguments, name: str, vhost: str, dialect: Dialect) -> Limits:
    """Decode a queue's arguments.

    Raises:
        ChannelError: 406 with RabbitMQ's text for the first argument that is wrong.
    """
    place = where("queue", name, vhost)
    _check(arguments, place)
    quorum = arguments.get("x-queue-type") == "quorum"
    _check_type(arguments, place, dialect, quorum=quorum)
    timed = "x-consumer-timeout" in arguments and _integer(arguments["x-consumer-timeout"]) is None
    return Limits(
        ttl_ms=arguments.get("x-message-ttl"),
        expires_ms=arguments.get("x-expires"),
        max_length=arguments.get("x-max-length"),
        max_bytes=arguments.get("x-max-length-bytes"),
        overflow=arguments.get("x-overflow", "drop-head"),
        max_priority=arguments.get("x-max-priority", 0),
        dead_letter_exchange=arguments.get("x-dead-letter-exchange"),
        dead_letter_routing_key=arguments.get("x-dead-letter-routing-key"),
        consumer_timeout_ms=arguments["x-consumer-timeout"] if timed else None,
        quorum=quorum,
    )


def _check(arguments: Arguments, place: str) -> None:
    for name, check in _CHECKS.items():
        if name in arguments and (problem := check(arguments[name])) is not None:
            raise ChannelError(406, f"invalid arg '{name}' for {place}: {problem}")
    exchange = arguments.get("x-dead-letter-exchange", "")
    if not isinstance(exchange, str):
        kind = type_name(exchange)
        raise ChannelError(406, f"invalid type '{kind}' for arg 'x-dead-letter-exchange' in {place}")
    if "x-dead-letter-routing-key" in arguments and "x-dead-letter-exchange" not in arguments:
        problem = "routing_key_but_no_dlx_defined"
        raise ChannelError(406, f"invalid arg 'x-dead-letter-routing-key' for {place}: {problem}")


def _check_type(arguments: Arguments, place: str, dialect: Dialect, *, quorum: bool) -> None:
    refused: tuple[str, ...] = _NOT_QUORUM if quorum else ()
    if not quorum and not dialect.classic_timeout_argument:
        refused = ("x-consumer-timeout",)
    for name in refused:
        if name in arguments:
            kind = "rabbit_quorum_queue" if quorum else "rabbit_classic_queue"
            raise ChannelError(406, f"invalid arg '{name}' for {place} of queue type {kind}")


def inequivalence(name: str, received: Arguments, current: Arguments, place: str) -> ChannelError | None:
    """Answer the 406 for an argument that differs between two declarations, or None."""
    default = "classic" if name == "x-queue-type" else None
    new, old = received.get(name, default), current.get(name, default)
    if new == old and isinstance(new, bool) == isinstance(old, bool):
        return None
    if new is None:
        detail = f"received none but current is {_described(old)}"
    elif old is None:
        detail = f"received {_described(new)} but current is none"
    else:
        detail = f"received '{_shown(new)}' but current is '{_shown(old)}'"
    return ChannelError(406, f"inequivalent arg '{name}' for {place}: {detail}")


def _described(value: Any) -> str:
    return f"the value '{_shown(value)}' of type '{type_name(value)}'"


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def consumer_priority(arguments: Arguments, place: str) -> int:
    """Answer a consumer's ``x-priority``.

    Raises:
        ChannelError: 406, it is not an integer.
    """
    value = arguments.get("x-priority", 0)
    problem = _integer(value)
    if problem is not None:
        raise ChannelError(406, f"invalid arg 'x-priority' for {place}: {problem}")
    return int(value)


def consumer_timeout(arguments: Arguments, place: str, dialect: Dialect, *, quorum: bool) -> int | None:
    """Answer a consumer's ``x-consumer-timeout`` (milliseconds), None for none.

    Raises:
        ChannelError: 406, a classic queue of a dialect that has none there.
    """
    value = arguments.get("x-consumer-timeout")
    if value is None:
        return None
    if not quorum and not dialect.classic_timeout_argument:
        raise ChannelError(406, f"invalid arg 'x-consumer-timeout' for {place}")
    return value if _integer(value) is None else None
