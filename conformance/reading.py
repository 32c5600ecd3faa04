"""Reads ``results.jsonl`` again, also one whose run was killed in the middle of a line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from celeriac.conformance.journal import redacted
from celeriac.conformance.outcome import CUT_SHORT, GRAVITY, RequirementResult
from celeriac.spec import Spec, validator

__all__ = ["Old", "Reading", "ReadingError", "outcomes", "read"]


class ReadingError(ValueError):
    """A report cannot be read; the text says which, and what to do."""


@dataclass(frozen=True, slots=True)
class Old:
    """What an earlier report says: verdicts by requirement, its checks and what each judges, and when it began."""

    verdicts: Mapping[str, str]
    checks: Mapping[str, frozenset[str]]
    started: str


@dataclass(frozen=True, slots=True)
class Reading:
    """A run as its ``results.jsonl`` tells it.

    Attributes:
        header: what was asked for.
        stages: the stages that started.
        checks: the checks that ended.
        footer: what the run concluded; empty when it did not come to its end.
        torn: whether the last line is not whole.
    """

    header: Mapping[str, Any]
    stages: Sequence[Mapping[str, Any]]
    checks: Sequence[Mapping[str, Any]]
    footer: Mapping[str, Any]
    torn: bool

    @property
    def lacking(self) -> str:
        """Answer in a sentence what is missing of the run, nothing when it is all there."""
        planned, ended = self.header.get("checks", 0), len(self.checks)
        if self.footer.get("complete"):
            return ""
        how = "was interrupted" if self.footer else "did not come to its end"
        torn = " Its last line is torn." if self.torn else ""
        return f"This run {how}: {ended} of {planned} checks have ended.{torn}"

    def results(self, spec: Spec) -> dict[str, RequirementResult]:
        """Answer every requirement's result: the footer's, or else what the checks that ended say."""
        told: Mapping[str, Any] = self.footer.get("requirements") or _rolled_up(self.checks)
        nothing = {"verdict": "not-run", "reason": CUT_SHORT}
        return {
            name: RequirementResult(requirement, found["verdict"], found["reason"])
            for name, requirement in spec.requirements.items()
            for found in (told.get(name, nothing),)
        }

    def by_broker(self) -> dict[str, dict[str, str]]:
        """Answer flavour of broker -> requirement -> verdict, for the flavours on which checks have ended."""
        found: dict[str, list[Mapping[str, Any]]] = {}
        for check in self.checks:
            found.setdefault(check["broker"], []).append(check)
        return {
            flavour: {name: outcome["verdict"] for name, outcome in _rolled_up(checks).items()}
            for flavour, checks in found.items()
        }


def _rolled_up(checks: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Answer the gravest outcome of every requirement that these checks judge."""
    found: dict[str, Any] = {}
    for check in checks:
        for name, outcome in check["requirements"].items():
            first = found.setdefault(name, outcome)
            found[name] = min(first, outcome, key=lambda each: GRAVITY.index(each["verdict"]))
    return found


def read(place: Path) -> Reading:
    """Read ``results.jsonl``, or the one in a report folder.

    Raises:
        ReadingError: there is none, or it is none.
    """
    path = place / "results.jsonl" if place.is_dir() else place
    lines = _text(path).splitlines()
    found: dict[str, list[Any]] = {name: [] for name in ("header", "stage", "check", "footer")}
    torn = False
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(redacted(line))
            found[record["record"]].append(record)
        except (ValueError, KeyError, TypeError):
            if number < len(lines):
                raise ReadingError(f"{path}:{number}: no line of a journal; run the suite again") from None
            torn = True
    if not found["header"]:
        raise ReadingError(f"{path} has no header: it is no results.jsonl of a run")
    for record in (*found["header"], *found["stage"], *found["footer"]):
        if not validator("journal").is_valid(record):
            raise ReadingError(f"{path} was written by another version of the suite; run it again")
    footer = found["footer"][-1] if found["footer"] else {}
    return Reading(found["header"][0], found["stage"], found["check"], footer, torn)


def outcomes(place: Path) -> Old:
    """Read what an earlier report says: its folder, its ``results.jsonl`` or its ``results.json``.

    Raises:
        ReadingError: it cannot be read.
    """
    if place.is_dir() and not (place / "results.jsonl").is_file():
        place /= "results.json"
    if place.suffix != ".json":
        from celeriac.spec import load

        reading = read(place)
        checks = {check["id"]: frozenset(check["requirements"]) for check in reading.checks}
        verdicts = {name: result.verdict for name, result in reading.results(load()).items()}
        return Old(verdicts, checks, reading.header["started"])
    try:
        content = json.loads(_text(place))
        rows = content["requirements"]
        found: dict[str, set[str]] = {}
        for name, row in rows.items():
            for check in row["checks"]:
                found.setdefault(check["id"], set()).add(name)
        checks = {check: frozenset(names) for check, names in found.items()}
        return Old({name: row["verdict"] for name, row in rows.items()}, checks, content.get("started", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ReadingError(f"{place} is no results.json of a run") from None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise ReadingError(f"{path} cannot be read: {error.strerror}; name the folder of a report") from None
