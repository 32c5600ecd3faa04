"""Saboteurs among the workers and the waiting callers: links, records, and what becomes of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest import mock

from celeriac.reference import app as calling
from celeriac.reference import settings
from celeriac.reference.app import App
from celeriac.reference.errors import ResultTimeout
from celeriac.reference.result import AsyncResult
from celeriac.reference.results import base
from celeriac.reference.signature import Signature
from celeriac.reference.worker import execution, links, worker
from celeriac.reference.worker.execution import Outcome
from celeriac.reference.worker.links import send_callbacks
from tests.saboteurs.variants import Change, Saboteur

__all__ = ["SABOTEURS"]

_send = links._send
_call_errbacks = links.call_errbacks
_execute = execution.execute
_make_record = base.make_record
_get = AsyncResult.get
_ignores = App._ignores


def _list_is_spread(signature: Any, context: Any, value: Any, **options: Any) -> None:
    if isinstance(value, list) and value and "chain" not in options:
        signature = replace(signature, args=(*value[1:], *signature.args))
        value = value[0]
    _send(signature, context, value, **options)


def _never_immutable(signature: Any, context: Any, value: Any, **options: Any) -> None:
    if isinstance(signature, Signature) and "chain" not in options:
        signature = replace(signature, immutable=False)
    _send(signature, context, value, **options)


def _last_first(app: App, context: Any, value: Any) -> None:
    turned = replace(context, callbacks=context.callbacks[::-1])
    send_callbacks(app, turned, value)


def _unknown_children(app: App, context: Any, value: Any) -> None:
    before = list(context.children)
    send_callbacks(app, context, value)
    context.children[:] = before


def calls_back_for(state: str) -> Change:
    """Answer the exchange that sends the callbacks of tasks that end in another state than SUCCESS."""

    def execute(app: App, request: Any) -> Outcome:
        outcome = _execute(app, request)
        if outcome.state == state:
            send_callbacks(app, replace(request.context, chain=()), None)
        return outcome

    return mock.patch.object(worker, "execute", execute)


def _known_errbacks(app: App, context: Any, *rest: Any) -> None:
    known = tuple(one for one in context.errbacks if one["task"] in app.tasks)
    _call_errbacks(app, replace(context, errbacks=known), *rest)


def _null_in_time(self: AsyncResult, *args: Any, **kwargs: Any) -> Any:
    try:
        return _get(self, *args, **kwargs)
    except ResultTimeout:
        return None


def _no_traceback(*args: Any, **kwargs: Any) -> dict[str, Any]:
    return {**_make_record(*args, **kwargs), "traceback": None}


def _ignores_failures_only(self: App, context: Any, state: str) -> bool:
    return state != "SUCCESS" and _ignores(self, context, state)


SABOTEURS = (
    Saboteur(
        "result_is_spread",
        "a list that a task returns is spread over the arguments of its callback",
        (mock.patch.object(links, "_send", _list_is_spread),),
        "LNK-007",
    ),
    Saboteur(
        "never_immutable",
        "an immutable callback gets the return value, too",
        (mock.patch.object(links, "_send", _never_immutable),),
        "LNK-008",
    ),
    Saboteur(
        "last_callback_first",
        "callbacks are sent in reverse order",
        (mock.patch.object(execution, "send_callbacks", _last_first),),
        "LNK-011",
    ),
    Saboteur(
        "callbacks_are_no_children",
        "the record of a task does not name its callbacks",
        (mock.patch.object(execution, "send_callbacks", _unknown_children),),
        "LNK-013",
    ),
    Saboteur(
        "failure_calls_back",
        "the callbacks of a task that raises are sent",
        (calls_back_for("FAILURE"),),
        "LNK-014",
    ),
    Saboteur(
        "retry_calls_back",
        "the callbacks of a task that asks to be retried are sent for each attempt",
        (calls_back_for("RETRY"),),
        "LNK-015",
    ),
    Saboteur(
        "ignored_calls_back",
        "the callbacks of a task that asks to be ignored are sent",
        (calls_back_for("IGNORED"),),
        "LNK-016",
    ),
    Saboteur(
        "unknown_errback_dropped",
        "an errback that the worker does not know is not published",
        (mock.patch.object(execution, "call_errbacks", _known_errbacks),),
        "LNK-023",
        also=("LNK-022", "LNK-025", "LNK-028"),
        because="errbacks that are not published have neither an order nor a parent nor arguments",
    ),
    Saboteur(
        "null_in_time",
        "a wait that times out answers null",
        (mock.patch.object(AsyncResult, "get", _null_in_time),),
        "ONM-010",
        also=("LNK-040",),
        because="a group is waited for task by task",
    ),
    Saboteur(
        "success_is_never_ignored",
        "the return value of a task is stored, whoever does not want it",
        (mock.patch.object(App, "_ignores", _ignores_failures_only),),
        "RES-006",
        seen="celery-node 0.5.9",
        also=("RES-009",),
        because="without a header the attribute and the setting may say the same, and are not heard either",
    ),
    Saboteur(
        "no_traceback",
        "the record of a failure has no traceback",
        (mock.patch.object(calling, "make_record", _no_traceback),),
        "RES-013",
    ),
    Saboteur(
        "always_extended",
        "records have their six further members, whatever the setting says",
        (mock.patch.dict(settings.DEFAULTS, result_extended=True),),
        "RES-019",
    ),
)
