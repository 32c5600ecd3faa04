"""``summary.md``: what the page of a CI job shows of a run.

GitHub takes a mebibyte for all steps of a job together, so a bad day must not fill it: only the first failures are
told in full, and fewer of them when these are long.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from celeriac.conformance.evidence import record_lines
from celeriac.conformance.headline import UNEXPECTED, Hints, headline, is_whole
from celeriac.conformance.likeness import alike, ranges
from celeriac.conformance.outcome import CheckResult, Outcome, RequirementResult
from celeriac.conformance.profiles import profiles

if TYPE_CHECKING:
    from celeriac.conformance.report import Pace, Setting

__all__ = ["LARGEST", "summary"]

#: Bytes that a summary may have.
LARGEST = 500_000

#: How many requirements are told in full, and how many when that is too much.
IN_FULL = (40, 10, 3, 0)

#: Lines of a traceback or a falsifying example; characters of any text.
DETAIL_LINES, LONGEST = 16, 2000

#: How many checks are named.
MOST = 12

ISSUE = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)#(?P<number>\d+)")


def summary(
    setting: Setting, results: Mapping[str, RequirementResult], pace: Pace, hints: Hints | None = None
) -> str:
    """Answer the content of ``summary.md``: the verdict in words, profiles, what is unexpected, what is known."""
    texts = ("\n".join(_lines(setting, results, pace, hints or Hints(), count)) + "\n" for count in IN_FULL)
    return next((text for text in texts if len(text.encode(errors="replace")) <= LARGEST), "")


def _lines(
    setting: Setting, results: Mapping[str, RequirementResult], pace: Pace, hints: Hints, in_full: int
) -> Iterator[str]:
    name = (
        setting.implementation
        if setting.version == "unknown"
        else f"{setting.implementation} {setting.version}"
    )
    yield f"# {_inline(name)}: {headline(results, hints.problems)}"
    if not is_whole(results):
        run = sum(result.verdict != "not-run" for result in results.values())
        yield from ("", f"Only a part was run: {run} of {len(results)} requirements.")
    if setting.withdrawn is not None:
        yield from ("", f"No time travel: {_inline(setting.withdrawn)}.")
    yield from _profiles(results)
    if hints.problems:
        yield from ("", "## Problems with the run", "", *(f"- {_inline(each)}" for each in hints.problems))
    wrong = [result for verdict in UNEXPECTED for result in results.values() if result.verdict == verdict]
    yield from _unexpected(wrong, hints, in_full)
    yield from _known([result for result in results.values() if result.verdict == "known-failure"], hints)
    yield from _left_out(results)
    yield from _where(setting, pace)


def _profiles(results: Mapping[str, RequirementResult]) -> Iterator[str]:
    yield from ("", "| profile | verdict | does not hold | not claimed |", "|---|---|---|---|")
    for profile in profiles(results):
        yield f"| {profile.name} | {profile} | {ranges(profile.deviating)} | {ranges(profile.unclaimed)} |"


def _unexpected(results: Sequence[RequirementResult], hints: Hints, in_full: int) -> Iterator[str]:
    if not results:
        return
    yield from ("", "## Not as expected")
    groups = alike(results)
    for number, (result, others) in enumerate(groups[:in_full]):
        yield from _failure(result, others, hints, is_open=number == 0)
    if rest := groups[in_full:]:
        yield from (
            "",
            f"And {len(rest)} more:",
            "",
            "| verdict | id | requirement | reason |",
            "|---|---|---|---|",
        )
        for result, others in rest:
            what, ids = result.requirement, ranges([result.requirement.id, *others])
            yield f"| {result.verdict} | {ids} | {_cell(what.sentence)} | {_cell(result.reason[:200])} |"


def _failure(
    result: RequirementResult, others: Sequence[str], hints: Hints, *, is_open: bool
) -> Iterator[str]:
    what = result.requirement
    title = f"<b>{result.verdict} {what.id}</b> ({what.level}, {what.role}): {_code(what.sentence)}"
    yield from (
        "",
        f"<details{' open' * is_open}><summary>{title}</summary>",
        "",
        f"Why: {_inline(what.why)}",
    )
    (check, outcome), *rest = [pair for pair in result.checks if pair[1].verdict == result.verdict]
    yield from ("", f"`{check.id}` on {check.flavour}", *_finding(outcome))
    if rest:
        yield from ("", f"Also {_few([f'`{_function(each)}`' for each, _ in rest])}.")
    if others:
        yield from ("", f"Likewise {ranges(others)}.")
    yield from (
        "",
        "Check it again:",
        *_block("sh", [hints.reproduce(what.id, check.flavour)]),
        "",
        "</details>",
    )


def _finding(outcome: Outcome) -> Iterator[str]:
    told = outcome.judgement
    if told is not None:
        yield from _block("diff", [f"- expected: {told.expected}", f"+ observed: {told.observed}"])
        if told.evidence:
            yield from _block("text", record_lines(told.evidence))
    if told is None or outcome.verdict == "unexpected-pass":
        yield from ("", f"Reason: {_inline(outcome.reason)}")
    if detail := outcome.detail.strip().splitlines()[-DETAIL_LINES:]:
        yield from _block("text", detail)


def _known(results: Sequence[RequirementResult], hints: Hints) -> Iterator[str]:
    if not results:
        return
    title = f"{len(results)} known failure{'s' * (len(results) > 1)}"
    yield from ("", f"<details><summary>{title}</summary>", "")
    yield from ("| id | level | requirement | reason | thread |", "|---|---|---|---|---|")
    for result in results:
        what = result.requirement
        thread = _thread(hints.issues.get(result.reason, ""))
        yield f"| {what.id} | {what.level} | {_cell(what.sentence)} | {_cell(result.reason)} | {thread} |"
    yield from ("", "</details>")


def _left_out(results: Mapping[str, RequirementResult]) -> Iterator[str]:
    found = [result.verdict for result in results.values()]
    counts = {each: found.count(each) for each in ("not-applicable", "not-run")}
    told = [f"{number} {each.replace('-', ' ')}" for each, number in counts.items() if number]
    if told:
        yield from (
            "",
            f"Of {len(found)} requirements {' and '.join(told)}; `results.json` says why of each.",
        )


def _where(setting: Setting, pace: Pace) -> Iterator[str]:
    hours = (pace.simulated_s or 0.0) / 3600
    moved = f", in which {hours:.1f} h passed on virtual clocks" if hours else ""
    yield from ("", "| | |", "|---|---|")
    for name, value in (
        ("implementation", f"{setting.implementation} {setting.version}"),
        ("adapter", setting.adapter),
        ("broker", f"{setting.flavour} {setting.broker} ({setting.source})"),
        ("clock", setting.clock),
        ("suite, specification", f"{setting.suite}, {setting.spec}"),
        ("run", f"{pace.started}, {pace.duration_s:.1f} s{moved}"),
    ):
        yield f"| {name} | {_cell(value)} |"


def _block(language: str, lines: Sequence[str]) -> Iterator[str]:
    """Answer a fenced block whose text cannot end it."""
    text = [part for line in lines for part in line[:LONGEST].splitlines()]
    longest = max((len(run) for line in text for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    yield from ("", f"{fence}{language}", *text, fence)


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return ", ".join(names[:MOST]) + more


def _function(check: CheckResult) -> str:
    return check.id.partition("::")[2]


def _thread(issue: str) -> str:
    """Answer a link to a thread, or the text as it is."""
    found = ISSUE.fullmatch(issue)
    if found is None:
        return _cell(issue)
    return f"[{issue}](https://github.com/{found['repository']}/issues/{found['number']})"


def _cell(text: str) -> str:
    return _inline(text).replace("|", "\\|")


def _inline(text: str) -> str:
    """Answer text of ours or of an implementation's as a line that starts no HTML."""
    return " ".join(text[:LONGEST].split()).replace("&", "&amp;").replace("<", "&lt;")


def _code(text: str) -> str:
    """Answer a sentence in HTML, where Markdown's quotes mean nothing."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(" ".join(text.split()), quote=False))
