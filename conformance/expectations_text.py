"""``expectations.toml`` as its author wrote it: entries are added, removed and narrowed, every other line stays.

No library that writes TOML would keep the order, the comments and the blank lines of somebody else's file as they
are, so lines are cut out and put in.  A layout that lines do not explain is recognised in the end: what was written
is read again and has to say what was meant.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Changes", "LayoutError", "apply"]

HEADER = re.compile(r"\s*\[\[\s*known_failure\s*\]\]")
#: A table of an entry, such as ``[known_failure.when]``, belongs to it; any other ends it.
OTHER_TABLE = re.compile(r"\s*\[(?!\s*known_failure\s*\.)")

#: The words of a new entry, in the order in which they are written.
WORDS = ("requirement", "when", "reason", "kind")

Row = Mapping[str, Any]


class LayoutError(ValueError):
    """The file cannot be changed by lines; the text is one line for its author."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to become of a file of known failures.

    Attributes:
        added: new entries of printable text, in order.
        removed: numbers of entries that go, from 1.
        narrowed: number of an entry -> its words with other values, ``when`` or ``requirement``.
    """

    added: Sequence[Row] = ()
    removed: frozenset[int] = frozenset()
    narrowed: Mapping[int, Row] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether there is anything to change."""
        return bool(self.added or self.removed or self.narrowed)


def apply(changes: Changes, text: str) -> str:
    """Answer the text of a file after the changes.

    Raises:
        LayoutError: the file's layout is beyond this module.
    """
    rows = tomllib.loads(text).get("known_failure", [])
    lines = text.splitlines()
    places = list(_entries(lines))
    if len(places) != len(rows):
        raise LayoutError("its entries do not begin with a line [[known_failure]] each; change it by hand")
    for number in sorted({*changes.removed, *changes.narrowed}, reverse=True):
        place = places[number - 1]
        if number in changes.removed:
            _cut(lines, place)
        else:
            _reword(lines, place, changes.narrowed[number])
    changed = "\n".join([*lines, *(line for row in changes.added for line in ("", *_written(row)))])
    changed = changed.strip("\n") + "\n"
    if tomllib.loads(changed).get("known_failure", []) != _wanted(rows, changes):
        raise LayoutError("its layout is too unusual to be edited by line; change it by hand")
    return changed


def _wanted(rows: Sequence[Row], changes: Changes) -> list[Row]:
    kept = ((number, row) for number, row in enumerate(rows, start=1) if number not in changes.removed)
    return [*({**row, **changes.narrowed.get(number, {})} for number, row in kept), *changes.added]


def _entries(lines: Sequence[str]) -> Iterable[range]:
    """Answer the lines of each entry, from its header to its last word."""
    starts = [index for index, line in enumerate(lines) if HEADER.match(line)]
    for start in starts:
        rest = range(start + 1, len(lines))
        end = next((index for index in rest if OTHER_TABLE.match(lines[index])), len(lines))
        while _is_idle(lines[end - 1]):
            end -= 1
        yield range(start, end)


def _is_idle(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("#")


def _cut(lines: list[str], place: range) -> None:
    """Remove an entry, the comment that stands right above it, and the blank lines after it."""
    start, end = place.start, place.stop
    while start and lines[start - 1].lstrip().startswith("#"):
        start -= 1
    if start and lines[start - 1].strip():  # not a comment of its own: it goes on above
        start = place.start
    while end < len(lines) and not lines[end].strip():
        end += 1
    del lines[start:end]


def _reword(lines: list[str], place: range, words: Row) -> None:
    for name, value in words.items():
        old = _span(lines, place, name)
        new = [f"{name} = {_value(value)}"]
        if old is None:
            lines.insert(place.start + 2, new[0])
        else:
            lines[old.start : old.stop] = new


def _span(lines: Sequence[str], place: range, name: str) -> range | None:
    """Answer the lines of one word of an entry, None where it is not said."""
    begins = re.compile(rf"\s*{name}\s*=")
    for start in place:
        if begins.match(lines[start]):
            ends = range(start + 1, place.stop + 1)
            return range(start, next(end for end in ends if _parses("\n".join(lines[start:end]))))
    return None


def _parses(text: str) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


def _written(row: Row) -> list[str]:
    return ["[[known_failure]]", *(f"{name} = {_value(row[name])}" for name in WORDS if name in row)]


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{name} = {_value(item)}" for name, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False)  # of printable text JSON is TOML
