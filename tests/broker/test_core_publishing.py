"""Publishing: confirms, returns, transactions, and the faults that spoil them."""

from __future__ import annotations

from typing import Any

import pytest

from celeriac.reference.broker.broker import Broker
from celeriac.reference.broker.effects import Confirm, Cut, Deliver, Return
from celeriac.reference.broker.errors import ChannelError
from celeriac.reference.broker.faults import FaultPlan
from celeriac.reference.broker.model import Channel, Properties
from celeriac.reference.clock import VirtualClock


class World:
    """A broker with a queue ``q`` and one client."""

    def __init__(self, **options: Any) -> None:
        self.clock = VirtualClock()
        self.broker = Broker(self.clock, **options)
        self.clock.attach(self.broker)
        self.session = self.broker.open_session("publisher")
        self.channel = self.broker.open_channel(self.session, 1)
        self.broker.declare_queue(self.channel, "q")

    def publish(self, key: str = "q", *, mandatory: bool = False, channel: Channel | None = None) -> None:
        self.broker.publish(channel or self.channel, "", key, Properties(b"raw"), b"m", mandatory=mandatory)

    def ready(self) -> int:
        return len(self.broker.queues["q"].backlog)


def test_every_publish_is_confirmed_in_order() -> None:
    """On a confirming channel publishes are numbered from one and confirmed one by one."""
    world = World()
    world.publish()
    world.broker.select_confirms(world.channel)
    world.publish()
    world.publish("nowhere")
    assert world.session.take() == [Confirm(1, 1), Confirm(1, 2)]


def test_an_unroutable_mandatory_message_comes_back_before_its_confirm() -> None:
    """Mandatory and unroutable means basic.return with 312, and then the acknowledgement."""
    world = World()
    world.broker.select_confirms(world.channel)
    world.publish("nowhere", mandatory=True)
    returned, confirmed = world.session.take()
    assert isinstance(returned, Return)
    assert (returned.code, returned.text, returned.routing_key) == (312, "NO_ROUTE", "nowhere")
    assert (returned.message.properties.raw, returned.message.body) == (b"raw", b"m")
    assert confirmed == Confirm(1, 1)


@pytest.mark.parametrize("overflow", ["reject-publish", "reject-publish-dlx"])
def test_a_full_queue_may_refuse_a_publish(overflow: str) -> None:
    """With an overflow that rejects, the publisher gets a nack, and the dead letter exchange perhaps the message."""
    world = World()
    arguments = {"x-max-length": 1, "x-overflow": overflow}
    arguments |= {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "q"}
    world.broker.declare_queue(world.channel, "full", arguments=arguments)
    world.broker.select_confirms(world.channel)
    world.publish("full")
    world.publish("full")
    assert world.session.take() == [Confirm(1, 1), Confirm(1, 2, ok=False)]
    assert world.ready() == (overflow == "reject-publish-dlx")


def test_nothing_is_visible_before_commit() -> None:
    """Publishes and settlements wait for tx.commit, and then happen in order."""
    world = World()
    world.publish()
    world.broker.select_tx(world.channel)
    world.broker.get(world.channel, "q")
    world.broker.ack(world.channel, 1)
    world.publish()
    world.publish("nowhere", mandatory=True)
    assert (world.ready(), world.broker.queues["q"].unacked, world.session.take()) == (0, 1, [])
    world.broker.commit_tx(world.channel)
    assert (world.ready(), world.broker.queues["q"].unacked) == (1, 0)
    assert [type(effect) for effect in world.session.take()] == [Return]


def test_nothing_is_left_of_a_rollback() -> None:
    """After tx.rollback nothing was published, and the deliveries are held as before."""
    world = World()
    world.publish()
    world.publish()
    world.broker.select_tx(world.channel)
    world.broker.get(world.channel, "q")
    world.broker.get(world.channel, "q")
    world.broker.ack(world.channel, 1)
    world.publish()
    world.broker.rollback_tx(world.channel)
    assert list(world.channel.unacked) == [1, 2]
    world.broker.ack(world.channel, 1)
    with pytest.raises(ChannelError, match="unknown delivery tag 1"):
        world.broker.ack(world.channel, 1)


