"""Oddities in what is held for long: brokers that look as late as they may, workers that go on in another way."""

from __future__ import annotations

from typing import Any
from unittest import mock

from amqp.exceptions import ConsumerCancelled

from celeriac.reference.broker.lease import Check, LeasePolicy
from celeriac.reference.broker.leasing import Leasing
from celeriac.reference.broker.model import Channel, Delivery
from celeriac.reference.worker.consumer import Consumer
from celeriac.reference.worker.intake import Request
from celeriac.reference.worker.worker import Worker
from tests.saboteurs.exchanges import was_cancelled
from tests.saboteurs.variants import Oddity

__all__ = ["ODDITIES"]

_deadline_of = Leasing._deadline_of
_drain = Consumer._drain
_is_known = Worker._is_known
_lost = Worker._lost
_seen_at = Leasing._seen_at


def _at_the_last_moment(self: Leasing, channel: Channel, delivery: Delivery, policy: LeasePolicy) -> float:
    if policy.check is not Check.TICK:
        return _seen_at(self, channel, delivery, policy)
    return _deadline_of(self, delivery, policy) + policy.interval_ms / 1000


def _leaves_when_cancelled(self: Worker, error: Any) -> None:
    _lost(self, error)
    if was_cancelled(error):
        self.stop()


def _consumes_again(self: Consumer, timeout: float) -> None:
    try:
        _drain(self, timeout)
    except ConsumerCancelled:
        vars(self)["cancelled"] = True
        self._consumer._active_tags.clear()
        self._consumer.consume()


def _takes_the_newer(self: Worker, request: Request) -> bool:
    """Hold the copy in place of what was taken back, which nobody can acknowledge any more."""
    held = self._schedule.find(request)
    if held is None or "cancelled" not in vars(self._consumer):
        return _is_known(self, request)
    held.message = request.message
    return True


ODDITIES = (
    Oddity(
        "looks_at_the_last_moment",
        "a broker that looks at an overdue channel a whole check interval after consumer_timeout has passed",
        (mock.patch.object(Leasing, "_seen_at", _at_the_last_moment),),
        where=("TIM-001", "TIM-018", "TIM-021", "TIM-022"),
    ),
    Oddity(
        "unlimited_worker",
        "a worker without a prefetch limit",
        (
            mock.patch.object(Consumer, "_set_prefetch", return_value=None),
            mock.patch.object(Consumer, "extend_prefetch", return_value=False),
        ),
        where=("ETA-017",),
    ),
    Oddity(
        "leaves_when_cancelled",
        "a worker whose consumer was cancelled ends, for a successor to go on",
        (mock.patch.object(Worker, "_lost", _leaves_when_cancelled),),
        where=("TIM-020",),
    ),
    Oddity(
        "consumes_again",
        "a worker whose consumer was cancelled consumes again on the same channel, and goes on holding",
        (
            mock.patch.object(Consumer, "_drain", _consumes_again),
            mock.patch.object(Worker, "_is_known", _takes_the_newer),
        ),
        where=("TIM-020",),
    ),
)
