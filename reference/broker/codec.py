"""AMQP 0-9-1 between bytes and frames, and between frames and methods; generated from the method table.

Both directions of both sides: a server decodes what clients send, a wire tap decodes everybody.  Content properties
are kept as the bytes they came in, so that whoever forwards a message forwards exactly what was published.

    reader = FrameReader()
    for frame in reader.feed(data):
        if frame.type == METHOD:
            method = decode_method(frame.payload)
            method.name, method.arguments
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, cast

from celeriac.reference.broker.fields import (
    FieldError,
    FrameError,
    TextError,
    UnknownMethodError,
    encode_table,
    longstr,
    read_table,
    shortstr,
)
from celeriac.reference.broker.methods import BASIC, BY_ID, METHODS, MethodSpec

__all__ = [
    "BODY",
    "FRAME_END",
    "FRAME_OVERHEAD",
    "HEADER",
    "HEARTBEAT",
    "HEARTBEAT_FRAME",
    "METHOD",
    "PROTOCOL_HEADER",
    "ContentHeader",
    "Frame",
    "FrameReader",
    "Method",
    "decode_content_header",
    "decode_method",
    "encode_content",
    "encode_frame",
    "encode_method",
]

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
FRAME_END = 0xCE
#: Octets of a frame that are not payload.
FRAME_OVERHEAD = 8
PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
HEARTBEAT_FRAME = b"\x08\x00\x00\x00\x00\x00\x00\xce"

_FRAME = struct.Struct(">BHI")
_CONTENT = struct.Struct(">HHQ")
_METHOD_ID = struct.Struct(">HH")
_CONTENT_FRAME = struct.Struct(">BHIHHQ")
_END = b"\xce"
_NEW = tuple.__new__  # a named tuple at a third of the price


class Frame(NamedTuple):
    """One frame, without its end octet."""

    type: int
    channel: int
    payload: bytes


class Method(NamedTuple):
    """A decoded method: its line of the table and its values in wire order."""

    spec: MethodSpec
    values: tuple[Any, ...]

    @property
    def name(self) -> str:
        """``class.method``."""
        return self.spec.name

    @property
    def arguments(self) -> dict[str, Any]:
        """The values by argument name; tables are plain dictionaries."""
        return {
            argument.name: value for argument, value in zip(self.spec.arguments, self.values, strict=True)
        }


class ContentHeader(NamedTuple):
    """What precedes a body: the class, the body's size in octets and the undecoded properties, flags first."""

    class_id: int
    body_size: int
    properties: bytes


class FrameReader:
    """Cuts a byte stream into frames, whatever the pieces it arrives in.

    Args:
        frame_max: the largest payload in octets that is accepted; 0 is no limit.  May be changed at any time.
    """

    def __init__(self, frame_max: int = 0) -> None:
        self.frame_max = frame_max
        self._buffer = b""
        self._at = 0

    def feed(self, data: bytes) -> None:
        """Append received bytes."""
        self._buffer = self._buffer[self._at :] + data if self._at < len(self._buffer) else data
        self._at = 0

    def peek(self, count: int) -> bytes:
        """Answer up to ``count`` octets that come next, and leave them."""
        return self._buffer[self._at : self._at + count]

    def skip(self, count: int) -> None:
        """Remove octets that are no frame: the protocol header."""
        self._at += count

    def __len__(self) -> int:
        return len(self._buffer) - self._at

    def read(self) -> Frame | None:
        """Remove and answer the next complete frame, or None.

        Raises:
            FrameError: the frame is longer than ``frame_max`` or does not end in the end octet; nothing after it
                can be read.
        """
        buffer, start = self._buffer, self._at + 7
        if len(buffer) < start:
            return None
        kind, channel, size = _FRAME.unpack_from(buffer, start - 7)
        if size > self.frame_max > 0:
            raise FrameError(
                kind, channel, b"", f"{{frame_too_large,{size},{self.frame_max - FRAME_OVERHEAD}}}"
            )
        end = start + size
        if len(buffer) <= end:
            return None
        payload = buffer[start:end]
        if buffer[end] != FRAME_END:
            raise FrameError(kind, channel, payload, f"{{invalid_frame_end_marker,{buffer[end]}}}")
        self._at = end + 1
        return _NEW(Frame, (kind, channel, payload))

    def content(self, channel: int) -> tuple[bytes, bytes] | None:
        """Remove and answer the properties and the body that come next, if all of them is here and in one body frame.

        None means nothing about the frames: read them one by one.
        """
        buffer, at = self._buffer, self._at
        if len(buffer) - at < 30:
            return None
        kind, number, size, class_id, weight, body_size = _CONTENT_FRAME.unpack_from(buffer, at)
        body_frame = at + 8 + size
        body = body_frame + 7
        end = body + body_size
        if (
            (kind, number, class_id, weight) != (HEADER, channel, BASIC, 0)
            or len(buffer) <= end
            or size < 14
            or not body_size
            or max(size, body_size) > self.frame_max > 0
            or buffer[end] != FRAME_END
            or buffer[body_frame - 1] != FRAME_END
            or _FRAME.unpack_from(buffer, body_frame) != (BODY, channel, body_size)
        ):
            return None
        self._at = end + 1
        return buffer[at + 19 : body_frame - 1], buffer[body:end]

    def __iter__(self) -> Iterator[Frame]:
        while (frame := self.read()) is not None:
            yield frame


