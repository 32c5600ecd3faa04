"""A page for each implementation: what was judged, the verdicts, and what its maintainers may want to know."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from celeriac.conformance.claim import Candidate, bundled, find_adapter
from celeriac.conformance.expectations import Expectation, read_expectations
from docs.site import signs
from docs.site.home import matrix
from docs.site.markdown import details, fenced, rooted, sentence, table
from docs.site.sources import Sources
from docs.site.verdicts import badge, conditions, profile_cell
from tests.implementations.page import ADAPTERS, UNEXPECTED, VARIANTS, Place, address, command, verdicts

__all__ = ["findings", "index", "pages"]


HEAD = """---
hide-toc: true
---

# Implementations

What the suite says of the field's independent implementations, and of some packages that change Celery itself.
Each line is one run, made on the day that it names, and one command makes it again. For programs:
<a href="{matrix}">matrix.json</a>, <a href="{results}">results.json</a>.

"""

FOOT = """\
What an implementation does not offer is *not claimed*, and nobody is blamed for it. *Failed* says that a MUST
does not hold, whether that was known or not: somebody who relies on it loses tasks or results. There are no
percentages: who breaks one promise of fifty has not kept 98 of a hundred.

Is yours missing? [Your first adapter](/guides/first-adapter.md) takes half an hour, in any language.

"""

AFTER_COMMANDS = """\
Each run writes a report folder with everything behind these lines. What is not installed is built on
first use, and kept: [versions](/guides/versions.md) says where.

"""

BADGES = """## Badges

For a README. Every run writes its own into the report folder; the JSON is an endpoint for shields.io.

