"""Saboteurs among the brokers: times to live and leases."""

from __future__ import annotations

from unittest import mock

from celeriac.reference.broker.errors import BrokerError
from celeriac.reference.broker.flow import Flow
from celeriac.reference.broker.lease import LeasePolicy
from celeriac.reference.broker.leasing import Leasing
from celeriac.reference.broker.model import Channel, Delivery
from tests.saboteurs.variants import Change, Saboteur

__all__ = ["SABOTEURS"]

_fail_channel = Leasing.fail_channel
_timeout_ms = Leasing._timeout_ms


def _other_code(self: Leasing, channel: Channel, error: BrokerError) -> None:
    if error.code == 406 and not any(delivery.queue.limits.quorum for delivery in channel.unacked.values()):
        error.code = 541
    _fail_channel(self, channel, error)


def _early(sweeping: bool) -> Change:
    def timeout_ms(self: Leasing, delivery: Delivery, policy: LeasePolicy) -> int:
        real = _timeout_ms(self, delivery, policy)
        concerned = (policy.check.value == "sweep") is sweeping and not delivery.queue.limits.quorum
        return real * 9 // 10 if concerned else real

    return mock.patch.object(Leasing, "_timeout_ms", timeout_ms)


SABOTEURS = (
    Saboteur(
        "ttl_ignored",
        "the broker delivers messages whose time to live is over",
        (mock.patch.object(Flow, "_deadline", return_value=None),),
        "EXP-016",
    ),
    Saboteur(
        "closed_with_another_code",
        "the channel of an overdue delivery from a classic queue is closed with 541",
        (mock.patch.object(Leasing, "fail_channel", _other_code),),
        "TIM-001",
    ),
    Saboteur(
        "closed_early",
        "the channel of a delivery from a classic queue is closed when nine tenths of consumer_timeout have passed",
        (_early(sweeping=False),),
        "TIM-002",
    ),
    Saboteur(
        "swept_early",
        "a held message is delivered again when nine tenths of visibility_timeout have passed",
        (_early(sweeping=True),),
        "TIM-011",
    ),
)