def test_a_closed_channel_voids_its_transaction() -> None:
    """What waits for commit when the channel closes never happens; what was settled returns to the queue."""
    world = World()
    world.publish()
    world.broker.select_tx(world.channel)
    world.broker.get(world.channel, "q")
    world.broker.ack(world.channel, 1)
    world.publish()
    world.broker.close_channel(world.channel)
    assert world.ready() == 1


def test_properties_and_body_are_not_touched() -> None:
    """The bytes that were published are the bytes that are delivered."""
    world = World()
    raw, body = bytes(range(256)), bytes(range(255, -1, -1))
    world.broker.consume(world.channel, "q", "c")
    world.broker.publish(world.channel, "", "q", Properties(raw), body)
    (delivered,) = world.session.take()
    assert isinstance(delivered, Deliver)
    assert (delivered.message.properties.raw, delivered.message.body) == (raw, body)
    assert delivered.message.rewrite is None


def test_the_front_end_is_woken_once_per_batch() -> None:
    """A session is woken when its outbox becomes non-empty, and not again before it was taken."""
    world = World()
    woken: list[int] = []
    world.session.wake = lambda: woken.append(len(world.session.outbox))
    world.broker.consume(world.channel, "q", "c")
    world.publish()
    world.publish()
    assert woken == [1]
    world.session.take()
    world.publish()
    assert woken == [1, 1]


@pytest.mark.parametrize(("action", "ok"), [("drop", True), ("nack", False)])
def test_a_fault_may_swallow_a_publish(action: Any, ok: bool) -> None:
    """A publish may vanish, confirmed all the same or refused, at the occasion that the rule names."""
    world = World()
    world.broker.faults.add("publish", action, after=1, routing_key="q")
    world.broker.select_confirms(world.channel)
    world.publish("elsewhere")
    for _ in range(3):
        world.publish()
    confirms = [effect.ok for effect in world.session.take() if isinstance(effect, Confirm)]
    assert (world.ready(), confirms) == (2, [True, True, ok, True])


def test_a_fault_may_swallow_a_confirm() -> None:
    """The message is queued, but its publisher never hears."""
    world = World(faults=FaultPlan())
    world.broker.faults.add("confirm", "drop", tag=2)
    world.broker.select_confirms(world.channel)
    for _ in range(3):
        world.publish()
    assert (world.ready(), world.session.take()) == (3, [Confirm(1, 1), Confirm(1, 3)])


def test_a_fault_may_duplicate_a_delivery() -> None:
    """A message is delivered twice, with two tags."""
    world = World()
    world.broker.faults.add("deliver", "duplicate", queue="q")
    world.broker.consume(world.channel, "q", "c")
    world.publish()
    tags = [
        (effect.delivery_tag, effect.redelivered)
        for effect in world.session.take()
        if isinstance(effect, Deliver)
    ]
    assert tags == [(1, False), (2, True)]


def test_a_fault_may_cut_the_session_at_any_event() -> None:
    """The client sees nothing beyond the event; the broker takes back what the session held at its next step."""
    world = World()
    rule = world.broker.faults.add("confirm", "cut", after=1, times=None)
    world.broker.select_confirms(world.channel)
    for _ in range(3):
        world.publish()
    assert world.session.take() == [Confirm(1, 1), Cut()]
    assert world.broker.next_due() == world.clock.monotonic()
    assert world.broker.step()
    assert world.session.closed
    assert (world.ready(), rule.fired) == (3, 1)
    assert world.broker.next_due() is None


def test_a_rule_for_what_a_point_cannot_do_is_refused() -> None:
    """A fault rule names what its point can do, or is an error that says what that is."""
    with pytest.raises(
        ValueError, match="fault point 'publish' cannot do 'duplicate'; it can do drop, nack, cut"
    ):
        FaultPlan().add("publish", "duplicate")
    with pytest.raises(ValueError, match="no such point"):
        FaultPlan().add("pubish", "drop")


def test_cleared_rules_strike_no_more() -> None:
    """A plan without rules lets everything pass."""
    world = World()
    world.broker.faults.add("publish", "drop", times=None)
    world.broker.faults.clear()
    world.publish()
    assert world.ready() == 1
