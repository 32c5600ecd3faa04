"""The one door to the reference: what the harness uses of the embedded broker and its wire format.

``celeriac.conformance`` judges the reference like any other implementation, so nothing else in it may import
``celeriac.reference``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from celeriac.conformance.providers.base import BrokerInfo, Lease, LeaseTimes
from celeriac.reference.broker.broker import Broker
from celeriac.reference.broker.codec import (
    BODY,
    HEADER,
    HEARTBEAT,
    METHOD,
    ContentHeader,
    FrameReader,
    Method,
    decode_content_header,
    decode_method,
)
from celeriac.reference.broker.codec import Frame as AmqpFrame
from celeriac.reference.broker.dialect import dialect
from celeriac.reference.broker.events import Event
from celeriac.reference.broker.fields import decode_properties
from celeriac.reference.broker.messages import Properties
from celeriac.reference.broker.tcp import BrokerThread
from celeriac.reference.clock import Clock, DeadlockError, VirtualClock, WallClock

__all__ = [
    "BODY",
    "DEFAULT_DIALECT",
    "HEADER",
    "HEARTBEAT",
    "IN_PROCESS",
    "LEASE_DIALECTS",
    "METHOD",
    "AmqpFrame",
    "Broker",
    "BrokerThread",
    "Clock",
    "ContentHeader",
    "DeadlockError",
    "Event",
    "FrameReader",
    "Method",
    "VirtualClock",
    "WallClock",
    "decode_content_header",
    "decode_method",
    "decode_properties",
    "embedded_broker",
    "lease_times",
    "properties",
]

DEFAULT_DIALECT = "rabbit-3.10"

#: The dialect whose lease is of this kind.
LEASE_DIALECTS: Mapping[Lease, str] = {"channel-close": "rabbit-3.10", "redeliver": "redis-kombu"}

#: The embedded broker behind a function call.
IN_PROCESS = BrokerInfo("embedded", "in-process", DEFAULT_DIALECT, "amqp")


def embedded_broker(
    clock: Clock, lease: Lease | None, times: LeaseTimes | None = None, *, record: bool = True
) -> Broker:
    """Answer a broker with this kind of lease.

    Args:
        clock: where its time comes from.
        lease: which dialect it shall speak; None is RabbitMQ as most people know it.
        times: of the lease; None keeps the dialect's real defaults.
        record: keep its events.
    """
    return Broker(
        clock,
        LEASE_DIALECTS[lease] if lease else DEFAULT_DIALECT,
        consumer_timeout_ms=round(times.timeout * 1000) if times else None,
        channel_tick_ms=round(times.interval * 1000) if times else None,
        record=record,
    )


def lease_times(lease: Lease) -> LeaseTimes:
    """Answer the default times of the lease of this kind, as they are on the real brokers."""
    policy = dialect(LEASE_DIALECTS[lease]).classic
    assert policy is not None, "the dialects above have a lease on classic queues"
    return LeaseTimes(policy.timeout_ms / 1000, policy.interval_ms / 1000, lease)


def properties(published: Properties) -> dict[str, Any]:
    """Answer the content properties of a ``publish`` event by name, without the headers."""
    values = decode_properties(published.raw)
    values.pop("headers", None)
    return values
