"""Bytes and back: serializer and compression by the labels of kombu's registries.

A body is serialized, then compressed; the content type stays the serializer's (CMP-013).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Final

from kombu import compression as schemes
from kombu import serialization
from kombu.exceptions import DecodeError, EncodeError, SerializerNotInstalled

from celeriac.reference.suggest import unknown

__all__ = ["SCHEMES", "Encoded", "accepted_types", "check_names", "decode", "encode"]

#: The guide's compression schemes; others may be registered with kombu.
SCHEMES: Final = ("brotli", "bzip2", "gzip", "lzma", "zlib", "zstd")

_BINARY: Final = frozenset({"binary", "ascii-8bit"})


@dataclass(frozen=True, slots=True)
class Encoded:
    """An encoded value and its labels.

    Attributes:
        content_type: e.g. ``application/json`` (SER-008 to SER-011).
        content_encoding: e.g. ``utf-8``, ``binary``.
        compression: label of the scheme, e.g. ``application/x-gzip``; None when not compressed (CMP-001).
    """

    data: bytes
    content_type: str
    content_encoding: str
    compression: str | None = None


def check_names(serializer: str, compression: str | None) -> None:
    """Refuse names that no registry knows (SER-006, CMP-006).

    Raises:
        kombu.exceptions.SerializerNotInstalled: the serializer is unknown.
        ValueError: the compression is unknown, or its package is not installed.
    """
    # the registry's public face has no look-up by name that does not encode
    names = serialization.registry.name_to_type
    if serializer not in names:
        raise SerializerNotInstalled(unknown("serializer", serializer, names))
    if compression is not None:
        try:
            schemes.get_encoder(compression)
        except KeyError:
            text = unknown("compression", compression, SCHEMES)
            raise ValueError(f"{text} (is its package installed?)") from None


def encode(value: Any, serializer: str, compression: str | None = None) -> Encoded:
    """Serialize, then compress.

    Raises:
        kombu.exceptions.EncodeError: the serializer cannot carry the value (SER-007).
        kombu.exceptions.SerializerNotInstalled: the serializer is unknown.
        ValueError: the compression is unknown.
    """
    check_names(serializer, compression)
    content_type, encoding, payload = serialization.dumps(value, serializer)
    data = payload.encode(encoding) if isinstance(payload, str) else payload
    if not isinstance(data, bytes):
        raise EncodeError(f"serializer {serializer!r} makes no bytes of {type(value).__name__}")
    if compression is None:
        return Encoded(data, content_type, encoding)
    data, label = schemes.compress(data, compression)
    return Encoded(data, content_type, encoding, label)


def decode(data: Any, content_type: str, content_encoding: str | None, accept: Collection[str]) -> Any:
    """Decode a body by its labels (SER-016); it is not decompressed here.

    Args:
        data: bytes, or text where the transport has decoded it.
        content_type: the label of the message.
        content_encoding: its character set, or ``binary``.
        accept: content types that may be decoded, from ``accepted_types``.

    Raises:
        kombu.exceptions.ContentDisallowed: the content type is not accepted (SER-017).
        kombu.exceptions.DecodeError: the bytes are not what the labels say.
    """
    encoding = (content_encoding or "utf-8").lower()
    if isinstance(data, bytes) and encoding not in _BINARY and content_type in accept:
        try:
            data = data.decode(encoding)
        except (UnicodeDecodeError, LookupError) as error:
            raise DecodeError(f"the body is not {encoding}: {error}") from error
    return serialization.loads(data, content_type, encoding, accept=accept)


def accepted_types(names: Iterable[str]) -> frozenset[str]:
    """Answer the content types of an ``accept_content`` setting: names or content types (SER-033, SER-034).

    Raises:
        kombu.exceptions.SerializerNotInstalled: a name is unknown.
    """
    return frozenset(serialization.prepare_accept_content(names))
