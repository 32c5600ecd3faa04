"""How a message moves: into a queue, to a consumer, back to its place, or to its death.

A queue is kept *settled*: after every operation no message is ready while a consumer of its queue has
capacity, nothing overdue is at the head, and no limit is exceeded.  ``_settle_queue`` restores that, in the
order in which RabbitMQ does: limit, time to live, consumers.  A message that arrives at an empty queue is
offered to consumers first, which is why an expiration of 0 still reaches a consumer that waits.
"""

from __future__ import annotations

from collections.abc import Iterable

from celeriac.reference.broker.deadletter import Reason, buried, in_cycle
from celeriac.reference.broker.effects import Deliver
from celeriac.reference.broker.messages import Message, QueuedMessage
from celeriac.reference.broker.model import Channel, Consumer, Delivery, Queue
from celeriac.reference.broker.queues import Queues
from celeriac.reference.broker.routing import copies, route
from celeriac.reference.broker.timers import TOLERANCE, Timer

__all__ = ["Flow"]


class Flow(Queues):
    """The layer that moves messages."""

    def _create_queue(self, channel: Channel, queue: Queue) -> None:
        super()._create_queue(channel, queue)
        queue.expiry = Timer(lambda: _head_deadline(queue), lambda: self._settle_queue(queue))

    def _enqueue(self, queue: Queue, message: Message) -> bool:
        """Put a message into a queue; False means that the queue was full and refused it."""
        limits = queue.limits
        if limits.overflow != "drop-head" and _exceeds(queue, 1, len(message.body)):
            self._record("drop", None, queue=queue.name, message=message.id, reason="refused")
            if limits.overflow == "reject-publish-dlx":
                self._bury(queue, message, "maxlen")
            return False
        queue.published += 1
        priority = _priority(queue, message) if limits.max_priority else 0
        item = QueuedMessage(message, queue.published, priority, self._deadline(queue, message))
        consumer = None if queue.backlog else _next_consumer(queue)
        if consumer is not None:
            self._deliver(queue, consumer, item)
        else:
            queue.backlog.push(item)
            self._settle_queue(queue)
        return True

    def _deadline(self, queue: Queue, message: Message) -> float | None:
        ttl_ms = queue.limits.ttl_ms
        own = message.properties.expiration
        if own is not None and message.expiration is not None:
            ttl_ms = int(own) if ttl_ms is None else min(ttl_ms, int(own))
        return None if ttl_ms is None else self.clock.monotonic() + ttl_ms / 1000

    def _settle_queue(self, queue: Queue) -> None:
        """Drop what exceeds the limits, expire what is overdue, serve the consumers."""
        if queue.deleted:
            return
        while queue.limits.overflow == "drop-head" and queue.backlog and _exceeds(queue):
            item = queue.backlog.pop()
            self._record("drop", None, queue=queue.name, message=item.message.id, reason="maxlen")
            self._bury(queue, item.message, "maxlen")
        self._expire_head(queue)
        self._serve(queue)
        if queue.expiry is not None:
            self._timers.arm(queue.expiry)

    def _expire_head(self, queue: Queue) -> None:
        while (deadline := _head_deadline(queue)) is not None:
            if deadline - self.clock.monotonic() >= TOLERANCE:
                return
            item = queue.backlog.pop()
            self._record("expire", None, queue=queue.name, message=item.message.id)
            self._bury(queue, item.message, "expired")

    def _serve(self, queue: Queue) -> None:
        """Deliver what is not overdue to consumers with capacity."""
        while queue.consumers and queue.backlog:
            self._expire_head(queue)
            consumer = _next_consumer(queue) if queue.backlog else None
            if consumer is None:
                return
            self._deliver(queue, consumer, queue.backlog.pop())

    def _deliver(self, queue: Queue, consumer: Consumer, item: QueuedMessage) -> None:
        channel = consumer.channel
        message = item.message
        redelivered = item.redelivered
        tag = self._hand_out(channel, queue, item, consumer, no_ack=consumer.no_ack)
        self._record(
            "deliver",
            channel.session,
            channel=channel.number,
            queue=queue.name,
            message=message.id,
            tag=tag,
            consumer=consumer.tag,
            redelivered=redelivered,
            no_ack=consumer.no_ack,
        )
        exchange, key = message.exchange, message.routing_key
        channel.session.emit(
            Deliver(channel.number, consumer.tag, tag, redelivered, exchange, key, message),
        )
        if self.faults.rules:
            self._maybe_duplicate(channel, queue, item)

    def _hand_out(
        self,
        channel: Channel,
        queue: Queue,
        item: QueuedMessage,
        consumer: Consumer | None,
        *,
        no_ack: bool,
    ) -> int:
        """Take the next delivery tag; unless ``no_ack``, lease the message to the channel."""
        channel.last_tag = tag = channel.last_tag + 1
        item.redelivered = True
        if no_ack:
            return tag
        channel.unacked[tag] = Delivery(tag, item, queue, consumer, self.clock.monotonic())
        queue.unacked += 1
        if consumer is not None:
            consumer.unacked += 1
            if channel.shared_prefetch:
                channel.shared_unacked += 1
        self._lease_taken(channel)
        return tag

    def _lease_taken(self, channel: Channel) -> None:
        if channel.lease is not None:
            self._timers.arm(channel.lease)

    def _maybe_duplicate(self, channel: Channel, queue: Queue, item: QueuedMessage) -> None:
        facts = {"session": channel.session.id, "queue": queue.name, "message": item.message.id}
        if self.faults.strike("deliver", "duplicate", **facts) is not None:
            self._record("fault", channel.session, point="deliver", action="duplicate")
            queue.published += 1
            copy = QueuedMessage(
                item.message, queue.published, item.priority, item.deadline, redelivered=True
            )
            queue.backlog.push(copy)
            self._settle_queue(queue)

    def _requeue(self, deliveries: Iterable[Delivery], reason: str) -> None:
        """Put deliveries back to their places; nobody is served before all are there."""
        queues: dict[Queue, None] = {}
        for delivery in deliveries:
            queue = delivery.queue
            if queue.deleted:
                continue
            queue.backlog.put_back(delivery.item)
            queues[queue] = None
            self._record("requeue", None, queue=queue.name, message=delivery.item.message.id, reason=reason)
        for queue in queues:
            self._settle_queue(queue)

    def _bury(self, queue: Queue, message: Message, reason: Reason) -> None:
        """Send a dead message to the queue's dead letter exchange, if it has one."""
        exchange = self.exchanges.get(queue.limits.dead_letter_exchange or "")
        if queue.limits.dead_letter_exchange is None or exchange is None:
            return
        now = self.clock.now()
        dead = buried(message, queue, reason, now, last_death=self.dialect.last_death)
        routed = self._route(dead)
        targets = [target for target in routed if not in_cycle(dead, reason, target)]
        self._record(
            "dead",
            None,
            queue=queue.name,
            message=dead.id,
            reason=reason,
            exchange=exchange.name,
            routing_key=dead.routing_key,
            queues=[target.name for target in targets],
        )
        for target in targets:
            self._enqueue(target, dead)

    def _route(self, message: Message) -> list[Queue]:
        """Answer the queues that the exchange, the keys and the headers of a message lead to."""
        headers = message.headers
        if not message.exchange and not headers and not message.blind_copies:
            queue = self.queues.get(message.routing_key)
            return [] if queue is None else [queue]
        keys = [message.routing_key, *copies(headers, "CC"), *message.blind_copies]
        return route(self.exchanges, self.queues, self.exchanges[message.exchange], keys, headers)


