"""What the harness reads out of a message, moments and bodies."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from kombu import serialization

if TYPE_CHECKING:
    from celeriac.conformance.history import Record

__all__ = ["body_of", "decoded_body", "has_offset", "iso", "moment", "plain_body", "task_of"]

#: Links of a task, as a body names them that has three elements and as one of version 1 does.
_LINKS = ("callbacks", "errbacks", "chain", "chord")


def _brotli(data: bytes) -> bytes:
    import brotli

    return bytes(brotli.decompress(data))


def _zstd(data: bytes) -> bytes:
    import zstandard

    return bytes(zstandard.ZstdDecompressor().decompressobj().decompress(data))


def _zlib(data: bytes) -> bytes:
    return zlib.decompress(data, wbits=zlib.MAX_WBITS | 32)


def _or_zlib(decompress: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    def undo(data: bytes) -> bytes:
        try:
            return decompress(data)
        except Exception:  # noqa: BLE001 - every library fails in its own way
            return _zlib(data)

    return undo


#: Label of a compression -> what undoes it, in any format that the label could mean and in zlib's: whether it is the
#: right one is for CMP-007 to CMP-012 to decide, and must not keep other checks from reading the body.
_DECOMPRESSORS: Mapping[str, Callable[[bytes], bytes]] = {
    "application/x-gzip": _zlib,
    "application/x-bz2": _or_zlib(bz2.decompress),
    "application/x-lzma": _or_zlib(lzma.decompress),
    "application/x-brotli": _or_zlib(_brotli),
    "application/zstd": _or_zlib(_zstd),
}


def iso(at: float) -> str:
    """Answer epoch seconds as ISO 8601 text in UTC with microseconds."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds")


def moment(text: Any) -> float | None:
    """Answer the epoch seconds of an ISO 8601 text, None when it is anything else.

    Without an offset it is UTC, as workers read it; whether it has one is for ETA-003 and EXP-003 to decide.
    """
    value = _parsed(text)
    return None if value is None else (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()


def has_offset(text: Any) -> bool:
    """Answer whether this is an ISO 8601 text of date, time and UTC offset."""
    value = _parsed(text)
    return value is not None and value.tzinfo is not None


def _parsed(text: Any) -> datetime | None:
    if not isinstance(text, str):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def plain_body(record: Record) -> bytes:
    """Answer the body of a published message without its compression.

    Raises:
        KeyError: the ``compression`` header names no known scheme.
        Exception: whatever the decompressor says of a body that is not in its format.
    """
    label = record.headers.get("compression")
    body: bytes = record.body
    return _DECOMPRESSORS[label](body) if label else body


def body_of(record: Record) -> Any:
    """Answer the arguments, the keyword arguments and the links in the body of a published message.

    A mapping, as in version 1 of the protocol, is read into the three elements of version 2: that a body has to have
    these is for MSG-008 to decide.  Anything else is answered as it is.

    Raises:
        kombu.exceptions.DecodeError: the body is not what its labels say.
    """
    body = decoded_body(record)
    if not isinstance(body, dict):
        return body
    return [body.get("args", []), body.get("kwargs", {}), {name: body.get(name) for name in _LINKS}]


def task_of(record: Record) -> Any:
    """Answer the name of the task in a published message: the header, else what a body of version 1 says, else None.

    Raises:
        kombu.exceptions.DecodeError: there is no header, and the body is not what its labels say.
    """
    if "task" in record.headers:
        return record.headers["task"]
    body = decoded_body(record)
    return body.get("task") if isinstance(body, dict) else None


def decoded_body(record: Record) -> Any:
    """Answer the decoded body of a published message, with the typed values of JSON made native.

    Any content type is accepted here, pickle too: the message was made by the implementation that the user
    asked to judge, on this machine.

    Raises:
        kombu.exceptions.DecodeError: the body is not what its labels say.
    """
    properties = record.properties
    content_type = properties.get("content_type")
    return serialization.loads(
        plain_body(record),
        content_type,
        properties.get("content_encoding"),
        accept={content_type},
        force=True,
    )
