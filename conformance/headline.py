"""The verdict on a run in words: what a heading and a badge say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from celeriac.conformance.outcome import CUT_SHORT, NOT_SELECTED, RequirementResult
from celeriac.conformance.profiles import ProfileResult, profiles

__all__ = ["UNEXPECTED", "Hints", "headline", "is_whole", "overall", "verdict_counts"]

#: Verdict that somebody must look at -> what so many requirements do, one or several.
UNEXPECTED: Mapping[str, tuple[str, str]] = {
    "fail": ("requirement fails", "requirements fail"),
    "error": ("is in error", "are in error"),
    "unexpected-pass": ("holds unexpectedly", "hold unexpectedly"),
    "inconclusive": ("is undecided", "are undecided"),
}

#: Verdicts on profiles, the worst first: the first that any has is that of all together.
WORST = ("failed", "not-judged", "partial", "success", "not-claimed")


@dataclass(frozen=True, slots=True)
class Hints:
    """What a reader can do about a failure.

    Attributes:
        reproduce: requirement and flavour of broker -> the command that checks it again.
        issues: the reason of a known failure -> its thread upstream.
        problems: what else is wrong with the run: stale expectations, a broker that did not come.
    """

    reproduce: Callable[[str, str], str] = lambda requirement, _: f"celeriac run --requirement={requirement}"
    issues: Mapping[str, str] = field(default_factory=dict)
    problems: Sequence[str] = ()


def headline(results: Mapping[str, RequirementResult], problems: Sequence[str] = ()) -> str:
    """Answer the verdict on a run in a few words, the unexpected first."""
    found = [result.verdict for result in results.values()]
    wrong = [
        f"{found.count(verdict)} {words[found.count(verdict) > 1]}"
        for verdict, words in UNEXPECTED.items()
        if verdict in found
    ]
    if problems:
        wrong.append(f"{len(problems)} problem{'s' * (len(problems) > 1)} with the run")
    if wrong:
        return ", ".join(wrong)
    held, known = found.count("pass"), found.count("known-failure")
    if not held and not known:
        return "nothing was judged"
    if known:
        return f"as expected, {held} hold and {known} {'are' if known > 1 else 'is'} known to fail"
    return f"{'all' if held > 1 else 'the'} {held} that applied hold{'s' * (held == 1)}"


def is_whole(results: Mapping[str, RequirementResult]) -> bool:
    """Answer whether everything was run that could be: nothing was left out by a selection, or by an early end."""
    return not any(
        result.verdict == "not-run" and result.reason in {NOT_SELECTED, CUT_SHORT}
        for result in results.values()
    )


def overall(results: Mapping[str, RequirementResult]) -> str:
    """Answer the verdict on all profiles together, that of the worst; ``incomplete`` when only a part was run."""
    if not is_whole(results):
        return "incomplete"
    return min((profile.verdict for profile in profiles(results)), key=WORST.index)


def verdict_counts(found: Sequence[ProfileResult]) -> str:
    """Answer how many profiles have which verdict, the best first: ``4 success, 1 failed``."""
    verdicts = [profile.verdict for profile in found]
    order = ("success", "partial", "failed", "not-claimed", "not-judged")
    told = [f"{verdicts.count(each)} {each.replace('-', ' ')}" for each in order if each in verdicts]
    return ", ".join(told)
