"""The entry of one requirement that is not as it should be: everything that its reader needs, in that order."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from celeriac.conformance.differing import differences
from celeriac.conformance.evidence import short
from celeriac.conformance.journal import redacted
from celeriac.conformance.page.elements import Child, Element, el, prose
from celeriac.conformance.page.timeline import drawn, legend, picture, span
from celeriac.conformance.wire_values import UntaggableError, from_json
from celeriac.spec import Requirement

__all__ = ["SYMBOLS", "anchor", "badge", "entry"]

#: Verdict -> the sign that stands before its word: no colour tells anything alone.
SYMBOLS: Mapping[str, str] = {
    "fail": "✗",
    "error": "!",
    "unexpected-pass": "?",
    "inconclusive": "~",
    "known-failure": "●",
    "pass": "✓",
    "not-applicable": "-",
    "not-run": "○",
}

#: Longest expectation or observation that is shown at once, in characters; longest value of a row.
LONGEST, LONGEST_VALUE = 1000, 160

Line = Mapping[str, Any]


def badge(verdict: str) -> Element:
    """Answer a verdict as sign and word."""
    return el("b", f"{SYMBOLS[verdict]} {verdict.replace('-', ' ')}", cls=verdict)


def anchor(check: Line) -> str:
    """Answer the permanent anchor of a check on its flavour of broker."""
    return re.sub(r"[^\w.-]+", "-", f"{redacted(check['id'])}-{check['broker']}").strip("-")


def entry(
    requirement: Requirement,
    verdict: str,
    reason: str,
    checks: Sequence[Line],
    detailed: bool,
    *,
    issue: str | None,
    clocks: Mapping[str, str],
) -> Iterator[Child]:
    """Answer the inside of an entry.

    Args:
        requirement: which.
        verdict: its verdict.
        reason: and why it has it.
        checks: the lines of its checks.
        detailed: whether there is room for timelines and records.
        issue: a known failure's thread.
        clocks: flavour of broker -> clock.
    """
    yield el("p", prose(requirement.sentence), cls="s")
    yield el("p", el("b", "Why: "), prose(requirement.why))
    if requirement.known:
        yield el("p", el("b", "Known of Celery: "), prose(requirement.known))
    if reason and verdict != "fail":
        yield el("p", el("b", "Reason: "), reason, _issue(issue))
    for check in checks:
        yield _check(requirement.id, check, clocks.get(check["broker"], ""), detailed)


def _issue(issue: str | None) -> Child:
    if not issue:
        return None
    name, _, number = issue.partition("#")
    is_thread = re.fullmatch(r"[\w.-]+/[\w.-]+", name) and number.isdigit()
    address = f"https://github.com/{name}/issues/{number}" if is_thread else issue
    if not address.startswith("https://"):
        return [" (", issue, ")"]
    return [" (", el("a", issue, href=address, rel="noreferrer"), ")"]


def _check(name: str, check: Line, clock: str, detailed: bool) -> Element:
    outcome = check["requirements"][name]
    loud = outcome["verdict"] not in {"pass", "not-applicable", "not-run"}
    title: list[Child] = [badge(outcome["verdict"]), " ", el("code", check["id"]), f" on {check['broker']}"]
    inside: list[Child] = [el("h4", title)]
    if loud:
        inside += _told(name, check, outcome)
        inside += _seen(f"{anchor(check)}-{name}", check, outcome, clock) if detailed else [_elsewhere()]
        inside.append(_again(check.get("reproduce", {}).get(name)))
    return el("section", inside, cls="c")


def _elsewhere() -> Element:
    return el(
        "p",
        "Timeline and records are left out here to keep this page small; results.jsonl has them.",
        cls="sub",
    )


def _told(name: str, check: Line, outcome: Line) -> Iterator[Child]:
    if "expected" in outcome:
        yield _compared(outcome["expected"], outcome["observed"])
    elif outcome["reason"]:
        yield el("p", outcome["reason"])
    if detail := outcome.get("detail", "").strip():
        yield el("details", el("summary", "detail"), el("pre", detail[-LONGEST:]))
    slack = check.get("slack_s")
    if slack is not None:
        told = "none: all stamps are of one clock" if not slack else f"{span(slack)} between observers"
        yield el("p", el("b", "Slack: "), told, cls="sub")
    if check.get("notes"):
        notes = "; ".join(f"{note['name']} {json.dumps(note['value'])}" for note in check["notes"])
        yield el("p", el("b", "Measured: "), notes[:LONGEST], cls="sub")


def _compared(expected: str, observed: str) -> Element:
    marks = differences(expected[:LONGEST], observed[:LONGEST])
    texts = (("expected", expected, marks[0]), ("observed", observed, marks[1]))
    return el(
        "div",
        [el("div", el("h5", title), el("p", _marked(text[:LONGEST], under))) for title, text, under in texts],
        cls="eo",
    )


def _marked(text: str, under: str) -> list[Child]:
    parts: list[Child] = []
    place = 0
    for sign, run in groupby(under):
        length = len(list(run))
        part = text[place : place + length]
        parts.append(el("mark", part) if sign == "^" else part)
        place += length
    return parts


def _again(command: str | None) -> Child:
    if not command:
        return None
    return el(
        "p",
        el("b", "Again: "),
        el("code", command, cls="cmd"),
        " ",
        el("button", "copy", type="button", cls="copy"),
    )


def _seen(name: str, check: Line, outcome: Line, clock: str) -> Iterator[Child]:
    evidence = outcome.get("evidence", [])
    rows = drawn(check.get("history", []), evidence)
    if rows:
        label = f"Timeline of {check['id']}"
        yield el(
            "details",
            el("summary", f"timeline, {clock} time"),
            el("div", picture(rows, evidence, name, clock), cls="pic"),
            el(
                "p", "A row with * is evidence. Time runs down, not to scale; a zigzag is a break.", cls="sub"
            ),
            legend(rows),
            el("details", el("summary", "as a table"), _table(rows, label)),
            cls="time",
            open="" if outcome["verdict"] != "known-failure" else None,
        )
    if evidence:
        plural = "s" * (len(evidence) > 1)
        about = f"evidence: {len(evidence)} record{plural}, seen by {', '.join(_observers(evidence))}"
        yield el(
            "details",
            el("summary", about),
            [_record(row, evidence[0]["at"]) for row in evidence[:12]],
            cls="wire",
        )


def _observers(rows: Sequence[Line]) -> list[str]:
    return sorted({row["observer"] for row in rows})


def _table(rows: Sequence[Line], label: str) -> Element:
    head = el("tr", [el("th", title, scope="col") for title in ("after", "seen by", "what", "of")])
    lines = [
        el(
            "tr",
            [
                el("td", text)
                for text in (span(row["at"] - rows[0]["at"]), row["observer"], row["kind"], _of(row))
            ],
        )
        for row in rows
    ]
    return el("div", el("table", el("caption", label), el("thead", head), el("tbody", lines)), cls="w")


def _of(row: Line) -> str:
    shown = ("task", "queue", "state", "attempt", "code", "text", "op")
    return ", ".join(
        f"{name} {row['data'][name]}"[:80] for name in shown if row["data"].get(name) not in (None, "")
    )


def _record(row: Line, first: float) -> Element:
    fields = {
        name: value
        for name, value in row["data"].items()
        if value is not None and name not in {"body", "call"}
    }
    if "decoded" in row:
        fields["body"] = row["decoded"]
    lines = [
        el("tr", el("th", name, scope="row"), el("td", el("code", _value(value))))
        for name, value in _flat(fields)
    ]
    raw = row["data"].get("body")
    return el(
        "div",
        el(
            "p", el("b", row["kind"]), f" #{row['seq']}, {span(row['at'] - first)}, seen by {row['observer']}"
        ),
        el("div", el("table", lines), cls="w"),
        el("p", f"not decoded: {row['undecoded']}") if "undecoded" in row else None,
        el("details", el("summary", "raw body"), el("pre", _raw(raw))) if raw else None,
    )


def _flat(fields: Line) -> Iterator[tuple[str, Any]]:
    for name, value in fields.items():
        if name in {"headers", "properties"} and isinstance(value, dict) and "$" not in value:
            yield from ((f"{name}.{key}", item) for key, item in value.items() if item is not None)
        else:
            yield name, value


def _value(value: Any) -> str:
    try:
        value = from_json(value)
    except UntaggableError:
        return short(value)
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}... ({len(text)} characters)"


def _raw(body: Any) -> str:
    try:
        data = base64.b64decode(body["v"], validate=True)
    except (TypeError, KeyError, binascii.Error, ValueError):
        return str(body)[:LONGEST]
    text = data[:LONGEST].decode("ascii", errors="backslashreplace")
    return f"{len(data)} bytes\n{text}"
