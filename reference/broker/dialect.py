"""Broker versions as data: what they call themselves, their leases, their texts and switches.

The rows were measured on the brokers they are named after; ``redis-kombu`` is kombu's Redis transport seen
as a broker.  A new version is a new row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from celeriac.reference.broker.lease import Action, Check, LeasePolicy, Scope

__all__ = ["DIALECTS", "RABBIT_3_10", "Dialect", "dialect"]

_TEXT_3_8 = "consumer ack timed out on channel {channel}"
_TEXT_3_8_17 = (
    "delivery acknowledgement on channel {channel} timed out. Timeout value used: {timeout_ms} ms. "
    "This timeout value can be configured, see consumers doc guide to learn more"
)

_RABBIT_TICK = LeasePolicy(
    timeout_ms=1_800_000,
    check=Check.TICK,
    interval_ms=60_000,
    scope=Scope.OLDEST_ON_CHANNEL,
    action=Action.CLOSE_CHANNEL,
    holder_learns=True,
)
_RABBIT_QUORUM = LeasePolicy(
    timeout_ms=1_800_000,
    check=Check.EXACT,
    interval_ms=0,
    scope=Scope.EACH_DELIVERY,
    action=Action.CANCEL_CONSUMER,
    holder_learns=True,
    queue_argument=True,
    consumer_argument=True,
)
_KOMBU_SWEEP = LeasePolicy(
    timeout_ms=3_600_000,
    check=Check.SWEEP,
    interval_ms=100_000,
    scope=Scope.EACH_DELIVERY,
    action=Action.REQUEUE_SILENTLY,
    holder_learns=False,
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """One broker version.

    Attributes:
        name: how it is selected.
        product: ``product`` of the server properties; kombu decides the meaning of basic.qos from it.
        version: ``version`` of the server properties.
        classic: lease of deliveries from classic queues, None for no deadline.
        quorum: lease of deliveries from queues with ``x-queue-type`` quorum.
        lease_text: detail of the 406 that ends an expired lease; ``{channel}`` and ``{timeout_ms}``.
        unknown_exchange_type: reply code for an exchange type nobody knows, 503 or 406.
        last_death: dead-lettering also writes the ``x-last-death-*`` headers.
        classic_timeout_argument: ``x-consumer-timeout`` is accepted on classic queues and their consumers.
    """

    name: str
    product: str
    version: str
    classic: LeasePolicy | None
    quorum: LeasePolicy | None
    lease_text: str = _TEXT_3_8_17
    unknown_exchange_type: int = 503
    last_death: bool = False
    classic_timeout_argument: bool = True

    def with_timing(self, timeout_ms: int | None = None, interval_ms: int | None = None) -> Dialect:
        """Answer the same dialect with other lease times (milliseconds); None keeps a value."""
        return replace(
            self,
            classic=_timed(self.classic, timeout_ms, interval_ms),
            quorum=_timed(self.quorum, timeout_ms, interval_ms),
        )


def _timed(policy: LeasePolicy | None, timeout_ms: int | None, interval_ms: int | None) -> LeasePolicy | None:
    if policy is None:
        return None
    return replace(
        policy,
        timeout_ms=policy.timeout_ms if timeout_ms is None else timeout_ms,
        interval_ms=policy.interval_ms if interval_ms is None else interval_ms,
    )


_SHORT = replace(_RABBIT_TICK, timeout_ms=900_000)
_BY_QUEUE = replace(_RABBIT_TICK, queue_argument=True)

_ROWS = (
    Dialect("rabbit-3.8", "RabbitMQ", "3.8.16", _SHORT, _SHORT, lease_text=_TEXT_3_8),
    Dialect("rabbit-3.10", "RabbitMQ", "3.10.8", _RABBIT_TICK, _RABBIT_TICK),
    Dialect(
        "rabbit-4.0",
        "RabbitMQ",
        "4.0.5",
        _BY_QUEUE,
        _BY_QUEUE,
        unknown_exchange_type=406,
        last_death=True,
    ),
    Dialect(
        "rabbit-4.3",
        "RabbitMQ",
        "4.3.6",
        None,
        _RABBIT_QUORUM,
        unknown_exchange_type=406,
        last_death=True,
        classic_timeout_argument=False,
    ),
    Dialect("redis-kombu", "RabbitMQ", "3.10.8", _KOMBU_SWEEP, _KOMBU_SWEEP),
)

#: Every dialect by name.
DIALECTS: Mapping[str, Dialect] = MappingProxyType({row.name: row for row in _ROWS})

#: The default.
RABBIT_3_10 = DIALECTS["rabbit-3.10"]


def dialect(name: str) -> Dialect:
    """Answer the dialect of that name.

    Raises:
        ValueError: there is no such dialect; the message lists those there are.
    """
    try:
        return DIALECTS[name]
    except KeyError:
        message = f"unknown dialect {name!r}; known: {', '.join(DIALECTS)}"
        raise ValueError(message) from None
