"""Verdicts by profile: the first thing that a reader of a report wants to know.

Never a percentage: an implementation that breaks one promise of fifty does not keep 98 of a hundred, it loses the
tasks of whoever relied on that one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from celeriac.conformance.applicability import UNCLAIMED
from celeriac.conformance.outcome import RequirementResult
from celeriac.spec import PROFILES

__all__ = ["DEVIATING", "JUDGED", "MEANINGS", "SIGNS", "ProfileResult", "profiles"]

#: Each verdict on a profile -> when it is given, the first that fits.
MEANINGS: Mapping[str, str] = {
    "failed": "a MUST does not hold, whether that was known or not",
    "not-judged": "nothing of it was run, or adapter or harness failed in some of it",
    "not-claimed": "the claim offers nothing of it",
    "partial": "no MUST is broken, but a SHOULD is, or the claim leaves a part out",
    "success": "everything holds that applies",
}

#: Verdict on a profile -> its sign, where colour may be lost and room is short.
SIGNS: Mapping[str, str] = {
    "success": "✔",
    "partial": "◐",
    "failed": "✘",
    "not-claimed": "\N{EN DASH}",
    "not-judged": "·",
}

#: Verdicts of requirements that do not hold; one that holds unexpectedly does.
DEVIATING = frozenset({"fail", "known-failure"})

#: Verdicts that leave open whether a requirement holds.
OPEN = frozenset({"error", "inconclusive"})

#: Verdicts of requirements that somebody was judged by.
JUDGED = DEVIATING | {"pass", "unexpected-pass"}


@dataclass(frozen=True, slots=True)
class ProfileResult:
    """What a run says of one profile.

    Attributes:
        name: a key of ``PROFILES``.
        verdict: a key of ``MEANINGS``.
        passed: how many of its requirements hold.
        judged: how many were judged.
        deviating: ids of those that do not hold, known failures among them.
        unclaimed: ids of those that the claim does not offer.
    """

    name: str
    verdict: str
    passed: int
    judged: int
    deviating: tuple[str, ...] = ()
    unclaimed: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Answer the cell of a table: the verdict, and how many of how many."""
        counts = {
            "success": f", all {self.judged}",
            "partial": f", {self.passed} of {self.judged + len(self.unclaimed)} hold",
            "failed": f", {len(self.deviating)} of {self.judged} broken",
        }
        return f"{self.verdict.replace('-', ' ')}{counts.get(self.verdict, '')}"


def profiles(results: Mapping[str, RequirementResult]) -> tuple[ProfileResult, ...]:
    """Answer the verdict on every profile, in the order of ``PROFILES``."""
    found: dict[str, list[RequirementResult]] = {name: [] for name in PROFILES}
    for result in results.values():
        found[result.requirement.profile].append(result)
    return tuple(_profile(name, members) for name, members in found.items())


def _profile(name: str, results: list[RequirementResult]) -> ProfileResult:
    judged = [result for result in results if result.verdict in JUDGED]
    deviating = [result for result in judged if result.verdict in DEVIATING]
    unclaimed = [result for result in results if _unclaimed(result)]
    return ProfileResult(
        name,
        _verdict(results, deviating, unclaimed),
        len(judged) - len(deviating),
        len(judged),
        tuple(result.requirement.id for result in deviating),
        tuple(result.requirement.id for result in unclaimed),
    )


def _verdict(
    results: list[RequirementResult], deviating: list[RequirementResult], unclaimed: list[RequirementResult]
) -> str:
    verdicts = {result.verdict for result in results}
    if any(result.requirement.level == "MUST" for result in deviating):
        return "failed"
    if verdicts & OPEN or not (verdicts & JUDGED or unclaimed):
        return "not-judged"
    if not verdicts & JUDGED:
        return "not-claimed"
    return "partial" if deviating or unclaimed else "success"


def _unclaimed(result: RequirementResult) -> bool:
    """Answer whether a requirement does not apply because of the claim, not because of broker, clock or machine."""
    return result.verdict == "not-applicable" and result.reason.startswith(UNCLAIMED)
