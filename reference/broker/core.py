"""The ground layer of the broker: its state, its record, and how a name becomes an entity or an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from celeriac.reference.broker.arguments import where
from celeriac.reference.broker.dialect import RABBIT_3_10, Dialect
from celeriac.reference.broker.dialect import dialect as dialect_named
from celeriac.reference.broker.errors import ChannelError, ConnectionError_
from celeriac.reference.broker.events import EventLog
from celeriac.reference.broker.faults import FaultPlan
from celeriac.reference.broker.model import Channel, Exchange, Queue, Session
from celeriac.reference.broker.timers import Timers
from celeriac.reference.clock import Clock

__all__ = ["PREDECLARED", "Core"]

#: The exchanges that are always there: name and type.
PREDECLARED: tuple[tuple[str, str], ...] = (
    ("", "direct"),
    ("amq.direct", "direct"),
    ("amq.fanout", "fanout"),
    ("amq.topic", "topic"),
    ("amq.headers", "headers"),
    ("amq.match", "headers"),
    ("amq.rabbitmq.trace", "topic"),
)

_LOCKED = (
    "cannot obtain exclusive access to locked {place}. It could be originally declared on another connection "
    "or the exclusive property value does not match that of the original declaration."
)


class Core:
    """A broker's state.

    Args:
        clock: where time comes from.
        dialect: the version to behave like, or its name.
        vhost: name of the only virtual host; it appears in texts.
        consumer_timeout_ms: lease timeout instead of the dialect's, milliseconds.
        channel_tick_ms: check interval instead of the dialect's, milliseconds.
        faults: rules of misbehaviour, none by default.
        record: False keeps no events (subscribers of ``events`` still get them).

    Attributes:
        events: the append-only record.
        sessions, queues, exchanges: what exists, by id or name, in order of creation.
        policies: pattern of names of queues -> their ``consumer-timeout``, milliseconds; the last one set comes first.
    """

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
    ) -> None:
        row = dialect_named(dialect) if isinstance(dialect, str) else dialect
        self.clock = clock
        self.dialect = row.with_timing(consumer_timeout_ms, channel_tick_ms)
        self.vhost = vhost
        self.faults = FaultPlan() if faults is None else faults
        self.events = EventLog(clock.now, keep=record)
        self.sessions: dict[int, Session] = {}
        self.queues: dict[str, Queue] = {}
        self.policies: dict[str, int] = {}
        self.exchanges = {
            name: Exchange(name, kind, durable=True, internal=name == "amq.rabbitmq.trace")
            for name, kind in PREDECLARED
        }
        self._timers = Timers()
        self._counters: dict[str, int] = {}
        self._cuts: list[Session] = []

    def _count(self, what: str) -> int:
        self._counters[what] = number = self._counters.get(what, 0) + 1
        return number

    def _unheard(self) -> bool:
        """Say whether a record would reach neither the events nor the faults; for what happens to every message."""
        return self.events.idle and not self.faults.rules

    def _record(self, kind: str, session: Session | None, **data: Any) -> None:
        self.events.record(kind, None if session is None else session.id, data)
        if self.faults.rules and session is not None:
            self._strike(kind, session, data)

    def _strike(self, kind: str, session: Session, data: Mapping[str, Any]) -> None:
        facts = {**data, "session": session.id}
        if not session.cut and self.faults.strike(kind, "cut", **facts) is not None:
            session.sever()
            self._cuts.append(session)
            self.events.record("fault", session.id, {"point": kind, "action": "cut"})

    @staticmethod
    def _use(channel: Channel) -> Channel:
        if channel.closed:
            raise ConnectionError_(504, "expected 'channel.open'")
        return channel

    def _queue(self, channel: Channel, name: str) -> Queue:
        """Answer the queue called ``name``; the empty name is the last one declared on the channel."""
        if not name:
            name = channel.last_queue
            if not name:
                raise ChannelError(404, "no previously declared queue")
        queue = self.queues.get(name)
        if queue is None:
            raise ChannelError(404, f"no {where('queue', name, self.vhost)}")
        self._unlocked(channel, queue)
        return queue

    def _unlocked(self, channel: Channel, queue: Queue) -> None:
        if queue.owner is not None and queue.owner is not channel.session:
            raise self._locked(queue.name)

    def _locked(self, name: str) -> ChannelError:
        return ChannelError(405, _LOCKED.format(place=where("queue", name, self.vhost)))

    def _exchange(self, name: str) -> Exchange:
        exchange = self.exchanges.get(name)
        if exchange is None:
            raise ChannelError(404, f"no {where('exchange', name, self.vhost)}")
        return exchange
