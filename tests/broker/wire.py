"""A server connection without a socket, for tests: frames in, frames out."""

from __future__ import annotations

from typing import Any

from celeriac.reference.broker.broker import Broker
from celeriac.reference.broker.codec import (
    METHOD,
    PROTOCOL_HEADER,
    Frame,
    FrameReader,
    Method,
    decode_method,
    encode_content,
    encode_method,
)
from celeriac.reference.broker.connection import ServerConnection
from celeriac.reference.clock import VirtualClock

HANDSHAKE = (
    PROTOCOL_HEADER,
    encode_method(0, "connection.start-ok", {}, "PLAIN", b"\0guest\0guest", "en_US"),
    encode_method(0, "connection.tune-ok", 2047, 131_072, 0),
    encode_method(0, "connection.open", "/", "", False),
    encode_method(1, "channel.open", ""),
)
DECLARE = encode_method(1, "queue.declare", 0, "q", False, False, False, False, False, {})
CONSUME = encode_method(1, "basic.consume", 0, "q", "tag", False, False, False, False, {})
CONFIRM = encode_method(1, "confirm.select", False)
GOODBYE = encode_method(0, "connection.close", 200, "", 0, 0)


def publish(
    body: bytes = b"body", key: str = "q", properties: bytes = b"\0\0", *, mandatory: bool = False
) -> bytes:
    """Encode a publish to the default exchange."""
    return encode_method(1, "basic.publish", 0, "", key, mandatory, False) + encode_content(
        1, properties, body
    )


class Wire:
    """A connection and what it said."""

    def __init__(self, broker: Broker | None = None, **options: Any) -> None:
        self.broker = broker or Broker(VirtualClock())
        self.connection = ServerConnection(self.broker, peer="test", **options)
        self._reader = FrameReader()

    def say(self, *data: bytes) -> list[Frame]:
        """Feed bytes and answer the frames that come back."""
        for piece in data:
            self.connection.feed(piece)
        return self.hear()

    def hear(self) -> list[Frame]:
        """Answer the frames that wait."""
        self._reader.feed(self.connection.outgoing())
        return list(self._reader)

    def methods(self, *data: bytes) -> list[tuple[str, tuple[Any, ...]]]:
        """Feed bytes and answer the methods that come back."""
        return [(method.name, method.values) for method in map(method_of, self.say(*data)) if method]


def method_of(frame: Frame) -> Method | None:
    """Answer the method of a frame, None for content."""
    return decode_method(frame.payload) if frame.type == METHOD else None
