"""Saboteurs that make the mistakes of clients and workers in the field, of which ``docs/field-faults.md`` tells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from unittest import mock

from celeriac.reference.app import App
from celeriac.reference.clock import Limit
from celeriac.reference.options import OPTIONS
from celeriac.reference.result import AsyncResult
from celeriac.reference.task import Task
from celeriac.reference.worker import execution, intake
from celeriac.reference.worker.consumer import Consumer
from celeriac.reference.worker.intake import Request
from celeriac.reference.worker.worker import Worker
from tests.saboteurs.exchanges import recalled, refused
from tests.saboteurs.variants import Saboteur

__all__ = ["SABOTEURS"]

_ack = Consumer.ack
_call = App.call
_get = AsyncResult.get
_hold = Worker._hold
_limits = execution._limits
_retry = Task.retry
_upgraded = intake.upgraded


def _leaves_the_unusual(self: Consumer, message: Any) -> None:
    if message.headers.keys() <= intake._KNOWN:
        _ack(self, message)


def _without_eta(headers: Mapping[str, Any], body: Any) -> tuple[Mapping[str, Any], Any]:
    upgraded, parts = _upgraded(headers, body)
    return (upgraded if upgraded is headers else {**upgraded, "eta": None}), parts


def _backwards(request: Request) -> tuple[float | None, float | None]:
    hard, soft = request.context.timelimit
    return soft, hard


def _only(kind: type[BaseException]) -> Any:
    def limits(request: Request) -> list[Limit]:
        return [limit for limit in _limits(request) if isinstance(limit[1], kind)]

    return limits


def _once_more(self: Task, *args: Any, max_retries: int | None = None, **options: Any) -> Any:
    _retry(self, *args, max_retries=None if max_retries is None else max_retries + 1, **options)


def _acknowledged_when_received(self: Worker, request: Request) -> None:
    _hold(self, request)
    if request.eta is None and not request.late:
        self._consumer.ack(request.message)


def _once(self: Consumer, message: Any) -> None:
    if message.delivery_tag in self._unsettled:
        _ack(self, message)


def _binary_json(message: Any) -> str:
    binary = message.content_encoding == "binary" and message.content_type == "application/json"
    return "JSON is no binary encoding" if binary else ""


def _known(_: App, options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name in OPTIONS}


def _the_last_question(self: AsyncResult, *args: Any, **kwargs: Any) -> Any:
    answer = _get(self, *args, **kwargs)
    if self.ignored:
        vars(self.app)["asked"] = vars(self.app).get("asked", 0) + 1
    return answer


def _unless_over(self: App, *args: Any, **kwargs: Any) -> Any:
    if vars(self).get("asked", 0) > 1:
        raise RuntimeError("the client has ended")
    return _call(self, *args, **kwargs)


SABOTEURS = (
    Saboteur(
        "unusual_message_keeps_its_place",
        "a message with a header that the worker does not know is executed and never acknowledged",
        (mock.patch.object(Consumer, "ack", _leaves_the_unusual),),
        "MSG-039",
        seen="aio-celery 0.22.0, which never settles a message without a root_id",
    ),
    Saboteur(
        "version_1_runs_at_once",
        "the eta in a body of version 1 is overlooked",
        (mock.patch.object(intake, "upgraded", _without_eta),),
        "MSG-040",
        seen="celery-node 0.5.9",
    ),
    Saboteur(
        "limits_read_backwards",
        "the first time limit is taken for the soft one",
        (mock.patch.object(Request, "limits", property(_backwards)),),
        "MSG-041",
        seen="aio-celery 0.22.0",
        also=("MSG-042",),
        because="what is taken for the soft limit is missing in the place of the hard one",
    ),
    Saboteur(
        "no_soft_limit",
        "a task is not told that its soft limit is over",
        (mock.patch.object(execution, "_limits", _only(execution.TaskKilled)),),
        "MSG-041",
        seen="celery-aio-pool 0.1.0rc8",
    ),
    Saboteur(
        "no_hard_limit",
        "a task goes on beyond its hard limit",
        (mock.patch.object(execution, "_limits", _only(Exception)),),
        "MSG-042",
        seen="celery-asyncio 6.0.0a6, celery-aio-pool 0.1.0rc8",
    ),
    Saboteur(
        "one_retry_too_many",
        "a task may be retried once more than its limit says",
        (mock.patch.object(Task, "retry", _once_more),),
        "MSG-043",
        seen="aio-celery 0.22.0",
    ),
    Saboteur(
        "acknowledged_when_received",
        "a message is acknowledged when it is received, however long its task will wait for its turn",
        (
            mock.patch.object(Worker, "_hold", _acknowledged_when_received),
            mock.patch.object(Consumer, "ack", _once),
        ),
        "MSG-044",
        seen="celery-node 0.5.9",
    ),
    Saboteur(
        "json_is_not_binary",
        "a JSON message with the content encoding binary is refused",
        (refused(_binary_json),),
        "MSG-048",
    ),
    Saboteur(
        "chords_are_dropped",
        "a task is executed without the chord that follows it",
        (mock.patch.object(intake, "_refuse_chords"),),
        "LNK-048",
        seen="celery-node 0.5.9, aio-celery 0.22.0",
    ),
    Saboteur(
        "unknown_options_are_dropped",
        "an option that nobody knows is left out without a word",
        (recalled(_known),),
        "BAS-025",
        seen="Celery 5.5.3, celery-node 0.5.9",
    ),
    Saboteur(
        "ends_with_ignored_results",
        "a client that was asked twice for an ignored result makes no further call",
        (
            mock.patch.object(AsyncResult, "get", _the_last_question),
            mock.patch.object(App, "call", _unless_over),
        ),
        "RES-031",
    ),
)
