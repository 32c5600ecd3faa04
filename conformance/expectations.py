"""Known failures: ``expectations.toml``, read strictly.

An entry names a requirement, several of them, or a check, and gives its reason.  A failure that it foresees does
not fail the run; a pass where it foresees a failure does, and so does an entry that is malformed, that has expired
or that names nothing.  What an adapter cannot do belongs into its claim, never here; an error never becomes known.

``celeriac expectations --write`` writes entries whose reason is a draft: it begins with ``DRAFT``, because what was
observed is not yet why.  A draft holds like any other entry while somebody works on it; under ``CI=true`` it fails
the run.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from celeriac.conformance.nearest import did_you_mean
from celeriac.conformance.outcome import CheckResult, Outcome
from celeriac.spec import validator

__all__ = ["DRAFT", "Conditions", "Expectation", "Expectations", "read_expectations"]

#: How a reason begins that nobody has thought about yet.
DRAFT = "DRAFT: "


@dataclass(frozen=True, slots=True)
class Conditions:
    """What ``when`` may ask for: flavour of the broker, link, clock, version of the implementation, adapter's name."""

    broker: str
    link: str
    clock: str
    version: str
    adapter: str = ""


@dataclass(frozen=True, slots=True)
class Expectation:
    """One known failure; an entry with a list of requirements is one for each.

    Attributes:
        number: position of the entry in the file, from 1.
        target: a requirement's or a check's id.
        by_check: whether the target is a check.
        reason: why it fails, a sentence.
        kind: bug, not-implemented, spec-dispute or environment.
        issue: the upstream thread.
        when: conditions under which it holds; a value may be a list or a pattern such as ``5.5.*``.
        expires: the last day on which it holds.
    """

    number: int
    target: str
    by_check: bool
    reason: str
    kind: str = "bug"
    issue: str | None = None
    when: Mapping[str, Any] = field(default_factory=dict)
    expires: date | None = None

    def covers(self, check: str, requirement: str) -> bool:
        """Answer whether the entry speaks of this requirement as decided by this check."""
        return _base(self.target) == _base(check) if self.by_check else self.target == requirement

    def holds(self, conditions: Conditions) -> bool:
        """Answer whether ``when`` holds."""
        return all(_matches(getattr(conditions, name), wanted) for name, wanted in self.when.items())

    def concerns(self, adapter: str) -> bool:
        """Answer whether it can hold for an adapter of this name."""
        return "adapter" not in self.when or _matches(adapter, self.when["adapter"])

    def __str__(self) -> str:
        return f"known failure {self.number} ({self.target})"


@dataclass(frozen=True, slots=True)
class Expectations:
    """The entries of one file, and what is wrong with the file."""

    entries: Sequence[Expectation] = ()
    problems: Sequence[str] = ()

    def known(self, check: str, requirement: str, conditions: Conditions) -> Expectation | None:
        """Answer the entry that foresees a failure, if there is one."""
        fitting = (e for e in self.entries if e.covers(check, requirement) and e.holds(conditions))
        return next(fitting, None)

    def forgive(
        self, check: str, outcomes: Mapping[str, Outcome], conditions: Conditions
    ) -> dict[str, Outcome]:
        """Answer the outcomes of one check, its foreseen failures turned into known ones."""

        def forgiven(requirement: str, outcome: Outcome) -> Outcome:
            entry = self.known(check, requirement, conditions) if outcome.verdict == "fail" else None
            return replace(outcome, verdict="known-failure", reason=entry.reason) if entry else outcome

        return {requirement: forgiven(requirement, outcome) for requirement, outcome in outcomes.items()}

    def unmask(
        self,
        results: Sequence[CheckResult],
        conditions: Mapping[str, Conditions],
        complete: Collection[str],
    ) -> list[CheckResult]:
        """Answer the results with ``unexpected-pass`` wherever an entry foresaw a failure and nothing failed.

        Args:
            results: checks that have ended.
            conditions: the conditions on each flavour of broker.
            complete: the requirements all of whose checks were selected; others decide nothing by requirement.
        """
        changed = list(results)
        for flavour, here in conditions.items():
            for entry in self.entries:
                if entry.holds(here) and (entry.by_check or entry.target in complete):
                    _unmask(changed, entry, flavour)
        return changed

    def stale(self, checks: Mapping[str, Collection[str]] | None, requirements: Collection[str]) -> list[str]:
        """Answer a line for every entry that names nothing.

        Args:
            checks: the requirements of every check that exists, None when not all were collected.
            requirements: every requirement of the specification.
        """
        lines = (_nothing(entry, checks, requirements) for entry in self.entries)
        return [line for line in lines if line]


