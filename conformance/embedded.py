"""The one door to the reference: what the harness uses of the embedded broker and its wire format.

``celeriac.conformance`` judges the reference like any other implementation, so nothing else in it may import
``celeriac.reference``.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import replace
from typing import Any, Literal

from celeriac.conformance.providers.base import FOR_EVER, OWN, BrokerInfo, Lease, LeaseTimes, Setup
from celeriac.conformance.providers.versions import Ending
from celeriac.conformance.verdicts import NotApplicable
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
from celeriac.reference.broker.dialect import DIALECTS, dialect
from celeriac.reference.broker.events import Event
from celeriac.reference.broker.fields import decode_properties
from celeriac.reference.broker.inproc import Line
from celeriac.reference.broker.lease import Action
from celeriac.reference.broker.tcp import BrokerThread
from celeriac.reference.clock import Clock, DeadlockError, MovableClock, VirtualClock, WallClock

__all__ = [
    "BODY",
    "DEFAULT_DIALECT",
    "DIALECTS",
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
    "MovableClock",
    "VirtualClock",
    "WallClock",
    "decode_content_header",
    "decode_method",
    "decode_properties",
    "embedded_broker",
    "properties",
    "setting",
]

DEFAULT_DIALECT = "rabbit-3.10"

#: The dialect whose lease is of this kind, unless a run names one.
LEASE_DIALECTS: Mapping[Lease, str] = {
    "channel-close": "rabbit-3.10",
    "redeliver": "redis-kombu",
    "consumer-cancel": "rabbit-4.3",
    "patient": "rabbit-3.10",
    "patient-redeliver": "redis-kombu",
    "endless": "rabbit-4.3",
    "queue-argument": "rabbit-4.0",
    "policy": "rabbit-4.0",
}

#: Leases whose time-out is the queue's own.
OF_QUEUES: tuple[Lease, ...] = ("queue-argument", "policy")

#: What the embedded broker does to the holder -> what a lease of that kind is called.
ENDINGS: Mapping[Action, Ending | Literal["redeliver"]] = {
    Action.CLOSE_CHANNEL: "channel-close",
    Action.CANCEL_CONSUMER: "consumer-cancel",
    Action.REQUEUE_SILENTLY: "redeliver",
}

#: The embedded broker behind a function call.
IN_PROCESS = BrokerInfo("embedded", "in-process", DEFAULT_DIALECT, "amqp")


def embedded_broker(clock: Clock, setup: Setup, *, record: bool = True) -> Broker:
    """Answer a broker that is set like that.

    Args:
        clock: where its time comes from.
        setup: its dialect, and its times where they are not the dialect's.
        record: keep its events.
    """
    return Broker(
        clock,
        setup.dialect or DEFAULT_DIALECT,
        consumer_timeout_ms=None if setup.timeout is None else round(setup.timeout * 1000),
        channel_tick_ms=None if setup.interval is None else round(setup.interval * 1000),
        record=record,
    )


def setting(
    lease: Lease | None, named: str | None = None, short: LeaseTimes | None = None
) -> tuple[Setup, LeaseTimes | None]:
    """Answer how a broker is set to have a lease, and when a delivery then comes back.

    Args:
        lease: the kind of lease, None for none in particular.
        named: the dialect, if the run names one.
        short: times in place of the dialect's real defaults, where time cannot be moved.

    Raises:
        NotApplicable: the dialect has no such lease.
    """
    name = named or (LEASE_DIALECTS.get(lease, DEFAULT_DIALECT) if lease else DEFAULT_DIALECT)
    if lease is None:
        return Setup(dialect=name), None
    policies = [policy for policy in (dialect(name).classic, dialect(name).quorum) if policy is not None]
    if lease in OF_QUEUES and not any(policy.queue_argument for policy in policies):
        raise NotApplicable(f"no queue of {name} has a time-out of its own by {lease}")
    if lease == "endless":
        if dialect(name).classic is not None:
            raise NotApplicable(f"{name} has a default timeout for classic queues")
        return Setup(dialect=name), LeaseTimes(FOR_EVER, 0.0, ENDINGS[policies[0].action])
    wanted = lease.removeprefix("patient-")
    found = [policy for policy in policies if wanted in {"patient", *OF_QUEUES, ENDINGS[policy.action]}]
    if not found:
        raise NotApplicable(
            f"{name} ends overdue deliveries by {ENDINGS[policies[0].action]}, not by {wanted}"
        )
    kind = ENDINGS[found[0].action]
    interval = found[0].interval_ms / 1000
    if lease.startswith("patient"):
        return Setup(timeout=FOR_EVER, dialect=name), LeaseTimes(FOR_EVER, interval, kind)
    if lease in OF_QUEUES:
        own = short or LeaseTimes(OWN, interval, kind)
        return Setup(interval=short.interval if short else None, dialect=name), replace(own, kind=kind)
    if short is not None:
        return Setup(short.timeout, short.interval, name), replace(short, kind=kind)
    return Setup(dialect=name), LeaseTimes(found[0].timeout_ms / 1000, interval, kind)


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
        dialect_name: the dialect, if the run names one.
    """

    def __init__(
        self,
        name: str,
        clock: Clock,
        lease: Lease | None,
        subscriber: Callable[[Event], None],
        refused: Callable[[float], None],
        dialect_name: str | None = None,
    ) -> None:
        self._name = name
        setup, self.lease = setting(lease, dialect_name)
        self._broker = embedded_broker(clock, setup, record=False)
        self._broker.events.subscribe(subscriber)
        self.url = inproc.listen(name, self._broker)

        def watch(attempt: inproc.Attempt) -> None:
            if not attempt.accepted:
                refused(attempt.at)

        inproc.on_attempt(name, watch)

    def declare(self, queue: str) -> None:
        """Make sure that a queue is there, durable and without arguments."""
        session = self._broker.open_session("harness")
        self._broker.declare_queue(self._broker.open_channel(session, 1), queue, durable=True)
        self._broker.close_session(session)

    def set_policy(self, pattern: str, definition: Mapping[str, Any]) -> None:
        """Set a policy for the queues whose names match."""
        self._broker.set_policy(pattern, definition)

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
