"""What a task sees of its own call: ``task.request``."""

from __future__ import annotations

import contextvars
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Context", "current", "current_worker_context", "running"]


@dataclass(slots=True)
class Context:
    """The metadata of one execution.

    Attributes:
        id: None when the function was called directly.
        headers: headers of the message that the protocol does not know.
        delivery_info: exchange, routing_key, priority, redelivered.
        called_directly: no worker is involved.
        children: ids of the tasks that this execution called.
    """

    task: str
    id: str | None = None
    args: Any = ()
    kwargs: Any = field(default_factory=dict)
    root_id: str | None = None
    parent_id: str | None = None
    group: str | None = None
    group_index: int | None = None
    retries: int = 0
    eta: str | None = None
    expires: str | None = None
    timelimit: tuple[float | None, float | None] = (None, None)
    shadow: str | None = None
    origin: str | None = None
    ignore_result: bool = False
    headers: Mapping[str, Any] = field(default_factory=dict)
    reply_to: str | None = None
    correlation_id: str | None = None
    delivery_info: Mapping[str, Any] = field(default_factory=dict)
    hostname: str | None = None
    callbacks: tuple[Any, ...] = ()
    errbacks: tuple[Any, ...] = ()
    chain: tuple[Any, ...] = ()
    called_directly: bool = True
    children: list[str] = field(default_factory=list)


_stack: contextvars.ContextVar[tuple[Context, ...]] = contextvars.ContextVar("celeriac_contexts", default=())


@contextmanager
def running(context: Context) -> Iterator[Context]:
    """Make ``context`` the current one; executions nest like function calls."""
    token = _stack.set((*_stack.get(), context))
    try:
        yield context
    finally:
        _stack.reset(token)


def current(task: str) -> Context | None:
    """Answer the context of the innermost execution if it is one of ``task``."""
    stack = _stack.get()
    return stack[-1] if stack and stack[-1].task == task else None


def current_worker_context() -> Context | None:
    """Answer the context of the innermost execution in a worker: the parent of calls made now (MSG-005)."""
    return next((context for context in reversed(_stack.get()) if not context.called_directly), None)
