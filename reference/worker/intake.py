"""Is this message one that can be executed?  A request, or a refusal with its reason and the message's fate.

The fates are Celery's where it settles the message; where it dies or loops, the message is rejected without
requeueing (MSG-023 to MSG-031).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from kombu.exceptions import ContentDisallowed

from celeriac.reference import codecs
from celeriac.reference.app import App
from celeriac.reference.canvas import flattened
from celeriac.reference.context import Context
from celeriac.reference.errors import NotRegistered
from celeriac.reference.options import choose
from celeriac.reference.signature import is_wire_signature
from celeriac.reference.task import Task
from celeriac.reference.times import MalformedMomentError, wire_moment
from celeriac.reference.worker.protocol1 import upgraded

__all__ = ["Refusal", "Request", "admit", "unreadable"]

Fate = Literal["ack", "reject"]

#: Headers that the protocol knows; the others are the caller's own.
_KNOWN = frozenset(
    {
        "argsrepr",
        "compression",
        "eta",
        "expires",
        "group",
        "group_index",
        "id",
        "ignore_result",
        "kwargsrepr",
        "lang",
        "origin",
        "parent_id",
        "redelivered",
        "replaced_task_nesting",
        "retries",
        "root_id",
        "shadow",
        "stamped_headers",
        "stamps",
        "task",
        "timelimit",
    }
)


@dataclass(slots=True)
class Request:
    """A task to be executed.

    Attributes:
        message: kombu's message, to be settled.
        task: what is to be executed.
        context: what the task will see of it.
        eta: aware, in UTC; None for now.
        expires: aware, in UTC; None for never.
        late: acknowledged after the execution instead of before.
    """

    message: Any
    task: Task
    context: Context
    eta: datetime | None
    expires: datetime | None
    late: bool

    @property
    def key(self) -> tuple[str | None, int]:
        """Answer what two copies of one message have in common (TIM-016)."""
        return self.context.id, self.context.retries

    @property
    def limits(self) -> tuple[float | None, float | None]:
        """Answer the hard and the soft time limit in seconds: those of the message, then the task's own."""
        hard, soft = self.context.timelimit
        own = self.task.attributes
        return choose((hard, own.time_limit)), choose((soft, own.soft_time_limit))


