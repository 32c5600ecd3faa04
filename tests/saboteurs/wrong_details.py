"""Saboteurs in the small print: moments without a zone, options of null, and what happens the second time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from unittest import mock
from zoneinfo import ZoneInfo

from celeriac.reference import message, task
from celeriac.reference.app import App
from celeriac.reference.result import AsyncResult
from celeriac.reference.results.base import exception_of
from celeriac.reference.worker import execution
from celeriac.reference.worker.intake import Request
from celeriac.reference.worker.links import send_callbacks
from celeriac.reference.worker.worker import Worker
from tests.saboteurs.exchanges import recalled
from tests.saboteurs.variants import Change, Saboteur

__all__ = ["SABOTEURS"]

_call = App.call
_message = App._message
_ignores = App._ignores
_hold = Worker._hold
_again = task._options_of
_outcome = AsyncResult._outcome

#: The default policy, as somebody may take it who takes null for "the default".
_DEFAULT_POLICY = {"max_retries": 3, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.2}


def naive_is_the_callers(option: str) -> Change:
    """Answer the exchange that takes a moment without offset for one in the zone of the setting timezone."""

    def change(self: App, options: dict[str, Any]) -> Mapping[str, Any]:
        moment = options.get(option)
        if not isinstance(moment, datetime) or moment.tzinfo is not None:
            return options
        zone = ZoneInfo(getattr(self.conf, "timezone", "UTC"))
        return {**options, option: moment.replace(tzinfo=zone)}

    return recalled(change)


def null_is(option: str, value: Any) -> Change:
    """Answer the exchange that gives an option of null a meaning of its own."""

    def change(_: App, options: dict[str, Any]) -> Mapping[str, Any]:
        null = option in options and options[option] is None
        return {**options, option: value} if null else options

    return recalled(change)


def _unreadable_is_left_out(_: App, options: dict[str, Any]) -> Mapping[str, Any]:
    try:
        datetime.fromisoformat(options["eta"])
    except (KeyError, TypeError):
        return options
    except ValueError:
        return {**options, "eta": None}
    return options


def _expires_once(self: Worker, request: Request) -> None:
    again = request.context.delivery_info["redelivered"]
    _hold(self, replace(request, expires=None) if again else request)


def _attempts_never_expire(request: Any) -> dict[str, Any]:
    return {**_again(request), "expires": None}


def _wall_time(self: App, name: str, args: Any, kwargs: Any, resolved: dict[str, Any]) -> message.TaskMessage:
    expires = resolved.get("expires")
    if isinstance(expires, int | float):
        zone = ZoneInfo(getattr(self.conf, "timezone", "UTC"))
        local = self.clock.now().astimezone(zone) + timedelta(seconds=expires)
        resolved = {**resolved, "expires": local}
    return _message(self, name, args, kwargs, resolved)


def _stored_all_the_same(state: str) -> Change:
    """Answer the exchange that stores one state of tasks whose results are ignored."""

    def ignores(self: App, context: Any, stored: str) -> bool:
        return stored != state and _ignores(self, context, stored)

    return mock.patch.object(App, "_ignores", ignores)


def _wanted_results_only(app: App, context: Any, value: Any) -> None:
    if not context.ignore_result:
        send_callbacks(app, context, value)


def _revoked_always_raises(record: Mapping[str, Any], propagate: bool) -> Any:
    if record["status"] == "REVOKED":
        raise exception_of(record)
    return _outcome(record, propagate)


def _ignored_by_option_only(
    self: App, name: str, args: Any, kwargs: Any, options: Mapping[str, Any], check: bool = False
) -> Any:
    result = _call(self, name, args, kwargs, options, check)
    result.ignored = bool(options.get("ignore_result"))
    return result


SABOTEURS = (
    Saboteur(
        "naive_eta_is_the_callers",
        "an eta without an offset is taken for one in the caller's zone",
        (naive_is_the_callers("eta"),),
        "ETA-019",
    ),
    Saboteur(
        "unreadable_eta_is_left_out",
        "a text that is no moment is as good as no eta",
        (recalled(_unreadable_is_left_out),),
        "ETA-020",
    ),
    Saboteur(
        "naive_expires_is_the_callers",
        "an expires without an offset is taken for one in the caller's zone",
        (naive_is_the_callers("expires"),),
        "EXP-017",
    ),
    Saboteur(
        "expires_once",
        "whether a task has expired is not asked when it is delivered again",
        (mock.patch.object(Worker, "_hold", _expires_once),),
        "EXP-018",
    ),
    Saboteur(
        "attempts_never_expire",
        "the message of a further attempt does not expire",
        (mock.patch.object(task, "_options_of", _attempts_never_expire),),
        "EXP-019",
    ),
    Saboteur(
        "expires_by_the_wall",
        "an expires in seconds is added to the local wall time",
        (mock.patch.object(App, "_message", _wall_time),),
        "EXP-020",
        seen="Celery 5.5.3 (celery#9669)",
    ),
    Saboteur(
        "expiry_is_never_ignored",
        "that a task has expired is stored, whoever does not want it",
        (_stored_all_the_same("REVOKED"),),
        "RES-029",
        seen="Celery 5.5.3",
    ),
    Saboteur(
        "start_is_never_ignored",
        "the start of a task is stored, whoever does not want it",
        (_stored_all_the_same("STARTED"),),
        "RES-030",
        seen="Celery 5.5.3",
    ),
    Saboteur(
        "wanted_results_only",
        "the callbacks of a task whose result is ignored are not sent",
        (mock.patch.object(execution, "send_callbacks", _wanted_results_only),),
        "LNK-047",
    ),
    Saboteur(
        "null_retry_is_off",
        "an option retry of null switches retry off",
        (null_is("retry", False),),
        "RTY-019",
    ),
    Saboteur(
        "null_policy_is_the_default",
        "an option retry_policy of null is the default policy, whatever the setting says",
        (null_is("retry_policy", _DEFAULT_POLICY),),
        "RTY-020",
    ),
    Saboteur(
        "revocation_always_raises",
        "the error for a revoked task is raised even without propagation",
        (mock.patch.object(AsyncResult, "_outcome", staticmethod(_revoked_always_raises)),),
        "ONM-013",
    ),
    Saboteur(
        "ignored_by_option_only",
        "a caller waits for results that its setting has switched off",
        (mock.patch.object(App, "call", _ignored_by_option_only),),
        "RES-027",
    ),
)
