"""What a broker is made of: exchanges, queues, messages, deliveries, consumers, channels, sessions.

Plain data; the rules that move it are in the layers of ``broker.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from celeriac.reference.broker.backlog import Backlog
from celeriac.reference.broker.effects import (
    CancelConsumer,
    CloseChannel,
    CloseConnection,
    Confirm,
    Cut,
    Deliver,
    Effect,
    GetOk,
    QueueInfo,
    Return,
)
from celeriac.reference.broker.messages import Arguments, Message, Properties, QueuedMessage, Rewrite
from celeriac.reference.broker.timers import Timer

__all__ = [
    "Arguments",
    "Binding",
    "CancelConsumer",
    "Channel",
    "CloseChannel",
    "CloseConnection",
    "Confirm",
    "Consumer",
    "Cut",
    "Deliver",
    "Delivery",
    "Effect",
    "Exchange",
    "GetOk",
    "Limits",
    "Message",
    "Properties",
    "Queue",
    "QueueInfo",
    "QueuedMessage",
    "Return",
    "Rewrite",
    "Session",
    "Settlement",
    "Transaction",
]


@dataclass(eq=False, slots=True)
class Exchange:
    """An exchange; ``bindings`` in the order in which they were made."""

    name: str
    type: str
    durable: bool = False
    auto_delete: bool = False
    internal: bool = False
    arguments: Arguments = field(default_factory=dict)
    bindings: list[Binding] = field(default_factory=list)


@dataclass(eq=False, slots=True)
class Binding:
    """A way from an exchange to a queue or another exchange."""

    source: Exchange
    destination: Queue | Exchange
    routing_key: str
    arguments: Arguments = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Limits:
    """A queue's arguments, decoded.  Times in milliseconds."""

    ttl_ms: int | None = None
    expires_ms: int | None = None
    max_length: int | None = None
    max_bytes: int | None = None
    overflow: Literal["drop-head", "reject-publish", "reject-publish-dlx"] = "drop-head"
    max_priority: int = 0
    dead_letter_exchange: str | None = None
    dead_letter_routing_key: str | None = None
    consumer_timeout_ms: int | None = None
    quorum: bool = False


@dataclass(eq=False, slots=True)
class Queue:
    """A queue; ``backlog`` holds what is ready, channels hold what is unacknowledged.

    Attributes:
        owner: the session an exclusive queue belongs to.
        arguments: as declared (``x-max-priority`` and so on).
        consumers: in the order in which they will be served, highest priority first.
        published: how many messages it ever took, the source of positions.
        unacked: how many of its deliveries are held.
        used_at: ``monotonic()`` seconds of the last use that counts for ``x-expires``.
        had_consumer: an auto-delete queue waits for this.
        deleted: it is gone; deliveries that are still held cannot come back.
    """

    name: str
    durable: bool = False
    auto_delete: bool = False
    owner: Session | None = None
    arguments: Arguments = field(default_factory=dict)
    backlog: Backlog[QueuedMessage] = field(default_factory=Backlog)
    consumers: list[Consumer] = field(default_factory=list)
    published: int = 0
    unacked: int = 0
    used_at: float = 0.0
    had_consumer: bool = False
    deleted: bool = False
    limits: Limits = field(default_factory=Limits)
    expiry: Timer | None = None
    disuse: Timer | None = None


@dataclass(eq=False, slots=True)
class Consumer:
    """A subscription of a channel to a queue.

    Attributes:
        prefetch: how many unacknowledged deliveries it may hold, 0 for no limit.
        unacked: how many it holds.
        timeout_ms: its own lease timeout, None for the policy's.
    """

    tag: str
    channel: Channel
    queue: Queue
    no_ack: bool = False
    exclusive: bool = False
    priority: int = 0
    prefetch: int = 0
    unacked: int = 0
    timeout_ms: int | None = None
    arguments: Arguments = field(default_factory=dict)

    def has_capacity(self) -> bool:
        """Say whether the limits of the consumer and of its channel allow one more delivery."""
        channel = self.channel
        if channel.shared_prefetch and channel.shared_unacked >= channel.shared_prefetch:
            return False
        return self.no_ack or not self.prefetch or self.unacked < self.prefetch


@dataclass(eq=False, slots=True)
class Delivery:
    """A message in somebody's hands: the lease.

    Attributes:
        tag: delivery tag, unique on the channel.
        item: the message and its place in the queue.
        queue: where it came from and would go back to.
        consumer: who got it; None for basic.get.
        taken_at: ``monotonic()`` seconds.
        stale: the lease expired silently; the holder has a copy that no longer counts.
    """

    tag: int
    item: QueuedMessage
    queue: Queue
    consumer: Consumer | None
    taken_at: float
    stale: bool = False


@dataclass(eq=False, slots=True)
class Channel:
    """A channel of a session.

    Attributes:
        unacked: held deliveries by tag, oldest first.
        prefetch: limit that the next consumers get (``basic.qos`` with global false).
        shared_prefetch: limit of all consumers of the channel together (global true), 0 for none.
        shared_unacked: how many deliveries count towards it.
        last_queue: the last queue declared here, meant by an empty queue name.
        confirming: publishes are confirmed; ``published`` is the number of the last one.
        tx: what waits for ``tx.commit``; None outside transactions.
    """

    session: Session
    number: int
    opened_at: float
    unacked: dict[int, Delivery] = field(default_factory=dict)
    consumers: dict[str, Consumer] = field(default_factory=dict)
    last_tag: int = 0
    prefetch: int = 0
    shared_prefetch: int = 0
    shared_unacked: int = 0
    last_queue: str = ""
    confirming: bool = False
    published: int = 0
    tx: Transaction | None = None
    sweeps_from: float | None = None
    closed: bool = False
    lease: Timer | None = None


@dataclass(slots=True)
class Transaction:
    """Publishes (as things to do) and settlements that wait for commit."""

    publishes: list[Callable[[], None]] = field(default_factory=list)
    settlements: list[Settlement] = field(default_factory=list)


@dataclass(slots=True)
class Settlement:
    """What a client said about some deliveries, oldest first."""

    deliveries: list[Delivery]
    outcome: Literal["ack", "requeue", "reject", "recover"]


def _nothing() -> None:
    """Wake nobody."""


@dataclass(eq=False, slots=True)
class Session:
    """A connection as the core sees it.

    Attributes:
        id: from a counter, 1 for the first.
        peer: whatever the front end knows of the other side.
        user: who is logged in.
        cancel_notify: the client understands basic.cancel from the broker; set by the wire layer.
        outbox: effects in the order in which the client must see them.
        wake: called when the outbox becomes non-empty; must only schedule, not call back into the broker.
    """

    id: int
    peer: str = ""
    user: str = "guest"
    cancel_notify: bool = False
    channels: dict[int, Channel] = field(default_factory=dict)
    outbox: list[Effect] = field(default_factory=list)
    wake: Callable[[], None] = _nothing
    closed: bool = False
    cut: bool = False

    def emit(self, effect: Effect) -> None:
        """Put an effect into the outbox; nothing is added once the transport was cut."""
        if self.cut:
            return
        self.outbox.append(effect)
        if len(self.outbox) == 1:
            self.wake()

    def sever(self) -> None:
        """Cut the transport: the client sees what is already in the outbox, and nothing more."""
        self.emit(Cut())
        self.cut = True

    def take(self) -> list[Effect]:
        """Empty the outbox and answer what was in it."""
        effects, self.outbox = self.outbox, []
        return effects
