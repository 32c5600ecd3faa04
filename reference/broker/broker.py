"""The embedded broker: AMQP 0-9-1 semantics without bytes, sockets, threads or a clock of its own.

Theory of operation
-------------------
The broker is a stack of layers, each a class that knows the ones below it:

    Core        state, record, names
    Exchanges   exchanges and bindings
    Queues      queues
    Flow        a message's way: enqueue, deliver, requeue, expire, dead-letter
    Consuming   consumers, prefetch, get, settlements
    Publishing  publish, confirms, returns, transactions
    Leasing     channels end, and deliveries that are held too long are taken back
    Broker      sessions, and time

An operation is a method that takes the channel it was called on.  It raises ``ChannelError`` or
``ConnectionError_`` and has then changed nothing, or it succeeds; what clients must hear beyond the return value
is appended to ``Session.outbox``, and ``Session.wake`` is called when that was empty.  The caller sends
the answer to a method *before* it drains the outbox, and turns an error into ``fail_channel`` or
``fail_session``.

Time enters through the clock and through ``step`` and ``next_due`` only: the broker is a party of a virtual
clock, and a front end on wall time calls ``step`` at ``next_due``.  Ids come from counters.  So two runs with
the same clock and the same operations write the same record.

It is a test broker: nothing survives it, and it knows one virtual host.
"""

from __future__ import annotations

from celeriac.reference.broker.effects import CloseConnection
from celeriac.reference.broker.errors import BrokerError, ConnectionError_
from celeriac.reference.broker.leasing import Leasing
from celeriac.reference.broker.model import Channel, Session

__all__ = ["Broker"]


class Broker(Leasing):
    """An embedded broker; see ``Core`` for its arguments and attributes."""

    def open_session(self, peer: str = "", *, user: str = "guest", cancel_notify: bool = False) -> Session:
        """Let a client in.

        Args:
            peer: what the record shall call it.
            user: who is logged in.
            cancel_notify: it understands basic.cancel from the broker.
        """
        session = Session(self._count("session"), peer, user, cancel_notify)
        self.sessions[session.id] = session
        self._record("session.open", session, peer=peer)
        return session

    def close_session(self, session: Session, code: int = 200, text: str = "", by: str = "client") -> None:
        """End a session: its channels close, its exclusive queues go.  Code 0 means the transport was lost."""
        if session.closed:
            return
        session.closed = True
        channels = list(session.channels.values())
        for channel in channels:
            self._end_channel(channel, code, text, by)
        for channel in channels:
            self._give_back(channel)
        for queue in [queue for queue in self.queues.values() if queue.owner is session]:
            self._remove_queue(queue, "owner gone")
        del self.sessions[session.id]
        self._record("session.close", session, code=code, text=text, by=by)

    def fail_session(self, session: Session, error: BrokerError) -> None:
        """Close a session because of ``error`` and tell the client: CloseConnection in the outbox."""
        if not session.closed:
            effect = CloseConnection(error.code, error.text, error.class_id, error.method_id)
            session.emit(effect)
            self.close_session(session, error.code, error.text, by="broker")

    def open_channel(self, session: Session, number: int) -> Channel:
        """Open a channel.

        Raises:
            ConnectionError_: 504, the number is in use.
        """
        if number in session.channels:
            raise ConnectionError_(504, "second 'channel.open' seen")
        channel = Channel(session, number, self.clock.monotonic())
        self._lease_to(channel)
        session.channels[number] = channel
        self._record("channel.open", session, channel=number)
        return channel

    def step(self) -> bool:
        """Do everything that is due now; answer whether anything was."""
        cuts, self._cuts = self._cuts, []
        for session in cuts:
            self.close_session(session, 0, "", by="broker")
        return self._timers.fire(self.clock.monotonic()) or bool(cuts)

    def next_due(self) -> float | None:
        """Answer the ``monotonic()`` seconds of the next thing to do without being asked, or None."""
        return self.clock.monotonic() if self._cuts else self._timers.next_due()
