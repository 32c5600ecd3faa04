"""From what escaped a check to a verdict, and from verdicts of checks to those of requirements."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from celeriac.conformance.providers import Unavailable
from celeriac.conformance.strategies import Decided
from celeriac.conformance.verdicts import HarnessError, Inconclusive, Judgement, NotApplicable, Violation
from celeriac.conformance.watchdog import Overdue
from celeriac.spec import Requirement

__all__ = [
    "CUT_SHORT",
    "GRAVITY",
    "NOT_SELECTED",
    "SIGNS",
    "CheckResult",
    "Outcome",
    "RequirementResult",
    "conclude",
    "counts",
    "roll_up",
    "share",
    "worst",
]

#: Every verdict from the gravest to the least: a requirement gets the first one that any of its checks has.
GRAVITY = (
    "fail",
    "error",
    "unexpected-pass",
    "inconclusive",
    "known-failure",
    "pass",
    "not-applicable",
    "not-run",
)

#: Verdict -> the sign that stands beside its word, where colour may be lost; those of profiles are ``profiles.SIGNS``.
SIGNS: Mapping[str, str] = {
    "fail": "✘",
    "error": "!",
    "unexpected-pass": "✚",
    "inconclusive": "?",
    "known-failure": "✗",
    "pass": "✔",
    "not-applicable": "\N{EN DASH}",
    "not-run": "·",
}

#: Why a requirement was not run although it could have been: nobody wanted it, or the run ended too early.
NOT_SELECTED, CUT_SHORT = "not selected", "the run ended before its check"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The verdict of one check on one requirement.

    Attributes:
        verdict: one of ``VERDICTS``.
        reason: one line, empty for a pass.
        judgement: expected, observed and evidence, when an oracle spoke.
        detail: further lines for the reader: a traceback, a falsifying example.
        requirement: the only requirement it speaks of; empty for all of the check's.
    """

    verdict: str
    reason: str = ""
    judgement: Judgement | None = None
    detail: str = ""
    requirement: str = ""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check that has ended on one flavour of broker; ``duration_s`` in seconds of the wall.

    ``notes`` are what it has measured beside its verdict: a name and a value for each.
    """

    id: str
    flavour: str
    duration_s: float
    outcomes: Mapping[str, Outcome]
    notes: Sequence[tuple[str, Any]] = ()

    @property
    def verdict(self) -> str:
        """Answer the gravest verdict among its requirements."""
        return worst(outcome.verdict for outcome in self.outcomes.values())


@dataclass(frozen=True, slots=True)
class RequirementResult:
    """A requirement and what became of it."""

    requirement: Requirement
    verdict: str
    reason: str = ""
    checks: Sequence[tuple[CheckResult, Outcome]] = field(default_factory=tuple)


def conclude(error: BaseException | None) -> Outcome:
    """Answer the verdict that an exception out of a check stands for, or its absence."""
    if error is None:
        return Outcome("pass")
    if isinstance(error, Decided):
        return conclude(error.__cause__)
    notes = "\n".join(getattr(error, "__notes__", ()))
    if isinstance(error, Violation):
        return Outcome("fail", error.judgement.observed, error.judgement, notes, error.requirement)
    if isinstance(error, HarnessError):
        _, _, rest = str(error).strip().partition("\n")
        return Outcome("error", _first_line(error), detail="\n".join(filter(None, (rest, notes))))
    if isinstance(error, Overdue):
        return Outcome("error", str(error), detail=error.stack)
    for kind, verdict in SIMPLE:
        if isinstance(error, kind):
            return Outcome(verdict, _first_line(error), detail=notes)
    if isinstance(error, AssertionError | pytest.fail.Exception):
        return Outcome(
            "fail", _first_line(error), Judgement("fail", "the assertion holds", str(error)), notes
        )
    text = "".join(traceback.format_exception(error))
    return Outcome("error", f"{type(error).__name__}: {_first_line(error)}", detail=text)


#: Exceptions that are nothing but a verdict with a reason.
SIMPLE: tuple[tuple[type[BaseException], str], ...] = (
    (Unavailable, "not-run"),
    (NotApplicable, "not-applicable"),
    (pytest.skip.Exception, "not-applicable"),
    (Inconclusive, "inconclusive"),
)


def share(outcome: Outcome, requirements: Sequence[str]) -> dict[str, Outcome]:
    """Give a check's outcome to its requirements; those that a violation cut short are not-run."""
    if not outcome.requirement:
        return dict.fromkeys(requirements, outcome)
    if outcome.requirement not in requirements:
        text = (
            f"the check judged {outcome.requirement}, which its @check(...) does not name: {outcome.reason}"
        )
        return dict.fromkeys(requirements, Outcome("error", text, outcome.judgement))
    rest = Outcome("not-run", f"the check ended at {outcome.requirement}")
    return {name: outcome if name == outcome.requirement else rest for name in requirements}


def worst(verdicts: Iterable[str]) -> str:
    """Answer the gravest verdict, ``not-run`` for none."""
    return min(verdicts, key=GRAVITY.index, default="not-run")


def roll_up(
    requirements: Iterable[Requirement],
    results: Sequence[CheckResult],
    why_not_run: Callable[[Requirement], str],
) -> dict[str, RequirementResult]:
    """Answer the result of every requirement, in order.

    Args:
        requirements: those to answer for.
        results: the checks that have ended.
        why_not_run: says why a requirement has no check among them.
    """
    return {r.id: _result(r, results, why_not_run) for r in requirements}


def _result(
    requirement: Requirement, results: Sequence[CheckResult], why_not_run: Callable[[Requirement], str]
) -> RequirementResult:
    checks = [
        (check, check.outcomes[requirement.id]) for check in results if requirement.id in check.outcomes
    ]
    if not checks:
        return RequirementResult(requirement, "not-run", why_not_run(requirement))
    verdict = worst(outcome.verdict for _, outcome in checks)
    reason = next(outcome.reason for _, outcome in checks if outcome.verdict == verdict)
    return RequirementResult(requirement, verdict, reason, checks)


def counts(results: Iterable[RequirementResult]) -> dict[str, int]:
    """Answer how many requirements have each verdict, every verdict named, worst first."""
    found = [result.verdict for result in results]
    return {verdict: found.count(verdict) for verdict in GRAVITY}


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
