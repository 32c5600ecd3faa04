"""Queues: declare, bind, purge, delete, and the queues that delete themselves."""

from __future__ import annotations

from celeriac.reference.broker.arguments import EQUIVALENT, limits, where
from celeriac.reference.broker.backlog import Backlog
from celeriac.reference.broker.effects import CancelConsumer, QueueInfo
from celeriac.reference.broker.errors import ChannelError
from celeriac.reference.broker.exchanges import Exchanges, same_arguments, same_flag
from celeriac.reference.broker.messages import Arguments
from celeriac.reference.broker.model import Channel, Queue
from celeriac.reference.broker.timers import Timer

__all__ = ["Queues"]


class Queues(Exchanges):
    """The layer that knows which queues there are."""

    def declare_queue(
        self,
        channel: Channel,
        name: str = "",
        *,
        passive: bool = False,
        durable: bool = False,
        exclusive: bool = False,
        auto_delete: bool = False,
        arguments: Arguments | None = None,
    ) -> QueueInfo:
        """Create a queue, or check that it is there (passive) or equal; an empty name asks for a new one.

        Raises:
            ChannelError: 403 reserved name, 404 passive and missing, 405 somebody else's, 406 inequivalent.
        """
        self._use(channel)
        if passive:
            return self._declared(channel, self._passively(channel, name))
        name = name or f"amq.gen-{self._count('queue')}"
        owner = channel.session if exclusive else None
        wanted = Queue(name, durable, auto_delete, owner, dict(arguments or {}))
        if name in self.queues:
            self._same_queue(channel, wanted, self.queues[name])
        else:
            self._create_queue(channel, wanted)
        return self._declared(channel, self.queues[name])

    def bind_queue(
        self,
        channel: Channel,
        queue: str,
        exchange: str,
        routing_key: str = "",
        arguments: Arguments | None = None,
    ) -> None:
        """Bind a queue to an exchange; with an empty queue name an empty key means the queue's name.

        Raises:
            ChannelError: 403 default exchange, 404 one of them is missing, 405 somebody else's queue.
        """
        self._use(channel)
        self._not_default(exchange)
        if not queue:
            routing_key = routing_key or self._queue(channel, queue).name
        source = self._exchange(exchange)
        self._bind(channel, source, self._queue(channel, queue), routing_key, arguments)

    def unbind_queue(
        self,
        channel: Channel,
        queue: str,
        exchange: str,
        routing_key: str = "",
        arguments: Arguments | None = None,
    ) -> None:
        """Remove a binding of a queue; a missing one is fine.

        Raises:
            ChannelError: 403 default exchange, 404 no queue named and none declared.
        """
        self._use(channel)
        self._not_default(exchange)
        if not queue:
            queue = self._queue(channel, queue).name
            routing_key = routing_key or queue
        self._unbind(channel, exchange, self.queues.get(queue), routing_key, arguments)

    def purge_queue(self, channel: Channel, queue: str) -> int:
        """Throw away what is ready in a queue; answer how many messages that were."""
        found = self._queue(self._use(channel), queue)
        messages = [item.message.id for item in found.backlog.clear()]
        self._record(
            "queue.purge", channel.session, channel=channel.number, queue=found.name, messages=messages
        )
        return len(messages)

    def delete_queue(
        self, channel: Channel, queue: str, *, if_unused: bool = False, if_empty: bool = False
    ) -> int:
        """Delete a queue with its bindings and messages; answer how many were ready, 0 for a missing one.

        Raises:
            ChannelError: 405 somebody else's, 406 not empty or in use.
        """
        self._use(channel)
        if queue and queue not in self.queues:
            return 0
        found = self._queue(channel, queue)
        place = where("queue", found.name, self.vhost)
        if if_empty and found.backlog:
            raise ChannelError(406, f"{place} not empty")
        if if_unused and found.consumers:
            raise ChannelError(406, f"{place} in use")
        return self._remove_queue(found, "deleted")

    def _same_queue(self, channel: Channel, wanted: Queue, current: Queue) -> None:
        self._unlocked(channel, current)
        if wanted.owner is not current.owner:
            raise self._locked(wanted.name)
        place = where("queue", wanted.name, self.vhost)
        same_flag("durable", wanted.durable, current.durable, place)
        same_flag("auto_delete", wanted.auto_delete, current.auto_delete, place)
        same_arguments(EQUIVALENT, wanted.arguments, current.arguments, place)

    def _passively(self, channel: Channel, name: str) -> Queue:
        if name not in self.queues:
            raise ChannelError(404, f"no {where('queue', name, self.vhost)}")
        return self._queue(channel, name)

    def _declared(self, channel: Channel, queue: Queue) -> QueueInfo:
        channel.last_queue = queue.name
        self._touch(queue)
        return QueueInfo(queue.name, len(queue.backlog), len(queue.consumers))

    def _create_queue(self, channel: Channel, queue: Queue) -> None:
        if not queue.name.startswith("amq.gen-"):
            self._not_reserved("queue", queue.name)
        queue.limits = limits(queue.arguments, queue.name, self.vhost, self.dialect)
        self._refuse_quorum_flags(queue)
        queue.backlog = Backlog(queue.limits.max_priority)
        queue.disuse = Timer(lambda: _disused_at(queue), lambda: self._disused(queue))
        self.queues[queue.name] = queue
        self._record(
            "queue.declare",
            channel.session,
            channel=channel.number,
            queue=queue.name,
            durable=queue.durable,
            exclusive=queue.owner is not None,
            auto_delete=queue.auto_delete,
            arguments=queue.arguments,
        )

    def _refuse_quorum_flags(self, queue: Queue) -> None:
        flags = {"non-durable": not queue.durable, "exclusive-owner": queue.owner is not None}
        for flag, wrong in flags.items():
            if queue.limits.quorum and wrong:
                place = where("queue", queue.name, self.vhost)
                raise ChannelError(406, f"invalid property '{flag}' for {place}")

    def _remove_queue(self, queue: Queue, reason: str) -> int:
        """Delete a queue; consumers are told, held deliveries have nowhere to go back to."""
        del self.queues[queue.name]
        queue.deleted = True
        messages = [item.message.id for item in queue.backlog.clear()]
        self._record("queue.delete", None, queue=queue.name, reason=reason, messages=messages)
        for consumer in queue.consumers:
            self._record_cancel(consumer.channel, queue, consumer.tag, by="broker")
            del consumer.channel.consumers[consumer.tag]
            if consumer.channel.session.cancel_notify:
                consumer.channel.session.emit(CancelConsumer(consumer.channel.number, consumer.tag))
        queue.consumers = []
        self._forget_destination(queue)
        return len(messages)

    def _record_cancel(self, channel: Channel, queue: Queue, tag: str, *, by: str) -> None:
        self._record(
            "consumer.cancel",
            channel.session,
            channel=channel.number,
            queue=queue.name,
            consumer=tag,
            by=by,
        )

    def _touch(self, queue: Queue) -> None:
        """Restart the time after which an unused queue goes (``x-expires``)."""
        if queue.limits.expires_ms is not None and queue.disuse is not None:
            queue.used_at = self.clock.monotonic()
            self._timers.arm(queue.disuse)

    def _disused(self, queue: Queue) -> None:
        self._remove_queue(queue, "expired")


def _disused_at(queue: Queue) -> float | None:
    expires_ms = queue.limits.expires_ms
    if expires_ms is None or queue.consumers or queue.deleted:
        return None
    return queue.used_at + expires_ms / 1000
