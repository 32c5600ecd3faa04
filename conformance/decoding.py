"""What the harness reads out of a message, moments and bodies."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from kombu import compression, serialization

if TYPE_CHECKING:
    from celeriac.conformance.history import Record

__all__ = ["body_of", "iso", "moment", "plain_body"]


def iso(at: float) -> str:
    """Answer epoch seconds as ISO 8601 text in UTC with microseconds."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds")


def moment(text: Any) -> float | None:
    """Answer the epoch seconds of an ISO 8601 text with a UTC offset, None when it is anything else."""
    if not isinstance(text, str):
        return None
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if value.tzinfo is None else value.timestamp()


def plain_body(record: Record) -> bytes:
    """Answer the body of a published message without its compression.

    Raises:
        KeyError: the ``compression`` header names no known scheme.
        Exception: whatever the decompressor says of a body that is not in its format.
    """
    label = record.headers.get("compression")
    decompressed: bytes = compression.decompress(record.body, label) if label else record.body
    return decompressed


def body_of(record: Record) -> Any:
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
