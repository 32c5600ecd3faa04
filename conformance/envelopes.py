"""The messages of the adapter protocol: one JSON object per line, UTF-8, at most 16 MiB.

======== ============================================================= =========================
request  ``{"id": 7, "op": "call", "body": {...}}``                    harness to adapter
answer   ``{"id": 7, "ok" | "raised" | "unsupported" | "broken": ...}``  adapter to harness
event    ``{"ev": "started", "at": 1767225600.0, "data": {...}}``      adapter to harness, at any time
======== ============================================================= =========================

The body of a request holds the arguments of the method of ``Adapter`` that ``op`` names, by name; that of ``hello``
holds the version of the protocol.  Every message has a schema in ``spec/schemas/adapter/``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn, cast

from celeriac.conformance.adapter import (
    Answer,
    Broken,
    Call,
    Event,
    Ok,
    Raised,
    Scenario,
    Unsupported,
    WorkerSpec,
)
from celeriac.conformance.wire_values import from_json, to_json
from celeriac.spec import validator

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

__all__ = [
    "CATEGORIES",
    "LINE_LIMIT",
    "OPERATIONS",
    "PROTOCOL",
    "ProtocolError",
    "answer_from_json",
    "answer_to_json",
    "event_from_json",
    "event_to_json",
    "line",
    "parse",
    "request_from_json",
    "request_to_json",
    "validate",
    "validate_value",
]

#: The version of the protocol that this harness speaks.
PROTOCOL = 1

#: The longest line either side may send, in bytes, its newline included.
LINE_LIMIT = 16 * 1024 * 1024

#: Every operation, and the one argument whose fields its body holds, if the body is not the arguments by name.
OPERATIONS: Mapping[str, tuple[str, type[Scenario | Call | WorkerSpec]] | None] = {
    "hello": None,
    "begin": ("scenario", Scenario),
    "end": None,
    "call": ("call", Call),
    "compose": None,
    "call_together": None,
    "start_worker": ("spec", WorkerSpec),
    "stop_worker": None,
    "get_result": None,
    "state": None,
}

#: Operations with one argument that is a list of records, each of which travels as an object of its fields.
_RECORDS: Mapping[str, tuple[str, type[Call]]] = {"call_together": ("calls", Call)}

#: What an implementation can have signalled to its caller.
CATEGORIES = (
    "connection",
    "timeout",
    "encode",
    "decode",
    "content-refused",
    "unknown-task",
    "revoked",
    "rejected",
    "retry",
    "bad-argument",
    "other",
)

#: Every kind of answer but ``ok`` and the dataclass of its body.
_ANSWERS: Mapping[str, type[Raised | Unsupported | Broken]] = {
    "raised": Raised,
    "unsupported": Unsupported,
    "broken": Broken,
}

_EVENTS = ("ready", "started", "ended", "retried", "errback", "stopped")


class ProtocolError(ValueError):
    """A line that is no message of the protocol."""


def line(message: Mapping[str, Any]) -> bytes:
    """Answer the line that carries ``message``.

    Raises:
        ProtocolError: the line would be longer than ``LINE_LIMIT``.
    """
    encoded = json.dumps(message, allow_nan=False, separators=(",", ":")).encode("ascii") + b"\n"
    if len(encoded) > LINE_LIMIT:
        raise ProtocolError(f"a message of {len(encoded)} bytes; a line holds at most {LINE_LIMIT}")
    return encoded


def parse(text: bytes) -> dict[str, Any]:
    """Answer the JSON object on one line.

    Raises:
        ProtocolError: the line is no UTF-8, no JSON, holds NaN or Infinity, or is no object.
    """
    try:
        message = json.loads(text.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"not a line of JSON ({error}): {text[:200]!r}") from error
    if not isinstance(message, dict):
        raise ProtocolError(f"a message is a JSON object, not {text[:200]!r}")
    return message


def request_to_json(request_id: int, operation: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Answer the request that calls ``operation`` with the keyword arguments ``body``."""
    single = OPERATIONS[operation]
    if single is not None:
        body = _fields(body[single[0]])
    elif operation in _RECORDS:
        argument = _RECORDS[operation][0]
        body = {**body, argument: [_fields(item) for item in body[argument]]}
    return {"id": request_id, "op": operation, "body": to_json(body)}


