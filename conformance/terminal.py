"""What a conformance run says on the terminal, as lines of at most a hundred columns.

Everything here is a function from results to lines; ``quiet.py`` prints them in place of pytest's own.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence

from celeriac.conformance.evidence import record_lines
from celeriac.conformance.outcome import CheckResult, Outcome, RequirementResult, counts
from celeriac.conformance.report import Setting
from celeriac.spec import Chapter

__all__ = [
    "UNEXPECTED",
    "alike",
    "broker_line",
    "chapter_lines",
    "failure",
    "field",
    "header",
    "known",
    "ranges",
    "requirement_line",
    "totals",
]

WIDTH = 100

#: Verdicts of requirements that a reader must look at.
UNEXPECTED = ("fail", "error", "unexpected-pass", "inconclusive")

#: Most lines of a traceback or a falsifying example.
DETAIL_LINES = 24


def header(setting: Setting, title: str, checks: int) -> list[str]:
    """Answer the lines that open a run."""
    return [
        f"Celeriac {setting.suite}: conformance to the Calling API, spec {setting.spec}",
        f"  adapter  {setting.adapter}: {title}",
        f"  checks   {checks}",
    ]


def broker_line(setting: Setting, tick: float | None) -> list[str]:
    """Answer the lines that say on what broker and clock the next checks play."""
    version = f" {setting.broker}" if setting.broker else ""
    calibration = f", a tick is {tick:g} s" if tick else ""
    return [
        f"  judging  {setting.implementation} {setting.version}",
        f"  broker   {setting.flavour}{version} ({setting.source})",
        f"  clock    {setting.clock}{calibration}",
        *([] if setting.withdrawn is None else field("no travel", setting.withdrawn)),
    ]


def chapter_lines(chapter: Chapter, results: Iterable[RequirementResult]) -> list[str]:
    """Answer a chapter's title and the counts of its requirements."""
    start = f"{chapter.prefix}  {chapter.title:<32.32} {len(chapter.requirements):3d}: "
    return _wrap(_counts(results), start, " " * len(start))


def requirement_line(result: RequirementResult) -> str:
    """Answer one line on a requirement."""
    requirement = result.requirement
    reason = "" if result.verdict == "pass" else " ".join(result.reason.split())
    line = f"     {requirement.id}  {requirement.level:<6}  {result.verdict:<14}  {reason}".rstrip()
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 3]}..."


def known(result: RequirementResult) -> list[str]:
    """Answer a known failure in a line or two: its id and its reason."""
    start = f"  {result.requirement.id}  "
    return _wrap(result.reason, start, " " * len(start))


def failure(result: RequirementResult, reproduce: Callable[[str, str], str]) -> list[str]:
    """Answer everything a reader needs to understand a requirement that is not as expected.

    Args:
        result: the requirement and its checks.
        reproduce: answers the command that checks one requirement on one flavour of broker again.
    """
    requirement = result.requirement
    lines = [
        f"{result.verdict.upper()}  {requirement.id}  {requirement.level}  {requirement.role}",
        *_wrap(requirement.sentence, "  ", "  "),
    ]
    found = [(check, outcome) for check, outcome in result.checks if outcome.verdict == result.verdict]
    for check, outcome in found:
        lines += _outcome(check, outcome)
    flavours = dict.fromkeys(check.flavour for check, _ in found)
    return [*lines, *(f"  reproduce  {reproduce(requirement.id, flavour)}" for flavour in flavours)]


def alike(results: Sequence[RequirementResult]) -> list[tuple[RequirementResult, list[str]]]:
    """Group results: those of equal reason where no oracle spoke become one, with the ids of the others."""
    groups: dict[str, list[RequirementResult]] = {}
    for result in results:
        judged = any(outcome.judgement is not None for _, outcome in result.checks)
        groups.setdefault(result.requirement.id if judged else result.reason, []).append(result)
    return [(first, [other.requirement.id for other in rest]) for first, *rest in groups.values()]


def ranges(ids: Iterable[str]) -> str:
    """Answer ids of requirements in a line, those that follow one another as ``BAS-002 to LNK-005``."""
    runs: list[list[str]] = []
    for name in ids:
        area, _, number = name.partition("-")
        if runs and runs[-1][-1] == f"{area}-{int(number) - 1:03d}":
            runs[-1].append(name)
        else:
            runs.append([name])
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(run) for run in runs)


def totals(
    results: Mapping[str, RequirementResult], problems: Sequence[str], folder: str, duration_s: float
) -> list[str]:
    """Answer the closing lines: counts by verdict, what else is wrong, where the report is."""
    lines = [f"{len(results)} requirements: {_counts(results.values())}, in {duration_s:.1f} s"]
    for problem in problems:
        lines += _wrap(problem, "", "  ")
    return [*lines, f"report: {folder}"]


def _outcome(check: CheckResult, outcome: Outcome) -> list[str]:
    lines = field("check", f"{check.id} on {check.flavour}")
    if outcome.judgement is not None:
        lines += field("expected", outcome.judgement.expected)
        lines += field("observed", outcome.judgement.observed)
        for number, line in enumerate(record_lines(outcome.judgement.evidence)):
            lines += field("" if number else "evidence", line)
    if outcome.judgement is None or outcome.verdict == "unexpected-pass":
        lines += field("reason", outcome.reason)
    detail = outcome.detail.strip().splitlines()
    for number, line in enumerate(detail[-DETAIL_LINES:]):
        lines.append(f"  {'' if number else 'detail':<10} {line}"[: 2 * WIDTH].rstrip())
    return lines


def field(name: str, text: str) -> list[str]:
    """Answer a named value, wrapped and indented."""
    return _wrap(text, f"  {name:<10} ", " " * 13)


def _wrap(text: str, first: str, rest: str) -> list[str]:
    words = " ".join(text.split())
    wrap = textwrap.TextWrapper(WIDTH, first, rest, break_long_words=False, break_on_hyphens=False)
    return wrap.wrap(words) or [first.rstrip()]


def _counts(results: Iterable[RequirementResult]) -> str:
    found = counts(results)
    order = ["pass", *(verdict for verdict in found if verdict != "pass")]
    return ", ".join(f"{found[verdict]} {verdict}" for verdict in order if found[verdict]) or "none"
