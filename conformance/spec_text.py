"""Requirements as a terminal shows them: pure functions from what is known to lines."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from celeriac.conformance.spec_facts import Facts
from celeriac.conformance.spec_search import Passage
from celeriac.spec import Requirement, Spec
from celeriac.spec.model import GUIDE_SECTIONS, OBSERVED

__all__ = ["GUIDE", "Paper", "area", "everything", "found", "record", "requirement"]

#: Where the guide is; a section's slug is its anchor.
GUIDE = "https://docs.celeryq.dev/en/stable/userguide/calling.html"

BOLD, YELLOW, CYAN, PLAIN = "\x1b[1m", "\x1b[33m", "\x1b[36m", "\x1b[0m"
INDENT = 13
NARROWEST, WIDEST = 40, 100
CODE = re.compile("`[^`]+`")


@dataclass(frozen=True, slots=True)
class Paper:
    """What is written on: ``width`` in columns, and whether it takes colours."""

    width: int = 80
    colour: bool = False

    def wrap(self, text: str, first: str, rest: str) -> list[str]:
        """Answer text in lines that fit, the first and the others indented as given."""
        width = min(max(self.width, NARROWEST), WIDEST)
        filler = textwrap.TextWrapper(width, first, rest, break_long_words=False, break_on_hyphens=False)
        return filler.wrap(" ".join(text.split())) or [first.rstrip()]

    def paint(self, text: str, code: str) -> str:
        """Answer text in a colour, where there are any."""
        return f"{code}{text}{PLAIN}" if self.colour and text else text

    def mark(self, line: str, words: Iterable[str]) -> str:
        """Answer a line with every one of some words in bold, where that can be had."""
        pattern = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
        if not self.colour or not pattern:
            return line
        return re.sub(pattern, lambda hit: f"{BOLD}{YELLOW}{hit[0]}{PLAIN}", line, flags=re.IGNORECASE)


def requirement(what: Requirement, known: Facts, spec: Spec, paper: Paper) -> list[str]:
    """Answer everything about one requirement."""
    chapter = next(each for each in spec.chapters if each.slug == what.chapter)
    lines = [*_heading(what, paper), *_code(paper.wrap(what.sentence, "  ", "  "), paper), ""]
    for name, text in (
        ("why", what.why),
        ("known", what.known),
        ("observed", f"{what.observed}: {OBSERVED[what.observed]}"),
        ("excluded", what.excluded),
        ("feature", what.feature and f"{what.feature}: without it in the claim this does not apply"),
        ("guide", f"{GUIDE_SECTIONS[what.guide]}: {GUIDE}#{what.guide}"),
        ("chapter", f"{chapter.title}: {known.chapter}"),
    ):
        lines += _field(name, [text] if text else [], paper)
    lines += _field("guide says", known.claims, paper)
    lines += _checks(known, paper)
    lines += _field("broken by", list(map(str, known.faults)), paper)
    examples = [f"{name}: {number} case{'s' * (number > 1)}" for name, number in known.cases.items()]
    lines += _field(
        "examples", [*examples, *(name for name in known.files if name not in known.cases)], paper
    )
    lines += _field("page", [f"{known.page} of the site; scripts/site builds it"], paper)
    if known.checks:
        lines += _field("try it", [f"celeriac run --adapter=NAME --requirement={what.id}"], paper)
    return lines


def area(requirements: Sequence[Requirement], spec: Spec, paper: Paper) -> list[str]:
    """Answer a chapter's title and each of its requirements in a line or two."""
    chapter = next(each for each in spec.chapters if each.slug == requirements[0].chapter)
    title = f"{chapter.prefix}  {chapter.title}: {len(requirements)} requirements"
    return [paper.paint(title, BOLD), *(line for each in requirements for line in _brief(each, paper))]


def everything(spec: Spec) -> list[str]:
    """Answer every requirement in exactly one line, for programs that read lines."""
    return [f"{each.id}  {each.level:<6}  {each.sentence}" for each in spec.requirements.values()]


def found(
    requirements: Sequence[Requirement], passages: Sequence[Passage], words: Sequence[str], paper: Paper
) -> list[str]:
    """Answer what a search has found, its words marked; what did not match in the sentence is shown with it."""
    lines: list[str] = []
    for each in requirements:
        lines += _brief(each, paper, words)
        for name in ("why", "known", "excluded"):
            text = getattr(each, name)
            if text and not _all_in(each.sentence, words) and _any_in(text, words):
                lines += [
                    paper.mark(line, words) for line in paper.wrap(f"{name}: {text}", " " * 17, " " * 19)
                ]
    for passage in passages:
        text = f"in the text of {passage.chapter.prefix}: {passage.text}"
        lines += [paper.mark(line, words) for line in paper.wrap(text, "", "  ")]
    return lines


def record(what: Requirement, known: Facts) -> dict[str, Any]:
    """Answer a requirement for programs, its own fields named as in ``requirements.json`` of the site."""
    own = {name: getattr(what, name) for name in what.__dataclass_fields__}
    return {
        **own,
        "profile": what.profile,
        "checks": [{"id": check.id, "says": check.says} for check in known.checks],
        "known_failures": [
            {
                "adapters": list(fault.adapters),
                **{key: asdict(fault.entry)[key] for key in ("reason", "kind", "issue", "when")},
            }
            for fault in known.faults
        ],
        "guide_claims": list(known.claims),
        "examples": dict(known.cases),
        "files": list(known.files),
        "page": known.page,
    }


def _heading(what: Requirement, paper: Paper) -> list[str]:
    text = f"{what.id}  {what.level}  {what.role}  (profile {what.profile})"
    first, *rest = text.rsplit("  ", 1) if len(text) > paper.width else (text,)
    return [first.replace(what.id, paper.paint(what.id, BOLD)), *(f"  {line}" for line in rest)]


def _brief(what: Requirement, paper: Paper, words: Sequence[str] = ()) -> Iterator[str]:
    start = f"{what.id}  {what.level:<6}  "
    first, *rest = paper.wrap(what.sentence, start, " " * len(start))
    yield f"{paper.paint(what.id, BOLD)}{paper.mark(first.removeprefix(what.id), words)}"
    yield from (paper.mark(line, words) for line in rest)


def _checks(known: Facts, paper: Paper) -> Iterator[str]:
    for number, check in enumerate(known.checks):
        yield from _field("" if number else "checks", [check.id], paper)
        yield from paper.wrap(check.says, " " * (INDENT + 2), " " * (INDENT + 2))


def _field(name: str, texts: Sequence[str], paper: Paper) -> Iterator[str]:
    for number, text in enumerate(texts):
        label = f"  {'' if number else name:<10} "
        first, *rest = paper.wrap(text, label, " " * INDENT)
        yield f"{paper.paint(first[:INDENT], CYAN)}{first[INDENT:]}"
        yield from rest


def _code(lines: Iterable[str], paper: Paper) -> list[str]:
    return [CODE.sub(lambda hit: paper.paint(hit[0], BOLD), line) for line in lines]


def _all_in(text: str, words: Sequence[str]) -> bool:
    return all(word.casefold() in text.casefold() for word in words)


def _any_in(text: str, words: Sequence[str]) -> bool:
    return any(word.casefold() in text.casefold() for word in words)
