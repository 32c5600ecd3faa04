"""Saboteurs among the workers: expired tasks, and messages that make no sense."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any
from unittest import mock
from uuid import uuid4

from celeriac.reference import times
from celeriac.reference.app import App
from celeriac.reference.context import running
from celeriac.reference.errors import TaskRevokedError
from celeriac.reference.times import MalformedMomentError
from celeriac.reference.worker import execution, intake, worker
from celeriac.reference.worker.intake import Refusal, Request
from celeriac.reference.worker.links import send_callbacks
from celeriac.reference.worker.worker import Worker
from tests.saboteurs.exchanges import naive_is_local, refused, requeued
from tests.saboteurs.variants import Saboteur

__all__ = ["SABOTEURS"]

_wire_moment = times.wire_moment
_headers = intake._headers
_hold = Worker._hold
_begin = Worker._begin
_revoke = Worker._revoke
_refuse = Worker._refuse
_is_known = Worker._is_known


def _run_then_revoked(self: Worker, request: Request) -> None:
    if self._has_expired(request) and not self._is_known(request):
        with running(request.context):
            request.task.invoke(request.context.args, request.context.kwargs)
    _hold(self, request)


def _fails_when_received(self: Worker, request: Request) -> None:
    def revoke(app: App, expired: Request) -> None:
        execution.store_safely(app, expired.context, "FAILURE", TaskRevokedError("expired"))

    with mock.patch.object(worker, "revoke", revoke):
        _hold(self, request)


def _given_back(self: Worker, request: Request) -> None:
    execution.revoke(self.app, request)
    self._consumer.reject(request.message, requeue=True)


def _queued_never_expire(self: Worker, request: Request) -> None:
    _begin(self, request if request.eta else replace(request, expires=None))


def _calls_back(self: Worker, request: Request) -> None:
    send_callbacks(self.app, request.context, None)
    _revoke(self, request)


def _held_always_expire(self: Worker, request: Request) -> None:
    if request.eta is not None and request.expires is not None:
        self._revoke(request)
    else:
        _begin(self, request)


def _made_up_id(message: Any) -> Any:
    if isinstance(message.headers, dict) and "task" in message.headers and "id" not in message.headers:
        message.headers["id"] = str(uuid4())
    return _headers(message)


def _unreadable_is_now(value: Any, name: str) -> datetime | None:
    try:
        return _wire_moment(value, name)
    except MalformedMomentError:
        return None


def _unknown_not_stored(self: Worker, message: Any, refusal: Refusal) -> None:
    _refuse(self, message, Refusal(refusal.reason, refusal.fate))


def _unknown_given_back(self: Worker, message: Any, refusal: Refusal) -> None:
    if refusal.context is None:
        _refuse(self, message, refusal)
    else:
        execution.store_safely(self.app, refusal.context, "FAILURE", refusal.error)
        self._consumer.reject(message, requeue=True)


def _is_misshapen(refusal: Refusal) -> bool:
    # an empty body decodes as an empty text, and counts as unreadable
    return "expected [args, kwargs, embed]" in refusal.reason and "str of 0" not in refusal.reason


def _dies_of_short_bodies(self: Worker, message: Any, refusal: Refusal) -> None:
    if _is_misshapen(refusal):
        self.stop("kill")
    else:
        _refuse(self, message, refusal)


def _hangs_after_bad_moments(self: Worker, message: Any, refusal: Refusal) -> None:
    _refuse(self, message, refusal)
    if "expected null or ISO 8601" in refusal.reason:
        self.stop()


def _unknown_list(message: Any) -> str:
    unknown = message.headers.keys() - intake._KNOWN
    return ", ".join(name for name in unknown if isinstance(message.headers[name], list))


SABOTEURS = (
    Saboteur(
        "run_then_revoked",
        "an expired task is marked revoked, but after it was executed",
        (mock.patch.object(Worker, "_hold", _run_then_revoked),),
        "EXP-008",
        seen="celery-node 0.5.9 and aio-celery 0.22.0, which execute it",
        also=("EXP-018",),
        because="a second delivery is received like the first",
    ),
    Saboteur(
        "expired_is_a_failure",
        "a task that has expired when it is received is stored as FAILURE",
        (mock.patch.object(Worker, "_hold", _fails_when_received),),
        "EXP-009",
        also=("EXP-018",),
        because="a second delivery is received like the first",
    ),
    Saboteur(
        "expired_is_given_back",
        "the message of an expired task is requeued",
        (mock.patch.object(Worker, "_revoke", _given_back),),
        "EXP-010",
    ),
    Saboteur(
        "queued_never_expire",
        "whether a task has expired is not asked again after it waited for another",
        (mock.patch.object(Worker, "_begin", _queued_never_expire),),
        "EXP-011",
    ),
    Saboteur(
        "held_always_expire",
        "a held task with an expires header is revoked, whatever the header says",
        (mock.patch.object(Worker, "_begin", _held_always_expire),),
        "EXP-012",
    ),
    Saboteur(
        "expired_calls_back",
        "the callbacks of an expired task are sent",
        (mock.patch.object(Worker, "_revoke", _calls_back),),
        "EXP-013",
    ),
    Saboteur(
        "naive_expires_is_local",
        "an expires header without an offset is read in the worker's zone",
        (naive_is_local("expires"),),
        "EXP-014",
    ),
    Saboteur(
        "needs_root_id",
        "a message without the header root_id is refused",
        (refused(lambda message: "" if "root_id" in message.headers else "no root_id"),),
        "MSG-020",
        seen="aio-celery 0.22.0",
        also=("MSG-038", "MSG-040", "MSG-048"),
        because="few clients beside Celery, and none of those that speak version 1, send this header",
    ),
    Saboteur(
        "unknown_headers_refused",
        "a message with a header that the worker does not know is refused",
        (refused(lambda message: ", ".join(message.headers.keys() - intake._KNOWN)),),
        "MSG-021",
        also=("MSG-038",),
        because="Celery's own messages have headers for which the reference has no use",
    ),
    Saboteur(
        "unknown_task_requeued",
        "a message for an unknown task is requeued, after its failure was stored",
        (mock.patch.object(Worker, "_refuse", _unknown_given_back),),
        "MSG-023",
        also=("LNK-048",),
        because="a task that a chord follows is refused in the same way",
    ),
    Saboteur(
        "unknown_task_not_stored",
        "nobody who waits learns that a task is unknown",
        (mock.patch.object(Worker, "_refuse", _unknown_not_stored),),
        "MSG-024",
        seen="aio-celery 0.22.0",
    ),
    Saboteur(
        "unreadable_body_requeued",
        "a body that cannot be decoded is requeued",
        (requeued(lambda refusal: "cannot be dec" in refusal.reason),),
        "MSG-025",
        seen="aio-celery 0.22.0",
        also=("MSG-048",),
        because="a client in the field sends a body that is no JSON",
    ),
    Saboteur(
        "short_body_requeued",
        "a body that is not a list of three is requeued",
        (requeued(_is_misshapen),),
        "MSG-026",
    ),
    Saboteur(
        "short_body_kills",
        "a body that is not a list of three ends the worker",
        (mock.patch.object(Worker, "_refuse", _dies_of_short_bodies),),
        "MSG-026",
        seen="Celery 5.5.3",
        also=("MSG-032",),
        because="a worker that has ended executes no next message",
    ),
    Saboteur(
        "missing_id_made_up",
        "a message without an id is executed under a new one",
        (mock.patch.object(intake, "_headers", _made_up_id),),
        "MSG-027",
    ),
    Saboteur(
        "bad_eta_runs_at_once",
        "a moment that cannot be read is taken for null",
        (mock.patch.object(intake, "wire_moment", _unreadable_is_now),),
        "MSG-028",
        seen="celery-node 0.5.9",
    ),
    Saboteur(
        "bad_time_limit_requeued",
        "a message whose time limits are no pair is requeued",
        (requeued(lambda refusal: "timelimit" in refusal.reason),),
        "MSG-030",
    ),
    Saboteur(
        "hangs_after_a_bad_moment",
        "a worker settles a message with an unreadable moment and stops consuming",
        (mock.patch.object(Worker, "_refuse", _hangs_after_bad_moments),),
        "MSG-032",
        seen="celery-node 0.5.9 over Redis",
    ),
    Saboteur(
        "lists_in_headers_refused",
        "a message with a list in a header that the worker does not know is refused",
        (refused(_unknown_list),),
        "MSG-038",
    ),
)
