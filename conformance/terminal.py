"""What a conformance run says on the terminal, as lines that fit it.

Everything here is a function from results to lines of text; ``narrator.py`` says when, and in which colour.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence

from celeriac.conformance.differing import carets, differences
from celeriac.conformance.evidence import record_lines
from celeriac.conformance.likeness import ranges
from celeriac.conformance.outcome import CheckResult, Outcome, RequirementResult, counts
from celeriac.conformance.profiles import ProfileResult
from celeriac.conformance.report import Setting
from celeriac.conformance.verdicts import Judgement
from celeriac.spec import Chapter

__all__ = [
    "UNEXPECTED",
    "broker_line",
    "chapter_lines",
    "failure",
    "field",
    "fitting",
    "header",
    "known",
    "profile_lines",
    "requirement_line",
    "totals",
]

#: Columns of the widest and of the narrowest line.
WIDTH, NARROWEST = 100, 40

#: Verdicts of requirements that a reader must look at.
UNEXPECTED = ("fail", "error", "unexpected-pass", "inconclusive")

#: Most lines of a traceback or a falsifying example.
DETAIL_LINES = 24

#: Most checks of one requirement that are shown in full.
CHECKS_SHOWN = 3

#: Most requirements that are named where they were not even claimed.
IDS_SHOWN = 6

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

#: Columns before the text of a named value.
INDENT = 13

#: Who observes -> what it has seen, for a reader who does not know the word.
OBSERVERS: Mapping[str, str] = {
    "broker": "the embedded broker's own record",
    "tap": "the tap on the wire",
    "probe": "the worker's reports",
    "harness": "the adapter's answers",
}


def header(setting: Setting, title: str, checks: int) -> list[str]:
    """Answer the lines that open a run."""
    return [
        f"Celeriac {setting.suite}: conformance to the Calling API, spec {setting.spec}",
        f"  adapter  {setting.adapter}: {title}",
        f"  checks   {checks}",
    ]


def broker_line(setting: Setting, tick: float | None, width: int = WIDTH) -> list[str]:
    """Answer the lines that say on what broker and clock the next checks play."""
    version = f" {setting.broker}" if setting.broker else ""
    calibration = f", a tick is {tick:g} s" if tick else ""
    return [
        f"  judging  {setting.implementation} {setting.version}",
        f"  broker   {setting.flavour}{version} ({setting.source})",
        f"  clock    {setting.clock}{calibration}",
        *([] if setting.withdrawn is None else field("no travel", setting.withdrawn, width)),
    ]


def chapter_lines(chapter: Chapter, results: Iterable[RequirementResult], width: int = WIDTH) -> list[str]:
    """Answer a chapter's title and the counts of its requirements."""
    room = 32 if width >= WIDTH else 20
    start = f"{chapter.prefix}  {chapter.title:<{room}.{room}} {len(chapter.requirements):3d}: "
    return _wrap(_counts(results), start, " " * len(start), width)


def requirement_line(result: RequirementResult, width: int = WIDTH) -> str:
    """Answer one line on a requirement."""
    requirement = result.requirement
    reason = "" if result.verdict == "pass" else " ".join(result.reason.split())
    line = f"     {requirement.id}  {requirement.level:<6}  {result.verdict:<14}  {reason}".rstrip()
    return line if len(line) <= width else f"{line[: width - 3]}..."


def known(results: Sequence[RequirementResult], issues: Mapping[str, str], width: int = WIDTH) -> list[str]:
    """Answer known failures in a line or two: their ids, each reason once, and the thread that discusses it."""
    by_reason: dict[str, list[str]] = {}
    for result in results:
        by_reason.setdefault(result.reason, []).append(result.requirement.id)
    lines: list[str] = []
    for reason, ids in by_reason.items():
        issue = issues.get(reason)
        start = f"  {ranges(ids)}  "
        lines += _wrap(f"{reason} ({issue})" if issue else reason, start, " " * len("  ABC-001  "), width)
    return lines


def failure(
    result: RequirementResult,
    reproduce: Callable[[str, str], str],
    slack: Callable[[str], float | None] = lambda flavour: None,
    width: int = WIDTH,
) -> list[str]:
    """Answer everything a reader needs to understand a requirement that is not as expected.

    Checks that found the same are shown once.

    Args:
        result: the requirement and its checks.
        reproduce: answers the command that checks one requirement on one flavour of broker again.
        slack: answers the seconds by which stamps on a flavour of broker may disagree, None when nobody knows.
        width: columns of a line; a command is never broken.
    """
    requirement = result.requirement
    lines = [
        f"{result.verdict.upper()}  {requirement.id}  {requirement.level}  {requirement.role}",
        *_wrap(requirement.sentence, "  ", "  ", width),
    ]
    found = [(check, outcome) for check, outcome in result.checks if outcome.verdict == result.verdict]
    groups = _same(found)
    for (check, outcome), *others in groups[:CHECKS_SHOWN]:
        lines += field("check", f"{check.id} on {check.flavour}", width)
        lines += _outcome(outcome, slack(check.flavour), width)
        lines += field("alike in", _places(others), width) if others else []
    if rest := [pair for group in groups[CHECKS_SHOWN:] for pair in group]:
        lines += field("and", f"{len(rest)} more checks: {_places(rest)}", width)
    flavours = dict.fromkeys(check.flavour for check, _ in found)
    return [*lines, *(f"  reproduce  {reproduce(requirement.id, flavour)}" for flavour in flavours)]


