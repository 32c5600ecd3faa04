"""Random programs on the core alone: every invariant holds after every step, and planted bugs are noticed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from celeriac.reference.broker.audit import INVARIANTS, Audit
from celeriac.reference.broker.broker import Broker
from celeriac.reference.broker.effects import CloseChannel, Deliver, Effect, Return
from celeriac.reference.broker.errors import ChannelError, ConnectionError_
from celeriac.reference.broker.messages import QueuedMessage
from celeriac.reference.broker.model import (
    Channel,
    Consumer,
    Delivery,
    Properties,
    Queue,
    Session,
    Settlement,
)
from celeriac.reference.clock import VirtualClock

GRAVE = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "grave"}
QUEUES: dict[str, dict[str, Any]] = {
    "plain": {},
    "ranked": {"x-max-priority": 3},
    "short": {"x-max-length": 3, **GRAVE},
    "brief": {"x-message-ttl": 5000, **GRAVE},
    "narrow": {"x-max-length": 2, "x-overflow": "reject-publish"},
    "grave": {},
}
PLAIN, CONFIRMING, TRANSACTIONAL, OTHER = range(4)
SESSION_OF = {PLAIN: 0, CONFIRMING: 0, TRANSACTIONAL: 1, OTHER: 1}

channels = st.integers(0, 3)
queues = st.sampled_from(["plain", "ranked", "plain", "ranked", *sorted(QUEUES)])
picks = st.integers(0, 5)
ranks = st.one_of(st.none(), st.integers(0, 5))


class Machine(RuleBasedStateMachine):
    """Two sessions with two channels each: a plain one, one that confirms, a transactional one, another."""

    broker_class: ClassVar[type[Broker]] = Broker
    dialect: ClassVar[str] = "rabbit-3.10"
    plain: ClassVar[str] = "classic"

    def __init__(self) -> None:
        super().__init__()
        self.clock = VirtualClock()
        self.broker = self.broker_class(
            self.clock, self.dialect, consumer_timeout_ms=20_000, channel_tick_ms=7_000
        )
        self.clock.attach(self.broker)
        self.audit = Audit(self.broker)
        self.sessions = [self.connect(number) for number in (0, 1)]
        self.channels = [self.open(role) for role in range(4)]
        self.sent: dict[bytes, bytes] = {}
        for name, arguments in QUEUES.items():
            typed = {**arguments, "x-queue-type": self.plain if name == "plain" else "classic"}
            self.broker.declare_queue(self.channels[OTHER], name, durable=True, arguments=typed)
        self.broker.declare_exchange(self.channels[OTHER], "both", "fanout")
        for name in ("plain", "ranked"):
            self.broker.bind_queue(self.channels[OTHER], name, "both")

    def connect(self, number: int) -> Session:
        return self.broker.open_session(f"client {number}", cancel_notify=number == 0)

    def open(self, role: int) -> Channel:
        channel = self.broker.open_channel(self.sessions[SESSION_OF[role]], role + 1)
        if role == CONFIRMING:
            self.broker.select_confirms(channel)
        if role == TRANSACTIONAL:
            self.broker.select_tx(channel)
        return channel

    def state(self) -> list[object]:
        """Everything a client could notice, except the time."""
        held = [sorted(channel.unacked) for channel in self.channels]
        ready = [[item.message.id for item in queue.backlog] for queue in self.broker.queues.values()]
        return [held, ready, len(self.broker.events), [len(session.outbox) for session in self.sessions]]

    def held(self) -> list[tuple[int, int]]:
        """Role and tag of every delivery that somebody holds."""
        return [(role, tag) for role, channel in enumerate(self.channels) for tag in channel.unacked]

    def publish(self, role: int, exchange: str, key: str, mandatory: bool = False, **properties: Any) -> None:
        before = self.state()
        raw = f"properties {len(self.sent)}".encode()
        self.sent[raw] = body = b"body " + raw
        self.broker.publish(
            self.channels[role], exchange, key, Properties(raw, **properties), body, mandatory=mandatory
        )
        assert role != TRANSACTIONAL or self.state() == before, "(24) a publish is visible before commit"

    @rule(role=channels, queue=queues, priorities=st.lists(ranks, min_size=1, max_size=5))
    def publish_some(self, role: int, queue: str, priorities: list[int | None]) -> None:
        for priority in priorities:
            self.publish(role, "", queue, priority=priority)

    @rule(role=channels, count=st.integers(1, 4))
    def publish_to_both(self, role: int, count: int) -> None:
        for number in range(count):
            self.publish(role, "both", f"key {number}", mandatory=True, priority=number)

    @rule(role=channels, queue=queues, expiration=st.sampled_from(["0", "3000"]))
    def publish_short_lived(self, role: int, queue: str, expiration: str) -> None:
        self.publish(role, "", queue, expiration=expiration)

    @rule(role=channels, mandatory=st.booleans())
    def publish_nowhere(self, role: int, mandatory: bool) -> None:
        self.publish(role, "", "nowhere", mandatory=mandatory)

    @rule(role=channels, queue=queues, no_ack=st.booleans())
    def get(self, role: int, queue: str, no_ack: bool) -> None:
        first = next(iter(self.broker.queues[queue].backlog), None)
        found = self.broker.get(self.channels[role], queue, no_ack=no_ack)
        assert (found and found.message) == (first and first.message)

    @rule(role=channels, queue=queues, no_ack=st.booleans(), priority=st.integers(0, 1))
    def consume(self, role: int, queue: str, no_ack: bool, priority: int) -> None:
        channel = self.channels[role]
        refused = channel.shared_prefetch and self.broker.queues[queue].limits.quorum
        if len(channel.consumers) < 3 and not refused:
            self.broker.consume(channel, queue, no_ack=no_ack, arguments={"x-priority": priority})

    @rule(role=channels, pick=picks)
    def cancel(self, role: int, pick: int) -> None:
        tags = list(self.channels[role].consumers)
        if tags:
            self.broker.cancel(self.channels[role], tags[pick % len(tags)])

    @rule(role=channels, count=st.integers(0, 3), shared=st.booleans())
    def qos(self, role: int, count: int, shared: bool) -> None:
        self.broker.qos(self.channels[role], count, shared=shared and role != TRANSACTIONAL)

    @rule(role=channels, queue=queues)
    def consume_two(self, role: int, queue: str) -> None:
        self.qos(role, 2, shared=False)
        self.consume(role, queue, no_ack=False, priority=0)
        self.consume(role, queue, no_ack=False, priority=0)

    @precondition(lambda self: self.held())
    @rule(pick=st.integers(0, 20), multiple=st.booleans())
    def ack(self, pick: int, multiple: bool) -> None:
        self.settle(pick, "ack", multiple=multiple)

    @precondition(lambda self: self.held())
    @rule(pick=st.integers(0, 20), multiple=st.booleans(), requeue=st.booleans())
    def nack(self, pick: int, multiple: bool, requeue: bool) -> None:
        self.settle(pick, "nack" if requeue else "drop", multiple=multiple)

    def settle(self, pick: int, verdict: str, *, multiple: bool) -> None:
        held, start = self.held(), len(self.broker.events)
        role, tag = held[pick % len(held)]
        channel = self.channels[role]
        expected = [held for held in channel.unacked if held == tag or (multiple and held < tag)]
        if verdict == "ack":
            self.broker.ack(channel, tag, multiple=multiple)
        else:
            self.broker.nack(channel, tag, multiple=multiple, requeue=verdict == "nack")
        new = self.broker.events[start:]
        settled = [event.data["tag"] for event in new if event.kind in {"ack", "reject"}]
        if role == TRANSACTIONAL:
            assert not new, "(24) a settlement has effect before commit"
        else:
            assert sorted(settled) == expected, "(16) multiple settles exactly the tags up to it"

    @rule(role=channels, queue=queues, calamity=st.sampled_from(["tag", "recover", "purge", "close", "lose"]))
    def calamity(self, role: int, queue: str, calamity: str) -> None:
        channel = self.channels[role]
        if calamity == "tag":
            self.settle_nothing(channel)
        elif calamity == "recover":
            self.broker.recover(channel)
        elif calamity == "purge":
            ready = len(self.broker.queues[queue].backlog)
            assert self.broker.purge_queue(channel, queue) == ready
        elif calamity == "close":
            self.broker.close_channel(channel)
            self.nothing_more(channel)
        else:
            number = SESSION_OF[role]
            self.broker.close_session(self.sessions[number], 0)
            self.sessions[number] = self.connect(number)

    def settle_nothing(self, channel: Channel) -> None:
        before = self.state()
        with pytest.raises(ChannelError, match="PRECONDITION_FAILED - unknown delivery tag 999") as caught:
            self.broker.ack(channel, 999, multiple=True)
        assert self.state() == before, "(13) a wrong tag changes nothing"
        self.broker.fail_channel(channel, caught.value)
        self.nothing_more(channel)

    def nothing_more(self, channel: Channel) -> None:
        before = self.state()
        with pytest.raises(ConnectionError_, match="504"):
            self.broker.publish(channel, "", "plain", Properties(), b"")
        with pytest.raises(ConnectionError_, match="504"):
            self.broker.get(channel, "plain")
        assert self.state() == before, "(15) a closed channel still has effect"

    @rule()
    def commit(self) -> None:
        channel, start = self.channels[TRANSACTIONAL], len(self.broker.events)
        assert channel.tx is not None
        expected = len(channel.tx.publishes)
        self.broker.commit_tx(channel)
        published = [event for event in self.broker.events[start:] if event.kind == "publish"]
        assert len(published) == expected, "(24) commit publishes everything that waited"

    @rule()
    def rollback(self) -> None:
        channel, events = self.channels[TRANSACTIONAL], len(self.broker.events)
        assert channel.tx is not None
        waiting = [delivery.tag for one in channel.tx.settlements for delivery in one.deliveries]
        expected = sorted([*channel.unacked, *waiting])
        self.broker.rollback_tx(channel)
        assert list(channel.unacked) == expected, "(24) rollback gives the deliveries back"
        assert len(self.broker.events) == events, "(24) rollback has no other effect"

    @rule(seconds=st.sampled_from([0.5, 2.0, 3.0, 7.0, 12.0]))
    def advance(self, seconds: float) -> None:
        before, due = self.state(), self.broker.next_due()
        idle = due is None or due > self.clock.monotonic() + seconds
        self.clock.advance(seconds)
        assert not idle or self.state() == before, "(19) time alone changes nothing"

    @invariant()
    def all_is_well(self) -> None:
        for session in self.sessions:
            self.look_at(session.take())
        self.audit.compare()
        assert not self.audit.problems, "\n".join(self.audit.problems)
        for role, channel in enumerate(self.channels):
            if channel.closed:
                self.channels[role] = self.open(role)

    def look_at(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Deliver | Return):
                message = effect.message
                assert self.sent[message.properties.raw] == message.body, "(25) the message was changed"
            if isinstance(effect, CloseChannel) and "timed out" in effect.text:
                assert (effect.code, effect.class_id, effect.method_id) == (406, 0, 0)


def play(machine: type[Machine], programs: int, **options: Any) -> None:
    """Run random programs of up to 60 steps; the first failure ends it."""
    always: dict[str, Any] = {
        "derandomize": True,
        "database": None,
        "deadline": None,
        "report_multiple_bugs": False,
    }
    chosen = settings(max_examples=programs, stateful_step_count=60, **always, **options)
    run_state_machine_as_test(machine, settings=settings(chosen, suppress_health_check=list(HealthCheck)))


VARIANTS = [
    ("rabbit-3.8", "classic"),
    ("rabbit-3.10", "classic"),
    ("rabbit-4.3", "quorum"),
    ("redis-kombu", "classic"),
]


@pytest.mark.parametrize(("dialect", "plain"), VARIANTS)
def test_every_invariant_holds_after_every_step(dialect: str, plain: str) -> None:
    """Whatever clients do, and however leases end, the broker keeps the invariants of its study."""
    play(type("Variant", (Machine,), {"dialect": dialect, "plain": plain}), programs=60)


class RequeuesAtTail(Broker):
    """A returned message queues up again."""

    def _requeue(self, deliveries: Any, reason: str) -> None:
        deliveries = list(deliveries)
        for delivery in deliveries:
            delivery.queue.published += 1
            delivery.item.position = delivery.queue.published
        super()._requeue(deliveries, reason)


class GivesOneTooMany(Broker):
    """A prefetch of n lets n + 1 through."""

    def _record_consumer(self, consumer: Consumer) -> None:
        super()._record_consumer(consumer)
        consumer.prefetch += bool(consumer.prefetch)


class ForgetsSharedLimit(Broker):
    """The channel's prefetch is accepted and ignored."""

    def qos(self, channel: Channel, prefetch_count: int, **how: Any) -> None:
        super().qos(channel, prefetch_count, **how)
        channel.shared_prefetch = 0


