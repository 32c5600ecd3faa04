"""Read a chapter: Markdown in which requirement blocks stand between paragraphs.

A chapter starts with ``# PREFIX · Title``.  Headings of the second level are free; a heading of the third level
starts a requirement block: the heading, one paragraph (the sentence), one list (the fields)::

    ### ETA-004 · MUST · worker
    A worker does not start a task before the moment in its `eta` header.

    - observed: history
    - guide: eta-and-countdown
    - why: An ETA is a promise to the caller about the earliest moment.

Everything else is prose.  The reader is strict: what it does not understand is an error that names file and line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from celeriac.spec.model import (
    FIELDS,
    GUIDE_SECTIONS,
    LEVELS,
    OBSERVED,
    ROLES,
    Chapter,
    Requirement,
    SpecError,
)

__all__ = ["parse_chapter"]

FILE_NAME = re.compile(r"\d\d-(?P<slug>[a-z0-9]+(?:-[a-z0-9]+)*)\.md")
TITLE = re.compile(r"# (?P<prefix>[A-Z]{3}) · (?P<title>\S.*)")
FIELD = re.compile(r"- (?P<name>[a-z][a-z ]*): +(?P<value>\S.*)")
FEATURE = re.compile(r"(?:(?:serializer|compression|results):[a-z0-9]+|[a-z][a-z0-9_]*)")
BLOCK = "### "
SEPARATOR = " · "


@dataclass(frozen=True, slots=True)
class _Place:
    """A line of a chapter, for error messages."""

    path: Path
    line: int

    def fail(self, message: str) -> NoReturn:
        raise SpecError(f"{self.path.name}:{self.line}: {message}")


class _Lines:
    """The lines of a chapter with one line of lookahead."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = path.read_text(encoding="utf-8").splitlines()
        self.index = 0

    @property
    def place(self) -> _Place:
        return _Place(self.path, self.index + 1)

    def peek(self) -> str | None:
        return self.lines[self.index].rstrip() if self.index < len(self.lines) else None

    def take(self) -> str:
        line = self.lines[self.index].rstrip()
        self.index += 1
        return line

    def skip_blank(self) -> None:
        while self.peek() == "":
            self.index += 1

    def paragraph(self) -> Iterator[str]:
        """Take the lines up to a blank one, a list item, a heading or the end."""
        while (line := self.peek()) and not line.startswith(("- ", "#")):
            yield self.take().strip()


def parse_chapter(path: Path) -> Chapter:
    """Read one chapter file.

    Raises:
        SpecError: anything in it does not follow the format; the message starts with ``file:line:``.
    """
    named = FILE_NAME.fullmatch(path.name) or _Place(path, 1).fail("a chapter's file is named NN-slug.md")
    slug = named["slug"]
    lines = _Lines(path)
    titled = TITLE.fullmatch(lines.peek() or "") or lines.place.fail("a chapter starts with '# ABC · Title'")
    prefix = titled["prefix"]
    lines.take()
    prose: list[str] = []
    requirements: list[Requirement] = []
    while (line := lines.peek()) is not None:
        if line.startswith(BLOCK):
            requirements.append(_requirement(lines, slug, prefix))
        else:
            prose.append(lines.take())
    return Chapter(slug, prefix, titled["title"], _tidy(prose), tuple(requirements))


def _tidy(prose: list[str]) -> str:
    return re.sub(r"\n{3,}", "\n\n", "\n".join(prose)).strip()


def _requirement(lines: _Lines, slug: str, prefix: str) -> Requirement:
    place = lines.place
    identity, level, role = _heading(lines.take(), prefix, place)
    lines.skip_blank()
    sentence = " ".join(lines.paragraph()) or place.fail(f"{identity} has no sentence")
    lines.skip_blank()
    fields = _fields(lines, identity, place)
    return Requirement(
        id=identity,
        level=level,
        role=role,
        observed=fields["observed"],
        guide=fields["guide"],
        sentence=sentence,
        why=fields["why"],
        known=fields.get("known behaviour"),
        excluded=fields.get("excluded"),
        feature=fields.get("feature"),
        chapter=slug,
    )


def _heading(line: str, prefix: str, place: _Place) -> tuple[str, str, str]:
    parts = line.removeprefix(BLOCK).split(SEPARATOR)
    missing = ("id", "level", "role")[len(parts) :]
    if missing:
        place.fail(f"missing {' and '.join(missing)}; a requirement starts with '### ABC-001 · LEVEL · role'")
    if len(parts) > len(("id", "level", "role")):
        place.fail(f"too many parts in {line!r}; a requirement starts with '### ABC-001 · LEVEL · role'")
    identity, level, role = parts
    if not re.fullmatch(rf"{prefix}-\d{{3}}", identity):
        place.fail(f"id {identity!r} does not fit the chapter; expected {prefix}- and three digits")
    _one_of("level", level, LEVELS, place)
    _one_of("role", role, ROLES, place)
    return identity, level, role


def _fields(lines: _Lines, identity: str, place: _Place) -> Mapping[str, str]:
    fields: dict[str, str] = {}
    while (line := lines.peek()) and line.startswith("- "):
        here = lines.place
        item = FIELD.fullmatch(lines.take()) or here.fail(f"{line!r} is not '- field: value'")
        name = item["name"]
        _one_of("field", name, FIELDS, here)
        if name in fields:
            here.fail(f"{identity} has two fields {name!r}")
        fields[name] = " ".join([item["value"], *_continuation(lines)])
        _check_value(name, fields[name], here)
    if (line := lines.peek()) and not line.startswith("#"):
        lines.place.fail(f"{line!r} follows the fields of {identity}; leave a blank line before prose")
    for name, needed in FIELDS.items():
        if needed and name not in fields:
            place.fail(f"{identity} is missing {name!r}")
    if (fields["observed"] == "none") != ("excluded" in fields):
        place.fail(f"{identity}: 'observed: none' and 'excluded: reason' come together or not at all")
    return fields


def _continuation(lines: _Lines) -> Iterator[str]:
    while (line := lines.peek()) and line.startswith("  "):
        yield lines.take().strip()


def _check_value(name: str, value: str, place: _Place) -> None:
    if name == "observed":
        _one_of(name, value, OBSERVED, place)
    elif name == "guide":
        _one_of("section of the guide", value, GUIDE_SECTIONS, place)
    elif name == "feature" and not FEATURE.fullmatch(value):
        place.fail(
            f"feature {value!r} is neither a name nor serializer:NAME, compression:NAME or results:NAME"
        )


def _one_of(what: str, value: str, known: Mapping[str, object] | tuple[str, ...], place: _Place) -> None:
    if value not in known:
        place.fail(f"unknown {what} {value!r}; expected one of {', '.join(known)}")
