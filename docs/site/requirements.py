"""A page for each requirement: what it says and why, what decides it, who is known to break it, and who holds it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from html import escape
from itertools import groupby
from typing import Any

from celeriac.conformance.claim import find_adapter
from celeriac.conformance.expectations import Expectation, read_expectations
from celeriac.spec import PROFILES, Chapter, Requirement
from celeriac.spec.model import GUIDE_SECTIONS, OBSERVED
from docs.site.checks import Check
from docs.site.guide import GUIDE
from docs.site.markdown import details, fenced, inline, sentence, table, threads
from docs.site.quality import noticed_by
from docs.site.sources import Sources
from docs.site.verdicts import WORDS, badge, conditions, of_row
from tests.implementations.page import address

__all__ = ["index", "pages"]


INDEX = """# All requirements

A requirement is one sentence with a permanent number. *MUST*, *SHOULD* and *MAY* say how binding it is, the role who is
bound. The same list for programs: <a href="../requirements.json">requirements.json</a>.

"""

PROOF = """## Proof that the checks bite

Implementations that are wrong on purpose, and the checks that noticed:

"""

ODD = """## Odd, and lawful

Implementations that differ where this sentence leaves a choice; no check may complain:

"""


def pages(sources: Sources) -> Iterator[tuple[str, str]]:
    """Answer the page of every requirement."""
    reasons = {name: _reasons(name) for name in dict.fromkeys(row["adapter"] for row in sources.rows)}
    order = list(sources.requirements.values())
    chapters = {chapter.slug: chapter for chapter in sources.spec.chapters}
    for number, requirement in enumerate(order):
        neighbours = order[max(number - 1, 0) : number + 2]
        yield (
            f"requirements/{requirement.id}",
            _page(sources, requirement, chapters[requirement.chapter], neighbours, reasons),
        )


def index(sources: Sources) -> tuple[str, str]:
    """Answer the page that lists all requirements."""
    parts = [INDEX]
    for chapter in sources.spec.chapters:
        rows = (
            [
                f"[{r.id}]({r.id}.md)",
                r.level,
                r.role,
                r.profile,
                r.sentence,
                len(sources.checks_of.get(r.id, ())),
            ]
            for r in chapter.requirements
        )
        parts.append(f"## {chapter.prefix} · {chapter.title}\n\n")
        parts.append(table(("id", "level", "role", "profile", "sentence", "checks"), rows))
    return "requirements/index", "".join(parts)


def _page(
    sources: Sources,
    requirement: Requirement,
    chapter: Chapter,
    neighbours: Sequence[Requirement],
    reasons: Mapping[str, Sequence[Expectation]],
) -> str:
    return "".join(
        [
            "---\norphan: true\n---\n\n",
            _crumbs(requirement, chapter, neighbours),
            f"# {requirement.id}\n\n",
            f'<div class="sentence" id="{requirement.id}">\n\n{requirement.sentence}\n\n</div>\n\n',
            *_facts(requirement),
            *_standing(sources, requirement, reasons),
            *_checks(sources, requirement),
            *_proof(sources, requirement),
            *_field(sources, requirement),
            *_origin(sources, requirement, chapter),
        ]
    )


def _crumbs(requirement: Requirement, chapter: Chapter, neighbours: Sequence[Requirement]) -> str:
    return (
        '<nav class="crumbs" aria-label="Where this page stands"><a href="../spec/index.html">Specification</a> / '
        f'<a href="../spec/{chapter.slug}.html#{requirement.id}">{escape(chapter.title)}</a> · '
        f"{_neighbours(requirement, neighbours)}</nav>\n\n"
    )


def _neighbours(requirement: Requirement, neighbours: Sequence[Requirement]) -> str:
    place = [each.id for each in neighbours].index(requirement.id)
    links = [
        f'<a href="{each.id}.html">{"← " if index < place else ""}{each.id}{" →" if index > place else ""}</a>'
        for index, each in enumerate(neighbours)
        if index != place
    ]
    return " · ".join(links)


def _facts(requirement: Requirement) -> Iterator[str]:
    yield (
        f"**{requirement.level}** · binds the **{requirement.role}** · profile **{requirement.profile}** "
        f"({PROFILES[requirement.profile]})\n\n"
    )
    yield f"## Why\n\n{requirement.why}\n\n"
    if requirement.known:
        yield f"## Known behaviour\n\n{threads(requirement.known)}\n\n"


# -- who passes -----------------------------------------------------------------------------------------


def _reasons(adapter: str) -> Sequence[Expectation]:
    candidate = find_adapter(adapter)
    entries = read_expectations(candidate.expectations, date.min).entries
    return [entry for entry in entries if entry.concerns(adapter)]


def _standing(
    sources: Sources, requirement: Requirement, reasons: Mapping[str, Sequence[Expectation]]
) -> Iterator[str]:
    yield "## Who holds it\n\n"
    if requirement.excluded:
        yield f"Nobody was judged: {requirement.excluded}\n\n"
        return
    targets = {requirement.id, *(check.id for check in sources.checks_of.get(requirement.id, ()))}
    heads = "".join(f'<th scope="col">{name}</th>' for name in ("implementation", "broker", "verdict"))
    bodies = []
    for adapter, rows in groupby(sources.rows, key=lambda row: row["adapter"]):
        lines = _lines(list(rows), requirement, targets, reasons[adapter])
        bodies.append(f"<tbody>{''.join(lines)}</tbody>")
    yield f'<table class="standing"><thead><tr>{heads}</tr></thead>{"".join(bodies)}</table>\n\n'


def _lines(
    rows: Sequence[Mapping[str, Any]],
    requirement: Requirement,
    targets: set[str],
    entries: Sequence[Expectation],
) -> Iterator[str]:
    """Answer the lines of one implementation, in HTML: as Markdown they would take most of the time of a build."""
    before = ""
    for number, row in enumerate(rows):
        verdict = of_row(row, requirement.id)
        why = _why(row, targets, entries) if verdict == "known-failure" else ""
        told, before = ("The same." if why and why == before else why), why
        name = ""
        if not number:
            link = f'<a href="../implementations/{row["adapter"]}.html">{row["adapter"]}</a>'
            name = f'<th scope="rowgroup" rowspan="{len(rows)}">{link} <small>{escape(row["version"])}</small></th>'
        where = f"{row['broker']} {row['broker_version']}"
        small = f"<small>{told}</small>" if told else ""
        yield f"<tr>{name}<td>{escape(where)}</td><td>{badge(verdict, WORDS[verdict])}{small}</td></tr>"


def _why(row: Mapping[str, Any], targets: set[str], entries: Sequence[Expectation]) -> str:
    found = [e for e in entries if e.target.partition("[")[0] in targets and e.holds(conditions(row))]
    told = (
        inline(sentence(e.reason)) + (f' <a href="{address(e.issue)}">{e.issue}</a>' if e.issue else "")
        for e in found
    )
    return " ".join(dict.fromkeys(told))


# -- how it is decided ----------------------------------------------------------------------------------


def _checks(sources: Sources, requirement: Requirement) -> Iterator[str]:
    found: Sequence[Check] = sources.checks_of.get(requirement.id, ())
    if not found:
        return
    yield f"## Checks\n\n{_number(len(found), 'check')} decide{'s' if len(found) == 1 else ''} it:\n\n"
    for check in found:
        yield f"**{check.name}**: {check.says}\n\n"
        also = ", ".join(f"[{name}]({name}.md)" for name in check.requirements if name != requirement.id)
        if also:
            yield f"It also decides {also}.\n\n"
        yield details(f"The check, <code>{check.place}</code>", fenced(check.source, "python"))
    yield fenced(f"celeriac run --adapter=NAME --requirement={requirement.id}", "console")
    vectors = sources.vectors_of.get(requirement.id, {})
    for name, count in vectors.items():
        yield f"Worked examples: {_number(count, 'case')} of [`vectors/{name}.json`](/spec/vectors/{name}.md).\n\n"


def _number(count: int, what: str) -> str:
    return f"{'One' if count == 1 else count} {what}{'' if count == 1 else 's'}"


def _proof(sources: Sources, requirement: Requirement) -> Iterator[str]:
    saboteurs = sources.saboteurs_of.get(requirement.id, ())
    caught = sources.recorded["kill-matrix"]["saboteurs"]
    if saboteurs:
        yield PROOF
        yield table(
            ("saboteur", "what is wrong with it", "seen in", "noticed by"),
            ([f"`{each.id}`", each.what, each.seen, noticed_by(caught.get(each.id))] for each in saboteurs),
        )
    oddities = sources.oddities_of.get(requirement.id, ())
    if oddities:
        yield ODD
        yield "".join(f"* `{each.id}`: {each.what}\n" for each in oddities) + "\n"


def _field(sources: Sources, requirement: Requirement) -> Iterator[str]:
    faults = sources.faults_of.get(requirement.id, ())
    if faults:
        yield "## Seen in the field\n\n"
        yield "".join(f"* {fault.seen}\n" for fault in faults)
        yield "\nMore of that: [what the field got wrong](/field-faults.md).\n\n"


def _origin(sources: Sources, requirement: Requirement, chapter: Chapter) -> Iterator[str]:
    yield "## Where it comes from\n\n"
    yield f"Chapter [{chapter.title}](/spec/{chapter.slug}.md) of the specification. "
    yield f"The guide's section [{GUIDE_SECTIONS[requirement.guide]}]({GUIDE}#{requirement.guide})"
    claims = sources.claims_of.get(requirement.id, ())
    yield " says, in our own words:\n\n" if claims else " leaves it open.\n\n"
    yield "".join(f"* {claim}\n" for claim in claims) + ("\n" if claims else "")
    if beyond := sources.beyond.get(requirement.id):
        yield f"Why it goes beyond the guide: {beyond}\n\n"
    yield f"How compliance is seen: {requirement.observed}, {OBSERVED[requirement.observed]}.\n\n"
    if requirement.feature:
        yield f"It applies to implementations whose claim has the feature `{requirement.feature}`.\n\n"
