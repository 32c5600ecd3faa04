"""Saboteurs among workers and brokers: what becomes of a message between its delivery and its end."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from unittest import mock
from uuid import uuid4

from celeriac.reference import message
from celeriac.reference.app import App
from celeriac.reference.broker.broker import Broker
from celeriac.reference.broker.consuming import Consuming
from celeriac.reference.broker.errors import BrokerError
from celeriac.reference.broker.lease import Check, LeasePolicy
from celeriac.reference.broker.leasing import Leasing
from celeriac.reference.broker.messages import QueuedMessage
from celeriac.reference.broker.model import Channel, Delivery, Session
from celeriac.reference.context import current_worker_context
from celeriac.reference.task import Task
from celeriac.reference.worker import intake
from celeriac.reference.worker.intake import Request
from celeriac.reference.worker.schedule import Schedule
from celeriac.reference.worker.worker import Worker
from tests.saboteurs.exchanges import requeued
from tests.saboteurs.variants import Change, Saboteur
from tests.saboteurs.wrong_holding import Detached

__all__ = ["SABOTEURS"]

_ack = Consuming.ack
_body = message._body
_close_session = Broker.close_session
_deadline_of = Leasing._deadline_of
_fail_channel = Leasing.fail_channel
_invoke = Task.invoke
_is_known = Worker._is_known
_moments = message.moments
_parts = intake._parts
_release = Schedule.release
_send_task = App.send_task
_timeout_ms = Leasing._timeout_ms

#: What a body has in addition.
FOURTH = {"version": 3}


# -- callers ----------------------------------------------------------------------------------------------


def _now_is_given(options: Mapping[str, Any], now: datetime) -> Any:
    eta, expires = _moments(options, now)
    return eta or now, expires


def _fourth_element(args: Any, kwargs: Any, options: Mapping[str, Any]) -> list[Any]:
    body = _body(args, kwargs, options)
    return body if options.get("parent_id") else [*body, FOURTH]


def _fourth_is_skipped(body: Any) -> Any:
    return _parts(body[:3] if isinstance(body, list) and body[3:] == [FOURTH] else body)


def _replies_to_nowhere(self: App, *args: Any, **options: Any) -> Any:
    return _send_task(self, *args, **{"reply_to": str(uuid4()), **options})


# -- workers ----------------------------------------------------------------------------------------------


def _keywords_come_last(self: Task, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    executed = kwargs and current_worker_context() is not None
    return _invoke(self, (*args, dict(kwargs)), {}) if executed else _invoke(self, args, kwargs)


def _neighbours_are_held_twice(self: Schedule, now: datetime) -> bool:
    found = _release(self, now)
    soon = now + timedelta(seconds=10)
    for eta, _, request in tuple(self._heap) if found else ():
        if eta < soon and not isinstance(request.message, Detached):
            self.add(replace(request, message=Detached(request.message)))
    return found


def _copies_cancel_out(self: Worker, request: Request) -> bool:
    held = self._schedule.find(request)
    known = _is_known(self, request)
    if known and held is not None:
        self._schedule._heap = [entry for entry in self._schedule._heap if entry[2] is not held]
        self._consumer.ack(held.message)
    return known


def _is_empty_moment(refusal: Any) -> bool:
    return re.match(r"header \w+ is (''|0|False),", refusal.reason) is not None


def _are_misshapen_arguments(refusal: Any) -> bool:
    return " arguments are " in refusal.reason


def _empty_list_is_no_keywords(body: Any) -> Any:
    if isinstance(body, list) and len(body) == 3 and isinstance(body[1], list):
        body = [body[0], {}, body[2]]
    return _parts(body)


# -- brokers ----------------------------------------------------------------------------------------------


def _unmarked(channel: Channel) -> None:
    for delivery in channel.unacked.values():
        delivery.item.redelivered = delivery.queue.limits.quorum


def _overdue_unmarked(self: Leasing, channel: Channel, error: BrokerError) -> None:
    if error.code == 406:
        _unmarked(channel)
    _fail_channel(self, channel, error)


def _lost_unmarked(self: Broker, session: Session, code: int = 200, *rest: Any, **more: Any) -> None:
    if code == 0:
        for channel in session.channels.values():
            _unmarked(channel)
    _close_session(self, session, code, *rest, **more)


def _since_the_channel_opened(self: Leasing, delivery: Delivery, policy: LeasePolicy) -> float:
    consumer = delivery.consumer
    if policy.check is Check.SWEEP or consumer is None or delivery.queue.limits.quorum:
        return _deadline_of(self, delivery, policy)
    return consumer.channel.opened_at + self._timeout_ms(delivery, policy) / 1000


def acknowledged_in_vain(concerns: Callable[[Any, Delivery], bool]) -> Change:
    """Answer the exchange that delivers some messages once more after they have been acknowledged."""

    def ack(self: Any, channel: Channel, tag: int, *, multiple: bool = False) -> None:
        delivery = channel.unacked.get(tag)
        again = delivery is not None and not delivery.stale and concerns(self, delivery)
        _ack(self, channel, tag, multiple=multiple)
        if again and delivery is not None:
            self._requeue([delivery], "acknowledged in vain")

    return mock.patch.object(Consuming, "ack", ack)


def held_long(sweeping: bool) -> Callable[[Any, Delivery], bool]:
    """Answer what tells the deliveries that were held for a third of the time-out of one kind of lease."""

    def concerns(broker: Any, delivery: Delivery) -> bool:
        policy = broker._policy(delivery)
        if policy is None or (policy.check is Check.SWEEP) is not sweeping:
            return False
        held = broker.clock.monotonic() - delivery.taken_at
        return bool(held >= broker._timeout_ms(delivery, policy) / 3000)

    return concerns


def the_one_before() -> Change:
    """Answer the exchange that delivers a message once more when the one after it is acknowledged."""
    before: dict[Channel, Delivery] = {}
    again: list[QueuedMessage] = []

    def ack(self: Any, channel: Channel, tag: int, *, multiple: bool = False) -> None:
        delivery = channel.unacked.get(tag)
        _ack(self, channel, tag, multiple=multiple)
        if delivery is None or any(delivery.item is item for item in again):
            return
        previous, before[channel] = before.get(channel), delivery
        if previous is not None:
            again.append(previous.item)
            self._requeue([previous], "acknowledged in vain")

    return mock.patch.object(Consuming, "ack", ack)


def _sweep_is_late(self: Leasing, delivery: Delivery, policy: LeasePolicy) -> int:
    real = _timeout_ms(self, delivery, policy)
    return real * 5 // 4 if policy.check is Check.SWEEP else real


SABOTEURS = (
    Saboteur(
        "now_is_given",
        "a call without a delay has its own moment as its eta",
        (mock.patch.object(message, "moments", _now_is_given),),
        "ETA-005",
        seen="gopher-celery",
    ),
    Saboteur(
        "neighbours_are_held_twice",
        "when a held task is due, those that are due within ten seconds of it are held a second time",
        (mock.patch.object(Schedule, "release", _neighbours_are_held_twice),),
        "ETA-012",
    ),
    Saboteur(
        "fourth_element",
        "the body has a fourth element",
        (
            mock.patch.object(message, "_body", _fourth_element),
            mock.patch.object(intake, "_parts", _fourth_is_skipped),
        ),
        "MSG-008",
    ),
    Saboteur(
        "replies_to_nowhere",
        "a task that is called by its name alone is answered to a queue that nobody reads",
        (mock.patch.object(App, "send_task", _replies_to_nowhere),),
        "MSG-014",
    ),
    Saboteur(
        "keywords_come_last",
        "the function of a task gets the keyword arguments as its last positional one",
        (mock.patch.object(Task, "invoke", _keywords_come_last),),
        "MSG-019",
        seen="celery-node 0.5.9",
        also=("SER-013", "MSG-038", "MSG-040", "MSG-048"),
        because="values that come as other arguments do not reach the task as they were sent, from samples neither",
    ),
    Saboteur(
        "the_one_before_comes_again",
        "an acknowledged message is delivered once more when the next one is acknowledged",
        (the_one_before(),),
        "MSG-022",
        also=("EXP-010", "MSG-048"),
        because="the messages of expired tasks and of other clients come again, too",
    ),
    Saboteur(
        "empty_moment_requeued",
        "a message with an empty moment other than null is requeued",
        (requeued(_is_empty_moment),),
        "MSG-029",
    ),
    Saboteur(
        "misshapen_arguments_requeued",
        "a message with arguments that are none is requeued",
        (requeued(_are_misshapen_arguments),),
        "MSG-031",
        also=("MSG-048",),
        because="clients in PHP send an empty list in place of keyword arguments",
    ),
    Saboteur(
        "list_for_keywords_executed",
        "a list in place of keyword arguments is taken for none",
        (mock.patch.object(intake, "_parts", _empty_list_is_no_keywords),),
        "MSG-031",
        seen="celery-node 0.5.9",
        also=("MSG-048",),
        because="it is the empty list that clients in PHP send",
    ),
    Saboteur(
        "overdue_is_not_marked",
        "what comes again after its channel was closed by the broker is not marked",
        (mock.patch.object(Leasing, "fail_channel", _overdue_unmarked),),
        "TIM-003",
    ),
    Saboteur(
        "age_of_the_channel",
        "a channel is closed when it is older than consumer_timeout and holds anything",
        (mock.patch.object(Leasing, "_deadline_of", _since_the_channel_opened),),
        "TIM-004",
    ),
    Saboteur(
        "acknowledged_in_vain",
        "what was held for a third of consumer_timeout is delivered again after it was acknowledged",
        (acknowledged_in_vain(held_long(sweeping=False)),),
        "TIM-005",
    ),
    Saboteur(
        "lost_is_not_marked",
        "what comes again after a connection was lost is not marked",
        (mock.patch.object(Broker, "close_session", _lost_unmarked),),
        "TIM-006",
    ),
    Saboteur(
        "sweep_is_late",
        "a held message is delivered again when five quarters of visibility_timeout have passed",
        (mock.patch.object(Leasing, "_timeout_ms", _sweep_is_late),),
        "TIM-012",
    ),
    Saboteur(
        "swept_after_acknowledgement",
        "what was held for a third of visibility_timeout is delivered again after it was acknowledged",
        (acknowledged_in_vain(held_long(sweeping=True)),),
        "TIM-013",
    ),
    Saboteur(
        "copies_cancel_out",
        "a worker that is delivered a second copy of a held message forgets both",
        (mock.patch.object(Worker, "_is_known", _copies_cancel_out),),
        "TIM-014",
        also=("TIM-015", "TIM-016"),
        because="a task that is never executed is executed neither at its ETA nor once",
    ),
)
