"""What a message means, whoever carried it: the id of its task, and whether it is a result."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from kombu.utils import json as kombu_json

__all__ = ["as_result", "task_id_of"]

#: The members that every result record has.
RESULT_MEMBERS = frozenset({"task_id", "status", "result"})


def task_id_of(headers: Mapping[str, Any], properties: Mapping[str, Any], body: bytes) -> Any:
    """Answer the id of the task that a message is about, None when there is none.

    It is the ``id`` header, else the correlation id, else what a body of version 1 of the protocol names, which is
    JSON whenever somebody sends it without either.
    """
    known = headers.get("id", properties.get("correlation_id"))
    return known if known is not None or "task" in headers else _named_in(body)


def _named_in(body: bytes) -> Any:
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return message.get("id") if isinstance(message, dict) and "task" in message else None


def as_result(body: bytes, content_type: str | None = None) -> dict[str, Any] | None:
    """Decode ``body`` if it is a result record, else answer None.

    Only formats that cannot run code are decoded, so a pickled record is None too.

    Args:
        body: the serialized record.
        content_type: the format; None, as on Redis, tries one after the other.
    """
    decoders = _DECODERS.values() if content_type is None else (_DECODERS.get(content_type, _undecoded),)
    for decode in decoders:
        try:
            record = decode(body)
        except Exception:  # noqa: BLE001, S112 - anything may be stored under a key, and every decoder fails its own way
            continue
        if isinstance(record, dict) and record.keys() >= RESULT_MEMBERS:
            return record
    return None


def load_json(text: bytes) -> Any:
    """Decode JSON with kombu's typed values, or plainly where a type is unknown.

    Raises:
        ValueError: it is not JSON.
    """
    try:
        return kombu_json.loads(text)
    except (TypeError, KeyError, LookupError, AttributeError):
        return json.loads(text)


def _msgpack(body: bytes) -> Any:
    import msgpack

    return msgpack.unpackb(body, raw=False, strict_map_key=False)


def _yaml(body: bytes) -> Any:
    import yaml

    return yaml.safe_load(body)


def _undecoded(body: bytes) -> None:
    return None


_DECODERS: Mapping[str, Callable[[bytes], Any]] = {
    "application/json": load_json,
    "application/x-msgpack": _msgpack,
    "application/x-yaml": _yaml,
}
