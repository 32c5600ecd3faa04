"""The one door to the reference: what the harness uses of the embedded broker and its wire format.

``celeriac.conformance`` judges the reference like any other implementation, so nothing else in it may import
``celeriac.reference``.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import Any

from celeriac.conformance.providers.base import BrokerInfo, Lease, LeaseTimes
from celeriac.reference.broker import inproc
from celeriac.reference.broker.broker import Broker
from celeriac.reference.broker.codec import (
    BODY,
    HEADER,
    HEARTBEAT,
    HEARTBEAT_FRAME,
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
from celeriac.reference.broker.inproc import Line
from celeriac.reference.broker.tcp import BrokerThread
from celeriac.reference.clock import Clock, DeadlockError, VirtualClock, WallClock

__all__ = [
    "BODY",
    "DEFAULT_DIALECT",
    "HEADER",
    "HEARTBEAT",
    "HEARTBEAT_FRAME",
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
    "InProcessSite",
    "Line",
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


def properties(raw: bytes) -> dict[str, Any]:
    """Answer the content properties of a ``publish`` event by name, without the headers."""
    values = decode_properties(raw)
    values.pop("headers", None)
    return values


class InProcessSite:
    """An embedded broker of its own, reachable in this process only, at its dialect's default time-outs.

    Args:
        name: of the URL ``inproc://NAME``.
        clock: which the broker joins as a party.
        lease: the kind of time-out that it shall have.
        subscriber: is called with every event of the broker.
        refused: is called with the moment (epoch seconds) of each connection attempt that is turned away.
    """

    def __init__(
        self,
        name: str,
        clock: Clock,
        lease: Lease | None,
        subscriber: Callable[[Event], None],
        refused: Callable[[float], None],
    ) -> None:
        self._name = name
        self._broker = embedded_broker(clock, lease, record=False)
        self._broker.events.subscribe(subscriber)
        self.url = inproc.listen(name, self._broker)
        self.lease = lease_times(lease) if lease else None

        def watch(attempt: inproc.Attempt) -> None:
            if not attempt.accepted:
                refused(attempt.at)

        inproc.on_attempt(name, watch)

    def declare(self, queue: str) -> None:
        """Make sure that a queue is there, durable and without arguments."""
        session = self._broker.open_session("harness")
        self._broker.declare_queue(self._broker.open_channel(session, 1), queue, durable=True)
        self._broker.close_session(session)

    def refuse(self, yes: bool) -> None:
        """Turn away new connections, or accept them again."""
        inproc.refuse(self._name, yes)

    def drop(self, numbers: Container[int] | None = None) -> None:
        """Cut every connection, or those with these numbers."""
        inproc.drop(self._name, numbers)

    def tamper(self, lines: Callable[[int], Line]) -> None:
        """Put a line between the broker and each further connection, which is told by its number."""
        inproc.tamper(self._name, lines)

    def close(self) -> None:
        """Cut every connection and free the name."""
        inproc.unlisten(self._name)