class NeverSaysRedelivered(Broker):
    """The redelivered flag stays false."""

    def _hand_out(self, channel: Channel, queue: Queue, item: QueuedMessage, *who: Any, **how: Any) -> int:
        tag = super()._hand_out(channel, queue, item, *who, **how)
        item.redelivered = False
        return tag


class SkipsTags(Broker):
    """Delivery tags have gaps."""

    def _hand_out(self, channel: Channel, *what: Any, **how: Any) -> int:
        channel.last_tag += channel.last_tag == 3
        return super()._hand_out(channel, *what, **how)


class SettlesOneMore(Broker):
    """Multiple takes the next tag along."""

    def _taken(self, channel: Channel, tag: int, *, multiple: bool) -> list[Delivery]:
        more = multiple and tag + 1 in channel.unacked
        return super()._taken(channel, tag + more, multiple=multiple)


class RanksUpsideDown(Broker):
    """Low priorities come first."""

    def _enqueue(self, queue: Queue, message: Any) -> bool:
        highest = queue.limits.max_priority
        if highest and message.properties.priority is not None:
            turned = max(0, highest - message.properties.priority)
            message.properties = Properties(message.properties.raw, message.properties.expiration, turned)
        return super()._enqueue(queue, message)


class NeverExpires(Broker):
    """Nobody looks at the time to live."""

    def _expire_head(self, queue: Queue) -> None:
        queue.expiry = None