def encode_frame(kind: int, channel: int, payload: bytes) -> bytes:
    """Encode one frame."""
    return _FRAME.pack(kind, channel, len(payload)) + payload + _END


def decode_method(payload: bytes) -> Method:
    """Decode the payload of a method frame.

    Raises:
        UnknownMethodError: its two numbers name no method.
        TextError: a short string is not UTF-8.
        FieldError: its arguments cannot be decoded, or something follows them.
    """
    try:
        spec, decode = _DECODERS[payload[:4]]
        values, end = decode(payload, 4)
    except KeyError:
        if len(payload) < 4:
            raise FieldError("a method frame holds no method") from None
        raise UnknownMethodError(*_METHOD_ID.unpack_from(payload)) from None
    except UnicodeDecodeError:
        raise TextError("Malformed UTF-8 in shortstr") from None
    except (struct.error, IndexError):
        raise FieldError(
            f"the arguments of {BY_ID[_METHOD_ID.unpack_from(payload)].name} end too early"
        ) from None
    if end != len(payload):
        raise FieldError(f"the arguments of {spec.name} take {end} octets, the frame has {len(payload)}")
    return _NEW(Method, (spec, values))


def encode_method(channel: int, name: str, *values: Any) -> bytes:
    """Encode a method frame; ``values`` are the arguments in wire order.

    Raises:
        FieldError: a value does not fit its type.
        KeyError: there is no such method.
    """
    try:
        payload = _ENCODERS[name](*values)
    except (struct.error, AttributeError) as error:
        raise FieldError(f"{name} cannot carry {values!r}: {error}") from error
    return _FRAME.pack(METHOD, channel, len(payload)) + payload + _END


def decode_content_header(payload: bytes) -> ContentHeader:
    """Decode the payload of a content header frame; the properties stay undecoded.

    Raises:
        FieldError: it is too short.
    """
    if len(payload) < 14:
        raise FieldError(f"a content header has at least 14 octets, this one has {len(payload)}")
    class_id, _weight, body_size = _CONTENT.unpack_from(payload)
    return ContentHeader(class_id, body_size, payload[12:])


def encode_content(channel: int, properties: bytes, body: bytes, frame_max: int = 0) -> bytes:
    """Encode the header and body frames of one message; ``frame_max`` counts whole frames in octets, 0 is no limit."""
    size = len(body)
    head = _CONTENT_FRAME.pack(HEADER, channel, 12 + len(properties), BASIC, 0, size) + properties + _END
    if not size:
        return head
    piece = frame_max - FRAME_OVERHEAD if frame_max else size
    if size <= piece:
        return head + _FRAME.pack(BODY, channel, size) + body + _END
    frames = (encode_frame(BODY, channel, body[at : at + piece]) for at in range(0, size, piece))
    return head + b"".join(frames)


