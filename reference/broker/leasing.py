"""Expired leases: who is overdue, when anybody looks, and what follows (see ``lease.py``)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from celeriac.reference.broker.effects import CancelConsumer, CloseChannel
from celeriac.reference.broker.errors import BrokerError, ChannelError
from celeriac.reference.broker.lease import Action, Check, LeasePolicy, Scope, next_tick
from celeriac.reference.broker.model import Channel, Delivery, Queue
from celeriac.reference.broker.publishing import Publishing, settled_in
from celeriac.reference.broker.timers import TOLERANCE, Timer

__all__ = ["Leasing"]


class Leasing(Publishing):
    """The layer that opens and closes channels, and takes back what they hold for too long."""

    def _lease_to(self, channel: Channel) -> None:
        """Give a new channel the timer that its leases need."""
        policy = self.dialect.quorum or self.dialect.classic
        if policy is not None and policy.check is Check.SWEEP:
            channel.lease = Timer(lambda: self._sweep_due(channel, policy), self._sweep)
        elif policy is not None:
            channel.lease = Timer(lambda: self._lease_due(channel), lambda: self._lease_over(channel))

    def close_channel(self, channel: Channel, code: int = 200, text: str = "", by: str = "client") -> None:
        """Close a channel: its consumers go, what it holds returns to its place, a transaction is void."""
        if not channel.closed:
            self._end_channel(channel, code, text, by)
            self._give_back(channel)

    def _end_channel(self, channel: Channel, code: int, text: str, by: str) -> None:
        """Take the channel and its consumers away; what it holds is still with it."""
        channel.closed = True
        channel.session.channels.pop(channel.number, None)
        self._record("channel.close", channel.session, channel=channel.number, code=code, text=text, by=by)
        consumers, channel.consumers = list(channel.consumers.values()), {}
        for consumer in consumers:
            if not consumer.queue.deleted:
                self._leave(consumer, by="close")

    def _give_back(self, channel: Channel) -> None:
        deliveries = list(channel.unacked.values())
        if channel.tx is not None:
            deliveries = sorted([*deliveries, *settled_in(channel.tx)], key=lambda one: one.tag)
        channel.unacked.clear()
        self._requeue(self._release(channel, deliveries), "channel closed")

    def fail_channel(self, channel: Channel, error: BrokerError) -> None:
        """Close a channel because of ``error`` and tell the client: CloseChannel in the outbox."""
        if not channel.closed:
            effect = CloseChannel(channel.number, error.code, error.text, error.class_id, error.method_id)
            channel.session.emit(effect)
            self.close_channel(channel, error.code, error.text, by="broker")

    def set_policy(self, pattern: str, definition: Mapping[str, int]) -> None:
        """Set a policy for the queues whose names match; it counts for what they have delivered before, too.

        Args:
            pattern: a regular expression.
            definition: ``consumer-timeout`` in milliseconds; there is no other key.

        Raises:
            ValueError: this version does not have such a policy.
        """
        policies = [policy for policy in (self.dialect.classic, self.dialect.quorum) if policy is not None]
        if definition.keys() != {"consumer-timeout"} or not any(policy.queue_argument for policy in policies):
            raise ValueError(f"{self.dialect.name} has no policy of {', '.join(definition) or 'nothing'}")
        self.policies = {pattern: definition["consumer-timeout"], **self.policies}
        for channel in self._channels():
            super()._lease_taken(channel)

    def lease_due(self, channel: Channel, delivery: Delivery) -> float | None:
        """Answer when a delivery that ``channel`` holds will be taken away from it, ``monotonic()`` seconds.

        None means never: the queue has no lease, it has expired silently, or nobody is there who would sweep.
        """
        policy = self._policy(delivery)
        if policy is None or delivery.stale:
            return None
        if policy.check is Check.SWEEP:
            return self._swept_at(self._deadline_of(delivery, policy), policy)
        if policy.scope is Scope.OLDEST_ON_CHANNEL:
            return self._lease_due(channel)
        return self._seen_at(channel, delivery, policy)

    def _swept_at(self, deadline: float, policy: LeasePolicy) -> float | None:
        sweeps = [
            next_tick(channel.sweeps_from, policy.interval_ms / 1000, deadline, strictly=False)
            for channel in self._channels()
            if channel.sweeps_from is not None and channel.consumers
        ]
        return min(sweeps, default=None)

    def _policy(self, delivery: Delivery) -> LeasePolicy | None:
        return self.dialect.quorum if delivery.queue.limits.quorum else self.dialect.classic

    def _timeout_ms(self, delivery: Delivery, policy: LeasePolicy) -> int:
        consumer = delivery.consumer
        if policy.consumer_argument and consumer is not None and consumer.timeout_ms is not None:
            return consumer.timeout_ms
        if not policy.queue_argument:
            return policy.timeout_ms
        said = (delivery.queue.limits.consumer_timeout_ms, self._policy_timeout_ms(delivery.queue))
        return min((own for own in said if own is not None), default=policy.timeout_ms)

    def _policy_timeout_ms(self, queue: Queue) -> int | None:
        return next((own for pattern, own in self.policies.items() if re.search(pattern, queue.name)), None)

    def _deadline_of(self, delivery: Delivery, policy: LeasePolicy) -> float:
        return delivery.taken_at + self._timeout_ms(delivery, policy) / 1000

    def _watched(self, channel: Channel) -> Iterator[tuple[Delivery, LeasePolicy]]:
        """Go through the deliveries of a channel whose lease somebody looks at."""
        for delivery in channel.unacked.values():
            policy = self._policy(delivery)
            if policy is not None and not delivery.stale:
                yield delivery, policy
                if policy.scope is Scope.OLDEST_ON_CHANNEL:
                    return

    def _lease_due(self, channel: Channel) -> float | None:
        dues = [self._seen_at(channel, delivery, policy) for delivery, policy in self._watched(channel)]
        return min(dues) if dues else None

    def _seen_at(self, channel: Channel, delivery: Delivery, policy: LeasePolicy) -> float:
        deadline = self._deadline_of(delivery, policy)
        if policy.check is Check.EXACT:
            return deadline
        return next_tick(channel.opened_at, policy.interval_ms / 1000, deadline, strictly=True)

    def _lease_over(self, channel: Channel) -> None:
        now = self.clock.monotonic()
        overdue = [
            (delivery, policy)
            for delivery, policy in self._watched(channel)
            if self._seen_at(channel, delivery, policy) - now < TOLERANCE
        ]
        for delivery, policy in overdue:
            self._record_expired(channel, delivery, policy)
        if all(self._only_cancels(delivery, policy) for delivery, policy in overdue):
            self._cancel_consumers(channel, [delivery for delivery, _ in overdue])
        else:
            self._close_overdue(channel, *overdue[0])

    def _record_expired(self, channel: Channel, delivery: Delivery, policy: LeasePolicy) -> None:
        self._record(
            "lease.expired",
            channel.session,
            channel=channel.number,
            queue=delivery.queue.name,
            message=delivery.item.message.id,
            tag=delivery.tag,
            policy=policy.action.value,
        )

    @staticmethod
    def _only_cancels(delivery: Delivery, policy: LeasePolicy) -> bool:
        consumer = delivery.consumer
        cancels = policy.action is Action.CANCEL_CONSUMER
        return cancels and consumer is not None and consumer.channel.session.cancel_notify

    def _close_overdue(self, channel: Channel, delivery: Delivery, policy: LeasePolicy) -> None:
        known = policy.action is Action.CLOSE_CHANNEL
        timeout_ms = self._timeout_ms(delivery, policy) if known else -1
        text = self.dialect.lease_text.format(channel=channel.number, timeout_ms=timeout_ms)
        self.fail_channel(channel, ChannelError(406, text))

    def _cancel_consumers(self, channel: Channel, overdue: list[Delivery]) -> None:
        for delivery in overdue:
            del channel.unacked[delivery.tag]
        self._release(channel, overdue)
        for consumer in dict.fromkeys(delivery.consumer for delivery in overdue):
            if consumer is not None and channel.consumers.pop(consumer.tag, None) is not None:
                channel.session.emit(CancelConsumer(channel.number, consumer.tag))
                self._leave(consumer, by="broker")
        self._requeue(overdue, "lease expired")

    def _consumer_joined(self, channel: Channel) -> None:
        policy = self.dialect.classic
        if policy is None or policy.check is not Check.SWEEP:
            return
        if channel.sweeps_from is None:
            channel.sweeps_from = self.clock.monotonic()
            self._sweep()
        self._lease_taken(channel)

    def _lease_taken(self, channel: Channel) -> None:
        """See to it that somebody looks: the holder's channel, or every channel that sweeps.

        A tick that is armed is armed for an older delivery, so it comes first.
        """
        policy = self.dialect.classic
        if policy is None or policy.check is Check.EXACT:
            super()._lease_taken(channel)
        elif policy.check is Check.SWEEP:
            for other in self._channels():
                super()._lease_taken(other)
        elif channel.lease is not None and channel.lease.armed is None:
            super()._lease_taken(channel)

    def _channels(self) -> list[Channel]:
        return [channel for session in self.sessions.values() for channel in session.channels.values()]

    def _sweep_due(self, channel: Channel, policy: LeasePolicy) -> float | None:
        if channel.sweeps_from is None or channel.closed or not channel.consumers:
            return None
        deadlines = [
            self._deadline_of(delivery, policy)
            for other in self._channels()
            for delivery, _ in self._watched(other)
        ]
        if not deadlines:
            return None
        return next_tick(channel.sweeps_from, policy.interval_ms / 1000, min(deadlines), strictly=False)

    def _sweep(self) -> None:
        """Requeue everything overdue behind the backs of the holders, who keep their copies."""
        now = self.clock.monotonic()
        overdue = [
            (channel, delivery, policy)
            for channel in self._channels()
            for delivery, policy in self._watched(channel)
            if self._deadline_of(delivery, policy) - now < TOLERANCE
        ]
        for channel, delivery, policy in overdue:
            self._record_expired(channel, delivery, policy)
            delivery.stale = True
            delivery.queue.unacked -= 1
        self._requeue([delivery for _, delivery, _ in overdue], "lease expired")
