"""The probe codecs: a serializer and a compression that every adapter registers, so that no code travels.

They stand for those that a user writes.  Both are simple enough for any language, and useless otherwise.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

__all__ = ["COMPRESSION", "SERIALIZER", "Codec", "dump", "load", "turn"]


@dataclass(frozen=True, slots=True)
class Codec:
    """What a probe codec is registered as.

    Attributes:
        name: how a call names it.
        label: its content type.
        encoding: the content encoding of its bodies; empty for a compression.
    """

    name: str
    label: str
    encoding: str = ""


#: Bodies are the hexadecimal text of their JSON text (SER-020 to SER-022).
SERIALIZER = Codec("x-celeriac", "application/x-celeriac", "utf-8")

#: Bodies are turned around (CMP-016, CMP-017).
COMPRESSION = Codec("x-celeriac", "application/x-celeriac-reversed")


def dump(value: Any) -> str:
    """Answer the body of the probe serializer for ``value``, which JSON can carry.

    Raises:
        TypeError: it cannot.
    """
    return json.dumps(value).encode().hex()


def load(body: str | bytes) -> Any:
    """Answer the value of a body that ``dump`` made.

    Raises:
        ValueError: it is no such body.
    """
    text = body if isinstance(body, str) else body.decode()
    return json.loads(bytes.fromhex(text))


def turn(body: bytes) -> bytes:
    """Compress, or decompress, with the probe compression."""
    return body[::-1]
