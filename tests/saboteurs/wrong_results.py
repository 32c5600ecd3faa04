"""Saboteurs among those who store results: whether, what, in which order, and where."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from unittest import mock

from celeriac.reference import app as calling
from celeriac.reference.app import App
from celeriac.reference.context import Context
from celeriac.reference.message import TaskMessage
from celeriac.reference.options import FALLBACKS, choose
from celeriac.reference.results import base, rpc
from celeriac.reference.results.base import READY_STATES
from celeriac.reference.task import Task
from celeriac.reference.worker import execution, worker
from celeriac.reference.worker import intake as admission
from celeriac.reference.worker.execution import Outcome
from celeriac.reference.worker.worker import Worker
from tests.saboteurs.exchanges import rebuilt, with_headers
from tests.saboteurs.variants import Change, Saboteur

__all__ = ["SABOTEURS"]

_app_resolve = App._resolve
_ignores = App._ignores
_store = App.store
_store_safely = execution.store_safely
_execute = execution.execute
_make_record = base.make_record
_exception_record = base.exception_record
_send = rpc._send


# -- whether ----------------------------------------------------------------------------------------------


def _marks_the_wish(self: App, name: str, given: Mapping[str, Any], *call: Any) -> dict[str, Any]:
    return {**_app_resolve(self, name, given, *call), "wish": given.get("ignore_result")}


def _wish_is_not_carried(built: TaskMessage, options: Mapping[str, Any]) -> TaskMessage:
    return with_headers(built, ignore_result=False) if options.get("wish") else built


def _marks_the_setting(self: App, name: str, given: Mapping[str, Any], *call: Any) -> dict[str, Any]:
    task = self.tasks.get(name)
    nearer = (given.get("ignore_result"), task.attributes.ignore_result if task else None)
    return {**_app_resolve(self, name, given, *call), "setting": choose(nearer) is None}


def _setting_is_not_carried(built: TaskMessage, options: Mapping[str, Any]) -> TaskMessage:
    return with_headers(built, ignore_result=False) if options.get("setting") else built


def _keeps_failures(self: App, context: Context, state: str) -> bool:
    return state != "FAILURE" and _ignores(self, context, state)


def settled_by(choices: Callable[[Any, Any, Any], tuple[Any, ...]]) -> Change:
    """Answer the exchange that decides whether a worker ignores a result, given header, attribute and setting."""

    def settle(context: Context, headers: Mapping[str, Any], task: Task, app: App) -> None:
        asked = choices(
            headers.get("ignore_result"), task.attributes.ignore_result, app.conf.task_ignore_result
        )
        context.ignore_result = bool(choose(asked))

    return mock.patch.object(admission, "_settle_attributes", settle)


def _ignored_is_stored(app: App, request: Any) -> Outcome:
    outcome = _execute(app, request)
    if outcome.state == "IGNORED":
        _store_safely(app, request.context, "IGNORED", None)
    return outcome


# -- what -------------------------------------------------------------------------------------------------


def recorded(change: Callable[[dict[str, Any], Any], dict[str, Any]]) -> Change:
    """Answer the exchange that changes each record, given what it is the record of."""

    def make_record(context: Context, state: str, result: Any, **members: Any) -> dict[str, Any]:
        return change(_make_record(context, state, result, **members), result)

    return mock.patch.object(calling, "make_record", make_record)


def _value_for_traceback(record: dict[str, Any], result: Any) -> dict[str, Any]:
    return {**record, "traceback": result} if isinstance(result, int) else record


def _value_as_text(record: dict[str, Any], result: Any) -> dict[str, Any]:
    return {**record, "result": str(result)} if record["status"] == "SUCCESS" else record


def excepted(change: Callable[[BaseException, dict[str, Any]], dict[str, Any]]) -> Change:
    """Answer the exchange that changes how an exception becomes data."""
    return mock.patch.object(base, "exception_record", lambda error: change(error, _exception_record(error)))


def _full_name(error: BaseException, data: dict[str, Any]) -> dict[str, Any]:
    builtin = data["exc_module"] == "builtins"
    return {**data, "exc_type": f"builtins.{data['exc_type']}"} if builtin else data


def _arguments_as_source(error: BaseException, data: dict[str, Any]) -> dict[str, Any]:
    return {**data, "exc_message": [repr(argument) for argument in error.args]}


def _without_module(error: BaseException, data: dict[str, Any]) -> dict[str, Any]:
    builtin = data["exc_module"] == "builtins"
    return {name: value for name, value in data.items() if not (builtin and name == "exc_module")}


def _no_meta(self: App, context: Context, state: str, result: Any, traceback: str | None = None) -> None:
    own = state not in {*READY_STATES, "RETRY", "STARTED"}
    _store(self, context, state, None if own else result, traceback)


def _own_states_last(
    self: App, context: Context, state: str, result: Any, traceback: str | None = None
) -> None:
    waiting: list[Any] = vars(self).setdefault("own_states", [])
    if state not in {*READY_STATES, "RETRY", "STARTED"}:
        waiting.append((context, state, result))
        return
    _store(self, context, state, result, traceback)
    while waiting:
        _store(self, *waiting.pop(0))


def _retry_is_not_stored(app: App, context: Any, state: str, *rest: Any) -> bool:
    return state == "RETRY" or _store_safely(app, context, state, *rest)


def _never_extended(context: Context, state: str, result: Any, **members: Any) -> dict[str, Any]:
    return _make_record(context, state, result, **{**members, "extended": False})


# -- where ------------------------------------------------------------------------------------------------


def _correlated_by_id(channel: Any, encoded: Any, context: Context) -> None:
    _send(channel, encoded, replace(context, correlation_id=context.id))


SABOTEURS = (
    Saboteur(
        "wish_is_not_carried",
        "ignore_result=True is kept by the caller and not sent",
        (mock.patch.object(App, "_resolve", _marks_the_wish), rebuilt(_wish_is_not_carried)),
        "RES-001",
        seen="celery-node 0.5.9, whose messages have no such header",
        also=("BAS-007", "BAS-016"),
        because="the option is not carried when it is a signature's, or given to one, either",
    ),
    Saboteur(
        "attribute_is_not_asked",
        "a call does not look at the attribute ignore_result of its task",
        (mock.patch.dict(FALLBACKS, ignore_result=(None, "task_ignore_result")),),
        "RES-004",
    ),
    Saboteur(
        "setting_is_not_carried",
        "what the setting task_ignore_result says is kept by the caller and not sent",
        (mock.patch.object(App, "_resolve", _marks_the_setting), rebuilt(_setting_is_not_carried)),
        "RES-005",
    ),
    Saboteur(
        "failure_is_never_ignored",
        "a failure is stored, whoever does not want it",
        (mock.patch.object(App, "_ignores", _keeps_failures),),
        "RES-007",
        seen="Celery 5.5.3 (celery#5398)",
    ),
    Saboteur(
        "false_header_is_none",
        "a false header is as good as none",
        (settled_by(lambda header, attribute, setting: (header or None, attribute, setting)),),
        "RES-008",
        seen="Celery 5.5.3 (celery#9654)",
    ),
    Saboteur(
        "worker_is_not_asked",
        "without a header a worker stores every result",
        (settled_by(lambda header, attribute, setting: (header,)),),
        "RES-009",
    ),
    Saboteur(
        "value_for_traceback",
        "the record of a task that returns a number has it as its traceback, too",
        (recorded(_value_for_traceback),),
        "RES-010",
        seen="celery-node 0.5.9",
    ),
    Saboteur(
        "value_as_text",
        "a return value is stored as text",
        (recorded(_value_as_text),),
        "RES-011",
    ),
    Saboteur(
        "exception_with_full_name",
        "the name of an exception's class begins with its module",
        (excepted(_full_name),),
        "RES-012",
    ),
    Saboteur(
        "arguments_as_source",
        "the arguments of an exception are stored as their source text",
        (excepted(_arguments_as_source),),
        "RES-012",
    ),
    Saboteur(
        "exception_without_module",
        "the record of an exception of the language does not name the module of its class",
        (excepted(_without_module),),
        "RES-012",
    ),
    Saboteur(
        "own_states_without_meta",
        "the meta data of a state of the task's own are not stored",
        (mock.patch.object(App, "store", _no_meta),),
        "RES-014",
    ),
    Saboteur(
        "own_states_come_last",
        "the states that a task sets are stored after its final state",
        (mock.patch.object(App, "store", _own_states_last),),
        "RES-014",
    ),
    Saboteur(
        "retry_is_not_stored",
        "nothing is stored of an attempt that asks for another",
        (mock.patch.object(execution, "store_safely", _retry_is_not_stored),),
        "RES-015",
    ),
    Saboteur(
        "start_is_never_stored",
        "STARTED is not stored, whatever the setting says",
        (mock.patch.object(Worker, "_tracks_start", return_value=False),),
        "RES-016",
    ),
    Saboteur(
        "start_is_always_stored",
        "STARTED is stored, whatever the setting says",
        (mock.patch.object(Worker, "_tracks_start", return_value=True),),
        "RES-016",
        also=("RES-017",),
        because="something is stored of a task that asks to be ignored, too, because it asks later",
    ),
    Saboteur(
        "ignored_is_stored",
        "of a task that asks to be ignored it is stored that it did",
        (mock.patch.object(worker, "execute", _ignored_is_stored),),
        "RES-017",
    ),
    Saboteur(
        "never_extended",
        "records have no further members, whatever the setting says",
        (mock.patch.object(calling, "make_record", _never_extended),),
        "RES-018",
        seen="Celery 5.5.3 with rpc (celery#5863)",
    ),
    Saboteur(
        "correlated_by_id",
        "a reply is correlated by the id of the task, whatever its message says",
        (mock.patch.object(rpc, "_send", _correlated_by_id),),
        "RES-023",
    ),
)