def fitting(columns: int) -> int:
    """Answer how wide lines are on a terminal of so many columns."""
    return min(max(columns, NARROWEST), WIDTH)


def profile_lines(profiles: Sequence[ProfileResult], width: int = WIDTH) -> list[str]:
    """Answer the verdict on each profile that was judged or left out, and the ids that it rests on."""
    told = [profile for profile in profiles if profile.verdict != "not-judged"]
    lines: list[str] = []
    for profile in told:
        text = f"{profile}: {ranges(profile.deviating)}" if profile.deviating else str(profile)
        if profile.unclaimed and profile.verdict != "not-claimed":
            text += f"; not claimed: {_some(profile.unclaimed)}"
        lines += _wrap(text, f"  {profile.name:<12} ", " " * 15, width)
    return ["profiles:", *lines] if lines else []


def _some(ids: Sequence[str]) -> str:
    return ranges(ids) if len(ids) <= IDS_SHOWN else f"{len(ids)} requirements"


def totals(results: Mapping[str, RequirementResult], duration_s: float, width: int = WIDTH) -> list[str]:
    """Answer how many requirements have which verdict."""
    return _wrap(
        f"{len(results)} requirements: {_counts(results.values())}, in {duration_s:.1f} s", "", "  ", width
    )


def _same(
    found: Sequence[tuple[CheckResult, Outcome]],
) -> list[list[tuple[CheckResult, Outcome]]]:
    """Group checks that have found the same, whatever the ids of their tasks."""
    groups: dict[tuple[str, str], list[tuple[CheckResult, Outcome]]] = {}
    for check, outcome in found:
        told = outcome.judgement
        key = (told.expected, told.observed) if told is not None else (outcome.reason, "")
        key = (UUID.sub("ID", key[0]), UUID.sub("ID", key[1]))
        groups.setdefault(key, []).append((check, outcome))
    return list(groups.values())


def _places(found: Sequence[tuple[CheckResult, Outcome]]) -> str:
    """Answer the checks by name, shortly."""
    names = list(dict.fromkeys(f"{check.id.partition('::')[2]} on {check.flavour}" for check, _ in found))
    more = f" and {len(names) - CHECKS_SHOWN} more" if len(names) > CHECKS_SHOWN else ""
    return ", ".join(names[:CHECKS_SHOWN]) + more


def _outcome(outcome: Outcome, slack: float | None, width: int) -> list[str]:
    lines = [] if outcome.judgement is None else _judgement(outcome.judgement, slack, width)
    if outcome.judgement is None or outcome.verdict == "unexpected-pass":
        lines += field("reason", outcome.reason, width)
    detail = outcome.detail.strip().splitlines()
    for number, line in enumerate(detail[-DETAIL_LINES:]):
        lines.append(f"  {'' if number else 'detail':<10} {line}"[: 2 * WIDTH].rstrip())
    return lines


def _judgement(judgement: Judgement, slack: float | None, width: int) -> list[str]:
    expected, observed = (" ".join(text.split()) for text in (judgement.expected, judgement.observed))
    missing, strange = differences(expected, observed)
    lines = carets(field("expected", expected, width), INDENT, expected, missing)
    lines += carets(field("observed", observed, width), INDENT, observed, strange)
    for number, line in enumerate(record_lines(judgement.evidence)):
        lines += field("" if number else "evidence", line, width)
    seers = dict.fromkeys(OBSERVERS.get(record.observer, record.observer) for record in judgement.evidence)
    if seers and slack is not None:
        precise = f"stamps agree within {slack:g} s" if slack else "one clock stamps everything"
        lines += field("seen by", f"{', '.join(seers)}; {precise}", width)
    return lines


def field(name: str, text: str, width: int = WIDTH) -> list[str]:
    """Answer a named value, wrapped and indented."""
    return _wrap(text, f"  {name:<10} ", " " * INDENT, width)


def _wrap(text: str, first: str, rest: str, width: int) -> list[str]:
    words = " ".join(text.split())
    wrap = textwrap.TextWrapper(width, first, rest, break_long_words=False, break_on_hyphens=False)
    return wrap.wrap(words) or [first.rstrip()]


def _counts(results: Iterable[RequirementResult]) -> str:
    found = counts(results)
    order = ["pass", *(verdict for verdict in found if verdict != "pass")]
    return ", ".join(f"{found[verdict]} {verdict}" for verdict in order if found[verdict]) or "none"
