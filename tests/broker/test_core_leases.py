"""Deliveries that are held too long: when anybody looks, what follows, and what the holder learns."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celeriac.reference.broker.broker import Broker
from celeriac.reference.broker.dialect import DIALECTS, dialect
from celeriac.reference.broker.effects import CancelConsumer, CloseChannel, Deliver
from celeriac.reference.broker.errors import ChannelError
from celeriac.reference.broker.lease import next_tick
from celeriac.reference.broker.model import Channel, Properties, Session
from celeriac.reference.clock import VirtualClock

TIMED_OUT = (
    "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: 1800000 ms. "
    "This timeout value can be configured, see consumers doc guide to learn more"
)
QUORUM = {"x-queue-type": "quorum"}


class World:
    """A broker on virtual time with one client that consumes and one queue."""

    def __init__(self, name: str, arguments: dict[str, Any] | None = None, **options: Any) -> None:
        self.clock = VirtualClock()
        self.broker = Broker(self.clock, name, **options)
        self.clock.attach(self.broker)
        self.session = self.broker.open_session("worker", cancel_notify=True)
        self.channel = self.broker.open_channel(self.session, 1)
        self.broker.declare_queue(self.channel, "q", durable=True, arguments=arguments)

    def publish(self, body: bytes = b"m") -> None:
        self.broker.publish(self.channel, "", "q", Properties(), body)

    def another(self, **options: Any) -> tuple[Session, Channel]:
        session = self.broker.open_session("another", **options)
        return session, self.broker.open_channel(session, 1)

    def ready(self) -> int:
        return len(self.broker.queues["q"].backlog)


@pytest.mark.parametrize(
    ("name", "timeout", "text"),
    [
        ("rabbit-3.8", 900, "PRECONDITION_FAILED - consumer ack timed out on channel 1"),
        ("rabbit-3.10", 1800, TIMED_OUT),
    ],
)
def test_the_default_timeout_closes_the_channel_at_its_next_tick(name: str, timeout: int, text: str) -> None:
    """A delivery held for the default timeout costs the channel with 406 at the next minute, and is ready again."""
    world = World(name)
    world.clock.advance(12)
    world.broker.consume(world.channel, "q", "c")
    world.publish()
    world.session.take()
    world.clock.advance(timeout + 48 - 0.001)
    assert world.session.take() == []
    world.clock.advance(0.001)
    assert world.session.take() == [CloseChannel(1, 406, text, 0, 0)]
    assert world.channel.closed
    assert world.ready() == 1


def test_a_late_acknowledgement_after_the_close_is_an_error() -> None:
    """The holder of a closed channel cannot acknowledge any more, and the next one sees a redelivery."""
    world = World("rabbit-3.10")
    world.broker.consume(world.channel, "q", "c")
    world.publish()
    world.clock.advance(1860)
    _, channel = world.another()
    found = world.broker.get(channel, "q")
    assert found is not None
    assert found.redelivered


def test_the_oldest_delivery_decides_for_the_whole_channel() -> None:
    """One overdue delivery returns everything that the channel holds, in order."""
    world = World("rabbit-3.10", consumer_timeout_ms=2000, channel_tick_ms=500)
    world.broker.consume(world.channel, "q", "c")
    world.publish(b"1")
    world.clock.advance(1.9)
    world.publish(b"2")
    world.clock.advance(0.6)
    assert world.channel.closed
    assert [item.message.body for item in world.broker.queues["q"].backlog] == [b"1", b"2"]


def test_an_acknowledgement_in_time_keeps_the_channel() -> None:
    """Who settles everything before the timeout is never bothered."""
    world = World("rabbit-3.10", consumer_timeout_ms=2000, channel_tick_ms=500)
    world.broker.consume(world.channel, "q", "c")
    for tag in range(1, 4):
        world.publish()
        world.clock.advance(1.9)
        world.broker.ack(world.channel, tag)
    world.clock.advance(100)
    assert not world.channel.closed
    assert world.broker.next_due() is None


@pytest.mark.parametrize(("name", "closes"), [("rabbit-3.10", False), ("rabbit-4.0", True)])
def test_a_queue_may_set_the_timeout_where_the_dialect_knows_that(name: str, closes: bool) -> None:
    """The argument x-consumer-timeout of a queue counts from 3.12 on, and is ignored before."""
    world = World(name, {"x-consumer-timeout": 1000})
    world.broker.consume(world.channel, "q", "c")
    world.publish()
    world.clock.advance(60)
    assert world.channel.closed is closes


def test_a_policy_sets_the_timeout_of_the_queues_that_it_names() -> None:
    """The last policy that matches counts, for what is held already, too; not against a shorter argument."""
    world = World("rabbit-4.3", QUORUM)
    world.broker.consume(world.channel, "q", "c")
    world.publish()
    world.broker.set_policy("^other", {"consumer-timeout": 1000})
    world.clock.advance(2)
    assert world.channel.unacked
    world.broker.set_policy("^q$", {"consumer-timeout": 50_000})
    world.broker.set_policy("^q", {"consumer-timeout": 10_000})
    world.clock.advance(7.999)
    assert world.channel.unacked
    world.clock.advance(0.001)
    assert not world.channel.unacked
    short = World("rabbit-4.0", {"x-consumer-timeout": 1000})
    short.broker.set_policy("q", {"consumer-timeout": 600_000})
    short.broker.consume(short.channel, "q", "c")
    short.publish()
    short.clock.advance(60)
    assert short.channel.closed


@pytest.mark.parametrize(
    ("name", "definition"),
    [("rabbit-3.10", {"consumer-timeout": 1000}), ("rabbit-4.0", {"max-length": 1}), ("rabbit-4.0", {})],
)
def test_a_policy_that_the_dialect_does_not_know_is_refused(name: str, definition: dict[str, int]) -> None:
    """Before 3.12 there is no policy of a timeout, and other policies there are none."""
    with pytest.raises(ValueError, match=f"{name} has no policy of"):
        World(name).broker.set_policy("q", definition)


def test_a_timeout_of_zero_means_the_next_tick() -> None:
    """Zero is no way to switch the timeout off."""
    world = World("rabbit-3.10", consumer_timeout_ms=0)
    world.clock.advance(1)
    world.broker.consume(world.channel, "q", "c")
    world.publish()
    world.clock.advance(59)
    assert world.channel.closed


def test_a_delivery_without_acknowledgement_has_no_lease() -> None:
    """A no-ack consumer is never timed out."""
    world = World("rabbit-3.10")
    world.broker.consume(world.channel, "q", "c", no_ack=True)
    world.publish()
    world.clock.advance(100_000)
    assert not world.channel.closed


def test_quorum_queues_of_4_3_cancel_the_consumer_to_the_millisecond() -> None:
    """From 4.3 on a quorum queue takes the message back exactly in time, and the channel lives."""
    world = World("rabbit-4.3", QUORUM, consumer_timeout_ms=2000)
    world.broker.consume(world.channel, "q", "c")
    world.publish()
    world.session.take()
    world.clock.advance(1.999)
    assert world.session.take() == []
    world.clock.advance(0.001)
    assert world.session.take() == [CancelConsumer(1, "c")]
    assert world.ready() == 1
    assert not world.channel.closed
    with pytest.raises(ChannelError, match="unknown delivery tag 1"):
        world.broker.ack(world.channel, 1)


def test_who_cannot_be_told_of_a_cancel_loses_the_channel() -> None:
    """A client without consumer_cancel_notify, and a delivery that was got, end with 406 and the odd -1 ms."""
    world = World("rabbit-4.3", QUORUM, consumer_timeout_ms=2000)
    session, channel = world.another()
    world.publish()
    world.publish()
    world.broker.consume(channel, "q", "c")
    world.clock.advance(2)
    closes = [effect for effect in session.take() if isinstance(effect, CloseChannel)]
    assert [close.code for close in closes] == [406]
    assert "Timeout value used: -1 ms" in closes[0].text
    world.broker.get(world.channel, "q")
    world.clock.advance(2)
    assert world.channel.closed


def test_classic_queues_of_4_3_know_no_timeout() -> None:
    """From 4.3 on a classic queue leaves a delivery with its holder for ever, and refuses the argument."""
    world = World("rabbit-4.3")
    world.broker.consume(world.channel, "q", "c")
    world.publish()
    world.clock.advance(1_000_000)
    assert not world.channel.closed
    with pytest.raises(ChannelError, match="invalid arg 'x-consumer-timeout'"):
        world.broker.declare_queue(world.channel, "other", arguments={"x-consumer-timeout": 5})
    with pytest.raises(ChannelError, match="invalid arg 'x-consumer-timeout'"):
        world.broker.consume(world.channel, "q", arguments={"x-consumer-timeout": 5})


def test_a_consumer_of_4_3_may_set_its_own_timeout() -> None:
    """On quorum queues of 4.3 the consumer's argument wins."""
    world = World("rabbit-4.3", QUORUM)
    world.broker.consume(world.channel, "q", "c", arguments={"x-consumer-timeout": 1500})
    world.publish()
    world.clock.advance(1.5)
    assert world.channel.consumers == {}


