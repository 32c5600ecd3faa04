"""Methods of a channel as operations of the broker: one line of meaning each, one table.

An operation gets the link (the open channel and the way back to its client) and the method's arguments in wire order,
and answers through ``link.reply``.  Errors of the broker pass through.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from celeriac.reference.broker.broker import Broker
from celeriac.reference.broker.errors import ConnectionError_
from celeriac.reference.broker.messages import Arguments
from celeriac.reference.broker.model import Channel
from celeriac.reference.broker.sender import Sender

__all__ = ["OPERATIONS", "Link", "Operation"]


class Link:
    """A channel and the client at its other end.

    Attributes:
        number: the channel's number on its connection.
        channel: the broker's channel.
    """

    __slots__ = ("broker", "channel", "number", "sender")

    def __init__(self, broker: Broker, sender: Sender, channel: Channel) -> None:
        self.broker = broker
        self.sender = sender
        self.channel = channel
        self.number = channel.number

    def reply(self, name: str, *values: object) -> None:
        """Answer the client."""
        self.sender.method(self.number, name, *values)


Operation = Callable[..., None]


def _flow(link: Link, active: bool) -> None:
    if not active:
        raise ConnectionError_(540, "active=false")
    link.reply("channel.flow-ok", True)


def _access_request(link: Link, *_wishes: Any) -> None:
    link.reply("access.request-ok", 1)


def _exchange_declare(
    link: Link,
    _ticket: int,
    exchange: str,
    type: str,
    passive: bool,
    durable: bool,
    auto_delete: bool,
    internal: bool,
    nowait: bool,
    arguments: Arguments,
) -> None:
    link.broker.declare_exchange(
        link.channel,
        exchange,
        type,
        passive=passive,
        durable=durable,
        auto_delete=auto_delete,
        internal=internal,
        arguments=arguments,
    )
    if not nowait:
        link.reply("exchange.declare-ok")


def _exchange_delete(link: Link, _ticket: int, exchange: str, if_unused: bool, nowait: bool) -> None:
    link.broker.delete_exchange(link.channel, exchange, if_unused=if_unused)
    if not nowait:
        link.reply("exchange.delete-ok")


def _exchange_bind(
    link: Link,
    _ticket: int,
    destination: str,
    source: str,
    routing_key: str,
    nowait: bool,
    arguments: Arguments,
) -> None:
    link.broker.bind_exchange(link.channel, destination, source, routing_key, arguments)
    if not nowait:
        link.reply("exchange.bind-ok")


def _exchange_unbind(
    link: Link,
    _ticket: int,
    destination: str,
    source: str,
    routing_key: str,
    nowait: bool,
    arguments: Arguments,
) -> None:
    link.broker.unbind_exchange(link.channel, destination, source, routing_key, arguments)
    if not nowait:
        link.reply("exchange.unbind-ok")


def _queue_declare(
    link: Link,
    _ticket: int,
    queue: str,
    passive: bool,
    durable: bool,
    exclusive: bool,
    auto_delete: bool,
    nowait: bool,
    arguments: Arguments,
) -> None:
    info = link.broker.declare_queue(
        link.channel,
        queue,
        passive=passive,
        durable=durable,
        exclusive=exclusive,
        auto_delete=auto_delete,
        arguments=arguments,
    )
    if not nowait:
        link.reply("queue.declare-ok", info.name, info.message_count, info.consumer_count)


def _queue_bind(
    link: Link,
    _ticket: int,
    queue: str,
    exchange: str,
    routing_key: str,
    nowait: bool,
    arguments: Arguments,
) -> None:
    link.broker.bind_queue(link.channel, queue, exchange, routing_key, arguments)
    if not nowait:
        link.reply("queue.bind-ok")


def _queue_unbind(
    link: Link, _ticket: int, queue: str, exchange: str, routing_key: str, arguments: Arguments
) -> None:
    link.broker.unbind_queue(link.channel, queue, exchange, routing_key, arguments)
    link.reply("queue.unbind-ok")


def _queue_purge(link: Link, _ticket: int, queue: str, nowait: bool) -> None:
    count = link.broker.purge_queue(link.channel, queue)
    if not nowait:
        link.reply("queue.purge-ok", count)


def _queue_delete(
    link: Link, _ticket: int, queue: str, if_unused: bool, if_empty: bool, nowait: bool
) -> None:
    count = link.broker.delete_queue(link.channel, queue, if_unused=if_unused, if_empty=if_empty)
    if not nowait:
        link.reply("queue.delete-ok", count)


def _qos(link: Link, prefetch_size: int, prefetch_count: int, shared: bool) -> None:
    link.broker.qos(link.channel, prefetch_count, shared=shared, prefetch_size=prefetch_size)
    link.reply("basic.qos-ok")


def _consume(
    link: Link,
    _ticket: int,
    queue: str,
    consumer_tag: str,
    _no_local: bool,
    no_ack: bool,
    exclusive: bool,
    nowait: bool,
    arguments: Arguments,
) -> None:
    tag = link.broker.consume(
        link.channel, queue, consumer_tag, no_ack=no_ack, exclusive=exclusive, arguments=arguments
    )
    if not nowait:
        link.reply("basic.consume-ok", tag)


def _cancel(link: Link, consumer_tag: str, nowait: bool) -> None:
    link.broker.cancel(link.channel, consumer_tag)
    if not nowait:
        link.reply("basic.cancel-ok", consumer_tag)


def _get(link: Link, _ticket: int, queue: str, no_ack: bool) -> None:
    got = link.broker.get(link.channel, queue, no_ack=no_ack)
    if got is None:
        link.reply("basic.get-empty", "")
    else:
        link.sender.got(link.number, got)


def _ack(link: Link, delivery_tag: int, multiple: bool) -> None:
    link.broker.ack(link.channel, delivery_tag, multiple=multiple)


def _nack(link: Link, delivery_tag: int, multiple: bool, requeue: bool) -> None:
    link.broker.nack(link.channel, delivery_tag, multiple=multiple, requeue=requeue)


def _reject(link: Link, delivery_tag: int, requeue: bool) -> None:
    link.broker.reject(link.channel, delivery_tag, requeue=requeue)


def _recover(link: Link, requeue: bool) -> None:
    link.broker.recover(link.channel, requeue=requeue)
    link.reply("basic.recover-ok")


def _recover_async(link: Link, requeue: bool) -> None:
    link.broker.recover(link.channel, requeue=requeue)


def _confirm_select(link: Link, nowait: bool) -> None:
    link.broker.select_confirms(link.channel)
    if not nowait:
        link.reply("confirm.select-ok")


def _tx_select(link: Link) -> None:
    link.broker.select_tx(link.channel)
    link.reply("tx.select-ok")


def _tx_commit(link: Link) -> None:
    link.broker.commit_tx(link.channel)
    link.reply("tx.commit-ok")


def _tx_rollback(link: Link) -> None:
    link.broker.rollback_tx(link.channel)
    link.reply("tx.rollback-ok")


#: Every method without content that a client may send on an open channel, but those that open and close it.
OPERATIONS: Mapping[str, Operation] = {
    "channel.flow": _flow,
    "access.request": _access_request,
    "exchange.declare": _exchange_declare,
    "exchange.delete": _exchange_delete,
    "exchange.bind": _exchange_bind,
    "exchange.unbind": _exchange_unbind,
    "queue.declare": _queue_declare,
    "queue.bind": _queue_bind,
    "queue.unbind": _queue_unbind,
    "queue.purge": _queue_purge,
    "queue.delete": _queue_delete,
    "basic.qos": _qos,
    "basic.consume": _consume,
    "basic.cancel": _cancel,
    "basic.get": _get,
    "basic.ack": _ack,
    "basic.nack": _nack,
    "basic.reject": _reject,
    "basic.recover": _recover,
    "basic.recover-async": _recover_async,
    "confirm.select": _confirm_select,
    "tx.select": _tx_select,
    "tx.commit": _tx_commit,
    "tx.rollback": _tx_rollback,
}
