"""The report folder: what other tools read.

``results.jsonl`` (``journal.py``) grows while the run goes on, so that a crash leaves what was found so far, and
``report.html`` is made from it.  ``results.json`` (schema ``report``), ``junit.xml`` and ``summary.md`` are written at
the end.
``--broker=all`` writes them for all brokers together and, in a folder each, for every flavour.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from celeriac.conformance import badges
from celeriac.conformance.headline import Hints
from celeriac.conformance.junit import junit
from celeriac.conformance.outcome import CheckResult, RequirementResult, counts
from celeriac.conformance.profiles import ProfileResult, profiles
from celeriac.conformance.providers import LINKS
from celeriac.conformance.summary import summary
from celeriac.spec import validator

__all__ = ["Pace", "Setting", "document", "empty", "write_report"]

FILES = ("results.json", "junit.xml", "summary.md", "report.html", *badges.FILES)


@dataclass(frozen=True, slots=True)
class Setting:
    """What was judged, and where.

    Attributes:
        suite: version of this package.
        spec: version of the specification.
        adapter: name of the adapter.
        implementation: name of the implementation.
        version: its version.
        flavour: flavour of the broker, or ``all``.
        source: where the broker came from.
        broker: the broker's version.
        clock: kind of clock.
        withdrawn: why the clock could not be moved although the adapter claims that it can, else None.
    """

    suite: str
    spec: str
    adapter: str
    implementation: str
    version: str
    flavour: str
    source: str
    broker: str
    clock: str
    withdrawn: str | None = None


@dataclass(frozen=True, slots=True)
class Pace:
    """When a run began and how long it took.

    Attributes:
        started: ISO 8601, UTC.
        duration_s: seconds of the wall.
        simulated_s: seconds by which virtual clocks were moved, in all scenarios together; None on real time.
    """

    started: str
    duration_s: float
    simulated_s: float | None = None


def empty(folder: Path) -> None:
    """Make a report folder, or remove what an earlier run has left in it.

    Raises:
        OSError: the folder cannot be made or written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for place in (folder, *(folder / flavour for flavour in LINKS)):
        for name in FILES:
            (place / name).unlink(missing_ok=True)


def write_report(
    folder: Path,
    setting: Setting,
    results: Mapping[str, RequirementResult],
    pace: Pace,
    hints: Hints | None = None,
) -> dict[str, Any]:
    """Write ``results.json``, ``junit.xml``, ``summary.md`` and the badges; answer the first.

    Args:
        folder: where to; made if need be.
        setting: what was judged, and where.
        results: every requirement of the specification, in order.
        pace: how long the run took.
        hints: what a reader can do about a failure.

    Raises:
        AssertionError: the document breaks the schema ``report``, which is a bug of ours.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content = document(setting, results, pace)
    (folder / "results.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    about = {
        "implementation": f"{setting.implementation} {setting.version}",
        "broker": f"{setting.flavour} {setting.broker} ({setting.source})",
        **{name: getattr(setting, name) for name in ("adapter", "clock", "suite", "spec")},
    }
    cases = junit(setting.adapter, _checks(results), about, pace.started, hints)
    (folder / "junit.xml").write_bytes(cases)
    (folder / "summary.md").write_bytes(
        summary(setting, results, pace, hints).encode(errors="backslashreplace")
    )
    for name, text in badges.badges(results):
        (folder / name).write_text(text, encoding="utf-8")
    problems = [error.message for error in validator("report").iter_errors(content)]
    assert not problems, f"results.json breaks its schema: {problems}"
    return content


def document(setting: Setting, results: Mapping[str, RequirementResult], pace: Pace) -> dict[str, Any]:
    """Answer the content of ``results.json``."""
    return {
        "suite": {"version": setting.suite},
        "spec": {"version": setting.spec},
        "adapter": {"name": setting.adapter},
        "implementation": {"name": setting.implementation, "version": setting.version},
        "broker": {"flavour": setting.flavour, "from": setting.source, "version": setting.broker},
        "clock": setting.clock,
        "clock_withdrawn": setting.withdrawn,
        "started": pace.started,
        "duration_s": round(pace.duration_s, 3),
        "simulated_s": None if pace.simulated_s is None else round(pace.simulated_s, 3),
        "counts": counts(results.values()),
        "profiles": {profile.name: _profile(profile) for profile in profiles(results)},
        "requirements": {name: _requirement(result) for name, result in results.items()},
    }


def _profile(profile: ProfileResult) -> dict[str, Any]:
    return {
        "verdict": profile.verdict,
        "passed": profile.passed,
        "judged": profile.judged,
        "deviating": list(profile.deviating),
        "unclaimed": list(profile.unclaimed),
    }


def _requirement(result: RequirementResult) -> dict[str, Any]:
    requirement = result.requirement
    checks = [
        {
            "id": check.id,
            "verdict": outcome.verdict,
            "duration_s": round(check.duration_s, 6),
            "reason": outcome.reason,
            "notes": [{"name": name, "value": value} for name, value in check.notes],
        }
        for check, outcome in result.checks
    ]
    fields = {"level": requirement.level, "role": requirement.role, "verdict": result.verdict}
    return {**fields, "checks": checks}


def _checks(results: Mapping[str, RequirementResult]) -> list[CheckResult]:
    found = {id(check): check for result in results.values() for check, _ in result.checks}
    return list(found.values())