def test_a_sweep_requeues_behind_the_holders_back() -> None:
    """On Redis the next sweep after the visibility timeout hands the message out again; the holder keeps its copy."""
    world = World("redis-kombu")
    world.broker.consume(world.channel, "q", "c")
    world.clock.advance(30)
    world.publish()
    world.session.take()
    world.clock.advance(3600 + 70 - 0.001)
    assert world.session.take() == []
    world.clock.advance(0.001)
    (again,) = world.session.take()
    assert isinstance(again, Deliver)
    assert (again.delivery_tag, again.redelivered) == (2, True)
    assert list(world.channel.unacked) == [1, 2]


def test_a_client_that_starts_to_consume_sweeps_at_once() -> None:
    """A second worker takes over what the first holds too long, at the moment it connects."""
    world = World("redis-kombu", consumer_timeout_ms=3000)
    world.broker.consume(world.channel, "q", "c")
    world.publish()
    world.broker.cancel(world.channel, "c")
    world.clock.advance(5)
    session, channel = world.another()
    world.broker.consume(channel, "q", "d")
    assert [effect.consumer_tag for effect in session.take() if isinstance(effect, Deliver)] == ["d"]


def test_nobody_sweeps_when_nobody_consumes() -> None:
    """A message held by a client that consumes no more stays where it is until somebody looks."""
    world = World("redis-kombu", consumer_timeout_ms=3000)
    world.publish()
    world.broker.get(world.channel, "q")
    world.clock.advance(100_000)
    assert world.ready() == 0


