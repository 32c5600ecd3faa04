"""``report.html``: one file that needs neither network nor server, made from ``results.jsonl`` alone."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, product
from pathlib import Path
from string import Template
from typing import Any

from celeriac.conformance.headline import is_whole
from celeriac.conformance.outcome import GRAVITY, RequirementResult
from celeriac.conformance.page.context import by_broker, claimed, compared
from celeriac.conformance.page.elements import Child, Element, el, html, prose
from celeriac.conformance.page.failures import ROOMS, Room, anchor, badge, entry, title_of
from celeriac.conformance.page.first import identity, profile_table
from celeriac.conformance.page.timeline import symbols
from celeriac.conformance.reading import Old, Reading
from celeriac.spec import PROFILES, Chapter, Spec, load
from celeriac.spec.model import LEVELS

__all__ = ["MAX_BYTES", "PARTIAL", "page", "write_page"]

HERE = Path(__file__).parent

#: How large a page may get, and what the requirements that hold may take of it.
MAX_BYTES, RESERVED = 300_000, 5_000

#: Verdicts with an entry of their own, in the order of the page.
SECTIONS: Mapping[str, str] = {
    "fail": "Failures",
    "error": "Errors",
    "unexpected-pass": "Unexpected passes",
    "inconclusive": "Undecided",
    "known-failure": "Known failures",
}

#: How a timeline is read, told once in a page that has some.
HOW = "In timelines time runs down, not to scale; a zigzag is a break, and a row with * is evidence."

#: What stands above the verdicts when a selection was run, or a run came to an early end.
PARTIAL = "Only a part of the suite was run: the verdicts speak of that part."

Results = Mapping[str, RequirementResult]
Checks = Mapping[str, list[Mapping[str, Any]]]


def write_page(folder: Path, reading: Reading, old: Old | None = None) -> Path:
    """Write ``report.html`` of a run into its report folder, or beside its ``results.jsonl``; answer its path.

    Raises:
        OSError: the page cannot be written.
    """
    place = folder if folder.is_dir() else folder.parent
    path = place / "report.html"
    path.write_text(page(reading, load(), old), encoding="utf-8")
    return path


def page(reading: Reading, spec: Spec, old: Old | None = None) -> str:
    """Answer the page of a run.

    Args:
        reading: the run.
        spec: the specification.
        old: an earlier report to compare with.
    """
    results = reading.results(spec)
    checks: dict[str, list[Mapping[str, Any]]] = {}
    for check in reading.checks:
        for name in check["requirements"]:
            checks.setdefault(name, []).append(check)
    top = el("header", list(identity(reading, results)), id="top")
    first = el(
        "section",
        el("h2", "Verdicts by profile", id="profiles"),
        None if is_whole(results) else el("p", PARTIAL, cls="warn"),
        profile_table(results),
        claimed(reading.header),
        list(by_broker(reading, results)),
        list(compared(reading, results, old)),
    )
    chapters = [html(_chapter(chapter, results, checks)) for chapter in spec.chapters]
    pictures = html(symbols()) + html(el("p", HOW, cls="sub"))
    fixed = "".join((html(top), html(first), html(_filters(spec)), pictures, *chapters))
    room = MAX_BYTES - RESERVED - len(fixed.encode()) - len(_file("page.css") + _file("page.js"))
    wrong = "".join(_wrong(reading, results, checks, room))
    body = "".join(
        (
            html(top),
            '<main id="main">',
            html(first),
            html(_filters(spec)),
            pictures if wrong else "",
            wrong,
            '<h2 id="all">All requirements</h2>',
            *chapters,
            "</main>",
        )
    )
    title = html(el("title", f"{reading.header['adapter']['name']}: conformance to the Calling API"))
    style, script = _file("page.css"), _file("page.js")
    parts = {"title": title, "style": style, "script": script, "body": body}
    return Template(_file("page.html")).substitute(parts, style_hash=_hash(style), script_hash=_hash(script))


def _file(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8").strip()


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _wrong(reading: Reading, results: Results, checks: Checks, room: int) -> Iterator[str]:
    """Answer the entries of whatever is not as it should be, in as much room as there is."""
    wrong = [result for verdict in SECTIONS for result in results.values() if result.verdict == verdict]
    chosen = _shared_out(wrong, reading, checks, room)
    for verdict, group in groupby(wrong, key=lambda result: result.verdict):
        names = [result.requirement.id for result in group]
        yield html(el("h2", f"{SECTIONS[verdict]}: {len(names)}", id=verdict))
        yield from (chosen[name] for name in names)


def _shared_out(
    wrong: Sequence[RequirementResult], reading: Reading, checks: Checks, room: int
) -> dict[str, str]:
    """Give every entry some room before any gets more, and known failures what the others leave; small ones first."""
    clocks = {stage["flavour"]: stage["clock"] for stage in reading.stages}
    told = reading.footer.get("requirements", {})
    chosen = {result.requirement.id: _bare(result) for result in wrong}
    room -= sum(map(_size, chosen.values()))

    def grown(result: RequirementResult, size: Room) -> tuple[int, str, str]:
        name = result.requirement.id
        about = {"issue": told.get(name, {}).get("issue"), "clocks": clocks}
        lines = _gravest_first(name, checks.get(name, ()))
        text = _entry(
            result, list(entry(result.requirement, result.verdict, result.reason, lines, size, **about))
        )
        return _size(text) - _size(chosen[name]), name, text

    news = [result for result in wrong if result.verdict != "known-failure"]
    known = [result for result in wrong if result.verdict == "known-failure"]
    for group, size in (*product([wrong], ROOMS[:1]), *product([news, known], ROOMS[1:])):
        for more, name, text in sorted(grown(result, size) for result in group):
            if more <= room:
                room -= more
                chosen[name] = text
    return chosen


def _size(text: str) -> int:
    return len(text.encode())


def _gravest_first(name: str, checks: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(checks, key=lambda check: GRAVITY.index(check["requirements"][name]["verdict"]))


def _bare(result: RequirementResult) -> str:
    """Answer the entry of a requirement for which there is no room."""
    return _entry(result, [el("p", result.reason[:80], " (results.jsonl has more)")])


def _entry(result: RequirementResult, inside: Child) -> str:
    requirement = result.requirement
    head = el(
        "summary",
        badge(result.verdict),
        " ",
        el("span", requirement.id, cls="n", role="heading", aria_level="3"),
        f" {requirement.level} ",
        el("span", prose(requirement.sentence), cls="hint"),
    )
    opened = "" if result.verdict != "known-failure" else None
    return html(el("details", head, inside, id=requirement.id, cls="f", open=opened, data_t=_tags(result)))


def _tags(result: RequirementResult) -> str:
    """Answer what the filters of the page look at."""
    return f"{result.verdict} {result.requirement.level} {result.requirement.profile}"


def _chapter(chapter: Chapter, results: Results, checks: Checks) -> Element:
    rows = [
        _row(results[requirement.id], checks.get(requirement.id, ())) for requirement in chapter.requirements
    ]
    title = el("h3", f"{chapter.prefix} {chapter.title}", id=f"chapter-{chapter.prefix}")
    return el("section", title, rows, cls="ch")


def _row(result: RequirementResult, checks: Iterable[Mapping[str, Any]]) -> Element:
    """Answer one requirement in a line, the names of its checks inside: the anchors of all checks are here."""
    requirement, wrong = result.requirement, result.verdict in SECTIONS
    own = [check for check in checks if next(iter(check["requirements"])) == requirement.id]
    names: list[Child] = [[el("i", _named(check), id=anchor(check)), " "] for check in own]
    head: list[Child] = [badge(result.verdict), " ", el("a", requirement.id, href=f"#{requirement.id}")]
    head += [" is told above"] if wrong else [f" {requirement.level} ", prose(requirement.sentence)]
    silent = result.reason if not wrong and result.verdict != "pass" else None
    return el(
        "details",
        el("summary", head),
        el("p", silent) if silent else None,
        el("p", names) if names else None,
        id=None if wrong else requirement.id,
        data_t=_tags(result),
    )


def _named(check: Mapping[str, Any]) -> str:
    """Answer the name of a check, with its verdict where that is not what a reader expects."""
    verdict = "" if check["verdict"] == "pass" else f": {check['verdict']}"
    return f"{title_of(check)}{verdict}"


def _filters(spec: Spec) -> Element:
    def choice(name: str, label: str, values: Iterable[tuple[str, str]]) -> Element:
        options = [el("option", text, value=value) for value, text in (("", "all"), *values)]
        return el("label", label, " ", el("select", options, name=name))

    verdicts = [(verdict, verdict.replace("-", " ")) for verdict in GRAVITY]
    return el(
        "form",
        el("label", "find ", el("input", type="search", name="q", placeholder="press / to search")),
        choice("v", "verdict", verdicts),
        choice("c", "chapter", [(c.prefix, f"{c.prefix} {c.title}") for c in spec.chapters]),
        choice("p", "profile", [(name, name) for name in PROFILES]),
        choice("l", "level", [(level, level) for level in LEVELS]),
        el("button", "show all", type="reset"),
        el("output", "", name="n", aria_live="polite"),
        id="filters",
        role="search",
        aria_label="Filter requirements",
        hidden="",
    )
