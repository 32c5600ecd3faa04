"""The embedded broker against RabbitMQ: the same random programs, every answer compared.

A program works on one queue (plain, with priorities, or with a maximum length) through one channel, where RabbitMQ
itself is deterministic.  Two details of RabbitMQ are left out by the embedded broker and so by the programs: a
consumer that comes back under the tag of a cancelled one is credited with acks of its predecessor's deliveries, and
among several consumers one that was passed over because of its prefetch queues up anew when it has room again.

After every operation both brokers
are asked for the queue until everything they were going to send has come; then replies, deliveries with their tags,
counts and errors with their texts must be the same.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import amqp
import amqp.exceptions
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from celeriac.reference.broker import inproc
from celeriac.reference.broker.broker import Broker
from celeriac.reference.broker.model import Channel, Consumer, Delivery, Queue, QueuedMessage
from celeriac.reference.broker.tcp import BrokerThread
from celeriac.reference.clock import VirtualClock, WallClock

QUEUE = "celeriac.differential"
KINDS: Mapping[str, dict[str, Any]] = {
    "plain": {},
    "priority": {"x-max-priority": 5},
    "max-length": {"x-max-length": 3},
}
#: Seconds for which two brokers may disagree before it counts: RabbitMQ's processes talk asynchronously.
PATIENCE = 3.0
#: How many programs tell two brokers apart; the planted bugs below say whether that is enough.
PROGRAMS = 300

verdict = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=PROGRAMS,
    stateful_step_count=25,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
    print_blob=False,
)


class Side:
    """One of the two brokers, driven through py-amqp."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self._connection: Any = None
        self._arguments: dict[str, Any] = {}
        self._seen: list[Any] = []
        self._cancelled: set[str] = set()  # in no defined order
        self.held: list[int] = []
        self.renewed = False

    def begin(self, kind: str) -> None:
        """Start a program: a fresh channel, a fresh queue."""
        self._arguments = KINDS[kind]
        if self._connection is None or not self._connection.connected:
            self._connection = self._connect()
            self._connection.connect()
        self.channel = self._connection.channel()
        self.channel.queue_delete(QUEUE)
        self._fresh()

    def end(self) -> None:
        """End it."""
        if self._connection.connected:
            for tag in tuple(self.channel.callbacks):
                self.channel.basic_cancel(tag)
            self.channel.close()

    def close(self) -> None:
        """Disconnect."""
        if self._connection is not None:
            self._connection.close()

    def perform(self, operation: str, *arguments: Any) -> Any:
        """Perform an operation and answer what is known at once: its reply, or the error it ended in."""
        self._seen, self._cancelled, self.renewed = [], set(), False
        try:
            reply = getattr(self, operation)(*arguments)
            self._count()
        except amqp.exceptions.AMQPError as error:
            reply = (type(error).__name__, error.code, error.reply_text, error.method_sig)
            self._recover_from_error()
        return reply

    def settled(self) -> Any:
        """Answer everything that the operation caused so far, and the queue's counts."""
        counts = self._count()
        return list(self._seen), sorted(self._cancelled), self._count() and counts

    def publish(self, bodies: list[str], priority: int | None) -> None:
        """Publish."""
        for body in bodies:
            self.channel.basic_publish(amqp.Message(body, priority=priority), routing_key=QUEUE)

    def get(self, no_ack: bool) -> Any:
        """Get a message."""
        message = self.channel.basic_get(QUEUE, no_ack=no_ack)
        if message is None:
            return None
        if not no_ack:
            self.held.append(message.delivery_info["delivery_tag"])
        return message.body, message.delivery_info

    def settle(self, verb: str, tag: int, multiple: bool, requeue: bool) -> None:
        """Ack, nack or reject a tag, held or not."""
        if verb == "ack":
            self.channel.basic_ack(tag, multiple)
        elif verb == "nack":
            self.channel.send_method((60, 120), "Lbb", (tag, multiple, requeue))
        else:
            self.channel.basic_reject(tag, requeue)
        up_to = multiple and verb != "reject"
        self.held = [held for held in self.held if not (held == tag or (up_to and (tag == 0 or held < tag)))]

    def recover(self) -> None:
        """Recover."""
        self.held = []
        self.channel.basic_recover(requeue=True)

    def purge(self) -> Any:
        """Purge the queue."""
        return self.channel.queue_purge(QUEUE)

    def qos(self, count: int, shared: bool) -> None:
        """Set a prefetch."""
        self.channel.basic_qos(0, count, shared)

    def consume(self, tag: str, no_ack: bool, exclusive: bool) -> None:
        """Add a consumer."""
        self.channel.basic_consume(
            QUEUE,
            tag,
            no_ack=no_ack,
            exclusive=exclusive,
            callback=lambda message: self._deliver(message, no_ack),
            on_cancel=self._cancelled.add,
        )

    def cancel(self, tag: str) -> None:
        """Cancel a consumer, there or not."""
        self.channel.basic_cancel(tag)

    def delete(self, if_unused: bool, if_empty: bool) -> Any:
        """Delete the queue, perhaps on a condition, and declare it again.

        Deliveries that are still held end with their channel before that: RabbitMQ would take their tags for
        those of messages in the new queue, and duplicate what it finds there.
        """
        count = self.channel.queue_delete(QUEUE, if_unused, if_empty)
        if self.held:
            self.channel.close()
            self.channel = self._connection.channel()
            self._cancelled.clear()
            self._fresh()
        self.channel.queue_declare(QUEUE, auto_delete=False, arguments=self._arguments)
        return count

    def redeclare(self, durable: bool, arguments: dict[str, Any]) -> None:
        """Declare the queue as it may not be."""
        self.channel.queue_declare(QUEUE, durable=durable, auto_delete=False, arguments=arguments)

    def _deliver(self, message: Any, no_ack: bool) -> None:
        self._seen.append((message.body, message.delivery_info))
        if not no_ack:
            self.held.append(message.delivery_info["delivery_tag"])

    def _count(self) -> Any:
        return tuple(self.channel.queue_declare(QUEUE, passive=True))

    def _fresh(self) -> None:
        self.held, self.renewed = [], True
        self.channel.queue_declare(QUEUE, auto_delete=False, arguments=self._arguments)

    def _recover_from_error(self) -> None:
        if not self._connection.connected:
            self._connection = self._connect()
            self._connection.connect()
            self.channel = self._connection.channel()
        self.channel.callbacks.clear()
        self._fresh()


