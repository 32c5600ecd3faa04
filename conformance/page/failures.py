"""The entry of one requirement that is not as it should be: everything that its reader needs, in that order."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from celeriac.conformance.differing import differences
from celeriac.conformance.evidence import short
from celeriac.conformance.journal import redacted
from celeriac.conformance.outcome import SIGNS
from celeriac.conformance.page.elements import Child, Element, el, prose
from celeriac.conformance.page.timeline import drawn, legend, picture, span, words
from celeriac.conformance.wire_values import UntaggableError, from_json
from celeriac.spec import Requirement

__all__ = ["ROOMS", "Room", "anchor", "badge", "entry", "title_of"]

#: Longest text that is shown, in characters; longest value of a record; most records of the evidence.
LONGEST, LONGEST_VALUE, MOST_RECORDS = 1000, 160, 12

#: Most checks that are named and not told of, in one entry.
MOST_NAMES = 6

#: Verdicts of checks that need no words.
QUIET = frozenset({"pass", "not-applicable", "not-run"})


@dataclass(frozen=True, slots=True)
class Room:
    """How much an entry tells: of how many checks, and of how many of these with picture, evidence, raw bodies."""

    checks: int
    pictures: int = 0
    records: int = 0
    bodies: int = 0


#: An entry in ever more room: every one is told in short before any has a picture, and pictures come before bodies.
ROOMS = (Room(1), Room(2), Room(2, 1), Room(2, 1, 1), Room(4, 2, 2), Room(99, 99, 99), Room(99, 99, 99, 99))

Line = Mapping[str, Any]


def badge(verdict: str) -> Element:
    """Answer a verdict as sign and word."""
    return el("b", f"{SIGNS[verdict]} {verdict.replace('-', ' ')}", cls=verdict)


def anchor(check: Line) -> str:
    """Answer the permanent anchor of a check: its module and name, and its broker unless that is the embedded one."""
    broker = "" if check["broker"] == "embedded" else f"-{check['broker']}"
    name = redacted(check["id"]).replace("test_", "").replace(".py::", ".")
    return re.sub(r"[^\w.-]+", "-", f"{name}{broker}").strip("-")


def title_of(check: Line) -> str:
    """Answer the name of a check, with its broker unless that is the embedded one."""
    broker = "" if check["broker"] == "embedded" else f" on {check['broker']}"
    return f"{check['id'].partition('::')[2].removeprefix('test_')[:80]}{broker}"


def entry(
    requirement: Requirement,
    verdict: str,
    reason: str,
    checks: Sequence[Line],
    room: Room,
    *,
    issue: str | None,
    clocks: Mapping[str, str],
) -> Iterator[Child]:
    """Answer the inside of an entry.

    Args:
        requirement: which.
        verdict: its verdict.
        reason: and why it has it.
        checks: the lines of its checks, the gravest first.
        room: how much of them there is room for.
        issue: a known failure's thread.
        clocks: flavour of broker -> clock.
    """
    name = requirement.id
    loud = [check for check in checks if check["requirements"][name]["verdict"] not in QUIET]
    above = "" if verdict == "fail" else reason
    yield el("p", prose(requirement.sentence), cls="s")
    yield el("p", el("b", "Why: "), prose(requirement.why))
    if requirement.known:
        yield el("p", el("b", "Known of Celery: "), prose(requirement.known))
    if above:
        yield el("p", el("b", "Reason: "), _cut(above), _issue(issue))
    for number, check in enumerate(loud[: room.checks]):
        clock = clocks.get(check["broker"], "")
        yield _check(name, check, above, _seen(check, check["requirements"][name], clock, room, number))
    yield _others("Not told here for want of room", name, loud[room.checks :])
    yield _others("Its other checks", name, [check for check in checks if check not in loud])


def _others(title: str, name: str, checks: Sequence[Line]) -> Child:
    """Answer the checks that are not told of by name: the first of them, which lead to the list."""
    if not checks:
        return None
    links: list[Child] = [
        [", " * bool(number), el("a", title_of(check), href=f"#{anchor(check)}"), f" {_verdict(check, name)}"]
        for number, check in enumerate(checks[:MOST_NAMES])
    ]
    more = f" and {len(checks) - MOST_NAMES} more" if len(checks) > MOST_NAMES else ""
    return el("p", f"{title}: ", links, more, cls="sub")


def _verdict(check: Line, name: str) -> str:
    return str(check["requirements"][name]["verdict"]).replace("-", " ")


def _issue(issue: str | None) -> Child:
    if not issue:
        return None
    name, _, number = issue.partition("#")
    is_thread = re.fullmatch(r"[\w.-]+/[\w.-]+", name) and number.isdigit()
    address = f"https://github.com/{name}/issues/{number}" if is_thread else issue
    if not address.startswith("https://"):
        return [" (", issue, ")"]
    return [" (", el("a", issue, href=address, rel="noreferrer"), ")"]


def _check(name: str, check: Line, above: str, seen: Iterator[Child]) -> Element:
    outcome = check["requirements"][name]
    title: list[Child] = [badge(outcome["verdict"]), " ", el("code", check["id"]), f" on {check['broker']}"]
    again = _again(check.get("reproduce", {}).get(name))
    return el("section", el("h4", title), list(_told(check, outcome, above)), list(seen), again, cls="c")


def _told(check: Line, outcome: Line, above: str) -> Iterator[Child]:
    if "expected" in outcome:
        yield _compared(outcome["expected"], outcome["observed"])
    elif outcome["reason"] != above:
        yield el("p", _cut(outcome["reason"]))
    if detail := outcome.get("detail", "").strip():
        yield el("details", el("summary", "detail"), el("pre", _cut(detail, end=True)))
    slack = check.get("slack_s")
    if slack is not None:
        told = "none: all stamps are of one clock" if not slack else f"{span(slack)} between observers"
        yield el("p", el("b", "Slack: "), told, cls="sub")
    if check.get("notes"):
        notes = "; ".join(f"{note['name']} {json.dumps(note['value'])}" for note in check["notes"])
        yield el("p", el("b", "Measured: "), _cut(notes), cls="sub")


def _cut(text: str, *, end: bool = False) -> str:
    """Answer a text, or its beginning (its end) and how much of it that is."""
    if len(text) <= LONGEST:
        return text
    told = f"[{'last' if end else 'first'} {LONGEST} of {len(text)} characters; results.jsonl has all]"
    return f"{told}\n{text[-LONGEST:]}" if end else f"{text[:LONGEST]}\n{told}"


def _compared(expected: str, observed: str) -> Element:
    marks = differences(expected[:LONGEST], observed[:LONGEST])
    texts = (("expected", expected, marks[0]), ("observed", observed, marks[1]))
    return el(
        "div",
        [
            el("div", el("h5", title), el("p", _marked(text[:LONGEST], under), _cut(text)[LONGEST:]))
            for title, text, under in texts
        ],
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


def _seen(check: Line, outcome: Line, clock: str, room: Room, number: int) -> Iterator[Child]:
    evidence = outcome.get("evidence", [])
    rows = drawn(check.get("history", []), evidence)
    lacking = []
    if rows and number < room.pictures:
        yield _timeline(rows, evidence, clock, outcome["verdict"])
    elif rows:
        lacking.append("timeline")
    if evidence and number < room.records:
        yield _evidence(evidence, number < room.bodies)
    elif evidence:
        lacking.append("evidence")
    if lacking:
        told = f"Left out to keep this page small: {' and '.join(lacking)}. results.jsonl has more."
        yield el("p", told, cls="sub")


def _timeline(rows: Sequence[Line], evidence: Sequence[Line], clock: str, verdict: str) -> Element:
    return el(
        "details",
        el("summary", f"timeline, {clock} time"),
        el("div", picture(rows, evidence, clock), cls="pic"),
        legend(rows),
        el("details", el("summary", "in words"), el("pre", words(rows, evidence))),
        open="" if verdict != "known-failure" else None,
    )


def _evidence(evidence: Sequence[Line], bodies: bool) -> Element:
    plural = "s" * (len(evidence) > 1)
    about = f"evidence: {len(evidence)} record{plural}, seen by {', '.join(_observers(evidence))}"
    more = len(evidence) - MOST_RECORDS
    return el(
        "details",
        el("summary", about),
        [_record(row, evidence[0]["at"], bodies) for row in evidence[:MOST_RECORDS]],
        el("p", f"and {more} more, which results.jsonl has") if more > 0 else None,
    )


def _observers(rows: Sequence[Line]) -> list[str]:
    return sorted({row["observer"] for row in rows})


def _record(row: Line, first: float, bodies: bool) -> list[Child]:
    fields = {
        name: value
        for name, value in row["data"].items()
        if value is not None and name not in {"body", "call"}
    }
    if "decoded" in row:
        fields["body"] = row["decoded"]
    raw = row["data"].get("body")
    seen = f" #{row['seq']}, {span(row['at'] - first)}, seen by {row['observer']}"
    return [
        el("p", el("b", row["kind"]), seen),
        el("dl", [[el("dt", name), el("dd", _value(value))] for name, value in _flat(fields)]),
        el("p", f"not decoded: {row['undecoded']}") if "undecoded" in row else None,
        el("details", el("summary", "raw body"), el("pre", _raw(raw))) if raw and bodies else None,
    ]


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
    text = value if value and isinstance(value, str) else repr(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}... ({len(text)} characters)"


def _raw(body: Any) -> str:
    try:
        data = base64.b64decode(body["v"], validate=True)
    except (TypeError, KeyError, binascii.Error, ValueError):
        return _cut(str(body))
    return f"{len(data)} bytes\n{_cut(data.decode('ascii', errors='backslashreplace'))}"
