"""Records of the history as a reader sees them: one line each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from celeriac.conformance.history import Record

__all__ = ["MAX_RECORDS", "printable", "record_lines", "short"]

#: Longest value that a line shows in full, in characters.
MAX_VALUE = 48
#: How many records a failure shows.
MAX_RECORDS = 12

#: Fields that a line leaves out because others tell as much.
OMITTED = frozenset({"connection", "delivery_tag", "no_ack", "mandatory", "has_traceback"})


def record_lines(records: Iterable[Record]) -> list[str]:
    """Answer a line per record: sequence number, seconds since the first, observer, kind, fields."""
    shown = list(records)
    first = shown[0].at if shown else 0.0
    lines = [_line(record, first) for record in shown[:MAX_RECORDS]]
    if len(shown) > MAX_RECORDS:
        lines.append(f"... and {len(shown) - MAX_RECORDS} more")
    return lines


def short(value: Any) -> str:
    """Answer a value's text, cut where it gets long."""
    if isinstance(value, Mapping):
        text = (
            "{" + ", ".join(f"{key}: {short(item)}" for key, item in value.items() if item is not None) + "}"
        )
        return _cut(text, 4 * MAX_VALUE)
    return _cut(repr(value), MAX_VALUE)


def printable(text: str) -> str:
    """Answer one line of text with everything escaped that a terminal would obey instead of show."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _line(record: Record, first: float) -> str:
    fields = " ".join(
        f"{name}={short(value)}"
        for name, value in record.data.items()
        if value is not None and name not in OMITTED
    )
    return f"#{record.seq} {record.at - first:+.6f} s {record.observer} {record.kind} {fields}".rstrip()


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[:width]}...({len(text)} characters)"