# The functions below are written once per method from its line of the table, as namedtuple does it: straight code is
# several times faster than interpreting the table for every message.

Decoder = Callable[[bytes, int], tuple[tuple[Any, ...], int]]
Encoder = Callable[..., bytes]

_NUMBERS = {"octet": "B", "short": "H", "long": "I", "longlong": "Q"}


def _decoder_source(spec: MethodSpec) -> str:
    """Write a function that reads what has a fixed size with one ``unpack_from`` per run of it."""
    lines, fixed, bit = [f"def decode(data, at):  # {spec.name}"], list[tuple[str, str]](), 0
    for index, kind in enumerate([*(argument.type for argument in spec.arguments), "end"]):
        if kind == "bit":
            if bit % 8 == 0:
                fixed.append((f"bits{index}", "B"))
                octet = f"bits{index}"
            fixed.append((f"v{index} = {octet} & {1 << bit % 8} != 0", ""))
            bit += 1
            continue
        bit = 0
        if kind in _NUMBERS:
            fixed.append((f"v{index}", _NUMBERS[kind]))
            continue
        lines += _fixed_source(fixed)
        fixed = []
        if kind != "end":
            lines += _READ_LINES[kind].format(f"v{index}").splitlines()
    names = "".join(f"v{index}, " for index in range(len(spec.arguments)))
    return "\n    ".join([*lines, f"return ({names}), at"])


def _fixed_source(fixed: list[tuple[str, str]]) -> list[str]:
    codes = "".join(code for _, code in fixed)
    if not codes:
        return []
    names = "".join(f"{name}, " for name, code in fixed if code)
    return [
        f"({names}) = unpack_{codes}(data, at)",
        f"at += {struct.calcsize('>' + codes)}",
        *(line for line, code in fixed if not code),
    ]


def _encoder_source(spec: MethodSpec) -> str:
    parts, bits = [repr(_METHOD_ID.pack(*spec.id))], list[str]()
    for index, kind in enumerate([*(argument.type for argument in spec.arguments), "end"]):
        if kind == "bit":
            bits.append(f"(v{index} and {1 << len(bits)})")
            continue
        if bits:
            parts.append(f"octet({' | '.join(bits)})")
            bits = []
        if kind != "end":
            parts.append(f"{kind}(v{index})")
    names = ", ".join(f"v{index}" for index in range(len(spec.arguments)))
    return f"def encode({names}):  # {spec.name}\n    return {' + '.join(parts)}"


_READ_LINES: Mapping[str, str] = {
    "shortstr": "end = at + 1 + data[at]\n{} = data[at + 1 : end].decode()\nat = end",
    "longstr": "(size,) = unpack_I(data, at)\nend = at + 4 + size\n{} = data[at + 4 : end]\nat = end",
    "table": "{}, at = table(data, at)",
}
_WRITERS: dict[str, Any] = {
    **{kind: struct.Struct(">" + code).pack for kind, code in _NUMBERS.items()},
    "shortstr": shortstr,
    "longstr": longstr,
    "table": encode_table,
}


def _decoder(spec: MethodSpec) -> Decoder:
    source = _decoder_source(spec)
    structs = {name: struct.Struct(">" + name[7:]).unpack_from for name in re.findall(r"unpack_\w+", source)}
    return cast("Decoder", _compile(source, "decode", {**structs, "table": read_table}))


def _encoder(spec: MethodSpec) -> Encoder:
    return cast("Encoder", _compile(_encoder_source(spec), "encode", _WRITERS))


def _compile(source: str, name: str, names: Mapping[str, Any]) -> Any:
    scope = dict(names)
    exec(source, scope)  # noqa: S102  the source is made of the literal table above and nothing else
    return scope[name]


_DECODERS: Mapping[bytes, tuple[MethodSpec, Decoder]] = {
    _METHOD_ID.pack(*spec.id): (spec, _decoder(spec)) for spec in METHODS
}
_ENCODERS: Mapping[str, Encoder] = {spec.name: _encoder(spec) for spec in METHODS}
