"""What producers do: publish, learn that it worked, and do several things at once or not at all."""

from __future__ import annotations

import re
from functools import partial

from celeriac.reference.broker.arguments import type_name, where
from celeriac.reference.broker.consuming import Consuming
from celeriac.reference.broker.effects import Confirm, Return
from celeriac.reference.broker.errors import ChannelError
from celeriac.reference.broker.messages import Arguments, Message, Properties, Rewrite
from celeriac.reference.broker.model import Channel, Delivery, Queue, Transaction
from celeriac.reference.broker.routing import copies

__all__ = ["Publishing"]

_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)


class Publishing(Consuming):
    """The layer of publishes, confirms and transactions."""

    def check_exchange(self, channel: Channel, exchange: str) -> None:
        """Raise what ``publish`` would raise for the exchange alone, when the method arrives before the body.

        Raises:
            ChannelError: 404 no exchange, 403 an internal one.
        """
        self._use(channel)
        if self._exchange(exchange).internal:
            place = where("exchange", exchange, self.vhost)
            raise ChannelError(403, f"cannot publish to internal {place}")

    def publish(
        self,
        channel: Channel,
        exchange: str,
        routing_key: str,
        properties: Properties,
        body: bytes,
        *,
        mandatory: bool = False,
    ) -> None:
        """Publish a message: it is routed now, and appears in queues now or at commit.

        Raises:
            ChannelError: 404 no exchange, 403 internal, 406 a bad user id, expiration, CC or BCC header.
        """
        found = self.exchanges.get(exchange)
        if found is None or found.internal or channel.closed:
            self.check_exchange(channel, exchange)
        if properties.user_id is not None:
            _check_user(properties.user_id, channel.session.user)
        if properties.expiration is not None:
            _check_expiration(properties.expiration)
        if properties.headers is not None:
            _check_copies(properties.headers)
        message = Message(self._count("message"), exchange, routing_key, properties, body)
        if properties.headers is not None and "BCC" in properties.headers:
            _hide_blind_copies(message, properties.headers)
        queues = self._route(message)
        tag = 0
        if channel.confirming:
            channel.published = tag = channel.published + 1
        if channel.tx is None:
            self._distribute(channel, message, queues, tag, mandatory=mandatory)
        else:
            channel.tx.publishes.append(
                partial(self._distribute, channel, message, queues, tag, mandatory=mandatory)
            )

    def select_confirms(self, channel: Channel) -> None:
        """Confirm every later publish on the channel.

        Raises:
            ChannelError: 406, the channel is transactional.
        """
        if self._use(channel).tx is not None:
            raise ChannelError(406, "cannot switch from tx to confirm mode")
        channel.confirming = True

    def select_tx(self, channel: Channel) -> None:
        """Make the channel transactional.

        Raises:
            ChannelError: 406, the channel confirms.
        """
        if self._use(channel).confirming:
            raise ChannelError(406, "cannot switch from confirm to tx mode")
        channel.tx = channel.tx or Transaction()

    def commit_tx(self, channel: Channel) -> None:
        """Let the publishes and settlements since the last commit take effect, in that order.

        Raises:
            ChannelError: 406, the channel is not transactional.
        """
        done = self._transaction(channel)
        channel.tx = Transaction()
        for publish in done.publishes:
            publish()
        for settlement in done.settlements:
            self._settle(channel, settlement)

    def rollback_tx(self, channel: Channel) -> None:
        """Forget the publishes since the last commit; settled deliveries are held again.

        Raises:
            ChannelError: 406, the channel is not transactional.
        """
        undone = self._transaction(channel)
        channel.tx = Transaction()
        held = [*channel.unacked.values(), *settled_in(undone)]
        channel.unacked = {delivery.tag: delivery for delivery in sorted(held, key=lambda one: one.tag)}
        self._lease_taken(channel)

    def _transaction(self, channel: Channel) -> Transaction:
        tx = self._use(channel).tx
        if tx is None:
            raise ChannelError(406, "channel is not transactional")
        return tx

    def _distribute(
        self, channel: Channel, message: Message, queues: list[Queue], tag: int, *, mandatory: bool
    ) -> None:
        """Let a publish take effect: record, return, enqueue, confirm."""
        fault = None
        if self.faults.rules:
            fault = self._publish_fault(channel, message)
        self._record_publish(channel, message, [] if fault else queues, mandatory=mandatory)
        accepted = fault != "nack"
        if not fault:
            if mandatory and not queues:
                self._return(channel, message)
            for queue in queues:
                if not queue.deleted:
                    accepted = self._enqueue(queue, message) and accepted
        if tag and not channel.closed:
            self._confirm(channel, tag, ok=accepted)

    def _record_publish(
        self, channel: Channel, message: Message, queues: list[Queue], *, mandatory: bool
    ) -> None:
        if self._unheard():
            return
        self._record(
            "publish",
            channel.session,
            channel=channel.number,
            exchange=message.exchange,
            routing_key=message.routing_key,
            queues=[queue.name for queue in queues],
            message=message.id,
            properties=message.properties.raw,
            headers=message.properties.headers,
            body=message.body,
            expiration=message.properties.expiration,
            priority=message.properties.priority,
            mandatory=mandatory,
        )

    def _publish_fault(self, channel: Channel, message: Message) -> str | None:
        facts = {"exchange": message.exchange, "routing_key": message.routing_key}
        action = self.faults.strike("publish", "drop", "nack", session=channel.session.id, **facts)
        if action is not None:
            self._record("fault", channel.session, point="publish", action=action)
        return action

    def _return(self, channel: Channel, message: Message) -> None:
        code, text = 312, "NO_ROUTE"
        self._record(
            "return",
            channel.session,
            channel=channel.number,
            exchange=message.exchange,
            routing_key=message.routing_key,
            message=message.id,
            code=code,
            text=text,
        )
        exchange, key = message.exchange, message.routing_key
        channel.session.emit(Return(channel.number, code, text, exchange, key, message))

    def _confirm(self, channel: Channel, tag: int, *, ok: bool) -> None:
        if self.faults.rules and self._confirm_lost(channel, tag):
            return
        self._record("confirm", channel.session, channel=channel.number, tag=tag, ok=ok)
        channel.session.emit(Confirm(channel.number, tag, ok))

    def _confirm_lost(self, channel: Channel, tag: int) -> bool:
        facts = {"session": channel.session.id, "channel": channel.number, "tag": tag}
        if self.faults.strike("confirm", "drop", **facts) is None:
            return False
        self._record("fault", channel.session, point="confirm", action="drop")
        return True


