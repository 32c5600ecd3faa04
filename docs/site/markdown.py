"""Small pieces of Markdown and HTML, and the two passes over plain documents: links and mentioned requirements."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape

__all__ = [
    "cell",
    "details",
    "fenced",
    "inline",
    "linked_ids",
    "mapped_prose",
    "requirement_link",
    "rooted",
    "sentence",
    "table",
    "threads",
    "up",
]

ID = re.compile(r"\b[A-Z]{3}-\d{3}\b")

#: What is no prose: a heading, code, a link with its text, a tag of HTML, an address.
UNTOUCHED = re.compile(r"(^#.*$|`+[^`]+`+|\[[^\]]*\]\([^)]*\)|<[^>]+>|https?://\S+)", re.MULTILINE)


def table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Answer a table in Markdown, with an empty line behind it."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join(f"| {' | '.join(cell(str(one)) for one in line)} |\n" for line in lines) + "\n"


def cell(text: str) -> str:
    """Answer text that fits into a cell."""
    return re.sub(r"(?<!\\)\|", r"\\|", " ".join(text.split()))


def fenced(text: str, language: str = "text") -> str:
    """Answer text as a block of code, with an empty line behind it."""
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall(r"`+", text)), 3)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}\n\n"


def details(summary: str, content: str) -> str:
    """Answer something that a reader may open; ``summary`` is HTML, ``content`` Markdown."""
    return f"<details><summary>{summary}</summary>\n\n{content.strip()}\n\n</details>\n\n"


def inline(text: str) -> str:
    """Answer a line of Markdown as HTML: its code, and nothing else."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))


def sentence(text: str) -> str:
    """Answer a text that begins with a capital and ends with a full stop."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def requirement_link(identity: str) -> str:
    """Answer a link to the page of a requirement, good on every page."""
    return f"[{identity}](/requirements/{identity}.md)"


def up(page: str) -> str:
    """Answer the way from a page to the root of the site, for links in HTML: ``""`` or ``"../"``."""
    return "../" * page.count("/")


def rooted(page: str, target: str) -> str:
    """Answer how a page refers to a file of the site, in HTML."""
    return f"{up(page)}{target}"


def threads(text: str) -> str:
    """Answer a text in which ``celery#1`` and ``kombu#1`` are links to these threads."""
    return re.sub(r"\b(celery|kombu)#(\d+)", r"[\g<0>](https://github.com/celery/\1/issues/\2)", text)


def mapped_prose(text: str, change: Callable[[str, int], str]) -> str:
    """Answer a document in which everything but code was changed.

    The function gets lines that follow one another, for a link may begin in one and end in the next, and the number
    of the first.
    """
    parts: list[str] = []
    prose: list[str] = []

    def flush(number: int) -> None:
        if prose:
            parts.append(change("\n".join(prose), number - len(prose)))
            prose.clear()

    fence = ""
    for number, line in enumerate(text.split("\n"), start=1):
        mark = re.match(r" {0,3}(```+|~~~+)", line)
        if not mark and not fence and not line.startswith("    "):
            prose.append(line)
            continue
        flush(number)
        parts.append(line)
        if mark and not fence:
            fence = mark[1]
        elif mark and line.strip().startswith(fence):
            fence = ""
    flush(text.count("\n") + 2)
    return "\n".join(parts)


def linked_ids(text: str, known: Mapping[str, object], complain: Callable[[str], None]) -> str:
    """Answer a text in which every mentioned requirement is a link; headings, code and links stay as they are.

    ``complain`` is told of an id that looks like one of the specification and is none.
    """
    areas = {name[:3] for name in known}

    def link(found: re.Match[str]) -> str:
        if found[0] in known:
            return requirement_link(found[0])
        if found[0][:3] in areas:
            complain(found[0])
        return found[0]

    return "".join(
        part if index % 2 else ID.sub(link, part) for index, part in enumerate(UNTOUCHED.split(text))
    )