"""


def index(sources: Sources) -> tuple[str, str]:
    """Answer the page that lists all implementations."""
    page = "implementations/index"
    names = list(dict.fromkeys(row["adapter"] for row in sources.rows))
    toc = "".join(f"{find_adapter(name).claim.title} <{name}>\n" for name in names)
    head = HEAD.format(matrix=rooted(page, "matrix.json"), results=rooted(page, "results.json"))
    return page, f"{head}{matrix(sources, page)}\n\n{FOOT}```{{toctree}}\n:hidden:\n\n{toc}```\n"


def pages(sources: Sources) -> Iterator[tuple[str, str]]:
    """Answer the page of every implementation with a recorded run."""
    for name in ADAPTERS:
        rows = [row for row in sources.rows if row["adapter"] == name]
        if rows:
            yield f"implementations/{name}", _page(sources, find_adapter(name), rows)


def _page(sources: Sources, candidate: Candidate, rows: Sequence[Mapping[str, Any]]) -> str:
    return "".join(
        [
            f"# {candidate.claim.title}\n\n{_identity(candidate, rows[0])}\n\n",
            f"## Verdicts\n\n{_verdicts(rows)}",
            "## What it claims\n\n",
            *_claim(candidate),
            *_findings(candidate, rows),
            *_unexpected(rows),
            "## Judge it yourself\n\n",
            fenced("\n".join(_command(candidate, row) for row in rows), "console"),
            AFTER_COMMANDS,
            *_ids(rows),
            *_badges(candidate, rows),
        ]
    )


def _identity(candidate: Candidate, row: Mapping[str, Any]) -> str:
    return (
        f"**{row['implementation']} {row['version']}**, judged through the adapter `{candidate.claim.name}` by suite "
        f"{row['suite']} and specification {row['spec']}.{_home(candidate)}"
    )


def _home(candidate: Candidate) -> str:
    claim = bundled()[candidate.claim.name]
    told = _read(claim)
    base = _read(claim.parent / told["extends"]) if "extends" in told else {}
    homepage = told.get("homepage", base.get("homepage"))
    return f" Its home is [{homepage.partition('//')[2].rstrip('/')}]({homepage})." if homepage else ""


def _read(path: Path) -> Mapping[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _verdicts(rows: Sequence[Mapping[str, Any]]) -> str:
    titles = ["profile", *(f"{row['broker']} {row['broker_version']}" for row in rows)]
    by_profile = zip(*map(verdicts, rows), strict=True)
    lines = [[results[0].name, *map(profile_cell, results)] for results in by_profile]
    lines.append(["clock, day", *(f"{row['clock']}, {row['date']}" for row in rows)])
    lines.append(["took", *(f"{row['seconds']} s" for row in rows)])
    return table(titles, lines)


def _claim(candidate: Candidate) -> Iterator[str]:
    claim = candidate.claim
    yield table(
        ("", ""),
        [
            ["roles", ", ".join(claim.roles)],
            ["links", ", ".join(claim.links)],
            ["clocks", ", ".join(claim.clocks)],
            ["calls by", ", ".join(f"`{mode}`" for mode in claim.modes)],
            *(
                [name, ", ".join(f"`{each}`" for each in claim.features.get(name, ())) or "none"]
                for name in ("serializers", "compressions", "results")
            ),
        ],
    )
    missing = [name for name, has in claim.features.items() if has is False]
    if missing:
        yield f"It has no {', '.join(f'`{name}`' for name in missing)}. What is not claimed is not judged.\n\n"


# -- findings -------------------------------------------------------------------------------------------


def _findings(candidate: Candidate, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    own, shared = findings(candidate, rows)
    yield "## Findings\n\n"
    if not own and not shared:
        yield "Nothing is known to deviate.\n\n"
        return
    count = len({entry.number for entry in (*own, *shared)})
    yield (
        f"{count} finding{'' if count == 1 else 's'}: what differs from the specification and why, the upstream thread "
        "where there is one, and the command that shows it.\n\n"
    )
    yield from _told(candidate, own)
    if shared:
        yield "### Shared with what it is a variant of\n\n"
        yield from _told(candidate, shared)


def findings(
    candidate: Candidate, rows: Sequence[Mapping[str, Any]]
) -> tuple[Sequence[Expectation], Sequence[Expectation]]:
    """Answer the known failures of an implementation that some row shows: its own, and those of a whole family."""
    name = candidate.claim.name
    known = read_expectations(candidate.expectations, date.min).entries
    shown = [entry for entry in known if any(entry.holds(conditions(row)) for row in rows)]
    own = [entry for entry in shown if name not in VARIANTS or "adapter" in entry.when]
    deviating = {each for row in rows for result in verdicts(row) for each in result.deviating}
    shared = [e for e in shown if e not in own and (e.by_check or e.target in deviating)]
    return own, shared


def _told(candidate: Candidate, entries: Sequence[Expectation]) -> Iterator[str]:
    grouped: dict[int, list[Expectation]] = {}
    for entry in entries:
        grouped.setdefault(entry.number, []).append(entry)
    for group in grouped.values():
        yield from _finding(candidate, group)


def _finding(candidate: Candidate, group: Sequence[Expectation]) -> Iterator[str]:
    first = group[0]
    targets = ", ".join(
        f"`{entry.target.partition('::')[2]}`"
        if entry.by_check
        else f"[{entry.target}](/requirements/{entry.target}.md)"
        for entry in group
    )
    when = "; ".join(f"{name} {_words(value)}" for name, value in first.when.items() if name != "adapter")
    thread = f" [{first.issue}]({address(first.issue)})" if first.issue else ""
    yield f"**{targets}**{f' ({when})' if when else ''}. "
    yield f"{sentence(first.reason)}{thread}\n\n"
    yield fenced(command(candidate.claim, first), "console")


def _words(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _unexpected(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    found = [
        [
            f"{row['broker']} {row['broker_version']}",
            badge(verdict, verdict),
            f"[{name}](/requirements/{name}.md)",
        ]
        for row in rows
        for verdict in UNEXPECTED
        for name in row["verdicts"].get(verdict, ())
    ]
    yield "## Unexpected\n\n"
    yield (
        table(("broker", "verdict", "requirement"), found)
        if found
        else "Nothing: every run was as expected.\n\n"
    )


def _command(candidate: Candidate, row: Mapping[str, Any]) -> str:
    place = Place(candidate.claim.name, row["broker"])
    return " ".join(["celeriac run", *place.options[1:]])


def _badges(candidate: Candidate, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield BADGES
    for row in rows:
        page = f"implementations/{candidate.claim.name}"
        picture, endpoint = (rooted(page, f"{signs.name_of(row)}.{kind}") for kind in ("svg", "json"))
        badge = signs.badge_of(row)
        drawn = f'<img src="{picture}" alt="{badge.label}: {badge.message}">'
        yield f'<p><a href="{picture}">{drawn}</a> <a href="{endpoint}">endpoint</a></p>\n\n'


def _ids(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "## Requirement by requirement\n\n"
    for row in rows:
        lines = [f"* holds: {row['pass']}\n"]
        for verdict, ids in row["verdicts"].items():
            links = ", ".join(f"[{name}](/requirements/{name}.md)" for name in ids)
            lines.append(f"* {verdict.replace('-', ' ')}: {len(ids)} ({links})\n")
        yield details(f"{row['broker']} {row['broker_version']}", "".join(lines))
