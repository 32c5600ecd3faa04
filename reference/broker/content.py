"""Published content: a method, a header and body frames become one message; and back."""

from __future__ import annotations

from celeriac.reference.broker.codec import BODY, HEADER, Frame, Method, decode_content_header
from celeriac.reference.broker.errors import ConnectionError_
from celeriac.reference.broker.fields import FieldError, decode_properties, with_headers
from celeriac.reference.broker.messages import Message, Properties
from celeriac.reference.broker.methods import BASIC

__all__ = ["Assembly", "published_properties", "wire_properties"]

_BARE = b"\0\0"


class Assembly:
    """The content that follows one method, as its frames arrive.

    Attributes:
        method: the method that announced it.
        size: octets of the body, -1 until the header came.
        properties: as received, flags first.
        complete: the whole body came.
        wanted: the body is kept; False for one that was refused already.
    """

    __slots__ = ("_missing", "_parts", "complete", "method", "properties", "size", "wanted")

    def __init__(self, method: Method) -> None:
        self.method = method
        self.size = -1
        self.properties = _BARE
        self.complete = False
        self.wanted = True
        self._missing = 0
        self._parts: list[bytes] = []

    @property
    def body(self) -> bytes:
        """The body so far."""
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)

    def add(self, frame: Frame) -> None:
        """Take the next frame of the channel.

        Raises:
            ConnectionError_: it is not the frame that must come now.
        """
        if self.size < 0:
            self._header(frame)
        elif frame.type == BODY:
            self._body(frame.payload)
        else:
            raise self._unexpected("expected content body, got non content body frame instead")

    def _header(self, frame: Frame) -> None:
        if frame.type != HEADER or frame.payload[2:4] != _BARE:
            raise self._unexpected(
                f"expected content header for class {BASIC}, got non content header frame instead"
            )
        try:
            header = decode_content_header(frame.payload)
        except FieldError as error:
            raise ConnectionError_(502, str(error)).at(*self.method.spec.id) from error
        if header.class_id != BASIC:
            raise self._unexpected(
                f"expected content header for class {BASIC}, got one for class {header.class_id} instead"
            )
        self.size = self._missing = header.body_size
        self.properties = header.properties
        self.complete = not self._missing

    def _body(self, part: bytes) -> None:
        self._missing -= len(part)
        if self._missing < 0:
            received = self.size - self._missing
            text = f"content body has {received} octets or more, its header announced {self.size}"
            raise ConnectionError_(501, text).at(*self.method.spec.id)
        if self.wanted:
            self._parts.append(part)
        self.complete = not self._missing

    def _unexpected(self, text: str) -> ConnectionError_:
        return ConnectionError_(505, text).at(*self.method.spec.id)


def published_properties(raw: bytes) -> Properties:
    """Keep the bytes and read out what the broker acts on.

    Raises:
        ConnectionError_: they cannot be decoded.
    """
    if raw == _BARE:
        return Properties(raw)
    try:
        values = decode_properties(raw)
    except FieldError as error:
        raise ConnectionError_(502, f"content properties cannot be decoded: {error}") from error
    return Properties(raw, **{name: values[name] for name in _ACTED_ON if name in values})


def wire_properties(message: Message) -> bytes:
    """Answer the property bytes a consumer gets: those that were published, unless the broker changed headers."""
    raw = message.properties.raw or _BARE
    rewrite = message.rewrite
    if rewrite is None:
        return raw
    return with_headers(raw, rewrite.headers, keep_expiration=rewrite.keep_expiration)


_ACTED_ON: tuple[str, ...] = ("expiration", "priority", "delivery_mode", "headers", "user_id")