flags = st.booleans()
rarely = st.sampled_from([False] * 5 + [True])
tags = st.sampled_from("ab")
arguments = st.sampled_from([{}, *KINDS.values(), {"x-max-length": 4}])
#: What a program is made of: how often, and with which arguments (a settled tag is picked from those held, or odd).
OPERATIONS: Mapping[str, tuple[int, st.SearchStrategy[tuple[Any, ...]]]] = {
    "publish": (7, st.tuples(st.integers(1, 4), st.none() | st.integers(0, 6))),
    "get": (5, st.tuples(rarely)),
    "settle": (
        8,
        st.tuples(
            st.sampled_from(["ack", "nack", "reject"]),
            st.sampled_from([*range(5)] * 4 + [None]),
            st.sampled_from([0, 1, 99]),
            flags,
            flags,
        ),
    ),
    "consume": (4, st.tuples(tags, rarely, rarely)),
    "qos": (3, st.tuples(st.integers(0, 3), flags)),
    "cancel": (2, st.tuples(tags)),
    "recover": (1, st.just(())),
    "purge": (1, st.just(())),
    "delete": (1, st.tuples(flags, flags)),
    "redeclare": (1, st.tuples(flags, arguments)),
}
operations = st.sampled_from([name for name, (often, _) in OPERATIONS.items() for _ in range(often)]).flatmap(
    lambda name: st.tuples(st.just(name), OPERATIONS[name][1])
)


class DifferenceError(AssertionError):
    """Two brokers do not agree."""


class Comparison(RuleBasedStateMachine):
    """The same operations on both brokers."""

    ours: Side
    theirs: Side
    patience: float

    def __init__(self) -> None:
        super().__init__()
        self.number = 0
        self.cancelled = Counter[str]()
        self.consumers = set[str]()
        self.limited = False

    @initialize(kind=st.sampled_from(sorted(KINDS)))
    def begin(self, kind: str) -> None:
        self.sides = (self.ours, self.theirs)
        for side in self.sides:
            side.begin(kind)

    @rule(operation=operations)
    def perform(self, operation: tuple[str, tuple[Any, ...]]) -> None:
        name, arguments = operation
        held = self.ours.held
        if name in {"publish", "consume", "cancel", "qos"}:
            getattr(self, name)(*arguments)
        elif name != "settle":
            self.both(name, *arguments)
        elif held or arguments[1] is None:
            self.settle(held, *arguments)
        else:
            self.both("get", False)

    def publish(self, count: int, priority: int | None) -> None:
        self.number += count
        self.both("publish", [str(number) for number in range(self.number - count, self.number)], priority)

    def consume(self, letter: str, *how: bool) -> None:
        if not self.limited or self.consumers <= {letter}:
            self.consumers.add(letter)
            self.both("consume", f"{letter}{self.cancelled[letter]}", *how)

    def cancel(self, letter: str) -> None:
        self.both("cancel", f"{letter}{self.cancelled[letter]}")
        self.cancelled[letter] += 1
        self.consumers.discard(letter)

    def qos(self, count: int, shared: bool) -> None:
        if not count or len(self.consumers) < 2:
            self.limited = self.limited or count > 0
            self.both("qos", count, shared)

    def settle(
        self, held: list[int], verb: str, pick: int | None, odd: int, multiple: bool, requeue: bool
    ) -> None:
        self.both("settle", verb, odd if pick is None else held[pick % len(held)], multiple, requeue)

    def both(self, operation: str, *arguments: Any) -> None:
        replies = [side.perform(operation, *arguments) for side in self.sides]
        deadline = time.monotonic() + self.patience
        states = [side.settled() for side in self.sides]
        while states[0] != states[1] and time.monotonic() < deadline:
            states = [side.settled() for side in self.sides]
        if self.ours.renewed:
            self.consumers, self.limited = set(), False
        if replies[0] != replies[1] or states[0] != states[1]:
            raise DifferenceError(
                f"{operation}{arguments}:\n  ours   {replies[0]} {states[0]}\n  theirs {replies[1]} {states[1]}"
            )

    def teardown(self) -> None:
        for side in getattr(self, "sides", ()):
            side.end()


