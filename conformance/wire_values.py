"""Python values as JSON: what JSON has travels as it is, everything else is tagged.

A tagged value is ``{"$": tag, "v": payload}``.  A mapping that JSON could not carry faithfully (a key that is not
text, or a key ``$``) travels as ``{"$": "map", "v": [[key, value], ...]}``, so no user value can be mistaken for
a tag.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from celeriac.conformance.adapter import ErrorClass, ExchangeRef, QueueRef, Router, Signature

__all__ = ["TAGS", "Opaque", "UntaggableError", "from_json", "to_json"]


class UntaggableError(ValueError):
    """A value has no form on the wire, or a tagged form cannot be read."""


@dataclass(frozen=True, slots=True)
class Opaque:
    """What is left of a value that cannot travel: its type and its ``repr``."""

    type: str
    repr: str


class _Tag(NamedTuple):
    name: str
    type: type
    pack: Callable[[Any], Any]
    unpack: Callable[[Any], Any]


def _seconds(value: timedelta) -> list[int]:
    return [value.days, value.seconds, value.microseconds]


def _parts(value: complex) -> list[float]:
    return [value.real, value.imag]


def _signature(value: Signature) -> dict[str, Any]:
    return {
        "task": value.task,
        "args": value.args,
        "kwargs": value.kwargs,
        "options": value.options,
        "immutable": value.immutable,
    }


def _queue(value: QueueRef) -> dict[str, Any]:
    fields = {"name": value.name, "exchange": value.exchange, "routing_key": value.routing_key}
    return {**fields, "arguments": dict(value.arguments)} if value.arguments else fields


#: How each type travels; the first that ``isinstance`` accepts is taken.  Payloads are converted in their turn.
_TAGS = (
    _Tag(
        "bytes",
        bytes,
        lambda v: base64.b64encode(v).decode("ascii"),
        lambda v: base64.b64decode(v, validate=True),
    ),
    _Tag("datetime", datetime, datetime.isoformat, datetime.fromisoformat),
    _Tag("date", date, date.isoformat, date.fromisoformat),
    _Tag("time", time, time.isoformat, time.fromisoformat),
    _Tag("timedelta", timedelta, _seconds, lambda v: timedelta(*v)),
    _Tag("decimal", Decimal, str, Decimal),
    _Tag("uuid", UUID, str, UUID),
    _Tag("float", float, repr, float),
    _Tag("complex", complex, _parts, lambda v: complex(*v)),
    _Tag("tuple", tuple, list, tuple),
    _Tag("set", set, list, set),
    _Tag("signature", Signature, _signature, lambda v: Signature(**v)),
    _Tag("error", ErrorClass, lambda v: v.name, ErrorClass),
    _Tag("exchange", ExchangeRef, lambda v: {"name": v.name, "type": v.type}, lambda v: ExchangeRef(**v)),
    _Tag("queue", QueueRef, _queue, lambda v: QueueRef(**v)),
    _Tag("router", Router, lambda v: v.answers, Router),
    _Tag("opaque", Opaque, lambda v: {"type": v.type, "repr": v.repr}, lambda v: Opaque(**v)),
)

#: Every tag of the wire, ``map`` included.
TAGS = (*(tag.name for tag in _TAGS), "map")

_UNPACK = {tag.name: tag.unpack for tag in _TAGS}


def to_json(value: Any, *, opaque: bool = False) -> Any:
    """Answer the JSON form of ``value``.

    Args:
        value: None, bool, number, text, list, mapping, or one of the tagged types, nested at will.
        opaque: let a value of any other type travel as its type and ``repr``.

    Raises:
        UntaggableError: a value has no form on the wire and ``opaque`` is not set.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, list):
        return [to_json(item, opaque=opaque) for item in value]
    if isinstance(value, Mapping):
        return _mapping_to_json(value, opaque=opaque)
    return _tagged(value, opaque=opaque)


def from_json(value: Any) -> Any:
    """Answer the value whose JSON form is ``value``; the inverse of ``to_json``.

    Raises:
        UntaggableError: a tag is unknown or its payload cannot be read.
    """
    if isinstance(value, list):
        return [from_json(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "$" not in value:
        return {key: from_json(item) for key, item in value.items()}
    return _untagged(value)


def _mapping_to_json(value: Mapping[Any, Any], *, opaque: bool) -> dict[str, Any]:
    if all(isinstance(key, str) for key in value) and "$" not in value:
        return {key: to_json(item, opaque=opaque) for key, item in value.items()}
    pairs = [[to_json(key, opaque=opaque), to_json(item, opaque=opaque)] for key, item in value.items()]
    return {"$": "map", "v": pairs}


def _tagged(value: Any, *, opaque: bool) -> dict[str, Any]:
    for tag in _TAGS:
        if isinstance(value, tag.type):
            return {"$": tag.name, "v": to_json(tag.pack(value), opaque=opaque)}
    name = type(value).__qualname__
    if opaque:
        return {"$": "opaque", "v": {"type": name, "repr": repr(value)}}
    message = f"a value of type {name} cannot travel to an adapter process; tagged types: {', '.join(TAGS)}"
    raise UntaggableError(message)


def _untagged(value: dict[str, Any]) -> Any:
    if set(value) != {"$", "v"}:
        message = f"a tagged value has exactly the keys '$' and 'v', not {sorted(value)}"
        raise UntaggableError(message)
    name, payload = value["$"], from_json(value["v"])
    try:
        return dict(payload) if name == "map" else _UNPACK[name](payload)
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        message = f"cannot read the tagged value {str(value)[:200]}: {error!r}; tags: {', '.join(TAGS)}"
        raise UntaggableError(message) from error
