"""The first screen: what was judged, the verdict by profile, what else is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from celeriac.conformance.headline import headline
from celeriac.conformance.outcome import RequirementResult, counts
from celeriac.conformance.page.elements import Child, Element, el
from celeriac.conformance.page.failures import badge
from celeriac.conformance.profiles import MEANINGS, SIGNS, profiles
from celeriac.conformance.reading import Reading
from celeriac.spec import PROFILES

__all__ = ["identity", "profile_table"]

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
                    f"{SIGNS[result.verdict]} {result}",
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
