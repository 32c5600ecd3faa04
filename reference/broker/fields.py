"""Values in AMQP 0-9-1: strings, field tables, arrays and content properties, between bytes and Python.

A field of a table is one type letter and a value.  ``read_fields`` keeps the letter (``Field``), so what was read can
be written again byte for byte; ``decode_table`` gives plain Python values.  Text is UTF-8 with the other bytes escaped,
so no byte is ever lost; a long string that is not UTF-8 stays ``bytes``.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from celeriac.reference.broker.methods import PROPERTIES

__all__ = [
    "Field",
    "FieldError",
    "FrameError",
    "TextError",
    "UnknownMethodError",
    "WireError",
    "decode_properties",
    "decode_table",
    "encode_field",
    "encode_properties",
    "encode_table",
    "join_properties",
    "longstr",
    "read_fields",
    "read_table",
    "shortstr",
    "split_properties",
    "with_headers",
]


class WireError(ValueError):
    """Bytes that are not AMQP; ``code`` is the reply code that the protocol has for it."""

    code = 501


class FrameError(WireError):
    """A frame is malformed: a wrong end octet, or longer than negotiated.

    Args:
        kind: the frame's type octet.
        channel: its channel.
        payload: as much of its payload as was read.
        reason: what is wrong with it, in RabbitMQ's words.
    """

    def __init__(self, kind: int, channel: int, payload: bytes, reason: str) -> None:
        super().__init__(f"frame of type {kind} on channel {channel}: {reason}")
        self.kind, self.channel, self.payload, self.reason = kind, channel, payload, reason


class FieldError(WireError):
    """A frame holds something that cannot be decoded, or a value cannot be encoded."""


class TextError(FieldError):
    """A short string of a method is not UTF-8."""


class UnknownMethodError(WireError):
    """No method has this class and method number."""

    code = 503

    def __init__(self, class_id: int, method_id: int) -> None:
        super().__init__(f"there is no method {class_id},{method_id}")
        self.class_id, self.method_id = class_id, method_id


class Field(NamedTuple):
    """A value with the type letter it has, or shall have, on the wire."""

    code: str
    value: Any


_FIXED: Mapping[str, struct.Struct] = {
    "t": struct.Struct(">?"),
    "b": struct.Struct(">b"),
    "B": struct.Struct(">B"),
    "s": struct.Struct(">h"),
    "u": struct.Struct(">H"),
    "I": struct.Struct(">i"),
    "i": struct.Struct(">I"),
    "l": struct.Struct(">q"),
    "L": struct.Struct(">q"),
    "f": struct.Struct(">f"),
    "d": struct.Struct(">d"),
    "T": struct.Struct(">Q"),
}
_DECIMAL = struct.Struct(">Bi")
_LONG = struct.Struct(">I")
_SHORT = struct.Struct(">H")
_LONGLONG = struct.Struct(">Q")
_DEEPEST = 64


@lru_cache(maxsize=4096)
def shortstr(text: str) -> bytes:
    """Encode a short string: a length octet and at most 255 octets.

    Raises:
        FieldError: the text is longer than that.
    """
    data = text.encode("utf-8", "surrogateescape")
    if len(data) > 255:
        raise FieldError(
            f"a short string holds at most 255 octets, this one has {len(data)}: {text[:40]!r}..."
        )
    return bytes((len(data),)) + data


def longstr(data: bytes | str) -> bytes:
    """Encode a long string: a four-octet length and the octets."""
    raw = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data
    return _LONG.pack(len(raw)) + raw


def read_fields(data: bytes, at: int = 0) -> tuple[dict[str, Field], int]:
    """Read a table at ``at``; answer its fields with their type letters, and where it ends.

    Raises:
        FieldError: the bytes are no table.
    """
    try:
        return _table(data, at, 0)
    except (struct.error, IndexError):
        raise FieldError("a field table ends too early") from None


def read_table(data: bytes, at: int = 0) -> tuple[dict[str, Any], int]:
    """Read a table at ``at``; answer plain values, and where it ends.

    Raises:
        FieldError: the bytes are no table.
    """
    fields, end = read_fields(data, at)
    return {name: _plain(field) for name, field in fields.items()}, end


def decode_table(data: bytes) -> dict[str, Any]:
    """Decode a whole table, length included, to plain values.

    Raises:
        FieldError: the bytes are no table, or more than one.
    """
    table, end = read_table(data)
    if end != len(data):
        raise FieldError(f"{len(data) - end} octets follow a field table")
    return table


def encode_table(table: Mapping[str, Any]) -> bytes:
    """Encode a table of plain values or ``Field``s, length included.

    Raises:
        FieldError: a value has no field type.
    """
    return longstr(b"".join(shortstr(name) + encode_field(value) for name, value in table.items()))


def encode_field(value: Any) -> bytes:
    """Encode one value, or one ``Field`` with the type it asks for, as type letter and value.

    Raises:
        FieldError: the value does not fit any type, or not the one it asks for.
    """
    code, value = value if isinstance(value, Field) else (_code(value), value)
    try:
        return code.encode("ascii") + _value(code, value)
    except (struct.error, KeyError, TypeError, AttributeError) as error:
        raise FieldError(f"{value!r} cannot be a table field of type {code!r}: {error}") from error


def decode_properties(raw: bytes) -> dict[str, Any]:
    """Decode content properties, flags first, to plain values (headers as a dict), by name.

    Raises:
        FieldError: the bytes are no properties.
    """
    properties: dict[str, Any] = {}
    at = 2
    try:
        (flags,) = _SHORT.unpack_from(raw)
        for index, (name, kind) in enumerate(PROPERTIES):
            if flags & 0x8000 >> index:
                properties[name], at = _READ[kind](raw, at)
    except (struct.error, IndexError):
        raise FieldError("content properties end too early") from None
    if at != len(raw) or flags & 3:
        raise FieldError("content properties are followed by something unknown")
    return properties


def encode_properties(properties: Mapping[str, Any]) -> bytes:
    """Encode content properties by name, flags first; None counts as absent.

    Raises:
        FieldError: a name is unknown or a value does not fit.
    """
    unknown = set(properties) - {name for name, _ in PROPERTIES}
    if unknown:
        raise FieldError(f"unknown content properties: {', '.join(sorted(unknown))}")
    flags, parts = 0, []
    for index, (name, kind) in enumerate(PROPERTIES):
        if (value := properties.get(name)) is not None:
            flags |= 0x8000 >> index
            parts.append(_property(name, kind, value))
    return _SHORT.pack(flags) + b"".join(parts)


def split_properties(raw: bytes) -> dict[str, bytes]:
    """Cut content properties, flags first, into the encoded value of each, by name.

    Raises:
        FieldError: the bytes are no properties.
    """
    pieces: dict[str, bytes] = {}
    at = 2
    try:
        (flags,) = _SHORT.unpack_from(raw)
        for index, (name, kind) in enumerate(PROPERTIES):
            if flags & 0x8000 >> index:
                start, (_, at) = at, _READ[kind](raw, at)
                pieces[name] = raw[start:at]
    except (struct.error, IndexError):
        raise FieldError("content properties end too early") from None
    return pieces


def join_properties(pieces: Mapping[str, bytes]) -> bytes:
    """Put encoded properties together again, flags first."""
    flags = sum(0x8000 >> index for index, (name, _) in enumerate(PROPERTIES) if name in pieces)
    return _SHORT.pack(flags) + b"".join(pieces[name] for name, _ in PROPERTIES if name in pieces)


def with_headers(raw: bytes, headers: Mapping[str, Any], *, keep_expiration: bool = True) -> bytes:
    """Answer the properties ``raw`` with another header table, and perhaps without expiration.

    Every other property keeps its bytes, and every header whose value stays keeps its field type.
    """
    pieces = split_properties(raw)
    fields = read_fields(pieces["headers"])[0] if "headers" in pieces else {}
    same = {
        name: field for name, field in fields.items() if name in headers and headers[name] == _plain(field)
    }
    pieces["headers"] = encode_table({**headers, **same})
    if not keep_expiration:
        pieces.pop("expiration", None)
    return join_properties(pieces)


def _table(data: bytes, at: int, depth: int) -> tuple[dict[str, Field], int]:
    end = _end(data, at, depth)
    at += 4
    fields: dict[str, Field] = {}
    while at < end:
        name, at = _read_shortstr(data, at)
        fields[name], at = _field(data, at, depth)
    if at != end:
        raise FieldError("a field reaches beyond the end of its table")
    return fields, at


def _array(data: bytes, at: int, depth: int) -> tuple[list[Field], int]:
    end = _end(data, at, depth)
    at += 4
    fields: list[Field] = []
    while at < end:
        field, at = _field(data, at, depth)
        fields.append(field)
    if at != end:
        raise FieldError("an item reaches beyond the end of its array")
    return fields, at


def _end(data: bytes, at: int, depth: int) -> int:
    if depth > _DEEPEST:
        raise FieldError(f"tables and arrays are nested more than {_DEEPEST} deep")
    end = at + 4 + int(_LONG.unpack_from(data, at)[0])
    if end > len(data):
        raise FieldError("a field table or array is longer than its frame")
    return end


def _field(data: bytes, at: int, depth: int) -> tuple[Field, int]:
    code = chr(data[at])
    at += 1
    if (fixed := _FIXED.get(code)) is not None:
        return Field(code, fixed.unpack_from(data, at)[0]), at + fixed.size
    if code in "Sx":
        value, at = _read_longstr(data, at)
        return Field(code, value), at
    if code == "F":
        table, at = _table(data, at, depth + 1)
        return Field(code, table), at
    if code == "A":
        array, at = _array(data, at, depth + 1)
        return Field(code, array), at
    if code == "D":
        scale, unscaled = _DECIMAL.unpack_from(data, at)
        return Field(code, Decimal(unscaled).scaleb(-scale)), at + _DECIMAL.size
    if code == "V":
        return Field(code, None), at
    raise FieldError(f"unknown field type {code!r}")


def _read_shortstr(data: bytes, at: int) -> tuple[str, int]:
    end = at + 1 + data[at]
    if end > len(data):
        raise FieldError("a short string is longer than its frame")
    return data[at + 1 : end].decode("utf-8", "surrogateescape"), end


def _read_longstr(data: bytes, at: int) -> tuple[bytes, int]:
    end = at + 4 + int(_LONG.unpack_from(data, at)[0])
    if end > len(data):
        raise FieldError("a long string is longer than its frame")
    return data[at + 4 : end], end


def _plain(field: Field) -> Any:
    match field.code:
        case "S":
            try:
                return field.value.decode()
            except UnicodeDecodeError:
                return field.value
        case "F":
            return {name: _plain(item) for name, item in field.value.items()}
        case "A":
            return [_plain(item) for item in field.value]
        case "T":
            try:
                return datetime.fromtimestamp(field.value, UTC)
            except (OverflowError, ValueError, OSError):
                return field.value
    return field.value


def _code(value: Any) -> str:
    match value:
        case None:
            return "V"
        case bool():
            return "t"
        case int():
            return "I" if -(2**31) <= value < 2**31 else "l"
        case float():
            return "d"
        case str() | bytes():
            return "S"
        case Decimal():
            return "D"
        case datetime():
            return "T"
        case Mapping():
            return "F"
        case list() | tuple():
            return "A"
    raise FieldError(f"{value!r} has no field type; give a Field")


def _value(code: str, value: Any) -> bytes:
    if code == "V":
        return b""
    if code in "Sx":
        return longstr(value)
    if code == "F":
        return encode_table(value)
    if code == "A":
        return longstr(b"".join(encode_field(item) for item in value))
    if code == "D":
        sign, digits, exponent = value.as_tuple()
        unscaled = int("".join(map(str, digits))) * 10 ** max(exponent, 0)
        return _DECIMAL.pack(max(-exponent, 0), -unscaled if sign else unscaled)
    if code == "T" and isinstance(value, datetime):
        value = int(value.timestamp())
    return _FIXED[code].pack(value)


def _property(name: str, kind: str, value: Any) -> bytes:
    try:
        return bytes(_WRITE[kind](value))
    except (struct.error, ValueError, TypeError, AttributeError) as error:
        raise FieldError(f"{value!r} cannot be the content property {name!r}: {error}") from error


def _read_octet(data: bytes, at: int) -> tuple[int, int]:
    return data[at], at + 1


def _read_longlong(data: bytes, at: int) -> tuple[int, int]:
    return _LONGLONG.unpack_from(data, at)[0], at + 8


_READ: Mapping[str, Any] = {
    "shortstr": _read_shortstr,
    "table": read_table,
    "octet": _read_octet,
    "longlong": _read_longlong,
}
_WRITE: Mapping[str, Any] = {
    "shortstr": shortstr,
    "table": encode_table,
    "octet": struct.Struct(">B").pack,
    "longlong": _LONGLONG.pack,
}
