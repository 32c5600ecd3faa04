"""How RabbitMQ words its complaints about bytes: Erlang terms inside reply texts."""

from __future__ import annotations

__all__ = ["binary_term", "frame_text", "undecodable_text", "unexpected_text"]

_PRINTABLE = frozenset((*range(0x20, 0x7F), *range(0xA0, 0x100), *b"\b\t\n\v\f\r\x1b"))
_ESCAPES = str.maketrans(
    {
        '"': '\\"',
        "\\": "\\\\",
        "\b": "\\b",
        "\t": "\\t",
        "\n": "\\n",
        "\v": "\\v",
        "\f": "\\f",
        "\r": "\\r",
        "\x1b": "\\e",
    }
)


def binary_term(data: bytes, *, readable: bool = True) -> str:
    """Write a binary as Erlang prints it; ``readable`` shows text as text (``~p`` instead of ``~w``)."""
    if readable and data and _PRINTABLE.issuperset(data):
        return f'<<"{data.decode("latin-1").translate(_ESCAPES)}">>'
    return f"<<{','.join(map(str, data))}>>"


def unexpected_text(kind: int, payload: bytes) -> str:
    """Describe a frame that came where none of its type may."""
    part = "all" if len(payload) <= 16 else "first 16"
    return f"type {kind}, {part} octets = {binary_term(payload[:16])}"


def frame_text(kind: int, payload: bytes, reason: str) -> str:
    """Describe a frame that is none."""
    return f"{unexpected_text(kind, payload)}: {reason}"


def undecodable_text(arguments: bytes) -> str:
    """Describe arguments that do not fit their method."""
    return f"cannot decode {binary_term(arguments, readable=False)}"