def test_the_old_holders_acknowledgement_is_accepted_and_ignored() -> None:
    """After a silent requeue both holders may acknowledge; only the second one counts."""
    world = World("redis-kombu", consumer_timeout_ms=3000)
    world.broker.consume(world.channel, "q", "c")
    world.publish()
    world.clock.advance(100)
    world.broker.ack(world.channel, 1)
    assert [event.data["stale"] for event in world.broker.events if event.kind == "ack"] == [True]
    assert list(world.channel.unacked) == [2]
    world.broker.close_session(world.session)
    assert world.ready() == 1


def test_a_silent_lease_expires_once() -> None:
    """A stale copy is not requeued again, neither by a sweep nor when its holder goes."""
    world = World("redis-kombu", consumer_timeout_ms=3000)
    world.broker.qos(world.channel, 1)
    world.broker.consume(world.channel, "q", "c")
    world.publish()
    world.clock.advance(1000)
    assert world.ready() == 1
    world.broker.close_session(world.session)
    assert world.ready() == 1
    assert [event.kind for event in world.broker.events].count("lease.expired") == 1


@given(
    origin=st.integers(0, 10**9),
    interval=st.integers(1, 10**8),
    age=st.integers(0, 10**10),
    strictly=st.booleans(),
)
@settings(derandomize=True, database=None, deadline=None)
def test_a_tick_sees_a_passed_deadline_within_one_interval(
    origin: int, interval: int, age: int, strictly: bool
) -> None:
    """The tick that finds a deadline passed comes no earlier than it, and less than an interval (or one) later."""
    deadline = (origin + age) / 1e6
    tick = next_tick(origin / 1e6, interval / 1e6, deadline, strictly=strictly)
    late = round(tick * 1e6) - (origin + age)
    assert (1 if strictly else 0) <= late <= interval
    assert (round(tick * 1e6) - origin) % interval == 0


def test_dialects_are_found_by_name() -> None:
    """Every dialect is known by its name, and an unknown name is answered with those there are."""
    assert [dialect(name).name for name in DIALECTS] == list(DIALECTS)
    with pytest.raises(ValueError, match=r"unknown dialect 'rabbit-9'; known: rabbit-3\.8, rabbit-3\.10"):
        dialect("rabbit-9")