def compare(ours: Callable[[], Any], theirs: Callable[[], Any], *, patience: float, **how: Any) -> None:
    """Run programs on the brokers behind two kinds of connections until something differs.

    Raises:
        DifferenceError: something does.
    """

    class Machine(Comparison):
        pass

    Machine.ours, Machine.theirs, Machine.patience = Side(ours), Side(theirs), patience
    try:
        run_state_machine_as_test(Machine, settings=settings(verdict, **how))
    finally:
        Machine.ours.close()
        Machine.theirs.close()


@contextmanager
def in_process(name: str, broker: Broker) -> Iterator[Callable[[], Any]]:
    """Give a function that connects to a broker in process."""
    inproc.listen(name, broker)
    try:
        yield lambda: inproc.Connection(name)
    finally:
        inproc.unlisten(name)


def test_it_answers_as_rabbitmq_does(rabbitmq_port: int) -> None:
    """No random program tells the embedded broker from RabbitMQ 3.10."""
    with BrokerThread(Broker(WallClock(), record=False)) as server:
        compare(
            lambda: amqp.Connection(f"127.0.0.1:{server.port}"),
            lambda: amqp.Connection(f"127.0.0.1:{rabbitmq_port}"),
            patience=PATIENCE,
        )


class RequeuesAtTail(Broker):
    """A returned message queues up again."""

    def _requeue(self, deliveries: Iterable[Delivery], reason: str) -> None:
        returned = list(deliveries)
        for delivery in returned:
            delivery.queue.published += 1
            delivery.item.position = delivery.queue.published
        super()._requeue(returned, reason)


class GivesOneTooMany(Broker):
    """A prefetch of n lets n + 1 through."""

    def _record_consumer(self, consumer: Consumer) -> None:
        super()._record_consumer(consumer)
        consumer.prefetch += bool(consumer.prefetch)


class IgnoresTheSharedLimit(Broker):
    """The channel's prefetch is accepted and ignored."""

    def qos(
        self, channel: Channel, prefetch_count: int, *, shared: bool = False, prefetch_size: int = 0
    ) -> None:
        super().qos(channel, 0 if shared else prefetch_count, shared=shared, prefetch_size=prefetch_size)


class SettlesOneMore(Broker):
    """Multiple takes the next tag along."""

    def _taken(self, channel: Channel, tag: int, *, multiple: bool) -> list[Delivery]:
        return super()._taken(channel, tag + (multiple and tag + 1 in channel.unacked), multiple=multiple)


class NeverSaysRedelivered(Broker):
    """The redelivered flag stays false."""

    def _hand_out(self, channel: Channel, queue: Queue, item: QueuedMessage, *who: Any, **how: Any) -> int:
        tag = super()._hand_out(channel, queue, item, *who, **how)
        item.redelivered = False
        return tag


class KeepsOneMore(Broker):
    """A maximum length of n keeps n + 1."""

    def _create_queue(self, channel: Channel, queue: Queue) -> None:
        super()._create_queue(channel, queue)
        if queue.limits.max_length is not None:
            queue.limits = replace(queue.limits, max_length=queue.limits.max_length + 1)


class IgnoresPriorities(Broker):
    """Messages leave a priority queue in the order they came."""

    def _create_queue(self, channel: Channel, queue: Queue) -> None:
        super()._create_queue(channel, queue)
        queue.limits = replace(queue.limits, max_priority=0)


@pytest.mark.parametrize(
    "wrong",
    [
        RequeuesAtTail,
        GivesOneTooMany,
        IgnoresTheSharedLimit,
        SettlesOneMore,
        NeverSaysRedelivered,
        KeepsOneMore,
        IgnoresPriorities,
    ],
    ids=lambda wrong: wrong.__name__,
)
def test_a_broken_broker_is_told_from_a_whole_one(wrong: type[Broker]) -> None:
    """With the programs of the comparison with RabbitMQ, each of seven planted bugs makes a difference."""
    with (
        in_process("broken", wrong(VirtualClock())) as broken,
        in_process("whole", Broker(VirtualClock())) as whole,
        pytest.raises(DifferenceError),
    ):
        compare(broken, whole, patience=0, phases=[Phase.generate])


def test_a_whole_broker_is_not_told_from_another() -> None:
    """Without a planted bug the same programs find nothing, so the comparison itself makes no difference."""
    with (
        in_process("one", Broker(VirtualClock())) as one,
        in_process("two", Broker(VirtualClock())) as two,
    ):
        compare(one, two, patience=0, max_examples=PROGRAMS // 5)
