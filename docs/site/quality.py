"""Can the suite be trusted? The kill matrix, the oddities, the flakes and the run time, from what was recorded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from docs.site.chapters import legend, strip
from docs.site.home import trust
from docs.site.markdown import fenced, requirement_link, table
from docs.site.sources import Sources
from tests.saboteurs.variants import Saboteur

__all__ = ["noticed_by", "pages"]


def pages(sources: Sources) -> Iterator[tuple[str, str]]:
    """Answer the pages of recorded numbers."""
    yield "quality/kill-matrix", "".join(_kills(sources))
    yield "quality/coverage", "".join(_coverage(sources))
    yield "quality/flakes", "".join(_flakes(sources))


KILLS = """---
hide-toc: true
---

# The kill matrix

{caught} of {saboteurs} saboteurs were caught, {passed} of {oddities} oddities passed, by {checks} checks in
{seconds} s, on {date}. A saboteur is the reference with one place exchanged, so that it breaks one requirement;
[how that is done](/quality/index.md).

"""

ODDITIES = """## Oddities

They differ wherever the specification leaves a choice, and no check may say of them other than of the reference.

"""

COVERAGE = """# Coverage

Which requirements have a check, and which of these checks were seen failing, computed when this page was made.
`scripts/coverage` fails while there is a gap.

"""

FLAKES = """# Flakes and run time

{found} disagreements in {runs} runs of {checks} checks, each in an order of its own, on {date}, in {seconds} s:
{verdicts}.{unended} Nothing is ever run again to get another verdict.

"""

RUN_TIMES = """## How long a run takes

On a machine with two processors, side by side with others where time is real.

"""


def _kills(sources: Sources) -> Iterator[str]:
    recorded = sources.recorded["kill-matrix"]
    judged, passed = recorded["saboteurs"], recorded["oddities"]
    numbers = trust(sources)
    yield KILLS.format(
        **{key: recorded[key] for key in ("checks", "seconds", "date")},
        caught=numbers["saboteurs caught"][0],
        saboteurs=len(sources.saboteurs),
        passed=numbers["oddities passed"][0],
        oddities=len(sources.oddities),
    )
    yield fenced("pytest tests -m saboteurs", "console")
    for chapter in sources.spec.chapters:
        found = [each for r in chapter.requirements for each in sources.saboteurs_of.get(r.id, ())]
        if found:
            yield f"## {chapter.prefix} · {chapter.title}\n\n"
            titles = ("requirement", "saboteur", "what is wrong with it", "caught by")
            yield table(titles, ([*_saboteur(each), noticed_by(judged.get(each.id))] for each in found))
    yield ODDITIES
    rows = (
        [
            f"`{each.id}`",
            each.what,
            ", ".join(map(requirement_link, each.where)),
            {True: "✔ passed", False: "✘ blamed", None: "not judged yet"}[passed.get(each.id)],
        ]
        for each in sources.oddities
    )
    yield table(("oddity", "what is odd", "where it is allowed", "verdict"), rows)


def _saboteur(each: Saboteur) -> list[str]:
    seen = f" Seen in {each.seen}." if each.seen else ""
    return [
        requirement_link(each.requirement),
        f"`{each.id}`",
        f"{each.what}.{seen}",
    ]


def noticed_by(checks: Sequence[str] | None) -> str:
    """Answer the checks that caught a saboteur; None when it was not judged yet."""
    if checks is None:
        return "not judged yet"
    return "✔ " + ", ".join(f"`{check}`" for check in checks) if checks else "✘ not caught"


def _coverage(sources: Sources) -> Iterator[str]:
    yield COVERAGE
    rows = []
    for chapter in sources.spec.chapters:
        checked = [r for r in chapter.requirements if r.id in sources.checks_of]
        proven = [r for r in checked if r.id in sources.saboteurs_of]
        checks = {check.id for r in checked for check in sources.checks_of[r.id]}
        saboteurs = sum(len(sources.saboteurs_of[r.id]) for r in proven)
        counts = (len(chapter.requirements), len(checked), len(proven), len(checks), saboteurs)
        rows.append([f"[{chapter.title}](/spec/{chapter.slug}.md)", *counts])
    yield table(("chapter", "requirements", "checked", "proven by a saboteur", "checks", "saboteurs"), rows)
    yield f"Each mark is a requirement: {legend()}.\n\n"
    for chapter in sources.spec.chapters:
        yield f"**{chapter.title}**\n\n{strip(sources, chapter.requirements, 'quality/coverage', chapter.title)}"
    yield "## What cannot be checked\n\n"
    excluded = (r for r in sources.requirements.values() if r.excluded)
    yield table(("requirement", "why"), ([requirement_link(r.id), r.excluded] for r in excluded))


def _flakes(sources: Sources) -> Iterator[str]:
    recorded = sources.recorded["flakes"]
    found = recorded["disagreements"]
    verdicts = ", ".join(f"{count} {name.replace('-', ' ')}" for name, count in recorded["verdicts"].items())
    yield FLAKES.format(
        **{key: recorded[key] for key in ("runs", "checks", "date", "seconds")},
        found=len(found),
        verdicts=verdicts,
        unended=f" {recorded['unended']} runs did not end." if recorded["unended"] else "",
    )
    yield fenced(f"scripts/flakes {recorded['runs']} {' '.join(recorded['options'])}", "console")
    yield "".join(f"* {each}\n" for each in found) + "\n"
    yield RUN_TIMES
    rows = (
        [
            f"[{row['adapter']}](/implementations/{row['adapter']}.md)",
            f"{row['broker']} {row['broker_version']}",
            row["clock"],
            len(sources.requirements) - len(row["verdicts"].get("not-applicable", ())),
            row["seconds"],
        ]
        for row in sources.rows
    )
    yield table(("adapter", "broker", "clock", "requirements that apply", "seconds"), rows)
