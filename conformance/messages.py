"""Task messages as the harness itself writes them.

Worker requirements are checked with these, so that a producer's mistake cannot turn a worker's check red, and
so that the harness can say things no producer would.  Everything is a value here; ``inject.py`` sends it.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

__all__ = [
    "Embed",
    "WireMessage",
    "redis_envelope",
    "redis_key",
    "reply_message",
    "result_record",
    "task_message",
    "wire_signature",
]


@dataclass(frozen=True, slots=True)
class WireMessage:
    """One message, ready to be sent on any link.

    Attributes:
        task_id: the id by which the history will know it (also when the header is missing).
        headers: the header table.
        properties: AMQP property names to values (``correlation_id``, ``reply_to``, ``delivery_mode``, ...).
        body: the bytes after serialization and compression.
        content_type: as announced; None for none.
        content_encoding: as announced; None for none.
        envelope: the element of a Redis list, as it stands; None for one that says what the other fields say.
    """

    task_id: str
    headers: Mapping[str, Any]
    properties: Mapping[str, Any]
    body: bytes
    content_type: str | None = "application/json"
    content_encoding: str | None = "utf-8"
    envelope: bytes | None = None

    def with_headers(self, **changes: Any) -> WireMessage:
        """Answer the same message with some headers replaced or added."""
        return replace(self, headers={**self.headers, **changes})

    def without_headers(self, *names: str) -> WireMessage:
        """Answer the same message without some headers."""
        return replace(self, headers={k: v for k, v in self.headers.items() if k not in names})

    def with_properties(self, **changes: Any) -> WireMessage:
        """Answer the same message with some properties replaced or added."""
        return replace(self, properties={**self.properties, **changes})

    def with_body(
        self, body: bytes, *, content_type: str | None = None, content_encoding: str | None = None
    ) -> WireMessage:
        """Answer the same message with another body, and with other labels if they are given."""
        return replace(
            self,
            body=body,
            content_type=content_type or self.content_type,
            content_encoding=content_encoding or self.content_encoding,
        )


@dataclass(frozen=True, slots=True)
class Embed:
    """The third element of the body: what follows the task."""

    callbacks: Sequence[Mapping[str, Any]] | None = None
    errbacks: Sequence[Mapping[str, Any]] | None = None
    chain: Sequence[Mapping[str, Any]] | None = None
    chord: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Answer the mapping that goes on the wire."""
        return {
            "callbacks": self.callbacks,
            "errbacks": self.errbacks,
            "chain": self.chain,
            "chord": self.chord,
            **self.extra,
        }


def wire_signature(
    task: str,
    *args: Any,
    kwargs: Mapping[str, Any] | None = None,
    immutable: bool = False,
    **options: Any,
) -> dict[str, Any]:
    """Answer a signature as it stands in a body."""
    return {
        "task": task,
        "args": list(args),
        "kwargs": dict(kwargs or {}),
        "options": options,
        "subtask_type": None,
        "immutable": immutable,
    }


def task_message(
    task: str,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    task_id: str | None = None,
    reply_to: str,
    eta: str | None = None,
    expires: str | None = None,
    priority: int = 0,
    embed: Embed | None = None,
    ignore_result: bool = False,
    retries: int = 0,
) -> WireMessage:
    """Answer a protocol 2 message with a JSON body, as the spec's chapter on the task message has it.

    Args:
        task: registered name.
        args: positional arguments, JSON values.
        kwargs: keyword arguments, JSON values.
        task_id: the id; a new one by default.
        reply_to: name of the reply queue.
        eta: ISO 8601 text with an offset.
        expires: ISO 8601 text with an offset; no per-message TTL is set, so that the worker decides.
        priority: 0 to 255.
        embed: callbacks, errbacks, chain and chord.
        ignore_result: whether the worker is told to keep no result.
        retries: how often the task has been retried.
    """
    task_id = task_id or str(uuid.uuid4())
    kwargs = dict(kwargs or {})
    headers: dict[str, Any] = {
        "lang": "py",
        "task": task,
        "id": task_id,
        "shadow": None,
        "eta": eta,
        "expires": expires,
        "group": None,
        "group_index": None,
        "retries": retries,
        "timelimit": [None, None],
        "root_id": task_id,
        "parent_id": None,
        "argsrepr": repr(tuple(args)),
        "kwargsrepr": repr(kwargs),
        "origin": "celeriac@harness",
        "ignore_result": ignore_result,
        "replaced_task_nesting": 0,
        "stamped_headers": None,
        "stamps": {},
    }
    properties = {"correlation_id": task_id, "reply_to": reply_to, "delivery_mode": 2, "priority": priority}
    body = json.dumps([list(args), kwargs, (embed or Embed()).as_dict()]).encode()
    return WireMessage(task_id, headers, properties, body)


def redis_key(queue: str, priority: int = 0) -> str:
    """Answer the name of the list in which a message of this priority waits (ADV-004)."""
    step = max(step for step in (0, 3, 6, 9) if step <= priority)
    return f"{queue}\x06\x16{step}" if step else queue


def redis_envelope(message: WireMessage, queue: str) -> bytes:
    """Answer the JSON text that stands for ``message`` in the Redis list ``queue``."""
    properties = {
        **message.properties,
        "delivery_info": {"exchange": "", "routing_key": queue},
        "body_encoding": "base64",
        "delivery_tag": str(uuid.uuid4()),
    }
    labels = {"content-encoding": message.content_encoding, "content-type": message.content_type}
    envelope = {
        "body": base64.b64encode(message.body).decode(),
        **{name: label for name, label in labels.items() if label is not None},
        "headers": dict(message.headers),
        "properties": properties,
    }
    return json.dumps(envelope).encode()


def result_record(task_id: str, status: str, result: Any, **members: Any) -> dict[str, Any]:
    """Answer a result record as the spec's chapter on results has it, with some members replaced or added."""
    return {
        "status": status,
        "result": result,
        "traceback": None,
        "children": [],
        **members,
        "task_id": task_id,
    }


def reply_message(record: Mapping[str, Any]) -> WireMessage:
    """Answer the message that carries a result record to the caller's reply queue."""
    properties = {"correlation_id": record["task_id"], "delivery_mode": 1}
    return WireMessage(record["task_id"], {}, properties, json.dumps(record).encode())
