"""What all result back ends share: the shape of a record, exceptions as data, and waiting for one task."""

from __future__ import annotations

import builtins
import sys
import traceback as tracebacks
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final, Protocol

from celeriac.reference import errors
from celeriac.reference.clock import Clock
from celeriac.reference.codecs import encode
from celeriac.reference.context import Context
from celeriac.reference.errors import WIRE_MODULE, RemoteError, ResultTimeout

__all__ = [
    "EXCEPTION_STATES",
    "READY_STATES",
    "Backend",
    "exception_of",
    "exception_record",
    "follow",
    "make_record",
]

Record = Mapping[str, Any]

#: States after which nothing changes any more.
READY_STATES: Final = frozenset({"SUCCESS", "FAILURE", "REVOKED"})

#: States whose ``result`` is an exception.
EXCEPTION_STATES: Final = frozenset({"FAILURE", "REVOKED", "RETRY"})


class Backend(Protocol):
    """Where results are kept and how a caller hears of them."""

    #: Failures of the connection to the back end, worth a retry.
    errors: tuple[type[BaseException], ...]

    #: The queue that results are sent to, or a mere label where no queue is used.
    reply_to: str

    def prepare(self, channel: Any, task_id: str) -> None:
        """Make sure that no state of ``task_id`` can be missed; called before the message is published."""

    def store(self, record: Record, context: Context) -> None:
        """Keep ``record`` and tell whoever waits.

        Raises:
            kombu.exceptions.EncodeError: the record cannot be encoded.
        """

    def records(self, task_id: str) -> list[Record]:
        """Answer the records of a task that have arrived here, in order."""

    def receive(self, task_id: str, seen: int, timeout: float | None) -> None:
        """Return when ``records(task_id)`` may have grown beyond ``seen``, or after ``timeout`` seconds."""

    def close(self) -> None:
        """Let go of connections."""


def follow(backend: Backend, task_id: str, timeout: float | None, clock: Clock) -> Iterator[Record]:
    """Yield the records of a task in order, as they arrive, until one is final (ONM-001, ONM-006, ONM-010).

    Raises:
        ResultTimeout: no final record within ``timeout`` seconds.
    """
    deadline = None if timeout is None else clock.monotonic() + timeout
    seen = 0
    backend.receive(task_id, 0, 0)
    while True:
        arrived = backend.records(task_id)[seen:]
        for record in arrived:
            yield record
            if record["status"] in READY_STATES:
                return
        seen += len(arrived)
        left = None if deadline is None else deadline - clock.monotonic()
        if left is not None and left <= 0:
            raise ResultTimeout(f"task {task_id} has no result after {timeout} s")
        backend.receive(task_id, seen, left)


def make_record(
    context: Context,
    state: str,
    result: Any,
    *,
    now: datetime,
    traceback: str | None = None,
    extended: bool = False,
) -> dict[str, Any]:
    """Build a record; an exception becomes data (RES-010 to RES-019).

    Args:
        context: of the execution.
        state: e.g. ``SUCCESS``.
        result: return value, meta data or exception.
        now: becomes ``date_done`` when the state is final.
        traceback: text.
        extended: add name, arguments, worker, retries and queue (``result_extended``).
    """
    record: dict[str, Any] = {
        "status": state,
        "result": exception_record(result) if isinstance(result, BaseException) else result,
        "traceback": traceback,
        "children": [[[child, None], None] for child in context.children],
        "date_done": now.isoformat() if state in READY_STATES else None,
    }
    if context.group:
        record["group_id"] = context.group
    if context.parent_id:
        record["parent_id"] = context.parent_id
    if extended:
        record |= {
            "name": context.task,
            "args": list(context.args),
            "kwargs": dict(context.kwargs),
            "worker": context.hostname,
            "retries": context.retries,
            "queue": context.delivery_info.get("routing_key"),
        }
    return record | {"task_id": context.id}


def exception_record(error: BaseException) -> dict[str, Any]:
    """Answer an exception as data; arguments that JSON cannot carry become their repr (RES-012)."""
    kind = type(error)
    return {
        "exc_type": kind.__name__,
        "exc_message": [_portable(argument) for argument in error.args],
        "exc_module": WIRE_MODULE.get(kind, kind.__module__),
    }


def exception_of(record: Record) -> BaseException:
    """Answer the exception that a record carries; classes not loaded here become ``RemoteError`` (RES-026)."""
    data = record["result"]
    if isinstance(data, BaseException):
        return data
    if not isinstance(data, Mapping) or not isinstance(data.get("exc_type"), str):
        return RemoteError("malformed", repr(data))
    message = data.get("exc_message")
    arguments = tuple(message) if isinstance(message, list | tuple) else (message,)
    kind = _exception_class(data.get("exc_module"), data["exc_type"])
    try:
        return kind(*arguments)
    except Exception:  # noqa: BLE001 - a constructor may want anything
        return RemoteError(data["exc_type"], *arguments)


def traceback_text(error: BaseException) -> str:
    """Answer the traceback of an exception as Python prints it (RES-013)."""
    return "".join(tracebacks.format_exception(error))


def _exception_class(module: Any, name: str) -> type[BaseException]:
    # only what is loaded already: a record must not be able to import modules
    homes = (errors, sys.modules.get(str(module), builtins))
    home = homes[0] if module == "celery.exceptions" else homes[1]
    kind = getattr(home, name, None)
    if isinstance(kind, type) and issubclass(kind, Exception):
        return kind
    return type(name, (RemoteError,), {"__module__": str(module)})


def _portable(value: Any) -> Any:
    try:
        encode(value, "json")
    except Exception:  # noqa: BLE001 - kombu lets some encoder errors through as they are
        return repr(value)
    return value
