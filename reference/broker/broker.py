"""The embedded broker: AMQP 0-9-1 semantics without bytes, sockets, threads or a clock of its own.

Every operation raises ``ChannelError`` or ``ConnectionError_`` and has then changed nothing, or succeeds and
appends what clients must hear to ``Session.outbox``.  Answers to a method (queue.declare-ok and so on) are
return values; the caller sends them *before* it drains the outbox.  Times in the API are milliseconds where
AMQP has milliseconds, else seconds.
"""

from __future__ import annotations

from celeriac.reference.broker.dialect import RABBIT_3_10, Dialect
from celeriac.reference.broker.errors import BrokerError
from celeriac.reference.broker.events import EventLog
from celeriac.reference.broker.faults import FaultPlan
from celeriac.reference.broker.model import (
    Arguments,
    Channel,
    Exchange,
    GetOk,
    Properties,
    Queue,
    QueueInfo,
    Session,
)
from celeriac.reference.clock import Clock

__all__ = ["Broker"]


class Broker:
    """A test broker: no persistence, no clustering, one virtual host."""

    events: EventLog
    dialect: Dialect
    clock: Clock
    faults: FaultPlan
    vhost: str
    sessions: dict[int, Session]
    queues: dict[str, Queue]
    exchanges: dict[str, Exchange]

    def __init__(
        self,
        clock: Clock,
        dialect: Dialect | str = RABBIT_3_10,
        *,
        vhost: str = "/",
        consumer_timeout_ms: int | None = None,
        channel_tick_ms: int | None = None,
        faults: FaultPlan | None = None,
        record: bool = True,
    ) -> None: ...

    # sessions and channels
    def open_session(self, peer: str = "", *, cancel_notify: bool = False) -> Session: ...
    def close_session(self, session: Session, code: int = 200, text: str = "", by: str = "client") -> None: ...
    def fail_session(self, session: Session, error: BrokerError) -> None:
        """Close a session because of ``error``: appends CloseConnection to its outbox."""
    def open_channel(self, session: Session, number: int) -> Channel: ...
    def close_channel(self, channel: Channel, code: int = 200, text: str = "", by: str = "client") -> None: ...
    def fail_channel(self, channel: Channel, error: BrokerError) -> None:
        """Close a channel because of ``error``: appends CloseChannel to its session's outbox."""

    # time
    def step(self) -> bool: ...
    def next_due(self) -> float | None: ...

    # exchanges
    def declare_exchange(
        self,
        channel: Channel,
        name: str,
        type: str = "direct",
        *,
        passive: bool = False,
        durable: bool = False,
        auto_delete: bool = False,
        internal: bool = False,
        arguments: Arguments | None = None,
    ) -> None: ...
    def delete_exchange(self, channel: Channel, name: str, *, if_unused: bool = False) -> None: ...
    def bind_exchange(
        self, channel: Channel, destination: str, source: str, routing_key: str = "", arguments: Arguments | None = None
    ) -> None: ...
    def unbind_exchange(
        self, channel: Channel, destination: str, source: str, routing_key: str = "", arguments: Arguments | None = None
    ) -> None: ...

    # queues
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
    ) -> QueueInfo: ...
    def bind_queue(
        self, channel: Channel, queue: str, exchange: str, routing_key: str = "", arguments: Arguments | None = None
    ) -> None: ...
    def unbind_queue(
        self, channel: Channel, queue: str, exchange: str, routing_key: str = "", arguments: Arguments | None = None
    ) -> None: ...
    def purge_queue(self, channel: Channel, queue: str) -> int: ...
    def delete_queue(
        self, channel: Channel, queue: str, *, if_unused: bool = False, if_empty: bool = False
    ) -> int: ...

    # publishing
    def publish(
        self,
        channel: Channel,
        exchange: str,
        routing_key: str,
        properties: Properties,
        body: bytes,
        *,
        mandatory: bool = False,
    ) -> None: ...
    def check_exchange(self, channel: Channel, exchange: str) -> None:
        """Raise what publish would raise for the exchange alone (404, 403); for use when the method arrives."""
    def select_confirms(self, channel: Channel) -> None: ...
    def select_tx(self, channel: Channel) -> None: ...
    def commit_tx(self, channel: Channel) -> None: ...
    def rollback_tx(self, channel: Channel) -> None: ...

    # consuming and settling
    def qos(self, channel: Channel, prefetch_count: int, *, shared: bool = False, prefetch_size: int = 0) -> None:
        """Set the prefetch; ``shared`` is basic.qos's global flag."""
    def consume(
        self,
        channel: Channel,
        queue: str,
        tag: str = "",
        *,
        no_ack: bool = False,
        exclusive: bool = False,
        arguments: Arguments | None = None,
    ) -> str: ...
    def cancel(self, channel: Channel, tag: str) -> None: ...
    def get(self, channel: Channel, queue: str, *, no_ack: bool = False) -> GetOk | None: ...
    def ack(self, channel: Channel, tag: int, *, multiple: bool = False) -> None: ...
    def nack(self, channel: Channel, tag: int, *, multiple: bool = False, requeue: bool = True) -> None: ...
    def reject(self, channel: Channel, tag: int, *, requeue: bool = True) -> None: ...
    def recover(self, channel: Channel, *, requeue: bool = True) -> None: ...
