"""The first screen: what was judged, the verdict by profile, what is new, what else is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from celeriac.conformance.headline import headline
from celeriac.conformance.outcome import RequirementResult, counts
from celeriac.conformance.page.elements import Child, Element, el
from celeriac.conformance.page.failures import badge
from celeriac.conformance.profiles import MEANINGS, profiles
from celeriac.conformance.reading import Old, Reading
from celeriac.spec import PROFILES

__all__ = ["compared", "identity", "profile_table"]

#: Verdicts that are new trouble when they were not there before; known failures are trouble, too.
BAD = frozenset({"fail", "error", "inconclusive", "unexpected-pass", "known-failure"})

#: Verdicts that say nothing of the implementation.
SILENT = frozenset({"not-run", "not-applicable"})

#: Verdict on a profile -> its sign.
PROFILE_SYMBOLS: Mapping[str, str] = {
    "success": "✓",
    "partial": "◐",
    "failed": "✗",
    "not-claimed": "-",
    "not-judged": "○",
}

Results = Mapping[str, RequirementResult]


def identity(reading: Reading, results: Results) -> Iterator[Child]:
    """Answer name, headline and versions."""
    stage: Mapping[str, Any] = reading.stages[0] if reading.stages else {}
    adapter = reading.header["adapter"]
    name = stage.get("implementation") or adapter.get("title") or adapter["name"]
    problems = reading.footer.get("problems", ())
    yield el("h1", f"{name} {stage.get('version', '')}".strip())
    yield el("p", headline(results, problems), cls="lead")
    if reading.lacking:
        yield el("p", el("b", "Incomplete. "), reading.lacking, cls="warn", role="note")
    yield el(
        "dl", [[el("dt", key), el("dd", text)] for key, text in _versions(reading, name, stage)], cls="id"
    )
    tally: list[Child] = [
        [badge(verdict), f" {number}  "] for verdict, number in counts(results.values()).items() if number
    ]
    yield el("p", f"{len(results)} requirements: ", tally, cls="tally")
    if problems:
        yield el("h2", "Also wrong with this run", id="problems")
        yield el("ul", [el("li", problem) for problem in problems])


def _versions(reading: Reading, name: str, stage: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    header, footer = reading.header, reading.footer
    yield "implementation", f"{name} {stage.get('version', 'unknown: no stage started')}"
    yield "adapter", header["adapter"]["name"]
    yield "suite", f"Celeriac {header['suite']['version']}"
    yield "specification", str(header.get("spec", {}).get("version", "unknown"))
    for each in reading.stages:
        tick = f", a tick is {each['tick_s']:g} s" if each.get("tick_s") else ""
        yield "broker", f"{each['flavour']} {each['broker']} ({each['source']}), {each['clock']} clock{tick}"
        if each.get("withdrawn"):
            yield "no time travel", each["withdrawn"]
    yield "started", header["started"].replace("T", " ").replace("+00:00", " UTC")
    if footer:
        yield "took", f"{footer['duration_s']:.1f} s, {len(reading.checks)} checks"


def profile_table(results: Results) -> Element:
    """Answer the verdicts by profile, each as sign, word and counts."""
    rows = [
        el(
            "tr",
            el(
                "th",
                el("button", result.name, type="button", cls="prof", data_profile=result.name),
                scope="row",
            ),
            el(
                "td",
                el(
                    "span",
                    f"{PROFILE_SYMBOLS[result.verdict]} {result}",
                    cls=f"v p-{result.verdict}",
                    title=MEANINGS[result.verdict],
                ),
            ),
            el("td", PROFILES[result.name], cls="sub"),
            el("td", [[el("a", name, href=f"#{name}"), " "] for name in result.deviating], cls="ids"),
        )
        for result in profiles(results)
    ]
    titles = ("profile", "verdict", "what it is about", "what does not hold")
    head = el("thead", el("tr", [el("th", title, scope="col") for title in titles]))
    return el("div", el("table", head, el("tbody", rows)), cls="w profiles")


def compared(reading: Reading, results: Results, old: Old | None) -> Iterator[Child]:
    """Answer what is new since an earlier report, nothing when there is none to compare with."""
    if old is None:
        return
    yield el(
        "h2", f"Since the report of {old.started.replace('T', ' ')[:16] or 'an unknown day'}", id="compare"
    )
    now = {name: result.verdict for name, result in results.items()}
    then = {name: old.verdicts.get(name, "not-run") for name in now}
    groups = {
        "new failures": [n for n in now if now[n] in BAD and then[n] not in BAD],
        "fixed": [n for n in now if now[n] == "pass" and then[n] in BAD],
        "still failing": [n for n in now if now[n] in BAD and then[n] in BAD],
        "no longer judged": [n for n in now if now[n] in SILENT and then[n] not in SILENT],
    }
    yield el(
        "ul",
        [_group(title, names) for title, names in groups.items() if names]
        or [el("li", "no verdict has changed")],
    )
    checks = {check["id"] for check in reading.checks}
    for title, names in (
        ("new checks", checks - old.checks),
        ("checks that are gone or were not run", old.checks - checks),
    ):
        if names:
            yield el(
                "details",
                el("summary", f"{title}: {len(names)}"),
                el("ul", [el("li", el("code", n)) for n in sorted(names)]),
            )


def _group(title: str, names: Sequence[str]) -> Element:
    return el(
        "li", el("b", f"{title}: {len(names)} "), [[el("a", name, href=f"#{name}"), " "] for name in names]
    )
