"""Oddities among the workers: what follows a task, and how its records are written."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any
from unittest import mock
from uuid import uuid4

from celeriac.reference import message
from celeriac.reference.app import App
from celeriac.reference.context import Context, running
from celeriac.reference.result import AsyncResult
from celeriac.reference.results import base
from celeriac.reference.results.base import exception_of
from celeriac.reference.worker import execution, links
from celeriac.reference.worker.links import is_called_directly
from tests.saboteurs.variants import Oddity

__all__ = ["ODDITIES"]

_body = message._body
_call_errbacks = links.call_errbacks
_exception_record = base.exception_record
_get = AsyncResult.get
_make_record = base.make_record
_store_safely = execution.store_safely


def _old_ones_here(app: App, context: Context, *failure: Any) -> None:
    others = []
    for errback in context.errbacks:
        task = app.tasks.get(errback["task"])
        if task is None or is_called_directly(task):
            others.append(errback)
            continue
        mine = Context(task.name, str(uuid4()), (context.id,), called_directly=False)
        with running(mine), suppress(Exception):
            task.invoke(mine.args, {})
    _call_errbacks(app, replace(context, errbacks=tuple(others)), *failure)


def _known_ones_first(app: App, context: Context, *failure: Any) -> None:
    known = sorted(context.errbacks, key=lambda errback: errback["task"] not in app.tasks)
    _call_errbacks(app, replace(context, errbacks=tuple(known)), *failure)


def _empty_is_a_list(args: Any, kwargs: Any, options: Mapping[str, Any]) -> list[Any]:
    positional, named, embed = _body(args, kwargs, options)
    return [
        positional,
        named,
        {**embed, "chain": embed["chain"] or []} if options.get("parent_id") else embed,
    ]


def _no_cause(app: App, context: Any, state: str, result: Any, traceback: str | None = None) -> bool:
    return _store_safely(app, context, state, None if state == "RETRY" else result, traceback)


def _text_for_arguments(error: BaseException) -> dict[str, Any]:
    return {**_exception_record(error), "exc_message": str(error)}


def _exceptions_are_heard(
    self: AsyncResult, timeout: Any = None, propagate: bool = True, on_message: Any = None
) -> Any:
    def hear(record: Mapping[str, Any]) -> None:
        failed = record["status"] == "FAILURE"
        on_message({**record, "result": exception_of(record)} if failed else record)

    return _get(self, timeout, propagate, on_message and hear)


ODDITIES = (
    Oddity(
        "old_errbacks_called_here",
        "an errback that takes one argument is executed by the worker in which its parent failed",
        (mock.patch.object(execution, "call_errbacks", _old_ones_here),),
        where=("LNK-024",),
    ),
    Oddity(
        "known_errbacks_first",
        "errbacks that the worker knows come before those that it does not, whatever the list says",
        (mock.patch.object(execution, "call_errbacks", _known_ones_first),),
        where=("LNK-022",),
    ),
    Oddity(
        "empty_chain",
        "where nothing of a chain is left, it is an empty list",
        (mock.patch.object(message, "_body", _empty_is_a_list),),
        where=("LNK-018",),
    ),
    Oddity(
        "retry_without_cause",
        "the record of an attempt that asks for another has null as its result",
        (mock.patch.object(execution, "store_safely", _no_cause),),
        where=("RES-015",),
    ),
    Oddity(
        "text_for_arguments",
        "an exception is stored with its text in place of its arguments",
        (mock.patch.object(base, "exception_record", _text_for_arguments),),
        where=("RES-012",),
    ),
    Oddity(
        "exceptions_are_heard",
        "what is heard of a failure has an exception made from the record",
        (mock.patch.object(AsyncResult, "get", _exceptions_are_heard),),
        where=("ONM-003",),
    ),
)
