"""The record, audited: a plain model that is told every event and says what cannot be right.

Theory of operation
-------------------
The model is as naive as it can be: a queue is a list, sorted when somebody asks for its head; a lease is an entry in
a dictionary; whose turn it is, is whoever has waited longest.  It shares no code with the broker.  Each
event either fits the model and moves it, or is a problem; ``compare`` then holds the model against the
broker's own state.  So whatever program a test makes up, the broker's conservation, order, redelivered flags, prefetch
limits, fairness, expiry and leases are checked in passing.

The numbers in the problems are those of the invariants in ``INVARIANTS``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from celeriac.reference.broker.broker import Broker
from celeriac.reference.broker.events import Event
from celeriac.reference.broker.lease import Check, LeasePolicy
from celeriac.reference.broker.ledger import Channel, Consumer, ConsumerKey, Copy, Holder, Lease, Queue
from celeriac.reference.broker.model import Channel as BrokerChannel

__all__ = ["INVARIANTS", "Audit"]

#: What is audited.
INVARIANTS: Mapping[int, str] = {
    1: "every routed copy is ready, held, or left for exactly one reason",
    2: "ready and held are what the record says",
    3: "deliveries without acknowledgement are never held",
    4: "first deliveries follow publish order within a priority",
    5: "a requeued message goes before any later one of its priority",
    6: "no lower priority is delivered while a higher one is ready",
    7: "delivery tags of a channel count from 1",
    8: "redelivered means delivered before",
    9: "nobody holds more than the prefetch allows",
    10: "nothing is ready while a consumer has capacity",
    11: "consumers of equal priority take turns",
    12: "a copy is held once, unless its lease expired behind the holder's back",
    14: "a closed channel requeues exactly what it held",
    17: "no lease expires early, none survives timeout and check interval",
    20: "nothing is delivered after its deadline, except at once",
    21: "nothing happens before what happened earlier",
    22: "every publish is confirmed once, in order",
    23: "mandatory and unroutable is returned, then confirmed",
}

_SLACK = 1e-6  # seconds; stamps since the epoch resolve a quarter of a microsecond


class Audit:
    """A model of one broker, fed by its record.

    Args:
        broker: audited from its first event on; its record must have been kept.

    Attributes:
        problems: what was found, as sentences; empty when all is well.
        gone: how many copies left, by reason.
    """

    def __init__(self, broker: Broker) -> None:
        self.problems: list[str] = []
        self.gone: dict[str, int] = {}
        self._broker = broker
        self._queues: dict[str, Queue] = {}
        self._leases: dict[Holder, Lease] = {}
        self._consumers: dict[ConsumerKey, Consumer] = {}
        self._channels: dict[tuple[int, int], Channel] = {}
        self._published: dict[int, Mapping[str, Any]] = {}
        self._now = 0.0
        self._turn = 0
        self._arrived = 0
        self._handlers: Mapping[str, Callable[[Event], None]] = {
            "channel.open": self._channel_opened,
            "channel.close": self._channel_closed,
            "queue.declare": self._queue_declared,
            "queue.delete": self._queue_deleted,
            "queue.purge": self._purged,
            "publish": self._publish,
            "dead": self._died,
            "deliver": self._handed_out,
            "get": self._handed_out,
            "ack": self._settled,
            "reject": self._settled,
            "requeue": self._requeued,
            "lease.expired": self._lease_expired,
            "expire": self._expired,
            "drop": self._dropped,
            "confirm": self._confirmed,
            "return": self._returned,
            "consumer.add": self._consumer_added,
            "consumer.cancel": self._consumer_cancelled,
            "qos": self._qos,
        }
        for event in broker.events:
            self.feed(event)
        broker.events.subscribe(self.feed)

    def feed(self, event: Event) -> None:
        """Take note of one event."""
        self._demand(21, event.at >= self._now, event, "comes after", self._now)
        self._now = event.at
        handler = self._handlers.get(event.kind)
        if handler is not None:
            handler(event)

    def compare(self) -> None:
        """Hold the model against the broker's state, at a moment when no operation is under way."""
        for name, queue in self._broker.queues.items():
            expected = [copy.message for copy in self._queues[name].in_order()]
            found = [item.message.id for item in queue.backlog]
            self._demand(20, not self._overdue(name), "queue", name, "keeps an overdue head")
            facts = ("queue", name, "has", found, "ready, the record says", expected)
            self._demand(2, sorted(expected) == sorted(found), *facts)
            self._demand(4, expected == found, *facts, "(also 5, 6)")
        self._check_conservation()
        self._check_leases()
        self._check_limits()
        self._check_work()

    def _check_conservation(self) -> None:
        ready = sum(len(queue.ready) for queue in self._queues.values())
        held = sum(not lease.stale for lease in self._leases.values())
        left = sum(count for reason, count in self.gone.items() if reason != "stale")
        whole = self._arrived == ready + held + left
        self._demand(1, whole, self._arrived, "arrived:", ready, "ready,", held, "held,", self.gone)

    def _check_leases(self) -> None:
        held, settling = self._held()
        recorded = set(self._leases)
        self._demand(2, held | settling == recorded, "held", held, "and", settling, ", recorded", recorded)
        for holder, lease in self._leases.items():
            self._demand(14, not lease.returning, holder, "was given up but never requeued")
            in_time = holder in settling or self._in_time(lease)
            self._demand(17, in_time, holder, "is held since", lease.since)

    def _overdue(self, queue: str) -> bool:
        head = next(iter(self._queues[queue].in_order()), None)
        now = self._broker.clock.now().timestamp()
        return head is not None and head.deadline is not None and head.deadline <= now - _SLACK

    def _held(self) -> tuple[set[Holder], set[Holder]]:
        """Answer who holds deliveries, and whose settlement waits for a commit."""
        held: set[Holder] = set()
        settling: set[Holder] = set()
        for session in self._broker.sessions.values():
            for number, channel in session.channels.items():
                held.update((session.id, number, tag) for tag in channel.unacked)
                settling.update((session.id, number, tag) for tag in _in_transaction(channel))
        return held, settling

    def _demand(self, number: int, holds: bool, *facts: object) -> None:
        if not holds:
            self.problems.append(f"({number}) {INVARIANTS[number]}: {' '.join(map(str, facts))}")

    def _leave(self, reason: str, count: int = 1) -> None:
        self.gone[reason] = self.gone.get(reason, 0) + count

    def _check_limits(self) -> None:
        for key, consumer in self._consumers.items():
            held = self._count(key)
            within = not consumer.prefetch or consumer.no_ack or held <= consumer.prefetch
            self._demand(9, within, "consumer", key, "holds", held, "of", consumer.prefetch)

    def _check_work(self) -> None:
        for key, consumer in self._consumers.items():
            idle = self._queues[consumer.queue].ready and self._has_capacity(key, consumer)
            self._demand(10, not idle, "consumer", key, "waits while", consumer.queue, "has messages")

    def _count(self, consumer: ConsumerKey) -> int:
        return sum(lease.consumer == consumer and not lease.returning for lease in self._leases.values())

    def _has_capacity(self, key: ConsumerKey, consumer: Consumer) -> bool:
        channel = self._channels[key[:2]]
        if channel.limit and channel.volume >= channel.limit:
            return False
        return consumer.no_ack or not consumer.prefetch or self._count(key) < consumer.prefetch

    def _policy(self, lease: Lease) -> LeasePolicy | None:
        queue = self._queues.get(lease.queue)
        quorum = queue is not None and queue.arguments.get("x-queue-type") == "quorum"
        return self._broker.dialect.quorum if quorum else self._broker.dialect.classic

    def _in_time(self, lease: Lease) -> bool:
        policy = self._policy(lease)
        if policy is None or not policy.holder_learns or lease.queue not in self._queues:
            return True
        interval_ms = 0 if policy.check is Check.EXACT else policy.interval_ms
        now = self._broker.clock.now().timestamp()
        return now - lease.since <= (policy.timeout_ms + interval_ms) / 1000 + _SLACK

    # what each kind of event means

    def _channel_opened(self, event: Event) -> None:
        self._channels[_channel(event)] = Channel()

    def _channel_closed(self, event: Event) -> None:
        channel = _channel(event)
        del self._channels[channel]
        for holder, lease in list(self._leases.items()):
            if holder[:2] == channel:
                self._give_up(holder, lease)

    def _give_up(self, holder: Holder, lease: Lease) -> None:
        lease.returning = True
        if lease.stale or lease.queue not in self._queues:
            del self._leases[holder]
            self._leave("stale" if lease.stale else "lost with queue")

    def _queue_declared(self, event: Event) -> None:
        self._queues[event.data["queue"]] = Queue(event.data["arguments"])

    def _queue_deleted(self, event: Event) -> None:
        name = event.data["queue"]
        queue = self._queues.pop(name)
        self._leave("lost with queue", len(queue.ready))
        for holder, lease in list(self._leases.items()):
            if lease.queue == name and lease.returning:
                self._give_up(holder, lease)

    def _purged(self, event: Event) -> None:
        queue = self._queues[event.data["queue"]]
        found = [copy.message for copy in queue.in_order()]
        self._demand(1, found == event.data["messages"], event, "but", found, "were ready")
        self._leave("purged", len(found))
        queue.ready.clear()

    def _publish(self, event: Event) -> None:
        self._published[event.data["message"]] = event.data
        self._arrive(event, event.data["expiration"])
        channel = self._channels[_channel(event)]
        if event.data["mandatory"] and not event.data["queues"]:
            channel.unreturned.append(event.data["message"])

    def _arrive(self, event: Event, expiration: str | None) -> None:
        message = event.data["message"]
        for name in event.data["queues"]:
            queue = self._queues[name]
            queue.arrivals += 1
            self._arrived += 1
            limits = [queue.arguments.get("x-message-ttl"), None if expiration is None else int(expiration)]
            known = [limit for limit in limits if limit is not None]
            deadline = event.at + min(known) / 1000 if known else None
            highest = queue.arguments.get("x-max-priority", 0)
            priority = min(self._published[message]["priority"] or 0, highest)
            queue.ready.append(Copy(message, queue.arrivals, priority, event.at, deadline))

    def _died(self, event: Event) -> None:
        self._arrive(event, None)

    def _handed_out(self, event: Event) -> None:
        data, channel = event.data, _channel(event)
        name = data["queue"]
        copy = self._take_head(event, 4)
        state = self._channels[channel]
        state.tags += 1
        self._demand(7, data["tag"] == state.tags, event, "should have tag", state.tags)
        self._demand(8, data["redelivered"] == copy.delivered, event, "of", copy)
        in_time = copy.deadline is None or event.at < copy.deadline - _SLACK
        self._demand(20, in_time or event.at == copy.since, event, "of", copy)
        copy.delivered = True
        consumer = None
        if event.kind == "deliver":
            consumer = (*channel, data["consumer"])
            self._served(event, consumer)
        if data["no_ack"]:
            self._leave("not to be acknowledged")
            return
        state.volume += consumer is not None and state.limit > 0
        self._leases[(*channel, data["tag"])] = Lease(copy, name, consumer, event.at)

    def _take_head(self, event: Event, number: int) -> Copy:
        queue = self._queues[event.data["queue"]]
        head = queue.in_order()[0]
        right = head.message == event.data["message"]
        self._demand(number, right, event, "while", head, "is first")
        found = next(copy for copy in queue.in_order() if copy.message == event.data["message"])
        queue.ready.remove(found)
        return found

    def _served(self, event: Event, key: ConsumerKey) -> None:
        served = self._consumers[key]
        self._demand(9, self._has_capacity(key, served), event, "although", key, "is full")
        for other_key, other in self._consumers.items():
            if other.queue == served.queue and self._has_capacity(other_key, other):
                rank, turn = (other.priority, -other.last_turn), (served.priority, -served.last_turn)
                self._demand(11, rank <= turn, event, "although it is the turn of", other_key)
        self._turn += 1
        served.last_turn = self._turn

    def _settled(self, event: Event) -> None:
        holder = (*_channel(event), event.data["tag"])
        lease = self._leases[holder]
        self._demand(12, lease.stale == event.data["stale"], event, "of", lease)
        self._volume(holder, lease)
        if event.kind == "reject" and event.data["requeue"]:
            self._give_up(holder, lease)
            return
        del self._leases[holder]
        reason = "acked" if event.kind == "ack" else "rejected"
        self._leave("stale" if lease.stale else reason)

    def _volume(self, holder: Holder, lease: Lease) -> None:
        channel = self._channels.get(holder[:2])
        if channel is not None and lease.consumer is not None:
            channel.volume = max(0, channel.volume - 1)

    def _requeued(self, event: Event) -> None:
        name, message, reason = (event.data[key] for key in ("queue", "message", "reason"))
        for holder, lease in self._leases.items():
            wanted = lease.returning or reason in {"recover", "lease expired"}
            if wanted and not lease.stale and lease.queue == name and lease.copy.message == message:
                policy = self._policy(lease) if reason == "lease expired" else None
                keeps = policy is not None and not policy.holder_learns
                self._put_back(holder, lease, keeps=keeps)
                return
        self._demand(14, False, event, ", but nobody held it")

    def _put_back(self, holder: Holder, lease: Lease, *, keeps: bool) -> None:
        self._queues[lease.queue].ready.append(lease.copy)
        if keeps:
            lease.stale = True
            return
        del self._leases[holder]
        if not lease.returning:
            self._volume(holder, lease)

    def _lease_expired(self, event: Event) -> None:
        lease = self._leases[(*_channel(event), event.data["tag"])]
        policy = self._policy(lease)
        due = policy is not None and event.at - lease.since >= policy.timeout_ms / 1000 - _SLACK
        self._demand(17, due, event, "after", event.at - lease.since, "s")

    def _expired(self, event: Event) -> None:
        copy = self._take_head(event, 20)
        due = copy.deadline is not None and event.at >= copy.deadline - _SLACK
        self._demand(20, due, event, "of", copy)
        self._leave("expired")

    def _dropped(self, event: Event) -> None:
        queue = self._queues[event.data["queue"]]
        if event.data["reason"] == "refused":
            newest = max(queue.ready, key=lambda copy: copy.arrived)
            self._demand(1, newest.message == event.data["message"], event, "but", newest, "came last")
            queue.ready.remove(newest)
        else:
            self._take_head(event, 1)
        self._leave("dropped")

    def _confirmed(self, event: Event) -> None:
        channel = self._channels[_channel(event)]
        channel.confirmed += 1
        self._demand(22, event.data["tag"] == channel.confirmed, event, "should be", channel.confirmed)
        self._demand(23, not channel.unreturned, event, "before the return of", channel.unreturned)

    def _returned(self, event: Event) -> None:
        channel = self._channels[_channel(event)]
        expected = channel.unreturned.pop(0) if channel.unreturned else None
        self._demand(23, event.data["message"] == expected, event, "should be of", expected)

    def _consumer_added(self, event: Event) -> None:
        self._turn += 1
        queue, no_ack, priority, prefetch = (event.data[name] for name in _CONSUMER)
        consumer = Consumer(queue, no_ack, priority, prefetch, self._turn)
        self._consumers[(*_channel(event), event.data["consumer"])] = consumer

    def _consumer_cancelled(self, event: Event) -> None:
        del self._consumers[(*_channel(event), event.data["consumer"])]

    def _qos(self, event: Event) -> None:
        channel, limit = _channel(event), event.data["prefetch"]
        state = self._channels[channel]
        if event.data["shared"]:
            if not state.limit or not limit:
                held = [holder for holder in self._leases if holder[:2] == channel]
                state.volume = len(held) if limit else 0
            state.limit = limit
        else:
            state.limit = state.volume = 0


_CONSUMER = ("queue", "no_ack", "priority", "prefetch")


def _channel(event: Event) -> tuple[int, int]:
    return (event.session or 0, event.data["channel"])


def _in_transaction(channel: BrokerChannel) -> list[int]:
    """Answer the tags whose settlement waits for a commit."""
    if channel.tx is None:
        return []
    return [delivery.tag for settlement in channel.tx.settlements for delivery in settlement.deliveries]