class KeepsLeases(Broker):
    """The channel's tick comes too late."""

    def _seen_at(self, channel: Channel, delivery: Delivery, policy: Any) -> float:
        return super()._seen_at(channel, delivery, policy) + 7.0


class BreaksLeases(Broker):
    """Half the timeout is enough to lose a delivery."""

    def _timeout_ms(self, delivery: Delivery, policy: Any) -> int:
        return super()._timeout_ms(delivery, policy) // 2


class LosesConfirms(Broker):
    """Every third confirm is forgotten."""

    def _confirm(self, channel: Channel, tag: int, *, ok: bool) -> None:
        if tag % 3:
            super()._confirm(channel, tag, ok=ok)


class ReturnsNothing(Broker):
    """Unroutable mandatory messages vanish."""

    def _return(self, channel: Channel, message: Any) -> None:
        return


class LeaksTransactions(Broker):
    """Settlements do not wait for commit."""

    def _say(self, channel: Channel, settlement: Settlement) -> None:
        self._settle(channel, settlement)


class LosesHeldMessages(Broker):
    """A closed channel takes its deliveries to the grave."""

    def _give_back(self, channel: Channel) -> None:
        channel.unacked.clear()


class TouchesBodies(Broker):
    """Bodies are tidied up on the way."""

    def _deliver(self, queue: Queue, consumer: Consumer, item: QueuedMessage) -> None:
        item.message.body = item.message.body.upper()
        super()._deliver(queue, consumer, item)