def read_expectations(path: Path | None, today: date, *, drafts: bool = True) -> Expectations:
    """Read a file of known failures; whatever is wrong with it becomes a problem, one line each.

    Args:
        path: the file, None for no known failures.
        today: the day on which entries must still hold.
        drafts: whether a reason may be a draft; where it may not, its entry holds and is a problem.
    """
    if path is None:
        return Expectations()
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        return Expectations(problems=[f"{path}: {error}"])
    problems = [_problem(path, error) for error in validator("expectations").iter_errors(_plain(content))]
    if problems:
        return Expectations(problems=problems)
    rows = enumerate(content.get("known_failure", ()), start=1)
    entries = [_entry(number, row, target) for number, row in rows for target in _targets(row)]
    expired = [e for e in entries if e.expires and e.expires < today]
    late = [f"{path}: {e} has expired on {e.expires}; mend it or renew it" for e in expired]
    drafted = [] if drafts else [e for e in entries if e.reason.startswith(DRAFT.rstrip())]
    vague = [f"{path}: {e} has a draft for a reason; say why it fails in words of your own" for e in drafted]
    return Expectations([e for e in entries if e not in expired], [*late, *vague])


def _targets(row: Mapping[str, Any]) -> list[str]:
    named = row.get("requirement") or row["check"]
    return [named] if isinstance(named, str) else named


def _entry(number: int, row: Mapping[str, Any], target: str) -> Expectation:
    expires = row.get("expires")
    return Expectation(
        number=number,
        target=target,
        by_check="requirement" not in row,
        reason=" ".join(row["reason"].split()),
        kind=row.get("kind", "bug"),
        issue=row.get("issue"),
        when=row.get("when", {}),
        expires=date.fromisoformat(expires) if isinstance(expires, str) else expires,
    )


def _plain(value: Any) -> Any:
    """Answer TOML as JSON: its dates are text."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, date) else value


def _problem(path: Path, error: Any) -> str:
    where = list(error.absolute_path)
    entry = f"known failure {where[1] + 1}" if len(where) > 1 and isinstance(where[1], int) else "the file"
    place = f" ({where[-1]})" if len(where) > 2 else ""
    return f"{path}: {entry}{place}: {error.message}"


def _unmask(results: list[CheckResult], entry: Expectation, flavour: str) -> None:
    touched = [
        (index, requirement, outcome)
        for index, check in enumerate(results)
        if check.flavour == flavour
        for requirement, outcome in check.outcomes.items()
        if entry.covers(check.id, requirement)
    ]
    if any(outcome.verdict == "known-failure" for _, _, outcome in touched):
        return
    for index, requirement, outcome in touched:
        if outcome.verdict == "pass":
            text = f"{entry} foresees a failure: {entry.reason}; if it is mended, remove the entry"
            outcomes = {
                **results[index].outcomes,
                requirement: replace(outcome, verdict="unexpected-pass", reason=text),
            }
            results[index] = replace(results[index], outcomes=outcomes)


def _nothing(
    entry: Expectation, checks: Mapping[str, Collection[str]] | None, requirements: Collection[str]
) -> str:
    if not entry.by_check and entry.target not in requirements:
        return f"{entry} matches nothing: {did_you_mean('requirement', entry.target, requirements)}"
    if checks is None:
        return ""
    names = {_base(name) for name in checks}
    if entry.by_check and _base(entry.target) not in names:
        return f"{entry} matches nothing: {did_you_mean('check', entry.target, names)}"
    if not entry.by_check and all(entry.target not in decided for decided in checks.values()):
        return f"{entry} matches nothing: no check decides {entry.target}"
    return ""


def _base(check: str) -> str:
    """Answer a check's id without the folders of its module."""
    return check.rsplit("/", 1)[-1]


def _matches(value: str, wanted: Any) -> bool:
    patterns = [wanted] if isinstance(wanted, str) else wanted
    return any(fnmatchcase(value, str(pattern)) for pattern in patterns)
