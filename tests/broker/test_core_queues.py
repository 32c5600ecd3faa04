"""Queues: order, limits, time to live, death, and the queues that go by themselves."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from celeriac.reference.broker.broker import Broker
from celeriac.reference.broker.effects import CancelConsumer, Deliver
from celeriac.reference.broker.messages import Message
from celeriac.reference.broker.model import Channel, Properties, Session
from celeriac.reference.clock import VirtualClock

GRAVE = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "grave"}


class World:
    """A broker on virtual time, one client, and a queue for the dead."""

    def __init__(self, dialect: str = "rabbit-3.10") -> None:
        self.clock = VirtualClock()
        self.broker = Broker(self.clock, dialect)
        self.clock.attach(self.broker)
        self.session, self.channel = self.client()
        self.declare("grave")

    def client(self) -> tuple[Session, Channel]:
        session = self.broker.open_session(cancel_notify=True)
        return session, self.broker.open_channel(session, 1)

    def declare(self, name: str, arguments: dict[str, Any] | None = None, **flags: bool) -> None:
        self.broker.declare_queue(self.channel, name, arguments=arguments, **flags)

    def publish(self, queue: str, *bodies: str, **properties: Any) -> None:
        for body in bodies:
            self.broker.publish(self.channel, "", queue, Properties(**properties), body.encode())

    def ready(self, queue: str) -> list[str]:
        return [item.message.body.decode() for item in self.broker.queues[queue].backlog]

    def delivered(self, session: Session | None = None) -> list[tuple[str, bool]]:
        effects = (session or self.session).take()
        return [
            (effect.message.body.decode(), effect.redelivered)
            for effect in effects
            if isinstance(effect, Deliver)
        ]

    def dead(self) -> Message:
        found = self.broker.get(self.channel, "grave", no_ack=True)
        assert found is not None
        return found.message


def test_a_requeued_message_returns_to_its_place() -> None:
    """What goes back to the queue is delivered before everything that was behind it, marked as redelivered."""
    world = World()
    world.declare("q")
    world.publish("q", "1", "2", "3", "4")
    world.broker.qos(world.channel, 3)
    world.broker.consume(world.channel, "q", "c")
    assert world.delivered() == [("1", False), ("2", False), ("3", False)]
    world.broker.cancel(world.channel, "c")
    world.broker.nack(world.channel, 3, multiple=True)
    assert world.ready("q") == ["1", "2", "3", "4"]
    _, other = world.client()
    first, second = (world.broker.get(other, "q") for _ in range(2))
    assert first is not None
    assert second is not None
    assert (first.redelivered, first.message_count, second.message.body) == (True, 3, b"2")


def test_higher_priorities_come_first_and_the_highest_is_the_queues_own() -> None:
    """With x-max-priority messages are served by priority, capped at the maximum; none counts as zero."""
    world = World()
    world.declare("q", {"x-max-priority": 5})
    for body, priority in (("none", None), ("1", 1), ("5", 5), ("255", 255), ("0", 0)):
        world.publish("q", body, priority=priority)
    assert world.ready("q") == ["5", "255", "1", "none", "0"]


def test_priority_is_ignored_where_the_queue_has_none() -> None:
    """Without x-max-priority a queue is first in, first out."""
    world = World()
    world.declare("q")
    for priority in (1, 9, 3):
        world.publish("q", str(priority), priority=priority)
    assert world.ready("q") == ["1", "9", "3"]


def test_a_full_queue_drops_its_head() -> None:
    """Beyond x-max-length the head gives way, which in a priority queue is the most important message."""
    world = World()
    world.declare("q", {"x-max-length": 2})
    world.declare("ranked", {"x-max-length": 2, "x-max-priority": 5})
    world.declare("small", {"x-max-length-bytes": 5})
    for body in ("1", "5", "3"):
        world.publish("q", body)
        world.publish("ranked", body, priority=int(body))
    world.publish("small", "abc", "de", "f")
    assert (world.ready("q"), world.ready("ranked"), world.ready("small")) == (
        ["5", "3"],
        ["3", "1"],
        ["de", "f"],
    )


def test_the_limit_holds_for_returning_messages_too() -> None:
    """A message that comes back to a full queue is dropped if it is the oldest."""
    world = World()
    world.declare("q", {"x-max-length": 2})
    world.publish("q", "1")
    world.broker.get(world.channel, "q")
    world.publish("q", "2", "3")
    world.broker.reject(world.channel, 1)
    assert world.ready("q") == ["2", "3"]


def test_a_message_expires_at_the_head_of_its_queue() -> None:
    """The shorter of queue and message time to live counts, exactly, but only at the head."""
    world = World()
    world.declare("q", {"x-message-ttl": 5000})
    world.publish("q", "long")
    world.publish("q", "short", expiration="1000")
    world.clock.advance(4.999)
    assert world.ready("q") == ["long", "short"]
    world.clock.advance(0.001)
    assert world.ready("q") == []


def test_expiration_zero_reaches_a_waiting_consumer_only() -> None:
    """A message with expiration 0 is delivered to a consumer that waits, and otherwise expires at once."""
    world = World()
    world.declare("q")
    world.publish("q", "too early", expiration="0")
    world.broker.consume(world.channel, "q", "c")
    world.publish("q", "in time", expiration="0")
    assert world.delivered() == [("in time", False)]


def test_an_overdue_message_is_not_redelivered() -> None:
    """A message whose time ran out while it was held expires when it comes back."""
    world = World()
    world.declare("q", {"x-message-ttl": 1000})
    world.publish("q", "1")
    world.broker.get(world.channel, "q")
    world.clock.advance(2)
    world.broker.reject(world.channel, 1)
    assert world.ready("q") == []


def test_a_dead_letter_tells_its_story() -> None:
    """A rejected message arrives with x-death, without its expiration, and with the new routing key."""
    world = World()
    world.declare("q", GRAVE)
    headers = {"own": 1, "CC": ["cc"], "BCC": ["bcc"]}
    world.publish("q", "m", headers=headers, expiration="60000")
    world.broker.get(world.channel, "q")
    world.broker.reject(world.channel, 1, requeue=False)
    dead = world.dead()
    death = {
        "count": 1,
        "reason": "rejected",
        "queue": "q",
        "time": datetime(2030, 1, 1, tzinfo=UTC),
        "exchange": "",
        "routing-keys": ["q", "cc"],
        "original-expiration": "60000",
    }
    assert dead.headers == {
        "own": 1,
        "x-death": [death],
        "x-first-death-exchange": "",
        "x-first-death-queue": "q",
        "x-first-death-reason": "rejected",
    }
    assert (dead.id, dead.routing_key, dead.expiration) == (1, "grave", None)


def test_a_dead_letter_keeps_its_keys_or_gets_the_queues_own() -> None:
    """Without a dead letter routing key all keys stay, the blind ones too; with one, only that counts."""
    world = World()
    for name in ("copy", "blind", "kept", "moved"):
        world.declare(name)
        world.broker.declare_exchange(world.channel, "dlx", "direct")
        world.broker.bind_queue(world.channel, name, "dlx", name)
    arguments = {"x-dead-letter-exchange": "dlx"}
    world.declare("keeps", {**arguments, "x-message-ttl": 10})
    world.declare("moves", {**arguments, "x-message-ttl": 10, "x-dead-letter-routing-key": "moved"})
    for name in ("keeps", "moves"):
        world.publish(name, name, headers={"CC": ["copy"], "BCC": ["blind"]})
    for name in ("copy", "blind"):
        world.broker.purge_queue(world.channel, name)
    world.clock.advance(1)
    found = {name: world.ready(name) for name in ("copy", "blind", "moved")}
    assert found == {"copy": ["keeps"], "blind": ["keeps"], "moved": ["moves"]}


def test_several_consumers_give_back_one_after_the_other() -> None:
    """What a multiple nack returns for one consumer goes out again before the next consumer's messages are back."""
    world = World()
    world.declare("q")
    world.broker.qos(world.channel, 2)
    for tag in ("a", "b"):
        world.broker.consume(world.channel, "q", tag)
    world.publish("q", *"0123")
    world.session.take()
    world.broker.nack(world.channel, 0, multiple=True)
    effects = [effect for effect in world.session.take() if isinstance(effect, Deliver)]
    order = [(effect.consumer_tag, effect.message.body) for effect in effects]
    assert order == [("a", b"0"), ("a", b"2"), ("b", b"1"), ("b", b"3")]