def settled_in(transaction: Transaction) -> list[Delivery]:
    """Answer the deliveries whose settlement waits for a commit."""
    return [delivery for settlement in transaction.settlements for delivery in settlement.deliveries]


def _check_user(user_id: str, user: str) -> None:
    if user_id != user:
        detail = f"user_id property set to '{user_id}' but authenticated user was '{user}'"
        raise ChannelError(406, detail)


def _check_expiration(expiration: str) -> None:
    found = _INTEGER.match(expiration)
    if found is None:
        problem = "no_integer"
    elif found.end() < len(expiration):
        problem = f'{{leftover_string,"{expiration[found.end() :]}"}}'
    elif int(expiration) < 0:
        problem = f"{{value_negative,{int(expiration)}}}"
    else:
        return
    raise ChannelError(406, f"invalid expiration '{expiration}': {problem}")


def _check_copies(headers: Arguments) -> None:
    for name in ("CC", "BCC"):
        if name in headers and not isinstance(headers[name], list):
            problem = f'{{unacceptable_type_in_header,"{name}",{type_name(headers[name])}}}'
            raise ChannelError(406, f"invalid message: {problem}")


def _hide_blind_copies(message: Message, headers: Arguments) -> None:
    message.blind_copies = copies(headers, "BCC")
    message.rewrite = Rewrite({name: value for name, value in headers.items() if name != "BCC"})
