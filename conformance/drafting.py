"""From the reports of runs to the known failures that they ask for, as values.

A failure that no entry foresees becomes an entry, its reason a draft: what was observed, which somebody has to
replace by why.  An entry that passed unexpectedly or that names nothing goes.  Where several runs were made, an entry
gets the conditions that tell those where it failed from the others.  An error is never known, and what an
implementation does not have is for its claim to say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from celeriac.conformance.claim import MODES, ROLES
from celeriac.conformance.evidence import printable
from celeriac.conformance.expectations import DRAFT, Conditions, Expectation, Expectations
from celeriac.conformance.expectations_text import Changes
from celeriac.spec import load

__all__ = ["Report", "draft"]

#: Verdicts of a check that say what the implementation does.
DECIDED = frozenset({"pass", "fail", "known-failure", "unexpected-pass"})

#: How the observation begins where the adapter answered that there is no such thing.
UNSUPPORTED = "unsupported: "

#: The conditions that may tell runs apart, those that say most to a reader first.
TELLING = ("link", "broker", "clock", "version", "adapter")

#: Longest draft of a reason, in characters.
LONGEST = 200


@dataclass(frozen=True, slots=True)
class Report:
    """What one run found on one flavour of broker.

    Attributes:
        conditions: under which it was made.
        checks: requirement, check, verdict and reason, in the order of the specification.
    """

    conditions: Conditions
    checks: Sequence[tuple[str, str, str, str]]

    def failures(self) -> Iterator[tuple[str, str, str]]:
        """Answer requirement, check and reason of everything that failed and was not foreseen."""
        return ((name, check, why) for name, check, verdict, why in self.checks if verdict == "fail")

    def verdicts(self, entry: Expectation) -> set[str]:
        """Answer the verdicts of everything that an entry speaks of here."""
        if not entry.holds(self.conditions):
            return set()
        return {verdict for name, check, verdict, _ in self.checks if entry.covers(check, name)}


def draft(
    known: Expectations, reports: Sequence[Report], stale: Collection[str]
) -> tuple[Changes, list[str]]:
    """Answer what should change in a file of known failures, and what no change of it can help.

    Args:
        known: its present entries.
        reports: what runs with these entries, or with earlier ones, found.
        stale: targets of entries that name nothing.
    """
    added, notes = _additions(known, reports)
    sizes = Counter(entry.number for entry in known.entries)
    gone: dict[int, set[str]] = {}
    narrowed: dict[int, dict[str, Any]] = {}
    for entry in known.entries:
        passed = [r for r in reports if "unexpected-pass" in r.verdicts(entry)]
        failed = [r for r in reports if r.verdicts(entry) & {"fail", "known-failure"}]
        if entry.target in stale or (passed and not failed):
            gone.setdefault(entry.number, set()).add(entry.target)
        elif passed and (when := _narrower(entry, failed, passed)) and sizes[entry.number] == 1:
            narrowed[entry.number] = {"when": when}
        elif passed:
            notes.append(f"{entry} fails in some of these runs and passes in others: split it by hand")
    removed, shortened = _shrink(known.entries, gone)
    for number, words in shortened.items():
        narrowed.setdefault(number, {}).update(words)
    kept = {number: words for number, words in narrowed.items() if number not in removed}
    return Changes(added, removed, kept), [*notes, *_hopeless(reports)]


def _additions(known: Expectations, reports: Sequence[Report]) -> tuple[list[Mapping[str, Any]], list[str]]:
    failing: dict[str, dict[Conditions, str]] = {}
    lacking: dict[str, list[str]] = {}
    for report in reports:
        for name, check, why in report.failures():
            if told := _lacking(why):
                lacking.setdefault(told, []).append(name)
            elif known.known(check, name, report.conditions) is None:
                failing.setdefault(name, {}).setdefault(report.conditions, why)
    alike: dict[str, tuple[list[str], Mapping[str, Any], str]] = {}
    for name in [name for name in load().requirements if name in failing]:
        others = {r.conditions for r in reports if _decides(r, name)} - set(failing[name])
        for when in _telling(set(failing[name]), others):
            reason = _reason(_first(failing[name], when))
            alike.setdefault(f"{when} {reason}", ([], when, reason))[0].append(name)
    return [_row(*parts) for parts in alike.values()], [*_unclaimed(lacking), *_flaky(failing, reports)]


def _reason(why: str) -> str:
    text = " ".join(why.split()) or "nothing was observed"
    return printable(DRAFT + (text if len(text) <= LONGEST else f"{text[:LONGEST]}..."))


def _row(names: list[str], when: Mapping[str, Any], reason: str) -> Mapping[str, Any]:
    condition = {"when": when} if when else {}
    return {"requirement": _only(names), **condition, "reason": reason, "kind": "bug"}


def _first(whys: Mapping[Conditions, str], when: Mapping[str, Any]) -> str:
    entry = Expectation(0, "", by_check=False, reason="", when=when)
    return next(why for conditions, why in whys.items() if entry.holds(conditions))


def _decides(report: Report, requirement: str) -> bool:
    return any(name == requirement and verdict in DECIDED for name, _, verdict, _ in report.checks)


def _telling(bad: Collection[Conditions], good: Collection[Conditions]) -> list[dict[str, Any]]:
    """Answer the conditions of the entries that hold where it is bad and nowhere where it is good."""
    if not good:
        return [{}]
    for name in TELLING:
        values = {getattr(conditions, name) for conditions in bad}
        if values.isdisjoint(getattr(conditions, name) for conditions in good):
            return [{name: _some(values)}]
    everybody = [*bad, *good]
    varying = [name for name in TELLING if len({getattr(each, name) for each in everybody}) > 1]
    return [{name: getattr(each, name) for name in varying} for each in sorted(bad, key=str)]


def _some(values: Collection[str]) -> str | list[str]:
    return next(iter(values)) if len(values) == 1 else sorted(values)


def _narrower(
    entry: Expectation, failed: Sequence[Report], passed: Sequence[Report]
) -> Mapping[str, Any] | None:
    """Answer when an entry should hold so that it holds where it failed alone, None when no condition tells."""
    bad, good = {r.conditions for r in failed}, {r.conditions for r in passed}
    whens = [] if bad & good else _telling(bad, good)
    return {**entry.when, **whens[0]} if len(whens) == 1 else None


def _shrink(
    entries: Iterable[Expectation], gone: Mapping[int, set[str]]
) -> tuple[frozenset[int], dict[int, dict[str, Any]]]:
    """Answer the entries of which nothing is left, and the words of those that lose some requirements."""
    left: dict[int, list[str]] = {number: [] for number in gone}
    for entry in entries:
        if entry.number in gone and entry.target not in gone[entry.number]:
            left[entry.number].append(entry.target)
    shortened = {number: {"requirement": _only(targets)} for number, targets in left.items() if targets}
    return frozenset(number for number, targets in left.items() if not targets), shortened


def _only(targets: list[str]) -> str | list[str]:
    return targets[0] if len(targets) == 1 else targets


# -- what no entry can help -----------------------------------------------------------------------------


def _lacking(why: str) -> str:
    """Answer what the adapter said that there is not, empty when it did not say so; a case may stand before it."""
    case, unsupported, rest = why.partition(UNSUPPORTED)
    return rest if unsupported and (not case or case.endswith(": ")) else ""


def _unclaimed(lacking: Mapping[str, Collection[str]]) -> Iterator[str]:
    """Answer a line for each feature that the adapter does not have and the claim does not deny."""
    for told, names in lacking.items():
        feature, _, reason = told.partition(": ")
        kind, _, value = feature.partition(":")
        word = f"leave {value} out of {kind}s" if value else f"say {feature} = false"
        if feature in ROLES | MODES:
            word = f"leave {feature} out of {'roles' if feature in ROLES else 'modes'}"
        told_by = f"the adapter has no {feature} ({reason}), as {', '.join(dict.fromkeys(names))} found"
        yield f"{told_by}; that is for the claim to say, never an expectation: {word} in adapter.toml"


def _flaky(failing: Mapping[str, Mapping[Conditions, str]], reports: Sequence[Report]) -> list[str]:
    """Name what failed and passed under the same conditions: its new entry may pass unexpectedly."""
    twice = [
        name
        for name, whys in failing.items()
        if any(r.conditions in whys and _decides(r, name) and not _fails(r, name) for r in reports)
    ]
    return [f"{name} failed in one run and passed in another under the same conditions" for name in twice]


def _fails(report: Report, requirement: str) -> bool:
    return any(name == requirement and verdict == "fail" for name, _, verdict, _ in report.checks)


def _hopeless(reports: Iterable[Report]) -> list[str]:
    broken = {name: why for r in reports for name, _, verdict, why in r.checks if verdict == "error"}
    return [f"{name} is an error, which is never known: {why[:200]}" for name, why in broken.items()]