def request_from_json(message: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Answer the operation and the keyword arguments of a request.

    Raises:
        ProtocolError: the operation is unknown, or its body does not fit it.
    """
    operation, body = str(message.get("op")), message.get("body")
    if operation not in OPERATIONS:
        raise ProtocolError(f"unknown operation {operation!r}; known: {', '.join(OPERATIONS)}")
    if not isinstance(body, dict):
        raise ProtocolError(f"the body of {operation!r} is an object, not {body!r}")
    single = OPERATIONS[operation]
    arguments: dict[str, Any] = from_json(body)
    if single is not None:
        argument, record = single
        return operation, {argument: _build(record, arguments)}
    if operation in _RECORDS:
        argument, record = _RECORDS[operation]
        arguments[argument] = _build_all(record, arguments.get(argument))
    return operation, arguments


def answer_to_json(request_id: int, answer: Answer) -> dict[str, Any]:
    """Answer the message that carries ``answer``; a value that cannot travel goes as its ``repr``."""
    if isinstance(answer, Ok):
        return {"id": request_id, "ok": to_json(answer.value, opaque=True)}
    kind = next(name for name, record in _ANSWERS.items() if isinstance(answer, record))
    body = {item.name: getattr(answer, item.name) for item in fields(answer)}
    return {"id": request_id, kind: body}


def answer_from_json(message: Mapping[str, Any]) -> Answer:
    """Answer what the adapter answered.

    Raises:
        ProtocolError: there is not exactly one of the four answers, or its body does not fit it.
    """
    kinds = [name for name in ("ok", *_ANSWERS) if name in message]
    if len(kinds) != 1 or set(message) != {"id", kinds[0]}:
        raise ProtocolError(
            f"an answer has an id and one of ok, {', '.join(_ANSWERS)}; got {_brief(message)}"
        )
    if kinds == ["ok"]:
        return Ok(from_json(message["ok"]))
    answer: Raised | Unsupported | Broken = _build(_ANSWERS[kinds[0]], message[kinds[0]])
    if isinstance(answer, Raised) and answer.category not in CATEGORIES:
        raise ProtocolError(f"unknown category {answer.category!r}; known: {', '.join(CATEGORIES)}")
    return answer


def event_to_json(event: Event) -> dict[str, Any]:
    """Answer the message that carries ``event``; a value that cannot travel goes as its ``repr``."""
    return {"ev": event.kind, "at": event.at, "data": to_json(event.data, opaque=True)}


def event_from_json(message: Mapping[str, Any]) -> Event:
    """Answer the event of a message.

    Raises:
        ProtocolError: the kind is unknown, the moment is no number or the data are no object.
    """
    kind, at, data = message.get("ev"), message.get("at"), message.get("data")
    if kind not in _EVENTS or not isinstance(at, int | float) or not isinstance(data, dict):
        raise ProtocolError(f"an event has ev ({', '.join(_EVENTS)}), at and data; got {_brief(message)}")
    return Event(kind, float(at), from_json(data))


def validate(message: Mapping[str, Any], kind: str) -> None:
    """Check a message of a kind, ``request``, ``answer`` or ``event``, by its schema.

    Raises:
        ProtocolError: it breaks the schema.
    """
    _check(_validator(kind), message, f"the {kind}", f"adapter/{kind}.schema.json")


def validate_value(operation: str, message: Mapping[str, Any]) -> None:
    """Check the value of an answer that is ok by what the schema of its operation expects.

    Raises:
        ProtocolError: it is something else.
    """
    if "ok" in message:
        schema = f"adapter/{operation}.schema.json"
        _check(_validator(operation, "ok"), message["ok"], f"the value of {operation!r}", schema)


@cache
def _validator(name: str, part: str | None = None) -> Draft202012Validator:
    whole = validator(f"adapter-{name}")
    if part is None:
        return whole
    return cast(
        "Draft202012Validator",
        whole.evolve(schema={"$ref": f"urn:celeriac:schema:adapter-{name}#/$defs/{part}"}),
    )


def _check(by: Draft202012Validator, value: Any, what: str, schema: str) -> None:
    if not by.is_valid(value):
        from jsonschema.exceptions import best_match

        error = best_match(by.iter_errors(value))
        where = ".".join(map(str, error.absolute_path))
        at = f" at {where}" if where else ""
        raise ProtocolError(
            f"{what} breaks {schema}{at}: {error.message[:300]}; got {json.dumps(value)[:200]}"
        )


def _build(record: type[Any], values: Any) -> Any:
    if not isinstance(values, dict):
        raise ProtocolError(f"{record.__name__} travels as an object, not as {values!r}")
    unknown = sorted(set(values) - set(_travelling(record)))
    if unknown:
        raise ProtocolError(f"{record.__name__} has no {', '.join(unknown)}; known: {_travelling(record)}")
    try:
        return record(**values)
    except TypeError as error:
        raise ProtocolError(f"{record.__name__} is incomplete: {error}") from error


def _build_all(record: type[Any], values: Any) -> list[Any]:
    if not isinstance(values, list):
        raise ProtocolError(f"a list of {record.__name__} is expected, not {values!r}")
    return [_build(record, item) for item in values]


def _fields(value: Scenario | Call | WorkerSpec) -> dict[str, Any]:
    return {name: getattr(value, name) for name in _travelling(type(value))}


def _travelling(record: type[Any]) -> list[str]:
    """A clock is of one process; everything else travels."""
    return [item.name for item in fields(record) if item.name != "clock"]


def _brief(message: Mapping[str, Any]) -> str:
    return json.dumps(message)[:200]


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
