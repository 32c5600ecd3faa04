"""One AMQP connection, seen from the server, without a socket: bytes in, bytes out.

    connection = ServerConnection(broker)
    connection.feed(received)
    socket.send(connection.outgoing())

Every frame that can be wrong is answered with the code and the text RabbitMQ has for it; where RabbitMQ drops the
connection without a word (an unknown method, undecodable properties, a body longer than announced), the protocol's own
code is sent instead.  Whatever a client does, the broker and the other connections go on.
"""

from __future__ import annotations

from collections.abc import Callable

from celeriac.reference.broker.broker import Broker
from celeriac.reference.broker.codec import (
    BODY,
    HEADER,
    HEARTBEAT,
    METHOD,
    PROTOCOL_HEADER,
    Frame,
    FrameReader,
    Method,
    decode_method,
)
from celeriac.reference.broker.content import Assembly, published_properties
from celeriac.reference.broker.effects import CloseChannel, CloseConnection, Cut, Effect
from celeriac.reference.broker.errors import BrokerError, ChannelError, ConnectionError_
from celeriac.reference.broker.fields import FrameError, TextError, UnknownMethodError, WireError
from celeriac.reference.broker.handshake import FRAME_MIN_SIZE, Handshake, LoginRefused, ServerOptions
from celeriac.reference.broker.methods import BY_ID, BY_NAME
from celeriac.reference.broker.model import Channel, Session
from celeriac.reference.broker.operations import OPERATIONS, Link
from celeriac.reference.broker.sender import Sender
from celeriac.reference.broker.wording import frame_text, undecodable_text, unexpected_text

__all__ = ["ServerConnection"]

_PUBLISH = BY_NAME["basic.publish"]
_TOO_LARGE = "message size {} is larger than configured max size {}"
_UNOPENED = "expected method frame, got non method frame instead"


class _ChannelState(Link):
    """A channel on the wire: open, or closed by the broker and waiting for the client's ``close-ok``."""

    __slots__ = ("assembly",)

    def __init__(self, broker: Broker, sender: Sender, channel: Channel) -> None:
        super().__init__(broker, sender, channel)
        self.assembly: Assembly | None = None


