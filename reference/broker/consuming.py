"""What consumers do: subscribe, get, and say what became of a delivery."""

from __future__ import annotations

from collections.abc import Iterable

from celeriac.reference.broker.arguments import consumer_priority, consumer_timeout, where
from celeriac.reference.broker.effects import GetOk
from celeriac.reference.broker.errors import ChannelError, ConnectionError_
from celeriac.reference.broker.flow import Flow, insert_by_priority
from celeriac.reference.broker.messages import Arguments
from celeriac.reference.broker.model import Channel, Consumer, Delivery, Queue, Settlement

__all__ = ["Consuming"]


class Consuming(Flow):
    """The layer of consumers and settlements."""

    def qos(
        self, channel: Channel, prefetch_count: int, *, shared: bool = False, prefetch_size: int = 0
    ) -> None:
        """Set the prefetch of later consumers, or (``shared``, the global flag) of the whole channel; 0 is none.

        Setting the former ends the latter.  When a shared limit is switched on, everything that is unacknowledged
        counts towards it, also what basic.get took.

        Raises:
            ConnectionError_: 540, a prefetch size.
        """
        self._use(channel)
        if prefetch_size:
            raise ConnectionError_(540, f"prefetch_size!=0 ({prefetch_size})")
        if not shared:
            channel.prefetch = prefetch_count
            channel.shared_prefetch = channel.shared_unacked = 0
        else:
            if not channel.shared_prefetch or not prefetch_count:
                channel.shared_unacked = len(channel.unacked) if prefetch_count else 0
            channel.shared_prefetch = prefetch_count
        self._record("qos", channel.session, channel=channel.number, prefetch=prefetch_count, shared=shared)
        self._serve_channel(channel)

    def consume(
        self,
        channel: Channel,
        queue: str,
        tag: str = "",
        *,
        no_ack: bool = False,
        exclusive: bool = False,
        arguments: Arguments | None = None,
    ) -> str:
        """Subscribe to a queue; answer the consumer tag, a new one for an empty ``tag``.

        Raises:
            ChannelError: 403 in exclusive use, 404 no queue, 405 somebody else's, 406 a wrong argument.
            ConnectionError_: 530 the tag is in use on the channel, 540 quorum queue under a shared prefetch.
        """
        self._use(channel)
        if tag in channel.consumers:
            raise ConnectionError_(530, f"attempt to reuse consumer tag '{tag}'")
        found = self._queue(channel, queue)
        consumer = self._consumer(channel, found, tag, dict(arguments or {}))
        consumer.no_ack, consumer.exclusive = no_ack, exclusive
        if found.consumers and (exclusive or found.consumers[0].exclusive):
            raise ChannelError(403, f"{where('queue', found.name, self.vhost)} in exclusive use")
        channel.consumers[consumer.tag] = consumer
        insert_by_priority(found.consumers, consumer)
        found.had_consumer = True
        self._record_consumer(consumer)
        self._consumer_joined(channel)
        self._settle_queue(found)
        return consumer.tag

    def cancel(self, channel: Channel, tag: str) -> None:
        """End a subscription; its deliveries stay with the channel.  An unknown tag is fine."""
        consumer = self._use(channel).consumers.pop(tag, None)
        if consumer is not None:
            self._leave(consumer, by="client")

    def get(self, channel: Channel, queue: str, *, no_ack: bool = False) -> GetOk | None:
        """Take one message out of a queue, None when it is empty.

        Raises:
            ChannelError: 404 no queue, 405 somebody else's.
        """
        found = self._queue(self._use(channel), queue)
        self._touch(found)
        self._settle_queue(found)
        if not found.backlog:
            return None
        item = found.backlog.pop()
        message, redelivered = item.message, item.redelivered
        tag = self._hand_out(channel, found, item, None, no_ack=no_ack)
        self._record(
            "get",
            channel.session,
            channel=channel.number,
            queue=found.name,
            message=message.id,
            tag=tag,
            redelivered=redelivered,
            no_ack=no_ack,
        )
        self._settle_queue(found)
        count = len(found.backlog)
        return GetOk(tag, redelivered, message.exchange, message.routing_key, count, message)

    def ack(self, channel: Channel, tag: int, *, multiple: bool = False) -> None:
        """Acknowledge a delivery, or all up to it (0: all there are).

        Raises:
            ChannelError: 406, the tag is not that of a held delivery.
        """
        self._say(channel, Settlement(self._taken(channel, tag, multiple=multiple), "ack"))

    def nack(self, channel: Channel, tag: int, *, multiple: bool = False, requeue: bool = True) -> None:
        """Refuse a delivery, or all up to it: back to its place, or dead.

        Raises:
            ChannelError: 406, the tag is not that of a held delivery.
        """
        taken = self._taken(channel, tag, multiple=multiple)
        self._say(channel, Settlement(taken, "requeue" if requeue else "reject"))

    def reject(self, channel: Channel, tag: int, *, requeue: bool = True) -> None:
        """Refuse one delivery; see ``nack``."""
        self.nack(channel, tag, requeue=requeue)

    def recover(self, channel: Channel, *, requeue: bool = True) -> None:
        """Put everything the channel holds back to its place.

        Raises:
            ConnectionError_: 540, ``requeue`` is False.
        """
        self._use(channel)
        if not requeue:
            raise ConnectionError_(540, "requeue=false")
        deliveries = list(channel.unacked.values())
        channel.unacked.clear()
        self._settle(channel, Settlement(deliveries, "recover"))

    def _consumer(self, channel: Channel, queue: Queue, tag: str, arguments: Arguments) -> Consumer:
        place = where("queue", queue.name, self.vhost)
        quorum = queue.limits.quorum
        if quorum and channel.shared_prefetch:
            raise ConnectionError_(540, f"{place} does not support global qos")
        return Consumer(
            tag or f"amq.ctag-{self._count('consumer')}",
            channel,
            queue,
            priority=consumer_priority(arguments, place),
            prefetch=channel.prefetch,
            timeout_ms=consumer_timeout(arguments, place, self.dialect, quorum=quorum),
            arguments=arguments,
        )

    def _record_consumer(self, consumer: Consumer) -> None:
        self._record(
            "consumer.add",
            consumer.channel.session,
            channel=consumer.channel.number,
            queue=consumer.queue.name,
            consumer=consumer.tag,
            no_ack=consumer.no_ack,
            exclusive=consumer.exclusive,
            priority=consumer.priority,
            prefetch=consumer.prefetch,
        )

    def _consumer_joined(self, channel: Channel) -> None:
        """Hook of the layer of leases: a client that starts to consume may sweep."""

    def _leave(self, consumer: Consumer, *, by: str) -> None:
        """Take a consumer from its queue, which may be the end of an auto-delete queue."""
        queue = consumer.queue
        self._record_cancel(consumer.channel, queue, consumer.tag, by=by)
        queue.consumers.remove(consumer)
        self._touch(queue)
        if queue.auto_delete and not queue.consumers:
            self._remove_queue(queue, "auto-delete")

    def _taken(self, channel: Channel, tag: int, *, multiple: bool) -> list[Delivery]:
        """Remove deliveries from the channel and answer them, oldest first."""
        unacked = self._use(channel).unacked
        if multiple and tag == 0:
            tags = list(unacked)
        elif tag not in unacked:
            raise ChannelError(406, f"unknown delivery tag {tag}")
        else:
            tags = [held for held in unacked if held <= tag] if multiple else [tag]
        return [unacked.pop(held) for held in tags]

    def _say(self, channel: Channel, settlement: Settlement) -> None:
        if channel.tx is None:
            self._settle(channel, settlement)
        else:
            channel.tx.settlements.append(settlement)

    def _settle(self, channel: Channel, settlement: Settlement) -> None:
        """Settle consumer by consumer, as RabbitMQ does: what one gives back may go out before the next is heard."""
        for deliveries in _by_consumer(settlement.deliveries):
            current = self._release(channel, deliveries)
            for delivery in deliveries:
                self._record_settlement(channel, delivery, settlement.outcome)
            self._dispose(current, settlement.outcome)
            self._serve_freed(channel, deliveries)

    def _dispose(self, deliveries: list[Delivery], outcome: str) -> None:
        if outcome == "requeue":
            self._requeue(deliveries, "requeued by the consumer")
        elif outcome == "recover":
            self._requeue(deliveries, "recover")
        elif outcome == "reject":
            for delivery in deliveries:
                if not delivery.queue.deleted:
                    self._bury(delivery.queue, delivery.item.message, "rejected")

    def _record_settlement(self, channel: Channel, delivery: Delivery, outcome: str) -> None:
        if self._unheard():
            return
        data = {
            "channel": channel.number,
            "queue": delivery.queue.name,
            "message": delivery.item.message.id,
            "tag": delivery.tag,
            "stale": delivery.stale,
        }
        if outcome == "ack":
            self._record("ack", channel.session, **data)
        elif outcome != "recover":
            self._record("reject", channel.session, requeue=outcome == "requeue", **data)

    @staticmethod
    def _release(channel: Channel, deliveries: Iterable[Delivery]) -> list[Delivery]:
        """Give back what the deliveries took of prefetch limits; answer those whose lease still counts."""
        current = []
        for delivery in deliveries:
            if not delivery.stale:
                delivery.queue.unacked -= 1
                current.append(delivery)
            if delivery.consumer is not None:
                delivery.consumer.unacked -= 1
                channel.shared_unacked = max(0, channel.shared_unacked - 1)
        return current

    def _serve_freed(self, channel: Channel, deliveries: Iterable[Delivery]) -> None:
        if channel.shared_prefetch:
            self._serve_channel(channel)
            return
        for delivery in deliveries:
            if delivery.queue.backlog:
                self._settle_queue(delivery.queue)

    def _serve_channel(self, channel: Channel) -> None:
        for queue in dict.fromkeys(consumer.queue for consumer in channel.consumers.values()):
            self._settle_queue(queue)


def _by_consumer(deliveries: list[Delivery]) -> list[list[Delivery]]:
    """Group deliveries by queue and consumer, in the order of their names; those of basic.get come first, singly."""
    if len(deliveries) == 1:
        return [deliveries]
    groups: dict[tuple[str, str, int], list[Delivery]] = {}
    for delivery in deliveries:
        holder = ("", delivery.tag) if delivery.consumer is None else (delivery.consumer.tag, 0)
        groups.setdefault((delivery.queue.name, *holder), []).append(delivery)
    return [groups[key] for key in sorted(groups)]