class Refusal(Exception):  # noqa: N818 - an outcome, not an error
    """The message cannot be executed.

    Attributes:
        reason: a sentence for the log.
        fate: acknowledged or rejected; never requeued.
        context: set when the failure is stored as a result.
        error: what is stored.
    """

    def __init__(
        self, reason: str, fate: Fate, context: Context | None = None, error: BaseException | None = None
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.fate: Fate = fate
        self.context = context
        self.error = error


def unreadable(error: BaseException) -> Refusal:
    """Answer the refusal of a message that the client library could not take apart (MSG-025)."""
    return Refusal(f"the body cannot be decompressed: {type(error).__name__} {error}", "ack")


def admit(message: Any, app: App, accept: Collection[str], hostname: str) -> Request:
    """Answer the request that a message makes (MSG-020, MSG-021, CMP-014, ETA-015, EXP-014).

    Raises:
        Refusal: it makes none.
    """
    headers, body = upgraded(_headers(message), _body(message, accept))
    _require_names(headers)
    args, kwargs, embed = _parts(body)
    context = _context(message, headers, args, kwargs, embed, hostname)
    eta, expires = _moments(headers)
    task = app.tasks.get(context.task)
    if task is None:
        unregistered = NotRegistered(context.task)
        reason = f"task {context.task!r} is not registered here"
        raise Refusal(reason, "reject", context, unregistered)
    _refuse_chords(context, embed)
    _settle_attributes(context, headers, task, app)
    late = choose((task.attributes.acks_late, app.conf.task_acks_late))
    return Request(message, task, context, eta, expires, late)


def _headers(message: Any) -> Mapping[str, Any]:
    headers = message.headers
    if not isinstance(headers, Mapping):
        raise Refusal(f"headers are {type(headers).__name__}, expected a mapping", "reject")
    return headers


def _require_names(headers: Mapping[str, Any]) -> None:
    for name in ("task", "id"):
        value = headers.get(name)
        if not isinstance(value, str) or not value:
            raise Refusal(f"header {name} is {value!r}, expected a text", "reject")


def _body(message: Any, accept: Collection[str]) -> Any:
    if not message.content_type:
        raise Refusal("there is no content type", "reject")
    try:
        return codecs.decode(message.body, message.content_type, message.content_encoding, accept)
    except ContentDisallowed as error:
        raise Refusal(str(error), "reject") from error
    except Exception as error:
        # whatever a decoder makes of bytes from outside, the worker lives on
        raise Refusal(f"the body cannot be decoded: {type(error).__name__} {error}", "ack") from error


def _parts(body: Any) -> tuple[list[Any], Mapping[str, Any], Mapping[str, Any]]:
    if not isinstance(body, list | tuple) or len(body) != 3:
        raise Refusal(f"the body is {_shape(body)}, expected [args, kwargs, embed]", "reject")
    args, kwargs, embed = body
    if not isinstance(args, list | tuple):
        raise Refusal(f"positional arguments are {_shape(args)}, expected a list", "ack")
    if not isinstance(kwargs, Mapping) or not all(isinstance(key, str) for key in kwargs):
        raise Refusal(f"keyword arguments are {_shape(kwargs)}, expected a mapping of names", "ack")
    if not isinstance(embed, Mapping | None):
        raise Refusal(f"the third element of the body is {_shape(embed)}, expected a mapping", "reject")
    return list(args), kwargs, embed or {}


def _moments(headers: Mapping[str, Any]) -> tuple[datetime | None, datetime | None]:
    try:
        return wire_moment(headers.get("eta"), "eta"), wire_moment(headers.get("expires"), "expires")
    except MalformedMomentError as error:
        raise Refusal(f"header {error}", "reject") from error


def _context(
    message: Any,
    headers: Mapping[str, Any],
    args: list[Any],
    kwargs: Mapping[str, Any],
    embed: Mapping[str, Any],
    hostname: str,
) -> Context:
    properties, where = message.properties, message.delivery_info
    return Context(
        task=headers["task"],
        id=headers["id"],
        args=args,
        kwargs=kwargs,
        root_id=headers.get("root_id") or headers["id"],
        parent_id=headers.get("parent_id"),
        group=headers.get("group"),
        group_index=headers.get("group_index"),
        retries=_retries(headers),
        eta=headers.get("eta"),
        expires=headers.get("expires"),
        timelimit=_timelimit(headers),
        shadow=headers.get("shadow"),
        origin=headers.get("origin"),
        headers={name: value for name, value in headers.items() if name not in _KNOWN},
        reply_to=properties.get("reply_to"),
        correlation_id=properties.get("correlation_id"),
        delivery_info={
            "exchange": where.get("exchange"),
            "routing_key": where.get("routing_key"),
            "priority": properties.get("priority"),
            "redelivered": bool(where.get("redelivered")),
        },
        hostname=hostname,
        ignore_result=bool(headers.get("ignore_result")),
        callbacks=_signatures(embed, "callbacks"),
        errbacks=_signatures(embed, "errbacks"),
        chain=_signatures(embed, "chain"),
        called_directly=False,
    )


def _refuse_chords(context: Context, embed: Mapping[str, Any]) -> None:
    """Refuse what could not be seen through: nobody here counts the results that a chord waits for."""
    followers = flattened((*context.callbacks, *context.errbacks, *context.chain))
    if embed.get("chord") or any(each.get("subtask_type") == "chord" for each in followers):
        reason = f"a chord follows the task {context.task!r}, and chords are not supported here"
        raise Refusal(reason, "reject", context, NotImplementedError(reason))


def _settle_attributes(context: Context, headers: Mapping[str, Any], task: Task, app: App) -> None:
    """Decide what the header leaves open: header, then task, then setting."""
    choices = (headers.get("ignore_result"), task.attributes.ignore_result, app.conf.task_ignore_result)
    context.ignore_result = bool(choose(choices))


def _retries(headers: Mapping[str, Any]) -> int:
    value = headers.get("retries") or 0
    return value if isinstance(value, int) else 0


def _timelimit(headers: Mapping[str, Any]) -> tuple[float | None, float | None]:
    value = headers.get("timelimit")
    if value is None:
        return None, None
    if not isinstance(value, list | tuple) or len(value) != 2 or not all(map(_is_limit, value)):
        raise Refusal(f"header timelimit is {value!r}, expected null or [hard, soft]", "reject")
    return value[0], value[1]


def _is_limit(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool) and value >= 0)


def _signatures(embed: Mapping[str, Any], name: str) -> tuple[Any, ...]:
    value = embed.get(name) or ()
    if not isinstance(value, list | tuple) or not all(map(is_wire_signature, value)):
        raise Refusal(f"{name} is {_shape(value)}, expected a list of signatures", "reject")
    return tuple(value)


def _shape(value: object) -> str:
    size = f" of {len(value)}" if isinstance(value, list | tuple | dict | str) else ""
    return f"{type(value).__name__}{size}"
