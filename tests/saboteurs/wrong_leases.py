"""Saboteurs that show where kinds of queues differ, or their time-outs, or where a lease takes hours or days."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from unittest import mock

from celeriac.reference.app import App
from celeriac.reference.broker import queues
from celeriac.reference.broker.arguments import limits
from celeriac.reference.broker.errors import BrokerError
from celeriac.reference.broker.lease import Action, Check, LeasePolicy
from celeriac.reference.broker.leasing import Leasing
from celeriac.reference.broker.model import Channel, Delivery, Limits
from celeriac.reference.worker.intake import Request
from celeriac.reference.worker.worker import Worker
from tests.saboteurs.exchanges import admitted, was_cancelled
from tests.saboteurs.variants import Saboteur
from tests.saboteurs.wrong_holding import keeps_its_copies, redelivered_at_once

__all__ = ["SABOTEURS"]

_cancel_consumers = Leasing._cancel_consumers
_fail_channel = Leasing.fail_channel
_hold = Worker._hold
_lost = Worker._lost
_policy = Leasing._policy
_timeout_ms = Leasing._timeout_ms

HALF_AN_HOUR = timedelta(minutes=30)
TEN_HOURS_MS = 36_000_000


# -- brokers ----------------------------------------------------------------------------------------------


def _classic_queues_too(self: Leasing, delivery: Delivery) -> LeasePolicy | None:
    return _policy(self, delivery) or self.dialect.quorum


def _closes_for(delivery: Delivery, policy: LeasePolicy | None) -> bool:
    """Answer whether a delivery from a quorum queue closes its channel, by the time-out that all queues have."""
    known = policy is not None and policy.action is Action.CLOSE_CHANNEL and not policy.queue_argument
    return known and delivery.queue.limits.quorum


def _quorum_is_never_overdue(self: Leasing, delivery: Delivery) -> LeasePolicy | None:
    policy = _policy(self, delivery)
    return None if _closes_for(delivery, policy) else policy


def _quorum_is_overdue_later(self: Leasing, delivery: Delivery, policy: LeasePolicy) -> int:
    real = _timeout_ms(self, delivery, policy)
    return real * 5 // 4 if _closes_for(delivery, policy) else real


def _unmark(deliveries: list[Delivery]) -> None:
    for delivery in deliveries:
        delivery.item.redelivered = False


def _quorum_unmarked(self: Leasing, channel: Channel, error: BrokerError) -> None:
    if error.code == 406:
        _unmark([delivery for delivery in channel.unacked.values() if delivery.queue.limits.quorum])
    _fail_channel(self, channel, error)


def _cancelled_unmarked(self: Leasing, channel: Channel, overdue: list[Delivery]) -> None:
    _unmark(overdue)
    _cancel_consumers(self, channel, overdue)


def _cancelled_early(self: Leasing, delivery: Delivery, policy: LeasePolicy) -> int:
    real = _timeout_ms(self, delivery, policy)
    return real * 9 // 10 if policy.action is Action.CANCEL_CONSUMER else real


def _argument_ignored(*declared: Any) -> Limits:
    return replace(limits(*declared), consumer_timeout_ms=None)


def _patience_is_capped(self: Leasing, delivery: Delivery, policy: LeasePolicy) -> int:
    real = _timeout_ms(self, delivery, policy)
    return real if policy.check is Check.SWEEP else min(real, TEN_HOURS_MS)


def _longer_visibility_ignored(self: Leasing, delivery: Delivery, policy: LeasePolicy) -> int:
    real = _timeout_ms(self, delivery, policy)
    return min(real, 3_600_000) if policy.check is Check.SWEEP else real


# -- workers ----------------------------------------------------------------------------------------------


def _rests_when_cancelled(self: Worker, error: Any) -> None:
    _lost(self, error)
    if was_cancelled(error):
        self._reconnect_at = None


def _distant_copy_at_once(self: Worker, request: Request) -> None:
    distant = request.eta is not None and request.eta - self.app.clock.now() > HALF_AN_HOUR
    again = request.context.delivery_info["redelivered"]
    _hold(self, replace(request, eta=None) if distant and again else request)


def _days_are_dropped(request: Request, app: App) -> Request:
    if request.eta is None or request.eta < app.clock.now():
        return request
    days = (request.eta - app.clock.now()).days
    return replace(request, eta=request.eta - timedelta(days=days))


SABOTEURS = (
    Saboteur(
        "classic_queues_too",
        "where quorum queues alone have a time-out, classic ones have it, too",
        (mock.patch.object(Leasing, "_policy", _classic_queues_too),),
        "TIM-017",
    ),
    Saboteur(
        "quorum_is_never_overdue",
        "deliveries from quorum queues close no channel",
        (mock.patch.object(Leasing, "_policy", _quorum_is_never_overdue),),
        "TIM-018",
    ),
    Saboteur(
        "quorum_is_overdue_later",
        "the channel of a delivery from a quorum queue is closed when five quarters of consumer_timeout have passed",
        (mock.patch.object(Leasing, "_timeout_ms", _quorum_is_overdue_later),),
        "TIM-018",
    ),
    Saboteur(
        "quorum_is_not_marked",
        "what comes again from a quorum queue, after its channel was closed by the broker, is not marked",
        (mock.patch.object(Leasing, "fail_channel", _quorum_unmarked),),
        "TIM-018",
    ),
    Saboteur(
        "channel_closed_instead",
        "where an overdue consumer should be cancelled, its channel is closed",
        (mock.patch.object(Leasing, "_only_cancels", return_value=False),),
        "TIM-019",
    ),
    Saboteur(
        "cancelled_is_not_marked",
        "what comes again after its consumer was cancelled is not marked",
        (mock.patch.object(Leasing, "_cancel_consumers", _cancelled_unmarked),),
        "TIM-019",
    ),
    Saboteur(
        "cancelled_early",
        "an overdue consumer is cancelled when nine tenths of consumer_timeout have passed",
        (mock.patch.object(Leasing, "_timeout_ms", _cancelled_early),),
        "TIM-019",
    ),
    Saboteur(
        "rests_when_cancelled",
        "a worker whose consumer was cancelled consumes nothing any more, and stays",
        (mock.patch.object(Worker, "_lost", _rests_when_cancelled),),
        "TIM-020",
    ),
    Saboteur(
        "keeps_what_was_cancelled",
        "a worker whose consumer was cancelled executes the copies that it held, too",
        (keeps_its_copies(cancelled=True),),
        "TIM-020",
    ),
    Saboteur(
        "at_once_when_cancelled",
        "after a cancelled consumer, redelivered tasks are started at once",
        redelivered_at_once(cancelled=True),
        "TIM-020",
    ),
    Saboteur(
        "queue_argument_ignored",
        "the argument x-consumer-timeout of a queue changes nothing",
        (mock.patch.object(queues, "limits", _argument_ignored),),
        "TIM-021",
    ),
    Saboteur(
        "policy_ignored",
        "the policy consumer-timeout changes nothing",
        (mock.patch.object(Leasing, "_policy_timeout_ms", return_value=None),),
        "TIM-022",
    ),
    Saboteur(
        "patience_is_capped",
        "a consumer_timeout of more than ten hours counts as ten hours",
        (mock.patch.object(Leasing, "_timeout_ms", _patience_is_capped),),
        "TIM-005",
    ),
    Saboteur(
        "longer_visibility_ignored",
        "a visibility_timeout of more than an hour counts as an hour",
        (mock.patch.object(Leasing, "_timeout_ms", _longer_visibility_ignored),),
        "TIM-013",
    ),
    Saboteur(
        "only_newcomers_sweep",
        "a worker sweeps when it connects, and not while it waits",
        (mock.patch.object(Leasing, "_sweep_due", return_value=None),),
        "TIM-012",
    ),
    Saboteur(
        "distant_copy_at_once",
        "a redelivered task that is due in more than half an hour is started at once",
        (mock.patch.object(Worker, "_hold", _distant_copy_at_once),),
        "TIM-015",
    ),
    Saboteur(
        "days_are_dropped",
        "of the time until an ETA, whole days are not counted",
        (admitted(_days_are_dropped),),
        "ETA-004",
        seen="whatever takes timedelta.seconds for total_seconds()",
    ),
)
