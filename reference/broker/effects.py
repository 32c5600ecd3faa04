"""What the broker tells a client: effects that nobody asked for, and the answers of two methods.

Effects wait in ``Session.outbox``, in the order in which the client must see them.
"""

from __future__ import annotations

from dataclasses import dataclass

from celeriac.reference.broker.messages import Message

__all__ = [
    "CancelConsumer",
    "CloseChannel",
    "CloseConnection",
    "Confirm",
    "Cut",
    "Deliver",
    "Effect",
    "GetOk",
    "QueueInfo",
    "Return",
]


@dataclass(slots=True)
class Deliver:
    """basic.deliver."""

    channel: int
    consumer_tag: str
    delivery_tag: int
    redelivered: bool
    exchange: str
    routing_key: str
    message: Message


@dataclass(slots=True)
class Return:
    """basic.return."""

    channel: int
    code: int
    text: str
    exchange: str
    routing_key: str
    message: Message


@dataclass(slots=True)
class Confirm:
    """basic.ack (``ok``) or basic.nack from the broker to a publisher."""

    channel: int
    delivery_tag: int
    ok: bool = True
    multiple: bool = False


@dataclass(slots=True)
class CancelConsumer:
    """basic.cancel from the broker; only sent to sessions with ``cancel_notify``."""

    channel: int
    consumer_tag: str


@dataclass(slots=True)
class CloseChannel:
    """channel.close from the broker; the channel is already gone in the core."""

    channel: int
    code: int
    text: str
    class_id: int = 0
    method_id: int = 0


@dataclass(slots=True)
class CloseConnection:
    """connection.close from the broker; the session is already closed in the core."""

    code: int
    text: str
    class_id: int = 0
    method_id: int = 0


@dataclass(slots=True)
class Cut:
    """A fault: drop the transport without a word; nothing follows it in the outbox."""


Effect = Deliver | Return | Confirm | CancelConsumer | CloseChannel | CloseConnection | Cut


@dataclass(slots=True)
class GetOk:
    """The answer of basic.get; ``message_count`` is what stays ready."""

    delivery_tag: int
    redelivered: bool
    exchange: str
    routing_key: str
    message_count: int
    message: Message


@dataclass(frozen=True, slots=True)
class QueueInfo:
    """The answer of queue.declare."""

    name: str
    message_count: int
    consumer_count: int