class LetsConsumersWait(Broker):
    """Capacity that becomes free is not used."""

    def _serve_freed(self, channel: Channel, deliveries: Any) -> None:
        return


class FavoursOne(Broker):
    """The consumer that was served stays first in line."""

    def _deliver(self, queue: Queue, consumer: Consumer, item: QueuedMessage) -> None:
        queue.consumers.sort(key=lambda other: (-other.priority, other is not consumer))
        super()._deliver(queue, consumer, item)


#: Each planted bug and the invariant that notices it.
PLANTED: dict[Callable[..., Broker], int] = {
    RequeuesAtTail: 4,
    GivesOneTooMany: 9,
    ForgetsSharedLimit: 9,
    NeverSaysRedelivered: 8,
    SkipsTags: 7,
    SettlesOneMore: 16,
    RanksUpsideDown: 4,
    NeverExpires: 20,
    KeepsLeases: 17,
    BreaksLeases: 17,
    LosesConfirms: 22,
    ReturnsNothing: 23,
    LeaksTransactions: 24,
    LosesHeldMessages: 14,
    TouchesBodies: 25,
    LetsConsumersWait: 10,
    FavoursOne: 11,
}


@pytest.mark.parametrize(("broken", "number"), PLANTED.items(), ids=[bug.__name__ for bug in PLANTED])
def test_a_planted_bug_breaks_its_invariant(broken: type[Broker], number: int) -> None:
    """A broker that is wrong on purpose is caught by the invariant that it breaks."""
    machine = type("Broken", (Machine,), {"broker_class": broken})
    with pytest.raises(AssertionError) as caught:
        play(machine, programs=100, phases=[Phase.generate])
    assert f"({number})" in str(caught.value), INVARIANTS.get(number, "checked by the machine")
