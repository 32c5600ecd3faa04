"""The execution options: one table of names and checks, and one of what stands in for an option not given.

An option of None is not given.  Everything is checked before anything is sent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from kombu import Connection, Exchange, Producer, Queue

from celeriac.reference.retry import check_policy
from celeriac.reference.signature import is_wire_signature
from celeriac.reference.suggest import unknown

__all__ = ["FALLBACKS", "OPTIONS", "check_options", "choose"]

Check = Callable[[str, Any], None]


def _refusal(name: str, value: object, expected: str) -> str:
    return f"option {name} is {value!r}, expected {expected}"


def _instance(*types: type, expected: str) -> Check:
    def check(name: str, value: Any) -> None:
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise TypeError(_refusal(name, value, expected))

    return check


def _number(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(_refusal(name, value, "a number of seconds"))
    if not math.isfinite(value):
        raise ValueError(_refusal(name, value, "a finite number of seconds"))


def _limit(name: str, value: Any) -> None:
    _number(name, value)
    if value <= 0:
        raise ValueError(_refusal(name, value, "more than 0 seconds"))


def _moment_or_number(name: str, value: Any) -> None:
    if isinstance(value, datetime | str):
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(_refusal(name, value, "a number of seconds, a datetime or ISO 8601 text"))
    _number(name, value)


def _integer(least: int, most: int | None = None) -> Check:
    span = f"an integer of at least {least}" if most is None else f"an integer from {least} to {most}"

    def check(name: str, value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(_refusal(name, value, span))
        if value < least or (most is not None and value > most):
            raise ValueError(_refusal(name, value, span))

    return check


def _short(*types: type, least: int = 1, expected: str = "a text") -> Check:
    """Check what travels as a short string of AMQP: at most 255 bytes."""
    of_type = _instance(str, *types, expected=expected)

    def check(name: str, value: Any) -> None:
        of_type(name, value)
        if isinstance(value, str) and not least <= len(value.encode()) <= 255:
            raise ValueError(_refusal(name, value, f"a text of {least} to 255 bytes"))

    return check


def _header_map(name: str, value: Any) -> None:
    if not isinstance(value, Mapping):
        raise TypeError(_refusal(name, value, "a mapping"))
    for key in value:
        _short()(f"{name} (key)", key)


def _signatures(name: str, value: Any) -> None:
    members = value if isinstance(value, list | tuple) else [value]
    for member in members:
        if not (hasattr(member, "to_wire") or is_wire_signature(member)):
            raise TypeError(_refusal(name, member, "a signature or a list of signatures"))


def _delivery_mode(name: str, value: Any) -> None:
    if value not in {1, 2, "transient", "persistent"} or isinstance(value, bool):
        raise ValueError(_refusal(name, value, "1, 2, 'transient' or 'persistent'"))


_text = _instance(str, expected="a text")
_id = _short()
_flag = _instance(bool, expected="True or False")
_producer = _instance(Producer, expected="a kombu.Producer")

#: Every execution option and its check.  Those after ``shadow`` travel between tasks; the guide does not name them.
OPTIONS: Final[Mapping[str, Check]] = {
    "countdown": _number,
    "eta": _instance(datetime, str, expected="a datetime or ISO 8601 text"),
    "expires": _moment_or_number,
    "retry": _flag,
    "retry_policy": lambda _name, value: check_policy(value),
    "serializer": _text,
    "compression": _text,
    "queue": _short(Queue, least=0, expected="a name or a kombu.Queue"),
    "exchange": _short(Exchange, least=0, expected="a name or a kombu.Exchange"),
    "routing_key": _short(least=0),
    "priority": _integer(0, 255),
    "ignore_result": _flag,
    "link": _signatures,
    "link_error": _signatures,
    "task_id": _id,
    "headers": _header_map,
    "connection": _instance(Connection, expected="a kombu.Connection"),
    "producer": _producer,
    "publisher": _producer,
    "time_limit": _limit,
    "soft_time_limit": _limit,
    "shadow": _text,
    "chain": _signatures,
    "delivery_mode": _delivery_mode,
    "group_id": _id,
    "group_index": _integer(0),
    "parent_id": _id,
    "replaced_task_nesting": _integer(0),
    "reply_to": _id,
    "retries": _integer(0),
    "root_id": _id,
}

#: Option -> (task attribute, setting) that decide, in this order, when the option is not given (SER-002 to
#: SER-005, CMP-002 to CMP-005).
FALLBACKS: Final[Mapping[str, tuple[str | None, str | None]]] = {
    "serializer": ("serializer", "task_serializer"),
    "compression": ("compression", "task_compression"),
    "priority": ("priority", "task_default_priority"),
    "ignore_result": ("ignore_result", "task_ignore_result"),
    "expires": ("expires", None),
    "time_limit": ("time_limit", None),
    "soft_time_limit": ("soft_time_limit", None),
    "delivery_mode": ("delivery_mode", "task_default_delivery_mode"),
    "queue": ("queue", None),
    "exchange": ("exchange", None),
    "routing_key": ("routing_key", None),
    "retry": (None, "task_publish_retry"),
}


def check_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Answer the options that are given, each of them valid (BAS-011).

    Raises:
        TypeError: an option is unknown, or its value is of a wrong type.
        ValueError: a value is out of range.
    """
    given = {}
    for name, value in options.items():
        if name not in OPTIONS:
            raise TypeError(unknown("option", name, OPTIONS))
        if value is not None:
            OPTIONS[name](name, value)
            given[name] = value
    return given


def choose(candidates: Sequence[Any], default: Any = None) -> Any:
    """Answer the first candidate that is given, else the default; None and empty text are not given (BAS-019)."""
    return next((value for value in candidates if not _is_blank(value)), default)


def _is_blank(value: Any) -> bool:
    # not `== ""`: an entity of kombu cannot be compared with a text
    return value is None or (isinstance(value, str) and not value)
