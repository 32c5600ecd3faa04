"""What a check can conclude, and the errors that carry a conclusion out of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from celeriac.conformance.history import Record

__all__ = [
    "VERDICTS",
    "HarnessError",
    "Inconclusive",
    "Judgement",
    "NotApplicable",
    "Violation",
    "WithdrawnError",
]

#: Every verdict of the report.
VERDICTS = (
    "pass",
    "fail",
    "error",
    "inconclusive",
    "known-failure",
    "unexpected-pass",
    "not-applicable",
    "not-run",
)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What an oracle says of a history.

    Attributes:
        verdict: pass, fail or inconclusive.
        expected: what the requirement wants, in words and values.
        observed: what the history shows, in words and values.
        evidence: the records that the verdict rests on.
    """

    verdict: Literal["pass", "fail", "inconclusive"]
    expected: str
    observed: str
    evidence: tuple[Record, ...] = ()

    def about(self, case: str) -> Judgement:
        """Answer the same judgement with the name of the case that it is about."""
        return replace(self, expected=f"{case}: {self.expected}", observed=f"{case}: {self.observed}")


class Violation(AssertionError):  # noqa: N818 - a verdict, not an error
    """The implementation does not do what a requirement wants: verdict fail."""

    def __init__(self, requirement: str, judgement: Judgement) -> None:
        super().__init__(f"{requirement}\n  expected: {judgement.expected}\n  observed: {judgement.observed}")
        self.requirement = requirement
        self.judgement = judgement


class HarnessError(Exception):
    """The adapter or the harness failed: verdict error, never fail."""


class Inconclusive(Exception):  # noqa: N818 - a verdict, not an error
    """The history does not allow a verdict."""


class NotApplicable(Exception):  # noqa: N818 - a verdict, not an error
    """The requirement does not apply to this claim, broker or clock."""


class WithdrawnError(Exception):
    """Somebody's clock cannot be moved; the text says whose, and how that was seen."""