class ServerConnection:
    """The server's side of one connection.

    Args:
        broker: what the client talks to.
        peer: what is known of the client's address; recorded.
        options: credentials and limits.
        on_output: called when there is something to send that no call to ``feed`` caused; must only schedule.

    Attributes:
        session: the broker's session, None until the connection is open.
        closed: nothing more will be read or said; what is left to send is in ``outgoing``.
        reset: the transport must be torn down without a word, as after a crash.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        peer: str = "",
        options: ServerOptions | None = None,
        on_output: Callable[[], None] | None = None,
    ) -> None:
        self.broker = broker
        self.peer = peer
        self.options = options or ServerOptions()
        self.session: Session | None = None
        self.closed = False
        self.reset = False
        self._on_output = on_output
        self._handshake: Handshake | None = None
        self._reader = FrameReader(FRAME_MIN_SIZE)
        self._sender = Sender()
        self._channels: dict[int, _ChannelState] = {}
        self._busy = False
        self._closing = False  # connection.close was sent, close-ok is awaited

    @property
    def heartbeat(self) -> int:
        """The agreed heartbeat in seconds; 0 until agreed, or for none."""
        return self._handshake.tuning.heartbeat if self._handshake and self._handshake.done else 0

    @property
    def closing(self) -> bool:
        """The broker has closed the connection and the client has not answered yet."""
        return self._closing and not self.closed

    @property
    def has_output(self) -> bool:
        """Whether ``outgoing`` has anything to give."""
        return bool(self._sender) or (self.session is not None and bool(self.session.outbox))

    def outgoing(self) -> bytes:
        """Remove and answer the bytes to send now."""
        self._drain()
        self._sender.flush()
        return self._sender.take()

    def feed(self, data: bytes) -> None:
        """Take bytes from the client, in whatever pieces they come."""
        if self.closed:
            return
        self._busy = True
        try:
            self._drain()
            self._reader.feed(data)
            if self._handshake is not None or self._negotiate():
                self._read()
            self._drain()
        finally:
            self._busy = False
        self._sender.flush()

    def lost(self) -> None:
        """Hear that the transport is gone: everything the client held goes back."""
        self.closed = True
        self._end_session(0, "connection lost")

    def _negotiate(self) -> bool:
        """Take the protocol header; anything else is answered with the right one."""
        received = len(self._reader)
        if not PROTOCOL_HEADER.startswith(self._reader.peek(8)):
            self._sender.raw(PROTOCOL_HEADER)
            self.closed = True
        elif received >= 8:
            self._reader.skip(8)
            self._handshake = Handshake(self.options, self.broker.dialect, self.broker.vhost)
            self._sender.raw(self._handshake.start())
            return True
        return False

    def _read(self) -> None:
        read = self._reader.read
        while not self.closed:
            try:
                if (frame := read()) is None:
                    return
                if self._closing:
                    self._await_close_ok(frame)
                else:
                    self._frame(frame)
            except ConnectionError_ as error:
                self._fail(error)
            except FrameError as error:
                self._fail(ConnectionError_(501, frame_text(error.kind, error.payload, error.reason)))
                self.closed = True  # what follows cannot be told apart any more

    def _frame(self, frame: Frame) -> None:
        kind, number, payload = frame
        if kind == METHOD and len(payload) >= 4:
            try:
                method = decode_method(payload)
            except WireError as error:
                raise _undecodable(payload, error) from error
            if number:
                self._channel_method(number, method)
            else:
                self._control(method)
        elif kind == BODY or (kind == HEADER and len(payload) >= 12):
            self._content(frame)
        elif kind == HEARTBEAT and not payload:
            if number:
                raise ConnectionError_(505, unexpected_text(kind, payload))
        else:
            raise ConnectionError_(501, frame_text(kind, payload, "unknown_frame"))

    # channel 0

    def _control(self, method: Method) -> None:
        assert self._handshake is not None
        if method.name == "connection.close":
            self._client_close(*method.values)
        elif not self._handshake.done:
            self._shake(method)
        elif method.name == "connection.update-secret":
            self._drain()
            self._sender.method(0, "connection.update-secret-ok")
        else:
            raise ConnectionError_(504, "unexpected method in connection state running").at(*method.spec.id)

    def _shake(self, method: Method) -> None:
        handshake = self._handshake
        assert handshake is not None
        self._sender.raw(handshake.receive(method))
        tuning = handshake.tuning
        if method.name == "connection.tune-ok":
            self._reader.frame_max = self._sender.frame_max = tuning.frame_max
        if handshake.done:
            notify = bool(handshake.capabilities.get("consumer_cancel_notify"))
            self.session = self.broker.open_session(self.peer, user=handshake.user, cancel_notify=notify)
            self.session.wake = self._wake

    def _client_close(self, code: int, text: str, _class_id: int, _method_id: int) -> None:
        self._end_session(code, text)
        self._drain()
        self._sender.flush()
        self._sender.method(0, "connection.close-ok")
        self.closed = True

    def _await_close_ok(self, frame: Frame) -> None:
        if frame.type == METHOD and frame.channel == 0:
            ids = (int.from_bytes(frame.payload[:2]), int.from_bytes(frame.payload[2:4]))
            name = BY_ID[ids].name if ids in BY_ID else ""
            if name == "connection.close":
                self._sender.method(0, "connection.close-ok")
            self.closed = self.closed or name == "connection.close-ok"

    # channels

    def _channel_method(self, number: int, method: Method) -> None:
        state = self._channels.get(number)
        if state is None:
            self._open_channel(number, method)
            return
        if state.assembly is not None:
            state.assembly.add(Frame(METHOD, number, b""))
        if method.spec.content:
            self._begin_content(state, method)
        elif state.channel.closed:
            self._closed_channel_method(state, method)
        else:
            self._operate(state, method)

    def _open_channel(self, number: int, method: Method) -> None:
        assert self._handshake is not None
        if self.session is None:
            raise ConnectionError_(504, "unexpected method before connection.open").at(*method.spec.id)
        if method.name != "channel.open":
            raise ConnectionError_(504, "expected 'channel.open'").at(*method.spec.id)
        most = self._handshake.tuning.channel_max
        if len(self._channels) >= most:
            raise ConnectionError_(
                530, f"number of channels opened ({most}) has reached the negotiated channel_max ({most})"
            )
        self._drain()
        channel = self.broker.open_channel(self.session, number)
        self._channels[number] = _ChannelState(self.broker, self._sender, channel)
        self._sender.method(number, "channel.open-ok", b"")

    def _closed_channel_method(self, state: _ChannelState, method: Method) -> None:
        self._drain()
        if method.name == "channel.close":
            self._sender.method(state.number, "channel.close-ok")
        elif method.name == "channel.close-ok":
            del self._channels[state.number]

    def _operate(self, state: _ChannelState, method: Method) -> None:
        operation = OPERATIONS.get(method.spec.name)
        if method.spec.replies:
            self._drain()  # what happened before must be told before the answer
        try:
            if operation is not None:
                operation(state, *method.values)
            elif method.name == "channel.close":
                self._close_channel(state, *method.values)
            elif method.name == "channel.open":
                raise ConnectionError_(504, "second 'channel.open' seen")
            else:
                raise ConnectionError_(503, "unimplemented method")
        except BrokerError as error:
            self._refuse(state, method, error)
        if state.channel.session.cut:
            self._drain()

    def _close_channel(
        self, state: _ChannelState, code: int, text: str, _class_id: int, _method_id: int
    ) -> None:
        self.broker.close_channel(state.channel, code, text)
        self._drain()
        self._sender.forget(state.number)
        del self._channels[state.number]
        state.reply("channel.close-ok")

    def _begin_content(self, state: _ChannelState, method: Method) -> None:
        whole = None if state.channel.closed else self._reader.content(state.number)
        if whole is None:
            state.assembly = Assembly(method)
        else:
            self._publish(state, method, len(whole[1]), *whole)

    def _content(self, frame: Frame) -> None:
        if frame.channel == 0:
            raise ConnectionError_(505, unexpected_text(frame.type, frame.payload))
        state = self._channels.get(frame.channel)
        if state is None or state.assembly is None:
            raise ConnectionError_(505, _UNOPENED)
        assembly = state.assembly
        assembly.add(frame)
        if assembly.complete:
            state.assembly = None
        elif assembly.size <= self.options.max_message_size:
            return
        if not state.channel.closed:
            self._publish(state, assembly.method, assembly.size, assembly.properties, assembly.body)
        assembly.wanted = False

    def _publish(
        self, state: _ChannelState, method: Method, size: int, properties: bytes, body: bytes
    ) -> None:
        try:
            if method.spec is not _PUBLISH:
                raise ConnectionError_(503, "unimplemented method")
            _ticket, exchange, routing_key, mandatory, immediate = method.values
            if size > self.options.max_message_size:
                raise ChannelError(406, _TOO_LARGE.format(size, self.options.max_message_size))
            if immediate:
                raise ConnectionError_(540, "immediate=true")
            self.broker.publish(
                state.channel,
                exchange,
                routing_key,
                published_properties(properties),
                body,
                mandatory=mandatory,
            )
        except BrokerError as error:
            self._refuse(state, method, error)
        if state.channel.session.cut:
            self._drain()

    # errors and effects

    def _refuse(self, state: _ChannelState, method: Method, error: BrokerError) -> None:
        blamed = error.at(*method.spec.id)
        if isinstance(error, ChannelError):
            self.broker.fail_channel(state.channel, blamed)
        else:
            self._fail(blamed)

    def _fail(self, error: BrokerError) -> None:
        if self._closing:
            return
        if isinstance(error, LoginRefused) and not self._knows("authentication_failure_close"):
            self.closed = True
        elif self.session is not None and not self.session.closed:
            self.broker.fail_session(self.session, error)
            self._drain()
        else:
            self._close(CloseConnection(error.code, error.text, error.class_id, error.method_id))

    def _knows(self, capability: str) -> bool:
        return self._handshake is not None and bool(self._handshake.capabilities.get(capability))

    def _close(self, effect: CloseConnection) -> None:
        self._closing = True
        self._sender.flush()
        self._sender.method(
            0, "connection.close", effect.code, effect.text, effect.class_id, effect.method_id
        )

    def _end_session(self, code: int, text: str) -> None:
        if self.session is not None and not self.session.closed:
            self.broker.close_session(self.session, code, text)

    def _wake(self) -> None:
        if not self._busy and self._on_output is not None:
            self._on_output()

    def _drain(self) -> None:
        session, sender = self.session, self._sender
        if session is None or not session.outbox:
            return
        for effect in session.take():
            send = Sender.SENDS.get(type(effect))
            if send is not None:
                send(sender, effect)
            else:
                self._end(effect)

    def _end(self, effect: Effect) -> None:
        if isinstance(effect, CloseChannel):
            self._sender.close_channel(effect)
        elif isinstance(effect, CloseConnection):
            self._close(effect)
        elif isinstance(effect, Cut):
            self._sender.flush()
            self.closed = self.reset = True


def _undecodable(payload: bytes, error: WireError) -> ConnectionError_:
    if isinstance(error, UnknownMethodError):
        return ConnectionError_(503, f"unknown method {error.class_id},{error.method_id}")
    if isinstance(error, TextError):
        return ConnectionError_(501, str(error))
    ids = int.from_bytes(payload[:2]), int.from_bytes(payload[2:4])
    return ConnectionError_(501, undecodable_text(payload[4:])).at(*ids)
