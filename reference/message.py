"""The task message, protocol 2: nineteen headers, a body of three elements, and properties.

Building one is a function of the call and of the moment; nothing is sent here.
"""

from __future__ import annotations

import os
import reprlib
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from celeriac.reference.codecs import Encoded, encode
from celeriac.reference.signature import wire_list
from celeriac.reference.times import after, given_moment, milliseconds_left, moment_text

__all__ = ["DELIVERY_MODES", "REPR_LIMIT", "TaskMessage", "build", "moments"]

#: Characters kept of the ``argsrepr`` and ``kwargsrepr`` headers.
REPR_LIMIT: Final = 1024

#: Names of the AMQP delivery modes.
DELIVERY_MODES: Final[Mapping[Any, int]] = {"transient": 1, "persistent": 2, 1: 1, 2: 2}

_repr = reprlib.Repr()
_repr.maxlevel = 3
_repr.maxstring = _repr.maxother = _repr.maxlong = REPR_LIMIT
_repr.maxlist = _repr.maxtuple = _repr.maxdict = _repr.maxset = REPR_LIMIT


@dataclass(frozen=True, slots=True)
class TaskMessage:
    """A message ready to be published.

    Attributes:
        task_id: also the ``correlation_id`` (MSG-003).
        headers: see ``spec/schemas/task-message.schema.json``.
        properties: everything but the content type, the content encoding and the priority.
        priority: 0 to 255.
        encoded: the body and its labels.
    """

    task_id: str
    headers: dict[str, Any]
    properties: dict[str, Any]
    priority: int
    encoded: Encoded


def moments(options: Mapping[str, Any], now: datetime) -> tuple[datetime | None, datetime | None]:
    """Answer (eta, expires) of a call made at ``now``; a countdown other than 0 wins over an eta (ETA-006, ETA-007).

    Raises:
        ValueError: one of them is not a moment.
    """
    eta, expires = options.get("eta"), options.get("expires")
    if options.get("countdown"):
        eta = after(now, options["countdown"], "countdown")
    elif eta is not None:
        eta = given_moment(eta, "eta")
    if isinstance(expires, int | float):
        expires = after(now, expires, "expires")
    elif expires is not None:
        expires = given_moment(expires, "expires")
    return eta, expires


def build(
    task: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    options: Mapping[str, Any],
    *,
    task_id: str,
    reply_to: str,
    now: datetime,
) -> TaskMessage:
    """Build the message of a call.

    Args:
        task: name of the task.
        args: positional arguments.
        kwargs: keyword arguments.
        options: checked options with every fallback resolved.
        task_id: the id of the task.
        reply_to: where its result is awaited (MSG-014).
        now: the moment of the call.

    Raises:
        kombu.exceptions.EncodeError: the arguments cannot be encoded (SER-007).
        ValueError: eta, countdown or expires is no moment.
    """
    eta, expires = moments(options, now)
    encoded = encode(_body(args, kwargs, options), options["serializer"], options.get("compression"))
    headers = _headers(task, task_id, args, kwargs, options) | {
        "eta": moment_text(eta),
        "expires": moment_text(expires),
    }
    headers.update(options.get("headers") or {})
    if encoded.compression is not None:
        headers["compression"] = encoded.compression
    properties = {
        "correlation_id": task_id,
        "reply_to": options.get("reply_to") or reply_to,
        "delivery_mode": DELIVERY_MODES[options["delivery_mode"]],
    }
    if expires is not None:
        properties["expiration"] = milliseconds_left(expires, now)
    return TaskMessage(task_id, headers, properties, options["priority"], encoded)


def _body(args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any]) -> list[Any]:
    """Answer the three elements (MSG-008, MSG-009)."""
    embed = {
        "callbacks": wire_list(options.get("link")),
        "errbacks": wire_list(options.get("link_error")),
        "chain": wire_list(options.get("chain")),
        "chord": None,
    }
    return [list(args), dict(kwargs), embed]


def _headers(
    task: str, task_id: str, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any]
) -> dict[str, Any]:
    """Answer the nineteen headers, the two moments still null (MSG-001, MSG-004)."""
    return {
        "lang": "py",
        "task": task,
        "id": task_id,
        "shadow": options.get("shadow") or None,
        "eta": None,
        "expires": None,
        "group": options.get("group_id"),
        "group_index": options.get("group_index"),
        "retries": options.get("retries", 0),
        "timelimit": [options.get("time_limit"), options.get("soft_time_limit")],
        "root_id": options.get("root_id") or task_id,
        "parent_id": options.get("parent_id"),
        "argsrepr": _short_repr(tuple(args)),
        "kwargsrepr": _short_repr(dict(kwargs)),
        "origin": f"gen{os.getpid()}@{socket.gethostname()}",
        "ignore_result": options["ignore_result"],
        "replaced_task_nesting": options.get("replaced_task_nesting", 0),
        "stamped_headers": None,
        "stamps": {},
    }


def _short_repr(value: object) -> str:
    text = _repr.repr(value)
    return text if len(text) <= REPR_LIMIT else f"{text[: REPR_LIMIT - 3]}..."
