"""Where two texts differ, as a line of carets under each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import groupby

__all__ = ["carets", "differences"]

#: What is one word: an id, a number, letters, anything else alone.
TOKEN = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d+|[^\W\d_]+|.", re.DOTALL)

#: Several words, or marks between values: nothing that is a value.
PROSE = re.compile(r"\s*[A-Za-z,.:;]+(?:\s+[A-Za-z,.:;]+)+\s*|[\s'\",.:;]+")

#: The share of the shorter text that must be in the other, too, for their difference to mean anything.
ALIKE = 0.5


def differences(first: str, second: str) -> tuple[str, str]:
    """Answer for each text a text of the same length with ``^`` where it differs from the other, else blanks.

    Texts that have little in common differ everywhere, which nobody needs to be shown: they are not marked.
    """
    left, right = TOKEN.findall(first), TOKEN.findall(second)
    blocks = SequenceMatcher(None, left, right, autojunk=False).get_matching_blocks()
    common = sum(len(left[block.a + step].strip()) for block in blocks for step in range(block.size))
    shorter = min(len("".join(first.split())), len("".join(second.split())))
    if common < ALIKE * shorter:
        return " " * len(first), " " * len(second)
    ours = {block.a + step for block in blocks for step in range(block.size)}
    theirs = {block.b + step for block in blocks for step in range(block.size)}
    return _marked(left, ours), _marked(right, theirs)


def _marked(tokens: Sequence[str], same: set[int]) -> str:
    """Answer the carets; words around a value, which differ without meaning anything, get none."""
    parts: list[str] = []
    for is_same, numbers in groupby(range(len(tokens)), key=lambda number: number in same):
        run = "".join(tokens[number] for number in numbers)
        parts.append((" " if is_same or PROSE.fullmatch(run) else "^") * len(run))
    return "".join(parts)


def carets(lines: Sequence[str], indent: int, text: str, marks: str) -> list[str]:
    """Answer wrapped lines of ``text`` (blanks joined) with a line of carets under each that has some.

    Args:
        lines: the text as it was wrapped.
        indent: how many columns stand before it in every line.
        text: the text itself.
        marks: as long as the text.
    """
    found: list[str] = []
    place = 0
    for line in lines:
        part = line[indent:]
        place = text.index(part, place)
        under = marks[place : place + len(part)].rstrip()
        place += len(part)
        found += [line, f"{' ' * indent}{under}"] if under else [line]
    return found
