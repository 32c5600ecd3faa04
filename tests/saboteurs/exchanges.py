"""Exchanges that several variants are made of: a place where the reference decides, and a function in between."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from unittest import mock
from zoneinfo import ZoneInfo

from amqp.exceptions import ConsumerCancelled

from celeriac.reference import app, message
from celeriac.reference.app import App
from celeriac.reference.message import TaskMessage
from celeriac.reference.worker import intake, worker
from celeriac.reference.worker.intake import Refusal, Request
from celeriac.reference.worker.worker import Worker
from tests.saboteurs.variants import Change

__all__ = [
    "admitted",
    "naive_is_local",
    "rebuilt",
    "recalled",
    "refused",
    "requeued",
    "was_cancelled",
    "with_headers",
    "with_properties",
    "without",
]

_build = message.build
_call = App.call
_admit = intake.admit
_headers = intake._headers
_refuse = Worker._refuse


def rebuilt(change: Callable[[TaskMessage, Mapping[str, Any]], TaskMessage]) -> Change:
    """Answer the exchange that changes each message after it was built."""

    def build(*args: Any, **kwargs: Any) -> TaskMessage:
        return change(_build(*args, **kwargs), args[3])

    return mock.patch.object(app, "build", build)


def with_headers(built: TaskMessage, **headers: Any) -> TaskMessage:
    """Answer a message with other headers."""
    return replace(built, headers={**built.headers, **headers})


def with_properties(built: TaskMessage, **properties: Any) -> TaskMessage:
    """Answer a message with other properties."""
    return replace(built, properties={**built.properties, **properties})


def recalled(change: Callable[[App, dict[str, Any]], Mapping[str, Any]]) -> Change:
    """Answer the exchange that changes the options of each call before anybody looks at them."""

    def call(
        self: App, name: str, args: Any, kwargs: Any, options: Mapping[str, Any], check: bool = False
    ) -> Any:
        return _call(self, name, args, kwargs, change(self, dict(options)), check)

    return mock.patch.object(App, "call", call)


def without(options: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Answer the options without some."""
    return {name: value for name, value in options.items() if name not in names}


def admitted(change: Callable[[Request, App], Request]) -> Change:
    """Answer the exchange that changes each request that a worker has read."""

    def admit(message: Any, app: App, *rest: Any) -> Request:
        return change(_admit(message, app, *rest), app)

    return mock.patch.object(worker, "admit", admit)


def refused(why: Callable[[Any], str]) -> Change:
    """Answer the exchange that refuses messages for one more reason; an empty one is none."""

    def headers(message: Any) -> Any:
        reason = why(message)
        if reason:
            raise Refusal(reason, "reject")
        return _headers(message)

    return mock.patch.object(intake, "_headers", headers)


def requeued(concerns: Callable[[Refusal], bool]) -> Change:
    """Answer the exchange that gives refused messages back instead of settling them."""

    def refuse(self: Worker, message: Any, refusal: Refusal) -> None:
        if concerns(refusal):
            self._consumer.reject(message, requeue=True)
        else:
            _refuse(self, message, refusal)

    return mock.patch.object(Worker, "_refuse", refuse)


def _with_moment(request: Request, name: str, moment: datetime) -> Request:
    return replace(request, eta=moment) if name == "eta" else replace(request, expires=moment)


def naive_is_local(name: str) -> Change:
    """Answer the exchange that reads a moment without offset in the zone of the setting timezone."""

    def change(request: Request, app: App) -> Request:
        text = getattr(request.context, name)
        moment = datetime.fromisoformat(text) if text else None
        if moment is None or moment.tzinfo is not None:
            return request
        local = moment.replace(tzinfo=ZoneInfo(getattr(app.conf, "timezone", "UTC")))
        return _with_moment(request, name, local.astimezone(UTC))

    return admitted(change)


def was_cancelled(error: BaseException) -> bool:
    """Answer whether a worker has lost its consumer, and neither its channel nor its connection."""
    return isinstance(error.__cause__, ConsumerCancelled)
