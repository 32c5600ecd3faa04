"""The chapters of the specification, each with a strip that shows what of it is checked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from celeriac.spec import Chapter, Requirement
from docs.site.documents import rewritten
from docs.site.markdown import rooted, threads
from docs.site.sources import Sources

__all__ = ["STATES", "index", "pages", "state", "strip"]

#: How well a requirement is covered -> symbol and meaning.
STATES = {
    "proven": ("●", "checked, and its checks were seen failing"),
    "checked": ("◐", "checked"),
    "unchecked": ("○", "cannot be checked"),
}

HEAD = """# The specification

Version {version}: {requirements} requirements in {chapters} chapters, which follow the sections of Celery's calling
guide; two more are about the bytes of a message and about brokers. Each requirement is one sentence with a permanent
number, a level, somebody who is bound, and the reason why it is there.

The marks lead to the requirements: {legend}.
[All of them in one list](/requirements/index.md); [the schemas](/spec/schemas.md); [the vectors](/spec/vectors.md).

"""

BLOCK = re.compile(r"### (?P<id>[A-Z]{3}-\d{3}) · ")
MENTIONED_FILE = re.compile(r"`((?:schemas|vectors)/[\w./-]+?\.json)`")


def state(sources: Sources, requirement: Requirement) -> str:
    """Answer how well a requirement is covered, a key of ``STATES``."""
    if requirement.id not in sources.checks_of:
        return "unchecked"
    return "proven" if requirement.id in sources.saboteurs_of else "checked"


def strip(sources: Sources, requirements: Sequence[Requirement], page: str, area: str) -> str:
    """Answer the strip in HTML: a mark for each requirement that leads to its page."""
    marks = []
    for each in requirements:
        name = state(sources, each)
        symbol, meaning = STATES[name]
        href = rooted(page, f"requirements/{each.id}.html")
        told = escape(f"{each.id}, {meaning}")
        marks.append(
            f'<li><a class="{name}" href="{href}" title="{told}" aria-label="{told}">{symbol}</a></li>'
        )
    return f'<ol class="strip" aria-label="What of {area} is checked">{"".join(marks)}</ol>\n\n'


def legend() -> str:
    """Answer what the marks of a strip mean, in Markdown."""
    return ", ".join(f"{symbol} {meaning}" for symbol, meaning in STATES.values())


def index(sources: Sources) -> tuple[str, str]:
    """Answer the page that leads into the specification."""
    page = "spec/index"
    parts = [
        HEAD.format(
            version=sources.spec.version,
            requirements=len(sources.requirements),
            chapters=len(sources.spec.chapters),
            legend=legend(),
        )
    ]
    for chapter in sources.spec.chapters:
        count = len(chapter.requirements)
        parts.append(f"## [{chapter.prefix} · {chapter.title}](/spec/{chapter.slug}.md)\n\n")
        parts.append(f"{count} requirements.\n\n{strip(sources, chapter.requirements, page, chapter.title)}")
    listed = "\n".join(chapter.slug for chapter in sources.spec.chapters)
    parts.append(f"```{{toctree}}\n:hidden:\n\n{listed}\n```\n")
    return page, "".join(parts)


def pages(sources: Sources) -> Iterator[tuple[str, str, list[str]]]:
    """Answer page, text and linked files of every chapter."""
    for path in sorted((sources.root / "spec" / "chapters").glob("*.md")):
        slug = path.stem.partition("-")[2]
        chapter = next(each for each in sources.spec.chapters if each.slug == slug)
        page = f"spec/{slug}"
        text = "\n".join(_lines(sources, chapter, path, page))
        given, files = rewritten(text, f"spec/chapters/{path.name}", page, sources.root, sources.requirements)
        yield page, given, files


def _lines(sources: Sources, chapter: Chapter, path: Path, page: str) -> Iterator[str]:
    """Answer the text of a chapter in which each block of a requirement is replaced by what its readers need."""
    by_id = {each.id: each for each in chapter.requirements}
    title, *lines = path.read_text(encoding="utf-8").splitlines()
    yield f"{title}\n\n{strip(sources, chapter.requirements, page, chapter.title)}{legend()}.\n"
    level, inside = "##", ""  # a heading of the third level needs one of the second before it
    for line in lines:
        if found := BLOCK.match(line):
            yield _requirement(sources, by_id[found["id"]], level)
            inside = "block"
        elif line.startswith("#"):
            level, inside = "###", ""
            yield line
        elif not inside:
            yield MENTIONED_FILE.sub(_file, line)
        elif line.startswith("- "):
            inside = "fields"
        elif not line and inside == "fields":
            inside = ""


def _file(found: re.Match[str]) -> str:
    return f"[{found[0]}](../{found[1]})"


def _requirement(sources: Sources, each: Requirement, level: str) -> str:
    """Answer a requirement as its chapter shows it: the sentence, and the reason; everything else is on its page."""
    symbol, meaning = STATES[state(sources, each)]
    counts = {
        "check": len(sources.checks_of.get(each.id, ())),
        "saboteur": len(sources.saboteurs_of.get(each.id, ())),
    }
    told = ", ".join(f"{count} {what}{'' if count == 1 else 's'}" for what, count in counts.items() if count)
    notes = {"Why": each.why, "Known behaviour": threads(each.known or ""), "Not checked": each.excluded}
    return "\n\n".join(
        [
            f'<span class="anchor" id="{each.id}"></span>',
            f"{level} [{each.id}](/requirements/{each.id}.md) · {each.level} · {each.role}",
            f'<div class="sentence">\n\n{each.sentence}\n\n</div>',
            *(f"*{name}:* {note}" for name, note in notes.items() if note),
            f'<p class="coverage"><span title="{meaning}">{symbol}</span> {told or meaning}</p>\n',
        ]
    )
