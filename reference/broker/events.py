"""The broker's append-only record: what happened, in order, with enough detail to judge it afterwards.

A message keeps the identity it got when it was published, through requeues and dead-lettering, so that one
query answers "what happened to this message".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

__all__ = ["EVENT_KINDS", "Event", "EventLog", "Subscriber"]

#: Every kind of event and the fields of its data.  ``message`` is the message's id (an int), ``channel`` its
#: number, ``queue`` a name, ``tag`` a delivery tag.  ``drop`` has the reason maxlen (the head gave way) or
#: refused (the newcomer was not let in).  A session that closes with code 0 lost its transport.
EVENT_KINDS: Mapping[str, tuple[str, ...]] = {
    "session.open": ("peer",),
    "session.close": ("code", "text", "by"),
    "channel.open": ("channel",),
    "channel.close": ("channel", "code", "text", "by"),
    "exchange.declare": ("channel", "exchange", "type", "durable", "auto_delete", "internal", "arguments"),
    "exchange.delete": ("exchange", "reason"),
    "queue.declare": ("channel", "queue", "durable", "exclusive", "auto_delete", "arguments"),
    "queue.delete": ("queue", "reason", "messages"),
    "queue.purge": ("channel", "queue", "messages"),
    "bind": ("channel", "exchange", "destination", "destination_type", "routing_key", "arguments"),
    "unbind": ("channel", "exchange", "destination", "destination_type", "routing_key", "arguments"),
    "publish": (
        "channel",
        "exchange",
        "routing_key",
        "queues",
        "message",
        "properties",
        "headers",
        "body",
        "expiration",
        "priority",
        "mandatory",
    ),
    "deliver": ("channel", "queue", "message", "tag", "consumer", "redelivered", "no_ack"),
    "get": ("channel", "queue", "message", "tag", "redelivered", "no_ack"),
    "ack": ("channel", "queue", "message", "tag", "stale"),
    "reject": ("channel", "queue", "message", "tag", "requeue", "stale"),
    "requeue": ("queue", "message", "reason"),
    "expire": ("queue", "message"),
    "drop": ("queue", "message", "reason"),
    "dead": ("queue", "message", "reason", "exchange", "routing_key", "queues"),
    "lease.expired": ("channel", "queue", "message", "tag", "policy"),
    "confirm": ("channel", "tag", "ok"),
    "return": ("channel", "exchange", "routing_key", "message", "code", "text"),
    "consumer.add": ("channel", "queue", "consumer", "no_ack", "exclusive", "priority", "prefetch"),
    "consumer.cancel": ("channel", "queue", "consumer", "by"),
    "qos": ("channel", "prefetch", "shared"),
    "fault": ("point", "action"),
}


class Event(NamedTuple):
    """One thing that happened.

    Attributes:
        seq: position in the record, from 0.
        at: seconds since the Unix epoch on the broker's clock.
        kind: one of ``EVENT_KINDS``.
        session: id of the session it belongs to, None for what the broker did by itself.
        data: the fields that ``EVENT_KINDS`` names for the kind.
    """

    seq: int
    at: float
    kind: str
    session: int | None
    data: Mapping[str, Any]


#: Creates an event from a tuple of its fields, without the detour through keyword arguments.
_EVENT = tuple.__new__

Subscriber = Callable[[Event], None]


class EventLog(list[Event]):
    """The record; subscribers are called with each event as it is appended.

    Args:
        now: answers the current moment, aware.
        keep: False calls the subscribers but keeps nothing, for a broker that runs for days.

    Attributes:
        idle: nothing is kept and nobody listens.
    """

    def __init__(self, now: Callable[[], datetime], *, keep: bool = True) -> None:
        super().__init__()
        self._now = now
        self._keep = keep
        self._count = 0
        self._subscribers: list[Subscriber] = []
        self.idle = not keep

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Call ``subscriber`` with every event from now on; answer a function that ends it."""
        self._subscribers.append(subscriber)
        self.idle = False
        return lambda: self._unsubscribe(subscriber)

    def _unsubscribe(self, subscriber: Subscriber) -> None:
        self._subscribers.remove(subscriber)
        self.idle = not (self._keep or self._subscribers)

    def record(self, kind: str, session: int | None, data: Mapping[str, Any]) -> None:
        """Append an event and tell the subscribers; does nothing when idle."""
        if self.idle:
            return
        seq, self._count = self._count, self._count + 1
        event = _EVENT(Event, (seq, self._now().timestamp(), kind, session, data))
        if self._keep:
            self.append(event)
        for subscriber in tuple(self._subscribers):
            subscriber(event)