def test_a_second_death_for_the_same_reason_is_counted() -> None:
    """Deaths in the same queue for the same reason share an entry, the latest in front."""
    world = World()
    world.declare("q", GRAVE)
    world.publish("q", "m", expiration="5")
    world.clock.advance(1)
    for _ in range(2):
        world.publish("q", "m", headers=dict(world.dead().headers))
        world.broker.get(world.channel, "q")
        world.broker.reject(world.channel, world.channel.last_tag, requeue=False)
    deaths = world.dead().headers["x-death"]
    assert [(death["reason"], death["count"]) for death in deaths] == [("rejected", 2), ("expired", 1)]


@pytest.mark.parametrize(("dialect", "known"), [("rabbit-3.10", False), ("rabbit-4.0", True)])
def test_newer_dialects_name_the_last_death(dialect: str, known: bool) -> None:
    """From 3.13 on the last death has headers of its own."""
    world = World(dialect)
    world.declare("q", {**GRAVE, "x-max-length": 0})
    world.publish("q", "m")
    headers = world.dead().headers
    assert headers["x-first-death-reason"] == "maxlen"
    assert ("x-last-death-queue" in headers) is known


def test_an_endless_round_of_deaths_is_ended() -> None:
    """A message that would expire into its own queue for ever is dropped; one that is rejected may go round."""
    world = World()
    world.declare("loop", {"x-dead-letter-exchange": "", "x-message-ttl": 30})
    world.publish("loop", "m")
    world.clock.advance(1)
    assert world.ready("loop") == []
    world.declare("patient", {"x-dead-letter-exchange": ""})
    world.publish("patient", "m")
    for _ in range(3):
        world.broker.get(world.channel, "patient")
        world.broker.reject(world.channel, world.channel.last_tag, requeue=False)
    assert world.ready("patient") == ["m"]


