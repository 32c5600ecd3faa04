"""Native errors in the harness's terms: which category an exception belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from celeriac.conformance.adapter import Raised

__all__ = ["CALLING", "RESULTS", "category", "raised", "type_name"]

#: What the calling API raises: full name of a class -> category.  The nearest class of an error's ancestry counts.
CALLING: Mapping[str, str] = {
    "builtins.TimeoutError": "timeout",
    "builtins.OSError": "connection",
    "builtins.LookupError": "bad-argument",
    "builtins.TypeError": "bad-argument",
    "builtins.ValueError": "bad-argument",
    "builtins.ArithmeticError": "bad-argument",
    "struct.error": "bad-argument",
    "amqp.exceptions.ChannelError": "rejected",
    "amqp.exceptions.ConnectionError": "connection",
    "amqp.exceptions.RecoverableConnectionError": "connection",
    "celery.exceptions.NotRegistered": "unknown-task",
    "celery.exceptions.QueueNotFound": "bad-argument",
    "celery.exceptions.Reject": "rejected",
    "celery.exceptions.Retry": "retry",
    "celery.exceptions.TaskRevokedError": "revoked",
    "celery.exceptions.TimeoutError": "timeout",
    "kombu.exceptions.ContentDisallowed": "content-refused",
    "kombu.exceptions.DecodeError": "decode",
    "kombu.exceptions.EncodeError": "encode",
    "kombu.exceptions.OperationalError": "connection",
    "kombu.exceptions.SerializerNotInstalled": "encode",
    "redis.exceptions.ConnectionError": "connection",
    "redis.exceptions.TimeoutError": "timeout",
    "celeriac.reference.errors.NotRegistered": "unknown-task",
    "celeriac.reference.errors.Reject": "rejected",
    "celeriac.reference.errors.Retry": "retry",
    "celeriac.reference.errors.TaskRevokedError": "revoked",
    "celeriac.reference.errors.ResultTimeout": "timeout",
}

#: What waiting for a result raises.  A task may fail with any error of its own, which is no comment on the caller.
RESULTS: Mapping[str, str] = {
    name: kind
    for name, kind in CALLING.items()
    if kind not in {"bad-argument", "encode"} and not name.startswith("builtins.")
}

#: Categories of errors that are raised before anything is sent.
_BEFORE_SENDING = frozenset({"bad-argument", "encode", "unknown-task"})


def type_name(kind: type) -> str:
    """Answer ``package.module.Class``, without the module for built-in types."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def category(error: BaseException, table: Mapping[str, str] = CALLING) -> str:
    """Answer the category of the nearest ancestor of an error that the table knows, else ``other``."""
    names = (f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__)
    return next((table[name] for name in names if name in table), "other")


def raised(error: BaseException, table: Mapping[str, str] = CALLING) -> Raised:
    """Answer the ``Raised`` that describes an error of the implementation."""
    kind = category(error, table)
    effect: Literal["none", "maybe"] = "none" if kind in _BEFORE_SENDING else "maybe"
    cause = type_name(type(error.__cause__)) if error.__cause__ is not None else None
    return Raised(kind, type_name(type(error)), str(error), effect, cause)
