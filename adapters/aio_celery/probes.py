"""The probe tasks as coroutines, which is what tasks of aio-celery are.

There is none for what aio-celery does not have: ``Ignore``, ``Reject`` and errbacks.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from aio_celery.annotated_task import AnnotatedTask
from aio_celery.exceptions import Retry

from celeriac.adapters.probes import Reporter

__all__ = ["probes"]

Probe = Callable[..., Awaitable[Any]]


async def _add(self: Any, x: Any, y: Any) -> Any:
    return x + y


async def _echo(self: Any, *args: Any, **kwargs: Any) -> Any:
    return [list(args), kwargs]


async def _fail(self: Any, message: str) -> None:
    raise ValueError(message)


async def _sleep(self: Any, seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


async def _progress(self: Any, steps: int) -> str:
    for step in range(steps):
        await self.update_state(state="PROGRESS", meta={"progress": step})
    return "done"


async def _hello(self: Any, a: Any, b: Any) -> str:
    for done in (50, 90):
        await asyncio.sleep(1)
        await self.update_state(state="PROGRESS", meta={"progress": done})
    await asyncio.sleep(1)
    return f"hello world: {a + b}"


async def _retry(
    self: Any, times: int, countdown: float = 0, fail: str | None = None, limit: int | None = None
) -> int:
    if limit is not None:  # an attribute of the task, no argument of retry
        self.app.get_annotated_task(self.name).max_retries = limit
    if self.request.retries < times:
        await self.retry(countdown=countdown)
    if fail is not None:
        raise ValueError(fail)
    return int(self.request.retries)


async def _child(self: Any, x: Any, y: Any) -> str:
    handle = await self.app.get_annotated_task("celeriac.add").apply_async(args=(x, y))
    return str(handle.id)


async def _context(self: Any) -> dict[str, Any]:
    request, message = self.request, self.request.message
    return {
        "id": request.id,
        "root_id": request.root_id,
        "parent_id": request.parent_id,
        "retries": request.retries,
        "eta": request.eta and request.eta.isoformat(),
        "headers": dict(message.headers),
        "delivery_info": {"exchange": message.exchange, "routing_key": message.routing_key},
        "reply_to": message.reply_to,
        "correlation_id": message.correlation_id,
    }


#: The probe tasks by name.
PROBES: dict[str, Probe] = {
    "celeriac.add": _add,
    "celeriac.echo": _echo,
    "celeriac.fail": _fail,
    "celeriac.sleep": _sleep,
    "celeriac.progress": _progress,
    "celeriac.hello": _hello,
    "celeriac.retry": _retry,
    "celeriac.child": _child,
    "celeriac.context": _context,
}


def probes(reporter: Reporter) -> dict[str, Probe]:
    """Answer every probe task by name, reporting through ``reporter``."""
    return {name: _reported(name, function, reporter) for name, function in PROBES.items()}


def _reported(name: str, function: Probe, reporter: Reporter) -> Probe:
    signature = inspect.signature(function)

    async def probe(self: Any, *args: Any, **kwargs: Any) -> Any:
        signature.bind(self, *args, **kwargs)
        if isinstance(self, AnnotatedTask):  # called by hand: there is no worker
            return await function(self, *args, **kwargs)
        report = functools.partial(
            reporter, task_id=self.request.id, task=name, attempt=self.request.retries or 0
        )
        report("started", args=args, kwargs=kwargs)
        try:
            value = await function(self, *args, **kwargs)
        except Retry:
            report("retried")
            raise
        except Exception as error:
            failure = {"exc_type": type(error).__name__, "exc_message": str(error)}
            report("ended", state="FAILURE", value=failure)
            raise
        report("ended", state="SUCCESS", value=value)
        return value

    return probe
