"""The calling API and its results, for implementations whose API has Celery's shape.

Nothing here works around an implementation: arguments go in as they came, errors come out as they are.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import reduce
from typing import Any, Literal, Protocol

from celeriac.adapters.categories import CALLING, RESULTS, raised
from celeriac.adapters.native import native
from celeriac.conformance.adapter import (
    Adapter,
    Answer,
    Call,
    Composition,
    Ok,
    OnMessage,
    Raised,
    Shared,
    Signature,
    WorkerSpec,
)

__all__ = ["Caller", "CallingAdapter", "Workers"]

#: What is shared -> the option that it is given as.
_OPTIONS: Mapping[Shared, str] = {
    "producer": "producer",
    "producer-as-publisher": "publisher",
    "connection": "connection",
}


class Caller:
    """Makes the calls of one scenario and waits for their results.

    Args:
        app: the application, with ``send_task``, ``signature`` and ``AsyncResult``.
        find_task: answers the registered task of a name, or raises what the implementation raises.
        canvas: what makes a ``group`` or a ``chain`` of a list of signatures.
    """

    def __init__(
        self, app: Any, find_task: Callable[[str], Any], canvas: Mapping[str, Callable[[list[Any]], Any]]
    ) -> None:
        self._app = app
        self._canvas = canvas
        self._find_task = find_task
        self._results: dict[str, Any] = {}

    def call(self, call: Call) -> Answer:
        """Call a task in the form that ``call.mode`` names."""
        options = native(dict(call.options), self._signature)
        return _answer(lambda: self._call(call, options), CALLING)

    def compose(self, kind: Composition, tasks: Sequence[Signature], options: Mapping[str, Any]) -> Answer:
        """Call several tasks as one with what ``canvas`` has for ``kind``."""
        return _answer(lambda: self._compose(kind, tasks, native(dict(options), self._signature)), CALLING)

    def call_together(self, calls: Sequence[Call], over: Shared) -> Answer:
        """Make several calls over one connection that this caller holds."""
        return _answer(lambda: self._call_together(calls, over), CALLING)

    def get_result(
        self, task_id: str, *, timeout: float | None, propagate: bool = True, on_message: OnMessage = False
    ) -> Answer:
        """Wait with ``AsyncResult.get``; the handle that the call answered is used where there is one."""
        messages: list[Any] = []

        def seen(body: Any) -> None:
            messages.append(_plain(copy.copy(body)))
            if on_message == "raise":
                raise RuntimeError("on_message raises")

        def get() -> dict[str, Any]:
            callback = seen if on_message else None
            value = self._result(task_id).get(timeout=timeout, propagate=propagate, on_message=callback)
            return {"value": _plain(value), "messages": messages}

        return _answer(get, RESULTS)

    def state(self, task_id: str) -> Answer:
        """Answer ``AsyncResult.state``."""
        return _answer(lambda: self._result(task_id).state, RESULTS)

    def forget(self) -> None:
        """Let go of the handles of all calls."""
        self._results.clear()

    def _result(self, task_id: str) -> Any:
        known = self._results.get(task_id)
        return self._app.AsyncResult(task_id) if known is None else known

    def _signature(self, wanted: Signature) -> Any:
        return self._app.signature(
            wanted.task,
            args=tuple(wanted.args),
            kwargs=dict(wanted.kwargs),
            immutable=wanted.immutable,
            **native(dict(wanted.options), self._signature),
        )

    def _call(self, call: Call, options: Mapping[str, Any]) -> dict[str, Any]:
        if call.mode == "direct":
            return {"value": self._callee(call)(*call.args, **call.kwargs)}
        result = self._send(call, options)
        self._results[result.id] = result
        return {"task_id": result.id}

    def _compose(
        self, kind: Composition, tasks: Sequence[Signature], options: Mapping[str, Any]
    ) -> dict[str, Any]:
        members = [self._signature(task) for task in tasks]
        whole = reduce(operator.or_, members) if kind == "pipe" else self._canvas[kind](members)
        result = whole.apply_async(**options)
        handles = result.results if kind == "group" else _lineage(result)
        self._results.update({each.id: each for each in (*handles, result)})
        return {"id": result.id, "task_ids": [each.id for each in handles]}

    def _call_together(self, calls: Sequence[Call], over: Shared) -> dict[str, Any]:
        with self._shared(calls, over) as shared:
            options = [native(dict(call.options), self._signature) for call in calls]
            answers = [
                self._call(call, {**given, **shared}) for call, given in zip(calls, options, strict=True)
            ]
        return {"task_ids": [answer["task_id"] for answer in answers]}

    @contextmanager
    def _shared(self, calls: Sequence[Call], over: Shared) -> Iterator[dict[str, Any]]:
        """Answer the option that makes calls share something, while the caller holds it."""
        if over == "publisher":
            make = self._find_task(calls[0].task).get_publisher
            with self._app.pool.acquire(block=True) as connection, make(connection) as publisher:
                yield {"publisher": publisher}
        else:
            with self._app.connection() as connection:
                yield {_OPTIONS[over]: connection if over == "connection" else connection.Producer()}

    def _send(self, call: Call, options: Mapping[str, Any]) -> Any:
        if call.mode == "send_task":
            return self._app.send_task(call.task, call.args, call.kwargs, **options)
        callee = self._callee(call)
        if call.mode == "delay":
            return callee.delay(*call.args, **call.kwargs)
        if call.mode == "signature":
            return callee.signature(call.args, call.kwargs, **options).apply_async()
        return callee.apply_async(call.args, call.kwargs, **options)

    def _callee(self, call: Call) -> Any:
        return self._find_task(call.task) if call.signature is None else self._signature(call.signature)


class Workers(Protocol):
    """The workers of one scenario, wherever they run."""

    def start(self, spec: WorkerSpec) -> Answer:
        """Start a worker and answer once it consumes."""

    def stop(self, name: str, how: Literal["warm", "cold", "kill"]) -> Answer:
        """Stop a worker."""

    def close(self) -> None:
        """Stop all of them."""


class CallingAdapter(Adapter):
    """An adapter whose ``begin`` makes a caller and workers for the scenario; the rest is passing on."""

    _caller: Caller
    _workers: Workers

    def call(self, call: Call) -> Answer:
        """Call a task in the form that ``call.mode`` names."""
        return self._caller.call(call)

    def compose(self, kind: Composition, tasks: Sequence[Signature], options: Mapping[str, Any]) -> Answer:
        """Call several tasks as one."""
        return self._caller.compose(kind, tasks, options)

    def call_together(self, calls: Sequence[Call], over: Shared) -> Answer:
        """Make several calls over one connection that the caller holds."""
        return self._caller.call_together(calls, over)

    def start_worker(self, spec: WorkerSpec) -> Answer:
        """Start a worker of the scenario."""
        return self._workers.start(spec)

    def stop_worker(self, name: str, how: Literal["warm", "cold", "kill"] = "warm") -> Answer:
        """Stop a worker of the scenario."""
        return self._workers.stop(name, how)

    def get_result(
        self, task_id: str, *, timeout: float | None, propagate: bool = True, on_message: OnMessage = False
    ) -> Answer:
        """Wait with ``AsyncResult.get``."""
        return self._caller.get_result(task_id, timeout=timeout, propagate=propagate, on_message=on_message)

    def state(self, task_id: str) -> Answer:
        """Answer ``AsyncResult.state``."""
        return self._caller.state(task_id)

    def close(self) -> None:
        """End the scenario that is still running, if one is."""
        self.end()


def _answer(action: Callable[[], Any], categories: Mapping[str, str]) -> Ok | Raised:
    try:
        return Ok(action())
    except Exception as error:  # noqa: BLE001 - whatever the implementation raises is what the harness wants to know
        return raised(error, categories)


def _lineage(result: Any) -> list[Any]:
    """Answer the handles of a chain, the first task's first."""
    found = [result]
    while found[-1].parent is not None:
        found.append(found[-1].parent)
    return found[::-1]


def _plain(value: Any) -> Any:
    """Answer an exception, which a failed task leaves as its result, as the pair that the contract names."""
    if isinstance(value, BaseException):
        return {"exc_type": type(value).__name__, "exc_message": str(value)}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value