def test_without_a_dead_letter_exchange_the_dead_are_gone() -> None:
    """A queue without, or with a missing, dead letter exchange drops its dead."""
    world = World()
    world.declare("q", {"x-dead-letter-exchange": "missing"})
    world.publish("q", "m")
    world.broker.get(world.channel, "q")
    world.broker.reject(world.channel, 1, requeue=False)
    assert world.ready("grave") == []


def test_an_unused_queue_goes_after_its_time() -> None:
    """A queue with x-expires lives as long as it is declared, got from or consumed, and that long again."""
    world = World()
    world.declare("q", {"x-expires": 1000})
    world.clock.advance(0.9)
    world.broker.get(world.channel, "q")
    world.clock.advance(0.9)
    world.broker.consume(world.channel, "q", "c")
    world.clock.advance(100)
    assert "q" in world.broker.queues
    world.broker.cancel(world.channel, "c")
    world.clock.advance(0.999)
    assert "q" in world.broker.queues
    world.clock.advance(0.001)
    assert "q" not in world.broker.queues


def test_an_auto_delete_queue_waits_for_its_first_consumer() -> None:
    """An auto-delete queue goes with its last consumer, and not before it had one."""
    world = World()
    world.declare("q", auto_delete=True)
    world.broker.consume(world.channel, "q", "a")
    world.broker.consume(world.channel, "q", "b")
    world.broker.cancel(world.channel, "a")
    assert "q" in world.broker.queues
    world.broker.cancel(world.channel, "b")
    assert "q" not in world.broker.queues


