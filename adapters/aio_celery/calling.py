"""The calling API of aio-celery and its results; thin, so that what is judged is aio-celery."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

import aio_celery

from celeriac.conformance.adapter import Call, Signature

__all__ = ["LACKING", "Caller"]

#: Options of the calling API that aio-celery does not have.  Others are given to it as they are, known or not.
LACKING = frozenset(
    {
        "add_to_parent",
        "compression",
        "connection",
        "eta",
        "exchange",
        "expires",
        "headers",
        "ignore_result",
        "link",
        "link_error",
        "producer",
        "publisher",
        "reply_to",
        "retry",
        "retry_policy",
        "routing_key",
        "serializer",
        "shadow",
        "soft_time_limit",
        "time_limit",
    }
)


class Caller:
    """Makes the calls of one scenario and waits for their results; to be used in one event loop.

    Args:
        app: the application, which is set up by the first call or question, and stays so until ``close``.
    """

    def __init__(self, app: aio_celery.Celery) -> None:
        self._app = app
        self._stack: AsyncExitStack | None = None
        self._results: dict[str, Any] = {}

    async def call(self, call: Call) -> dict[str, Any]:
        """Call a task in the form that ``call.mode`` names."""
        if call.mode == "direct":
            return {"value": await self._callee(call)(*call.args, **call.kwargs)}
        await self._set_up()
        return {"task_id": self._keep(await self._send(call))}

    async def chain(self, tasks: Sequence[Signature], options: Mapping[str, Any]) -> dict[str, Any]:
        """Call several tasks one after another.

        What aio-celery answers is a handle of the first.  The ids of the others are nowhere to be had, so the
        caller gives them.
        """
        await self._set_up()
        ids = [str(task.options.get("task_id") or uuid.uuid4()) for task in tasks]
        members = [_signature(task).set(task_id=each) for task, each in zip(tasks, ids, strict=True)]
        first = {"task_id": ids[0], **options}
        return {"id": self._keep(await aio_celery.chain(*members).apply_async(**first)), "task_ids": ids}

    async def get(self, task_id: str, seconds: float | None) -> Any:
        """Answer ``AsyncResult.get`` with a timeout in seconds."""
        await self._set_up()
        return await self._result(task_id).get(timeout=seconds)

    async def state(self, task_id: str) -> str:
        """Answer ``AsyncResult.state``."""
        await self._set_up()
        return str(await self._result(task_id).state)

    async def close(self) -> None:
        """Close the application's connections, if it has any."""
        stack, self._stack = self._stack, None
        if stack is not None:
            await stack.aclose()

    async def _set_up(self) -> None:
        if self._stack is None:
            stack = AsyncExitStack()
            await stack.enter_async_context(self._app.setup())
            self._stack = stack

    async def _send(self, call: Call) -> Any:
        if call.mode == "send_task":
            return await self._app.send_task(call.task, args=call.args, kwargs=call.kwargs, **call.options)
        callee = self._callee(call)
        if call.mode == "delay":
            return await callee.delay(*call.args, **call.kwargs)
        if call.mode == "signature":
            return await callee.signature(args=call.args, kwargs=call.kwargs, **call.options).apply_async()
        return await callee.apply_async(args=call.args, kwargs=call.kwargs, **call.options)

    def _callee(self, call: Call) -> Any:
        if call.signature is None:
            return self._app.get_annotated_task(call.task)
        return _signature(call.signature)

    def _keep(self, result: Any) -> str:
        self._results[result.id] = result
        return str(result.id)

    def _result(self, task_id: str) -> Any:
        return self._results.get(task_id) or self._app.AsyncResult(task_id)


def _signature(wanted: Signature) -> Any:
    return aio_celery.signature(
        wanted.task, args=tuple(wanted.args), kwargs=dict(wanted.kwargs), **wanted.options
    )
