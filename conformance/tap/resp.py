"""RESP2 and RESP3: bytes to values, whatever way the bytes were cut.

A value is ``bytes`` (simple, bulk and verbatim strings), ``int``, ``float``, ``bool``, ``None``, a ``list`` (arrays
and sets; a map is the flat list of its keys and values, as in RESP2), a ``Push`` or a ``ReplyError``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Parser", "Push", "ReplyError", "RespSyntaxError"]

#: Bytes of a line, and of a bulk string, that no server accepts or sends.
LINE_LIMIT = 64 * 1024
BULK_LIMIT = 512 * 1024 * 1024

_MORE = object()
_OPENED = object()


class RespSyntaxError(ValueError):
    """The bytes are not RESP."""


class Push(list[Any]):
    """An out-of-band message of RESP3: it answers no command."""


@dataclass(frozen=True, slots=True)
class ReplyError:
    """An error reply; ``text`` begins with its code, such as ``WRONGTYPE``."""

    text: str


@dataclass(slots=True)
class _Open:
    """An aggregate whose elements are still arriving."""

    kind: str
    left: int
    items: list[Any] = field(default_factory=list)


_SCALARS: Mapping[str, Callable[[bytes], Any]] = {
    "+": bytes,
    "-": lambda line: ReplyError(line.decode("utf-8", "replace")),
    ":": int,
    "(": int,
    ",": float,
    "#": lambda line: line == b"t",
    "_": lambda line: None,
}
_BULKS: Mapping[str, Callable[[bytes], Any]] = {
    "$": bytes,
    "=": lambda text: text[4:],  # "txt:" or "mkd:" says how to show it
    "!": lambda text: ReplyError(text.decode("utf-8", "replace")),
}
#: Aggregates and the number of values that one of their elements takes.
_AGGREGATES: Mapping[str, int] = {"*": 1, "~": 1, ">": 1, "%": 2, "|": 2}


class Parser:
    """Cut a stream into values.

    Args:
        inline: accept inline commands (a line of words), as servers do of clients.
    """

    def __init__(self, *, inline: bool = False) -> None:
        self._inline = inline
        self._buffer = bytearray()
        self._start = 0  # of what is not parsed yet
        self._scanned = 0  # no line end before this
        self._bulk: tuple[str, int] | None = None  # kind and length of the bulk string that is arriving
        self._open: list[_Open] = []

    def feed(self, data: bytes) -> Iterator[Any]:
        """Yield every value that is complete now.

        Raises:
            RespSyntaxError: the stream is not RESP; the parser is of no use any more.
        """
        self._buffer += data
        while (token := self._token()) is not _MORE:
            if token is not _OPENED:
                yield from self._finished(token)
        del self._buffer[: self._start]
        self._scanned = max(0, self._scanned - self._start)
        self._start = 0

    def __len__(self) -> int:
        """Answer how many bytes come after the values so far."""
        return len(self._buffer) - self._start

    def _token(self) -> Any:
        if self._bulk is not None:
            return self._bulk_token(*self._bulk)
        line = self._line()
        return _MORE if line is None else self._line_token(line)

    def _line(self) -> bytes | None:
        end = self._buffer.find(b"\r\n", max(self._start, self._scanned))
        if end < 0:
            self._scanned = max(self._start, len(self._buffer) - 1)
            if len(self._buffer) - self._start > LINE_LIMIT:
                raise RespSyntaxError(f"a line of more than {LINE_LIMIT} bytes")
            return None
        line = bytes(self._buffer[self._start : end])
        self._start = self._scanned = end + 2
        return line

    def _line_token(self, line: bytes) -> Any:
        kind, rest = chr(line[0]) if line else "", line[1:]
        if self._inline and not self._open and kind != "*":
            return line.split()
        try:
            if kind in _SCALARS:
                return _SCALARS[kind](rest)
            if kind in _BULKS:
                return self._open_bulk(kind, int(rest))
            if kind in _AGGREGATES:
                return self._open_aggregate(kind, int(rest))
        except ValueError as exc:
            raise RespSyntaxError(f"{exc} in the line {line[:80]!r}") from exc
        raise RespSyntaxError(f"no type of RESP begins with {line[:80]!r}")

    def _open_bulk(self, kind: str, length: int) -> Any:
        if length == -1:
            return None
        if not 0 <= length <= BULK_LIMIT:
            raise RespSyntaxError(f"a string of {length} bytes")
        self._bulk = kind, length
        return _OPENED

    def _bulk_token(self, kind: str, length: int) -> Any:
        end = self._start + length
        if len(self._buffer) < end + 2:
            return _MORE
        if self._buffer[end : end + 2] != b"\r\n":
            raise RespSyntaxError(f"a string of {length} bytes does not end where it should")
        value = _BULKS[kind](bytes(self._buffer[self._start : end]))
        self._start = self._scanned = end + 2
        self._bulk = None
        return value

    def _open_aggregate(self, kind: str, count: int) -> Any:
        if count == -1:
            return None
        if count < 0:
            raise RespSyntaxError(f"an aggregate of {count} elements")
        if count == 0 and kind == "|":
            return _OPENED
        self._open.append(_Open(kind, count * _AGGREGATES[kind]))
        return self._close() if count == 0 else _OPENED

    def _close(self) -> Any:
        done = self._open.pop()
        return Push(done.items) if done.kind == ">" else done.items

    def _finished(self, value: Any) -> Iterator[Any]:
        while self._open:
            innermost = self._open[-1]
            innermost.items.append(value)
            innermost.left -= 1
            if innermost.left:
                return
            value = self._close()
            if innermost.kind == "|":  # attributes describe the next value; nobody here reads them
                return
        yield value