def test_an_exclusive_queue_goes_with_its_connection() -> None:
    """An exclusive queue is deleted when its connection ends."""
    world = World()
    world.declare("q", exclusive=True)
    world.broker.close_session(world.session)
    assert "q" not in world.broker.queues


def test_consumers_are_told_that_their_queue_is_gone() -> None:
    """Deleting a queue cancels its consumers, and what they hold may still be settled, without effect."""
    world = World()
    session, other = world.client()
    world.declare("q")
    world.broker.consume(other, "q", "c")
    world.publish("q", "m")
    session.take()
    assert world.broker.delete_queue(world.channel, "q") == 0
    assert session.take() == [CancelConsumer(1, "c")]
    world.broker.reject(other, 1)
    assert not other.unacked


def test_a_lost_connection_returns_everything_in_order() -> None:
    """What a lost connection held on all its channels is back in its place, and no dying consumer sees it."""
    world = World()
    world.declare("q")
    session, first = world.client()
    second = world.broker.open_channel(session, 2)
    world.publish("q", "1", "2", "3")
    for channel in (first, second, first):
        world.broker.get(channel, "q")
    world.broker.consume(second, "q", "c")
    start = len(world.broker.events)
    world.broker.close_session(session, 0)
    assert world.ready("q") == ["1", "2", "3"]
    assert "deliver" not in [event.kind for event in world.broker.events[start:]]


def test_an_empty_name_asks_for_a_new_queue_and_then_means_it() -> None:
    """A server-named queue becomes the channel's last queue, which an empty name refers to."""
    world = World()
    info = world.broker.declare_queue(world.channel)
    assert info.name.startswith("amq.gen-")
    world.broker.bind_queue(world.channel, "", "amq.direct")
    world.broker.publish(world.channel, "amq.direct", info.name, Properties(), b"m")
    assert world.broker.purge_queue(world.channel, "") == 1
    assert world.broker.declare_queue(world.channel, info.name).message_count == 0


def test_consumers_take_turns_by_priority() -> None:
    """Equal consumers share a round; a higher priority comes first for as long as it has capacity."""
    world = World()
    world.declare("q")
    world.broker.consume(world.channel, "q", "a")
    world.broker.consume(world.channel, "q", "b")
    world.broker.qos(world.channel, 1)
    world.broker.consume(world.channel, "q", "high", arguments={"x-priority": 10})
    world.publish("q", *"12345")
    tags = [effect.consumer_tag for effect in world.session.take() if isinstance(effect, Deliver)]
    assert tags == ["high", "a", "b", "a", "b"]


def test_a_shared_limit_counts_all_consumers_of_the_channel() -> None:
    """A global prefetch limits the channel's consumers together, also those of other queues, until settled."""
    world = World()
    world.declare("q")
    world.declare("r")
    world.broker.qos(world.channel, 2, shared=True)
    world.broker.consume(world.channel, "q", "a")
    world.broker.consume(world.channel, "r", "b")
    for queue in ("q", "r", "q"):
        world.publish(queue, "m")
    assert len(world.delivered()) == 2
    world.broker.ack(world.channel, 1)
    assert len(world.delivered()) == 1
    world.publish("r", "m")
    world.broker.qos(world.channel, 0, shared=True)
    assert len(world.delivered()) == 1


def test_a_shared_limit_counts_what_was_got_before_it() -> None:
    """A shared limit that is set while deliveries from basic.get are held counts them, as RabbitMQ does."""
    world = World()
    world.declare("q")
    world.publish("q", "1", "2")
    world.broker.get(world.channel, "q")
    world.broker.qos(world.channel, 1, shared=True)
    world.broker.consume(world.channel, "q", "c")
    assert world.delivered() == []