def _head_deadline(queue: Queue) -> float | None:
    head = queue.backlog.head()
    return None if head is None else head.deadline


def _priority(queue: Queue, message: Message) -> int:
    return min(message.properties.priority or 0, queue.limits.max_priority)


def _exceeds(queue: Queue, more: int = 0, more_bytes: int = 0) -> bool:
    """Say whether a queue with ``more`` ready messages would exceed its limits."""
    limits = queue.limits
    if limits.max_length is not None and len(queue.backlog) + more > limits.max_length:
        return True
    if limits.max_bytes is None:
        return False
    return sum(len(item.message.body) for item in queue.backlog) + more_bytes > limits.max_bytes


def _next_consumer(queue: Queue) -> Consumer | None:
    """Answer whose turn it is among those with capacity, and move it behind its equals."""
    consumers = queue.consumers
    for index, consumer in enumerate(consumers):
        if consumer.has_capacity():
            if len(consumers) > 1:
                del consumers[index]
                insert_by_priority(consumers, consumer)
            return consumer
    return None


def insert_by_priority(consumers: list[Consumer], consumer: Consumer) -> None:
    """Put a consumer behind all others of the same or a higher priority."""
    at = next(
        (index for index, other in enumerate(consumers) if other.priority < consumer.priority), len(consumers)
    )
    consumers.insert(at, consumer)
