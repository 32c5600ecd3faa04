"""What a run is seen against: the claim, the other brokers of the run, an earlier report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from celeriac.conformance.outcome import CUT_SHORT, NOT_SELECTED, RequirementResult
from celeriac.conformance.page.elements import Child, Element, el
from celeriac.conformance.page.failures import QUIET, badge
from celeriac.conformance.reading import Old, Reading

__all__ = ["by_broker", "claimed", "compared"]

#: Verdicts that are new trouble when they were not there before; known failures are trouble, too.
BAD = frozenset({"fail", "error", "inconclusive", "unexpected-pass", "known-failure"})

#: Verdicts that say nothing of the implementation.
SILENT = QUIET - {"pass"}

Results = Mapping[str, RequirementResult]


def claimed(header: Mapping[str, Any]) -> Element | None:
    """Answer what the claim offers and what it denies, folded; None when the header does not say."""
    claim = header.get("claim")
    if not claim:
        return None
    features: Mapping[str, Any] = claim["features"]
    lists = {name: values for name, values in features.items() if isinstance(values, list)}
    rows = {
        **{name: ", ".join(claim[name]) for name in ("roles", "links", "clocks", "modes")},
        **{name: ", ".join(values) for name, values in lists.items()},
        "features": ", ".join(name for name, value in features.items() if value is True),
        "denied": ", ".join(name for name, value in features.items() if value is False),
    }
    return el(
        "details",
        el("summary", "What the claim offers; what it does not mention has to work"),
        el("dl", [[el("dt", name), el("dd", text or "none")] for name, text in rows.items()], cls="id"),
        id="claim",
    )


def by_broker(reading: Reading, results: Results) -> Iterator[Child]:
    """Answer which requirements fare differently on different brokers, nothing when there was only one."""
    every = reading.by_broker()
    found = {broker: verdicts for broker, verdicts in every.items() if set(verdicts.values()) - SILENT}
    if len(found) < 2:
        return
    yield el("h2", "What differs by broker", id="brokers")
    alike: dict[tuple[str, ...], list[str]] = {}
    for name in results:
        verdicts = tuple(each.get(name, "not-run") for each in found.values())
        if len(set(verdicts) - SILENT) > 1:
            alike.setdefault(verdicts, []).append(name)
    if not alike:
        yield el("p", f"Nothing that was judged on several of {', '.join(found)}.")
        return
    rows = [
        el("tr", [el("td", badge(verdict)) for verdict in verdicts], el("td", _links(names), cls="ids"))
        for verdicts, names in alike.items()
    ]
    head = el("tr", [el("th", title, scope="col") for title in (*found, "requirements")])
    yield el("div", el("table", el("thead", head), el("tbody", rows)), cls="w")


def _links(names: Sequence[str]) -> list[Child]:
    return [[el("a", name, href=f"#{name}"), " "] for name in names]


def compared(reading: Reading, results: Results, old: Old | None) -> Iterator[Child]:
    """Answer what is new since an earlier report, nothing when there is none to compare with."""
    if old is None:
        return
    yield el(
        "h2", f"Since the report of {old.started.replace('T', ' ')[:16] or 'an unknown day'}", id="compare"
    )
    left_out = {name for name, result in results.items() if _is_left_out(result)}
    now = {name: result.verdict for name, result in results.items() if name not in left_out}
    then = {name: old.verdicts.get(name, "not-run") for name in now}
    groups = {
        "new failures": [n for n in now if now[n] in BAD and then[n] not in BAD | SILENT],
        "failing, not judged then": [n for n in now if now[n] in BAD and then[n] in SILENT],
        "fixed": [n for n in now if now[n] == "pass" and then[n] in BAD],
        "still failing": [n for n in now if now[n] in BAD and then[n] in BAD],
        "no longer judged": [n for n in now if now[n] in SILENT and then[n] not in SILENT],
    }
    items = [_group(title, names) for title, names in groups.items() if names]
    missing = sum(old.verdicts.get(name, "not-run") not in SILENT for name in left_out)
    told = f"{missing} that {'was' if missing == 1 else 'were'} judged then, not run this time"
    yield el("ul", items or [el("li", "no verdict has changed")], [el("li", told)] if missing else None)
    checks = {check["id"] for check in reading.checks}
    gone = {name for name, judged in old.checks.items() if not judged & left_out} - checks
    yield _checks("new checks", checks - old.checks.keys())
    yield _checks("checks that are gone", gone)


def _is_left_out(result: RequirementResult) -> bool:
    """Answer whether nobody asked for a requirement this time, or the run ended before it."""
    return result.verdict == "not-run" and result.reason in {NOT_SELECTED, CUT_SHORT}


def _group(title: str, names: Sequence[str]) -> Element:
    return el("li", el("b", f"{title}: {len(names)} "), _links(names))


def _checks(title: str, names: set[str]) -> Element | None:
    if not names:
        return None
    listed = [el("li", el("code", name)) for name in sorted(names)]
    return el("details", el("summary", f"{title}: {len(names)}"), el("ul", listed))
