"""Saboteurs among the workers: tasks that wait, and leases that end meanwhile."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

from celeriac.reference import times
from celeriac.reference.app import App
from celeriac.reference.worker import intake
from celeriac.reference.worker.consumer import Consumer
from celeriac.reference.worker.intake import Request
from celeriac.reference.worker.schedule import Schedule
from celeriac.reference.worker.worker import Worker
from tests.saboteurs.exchanges import admitted, naive_is_local, was_cancelled
from tests.saboteurs.variants import Change, Saboteur

__all__ = ["SABOTEURS", "Detached", "keeps_its_copies", "redelivered_at_once"]

_wire_moment = times.wire_moment
_hold = Worker._hold
_lost = Worker._lost
_stop = Worker.stop
_is_known = Worker._is_known
_release = Schedule.release
SECOND = timedelta(seconds=1)


def _all_at_once(self: Schedule, now: datetime) -> bool:
    if not _release(self, now):
        return False
    return _release(self, datetime.max.replace(tzinfo=UTC)) or True


def _a_second_early(request: Request, app: App) -> Request:
    return replace(request, eta=request.eta - SECOND) if request.eta else request


def _past_is_dropped(self: Worker, request: Request) -> None:
    if request.eta is not None and request.eta < self.app.clock.now():
        self._consumer.ack(request.message)
    else:
        _hold(self, request)


def _acks_everything_before(self: Consumer, message: Any) -> None:
    done = vars(self).setdefault("done", {}).setdefault(id(self._native), [0])
    if message.delivery_tag > done[0]:
        done[0] = message.delivery_tag
        with self._guarded():
            message.ack(multiple=True)


def _no_zulu(value: Any, name: str) -> datetime | None:
    if isinstance(value, str) and value.endswith("Z"):
        raise times.MalformedMomentError(f"{name} is {value!r}, expected an offset")
    return _wire_moment(value, name)


def _wall_clock(value: Any, name: str) -> datetime | None:
    moment = _wire_moment(value, name)
    zoned = moment is not None and name == "eta" and isinstance(value, str)
    return datetime.fromisoformat(value).replace(tzinfo=UTC) if zoned else moment


def _stop_forgets(self: Worker, how: Any = "warm") -> None:
    if how == "warm" and self._consumer.connected:
        for _, _, request in self._schedule._heap:
            self._consumer.ack(request.message)
    _stop(self, how)


class Detached:
    """A message whose broker has forgotten it."""

    def __init__(self, message: Any) -> None:
        self.delivery_tag = -1
        self.delivery_info = message.delivery_info

    def ack(self) -> None:
        """Do nothing."""


def keeps_its_copies(*, cancelled: bool) -> Change:
    """Answer the exchange of a worker that executes what it has lost, with its consumer alone or with more."""

    def lost(self: Worker, error: Any) -> None:
        held = [request for _, _, request in self._schedule._heap]
        _lost(self, error)
        for request in held if was_cancelled(error) is cancelled else ():
            context = replace(request.context, retries=request.context.retries + 1_000)
            self._schedule.add(replace(request, message=Detached(request.message), context=context))

    return mock.patch.object(Worker, "_lost", lost)


def redelivered_at_once(*, cancelled: bool) -> tuple[Change, ...]:
    """Answer the exchanges of a worker that starts at once what it has lost, with its consumer alone or with more."""

    def lost(self: Worker, error: Any) -> None:
        vars(self)["lost"] = was_cancelled(error) is cancelled
        _lost(self, error)

    def hold(self: Worker, request: Request) -> None:
        again = vars(self).get("lost") and request.context.delivery_info["redelivered"]
        _hold(self, replace(request, eta=None) if again else request)

    return mock.patch.object(Worker, "_lost", lost), mock.patch.object(Worker, "_hold", hold)


def _never_reconnects(self: Worker, error: Any) -> None:
    _lost(self, error)
    self.stop()


def _counts_down_again(self: Worker, request: Request) -> None:
    seen = vars(self).setdefault("seen", {})
    now = self.app.clock.now()
    if request.eta is not None:
        countdown, deadline = seen.setdefault(request.key, (request.eta - now, None))
        if request.context.delivery_info["redelivered"]:
            seen[request.key] = (countdown, deadline or now + countdown)
            request = replace(request, eta=seen[request.key][1])
    _hold(self, request)


def _copy_is_overdue(self: Worker, request: Request) -> bool:
    known = _is_known(self, request)
    if known:
        held = self._schedule.find(request)
        self._schedule._heap = [entry for entry in self._schedule._heap if entry[2] is not held]
        if held is not None:
            self._schedule.add(replace(held, eta=None))
    return known


SABOTEURS = (
    Saboteur(
        "one_timer_for_all",
        "when the first of the held tasks is due, all of them are started",
        (mock.patch.object(Schedule, "release", _all_at_once),),
        "ETA-004",
    ),
    Saboteur(
        "a_second_early",
        "a task is started a second before its ETA",
        (admitted(_a_second_early),),
        "ETA-004",
        also=("ETA-015", "ETA-016", "ETA-018", "TIM-008", "TIM-015", "TIM-020"),
        because="each of them says for one more case that a task does not start before its ETA",
    ),
    Saboteur(
        "past_eta_is_dropped",
        "a task whose ETA is past is acknowledged and forgotten",
        (mock.patch.object(Worker, "_hold", _past_is_dropped),),
        "ETA-013",
    ),
    Saboteur(
        "acknowledges_everything_before",
        "an acknowledgement covers all earlier deliveries, held ones too",
        (mock.patch.object(Consumer, "ack", _acks_everything_before),),
        "ETA-014",
        seen="celery-node 0.5.9, which acknowledges what it receives",
    ),
    Saboteur(
        "no_zulu",
        "Z is not read as an offset",
        (mock.patch.object(intake, "wire_moment", _no_zulu),),
        "ETA-015",
        seen="whatever reads moments with Python before 3.11",
    ),
    Saboteur(
        "offset_is_skipped",
        "the offset of an ETA is not read",
        (mock.patch.object(intake, "wire_moment", _wall_clock),),
        "ETA-015",
    ),
    Saboteur(
        "naive_eta_is_local",
        "an ETA without an offset is read in the worker's zone",
        (naive_is_local("eta"),),
        "ETA-016",
    ),
    Saboteur(
        "prefetch_not_raised",
        "held tasks count against the prefetch limit",
        (mock.patch.object(Consumer, "extend_prefetch", return_value=False),),
        "ETA-017",
        seen="aio-celery 0.22.0",
    ),
    Saboteur(
        "warm_stop_forgets",
        "a worker that is stopped acknowledges what it holds",
        (mock.patch.object(Worker, "stop", _stop_forgets),),
        "ETA-018",
    ),
    Saboteur(
        "keeps_what_it_has_lost",
        "a worker whose channel was closed executes the copies that it held, too",
        (keeps_its_copies(cancelled=False),),
        "TIM-007",
    ),
    Saboteur(
        "redelivered_at_once",
        "after a closed channel, redelivered tasks are started at once",
        redelivered_at_once(cancelled=False),
        "TIM-008",
    ),
    Saboteur(
        "never_reconnects",
        "a worker whose channel was closed does not connect again",
        (mock.patch.object(Worker, "_lost", _never_reconnects),),
        "TIM-009",
        seen="Celery 5.5.3 (celery#6760)",
    ),
    Saboteur(
        "countdown_starts_again",
        "a countdown begins anew when its message is delivered again",
        (mock.patch.object(Worker, "_hold", _counts_down_again),),
        "TIM-010",
    ),
    Saboteur(
        "copy_is_overdue",
        "a second copy of a held message is started at once, in place of the first",
        (mock.patch.object(Worker, "_is_known", _copy_is_overdue),),
        "TIM-015",
    ),
    Saboteur(
        "second_copy_executed",
        "each copy of a message is executed",
        (mock.patch.object(Worker, "_is_known", return_value=False),),
        "TIM-016",
        seen="Celery 5.5.3 (kombu#337)",
    ),
)
