"""One conformance run: which checks there are, what became of them, and what the run concludes.

Nothing here prints and nothing here is a pytest hook; ``plugin.py`` feeds it and tells what it says.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from celeriac.conformance import reading
from celeriac.conformance.applicability import Scene, obstacle
from celeriac.conformance.checks import Needs
from celeriac.conformance.claim import Candidate
from celeriac.conformance.expectations import Conditions, Expectations
from celeriac.conformance.headline import Hints
from celeriac.conformance.journal import Journal, conclusions
from celeriac.conformance.options import RunOptions, clock_for
from celeriac.conformance.outcome import (
    CUT_SHORT,
    NOT_SELECTED,
    CheckResult,
    Outcome,
    RequirementResult,
    roll_up,
    share,
)
from celeriac.conformance.page import write_page
from celeriac.conformance.providers import LINKS
from celeriac.conformance.report import Pace, Setting, empty, write_report
from celeriac.conformance.reproduce import again
from celeriac.conformance.verdicts import NotApplicable
from celeriac.spec import Chapter, Requirement, Spec

if TYPE_CHECKING:
    from celeriac.conformance.stage import Stage

__all__ = ["PlannedCheck", "Run", "exit_status"]

EXIT_OK, EXIT_FAILED, EXIT_ERROR = 0, 1, 3


@dataclass(frozen=True, slots=True)
class PlannedCheck:
    """A check that was collected.

    Attributes:
        id: module and function, such as ``test_eta_countdown.py::test_not_before_eta``.
        flavour: the broker it plays on.
        requirements: the requirements it decides.
        needs: what it needs.
    """

    id: str
    flavour: str
    requirements: tuple[str, ...]
    needs: Needs


def exit_status(
    results: Mapping[str, RequirementResult], problems: Sequence[str], complaints: Sequence[str]
) -> int:
    """Answer 1 when a requirement failed or the expectations are wrong, 3 when something has no verdict, else 0."""
    verdicts = {result.verdict for result in results.values()}
    if problems or verdicts & {"fail", "unexpected-pass"}:
        return EXIT_FAILED
    return EXIT_ERROR if complaints or verdicts & {"error", "inconclusive"} else EXIT_OK


class Run:
    """The state of a run.

    Args:
        spec: the specification.
        candidate: the adapter.
        options: what was asked for.
        expectations: the known failures.
    """

    def __init__(
        self, spec: Spec, candidate: Candidate, options: RunOptions, expectations: Expectations
    ) -> None:
        self.spec = spec
        self.candidate = candidate
        self.claim = candidate.claim
        self.options = options
        self.expectations = expectations
        self.problems = list(expectations.problems)
        self.complaints: list[str] = []
        self.command = "celeriac run"
        self.collected: list[PlannedCheck] = []
        self.planned: list[PlannedCheck] = []
        self.results: list[CheckResult] = []
        self.settings: dict[str, Setting] = {f: self._setting(f, None) for f in options.flavours}
        self._missing: dict[str, Mapping[str, str]] = {}
        self._stages: dict[str, Stage] = {}
        self._journal: Journal | None = None
        self._old: reading.Old | None = None
        self._began = datetime.now(UTC).isoformat(timespec="seconds")
        self._started = time.monotonic()

    # -- before ---------------------------------------------------------------------------------------

    def start(self) -> None:
        """Open the journal."""
        header = {
            "suite": {"version": version("celeriac")},
            "spec": {"version": self.spec.version},
            "adapter": {"name": self.claim.name, "title": self.claim.title},
            "brokers": self.options.flavours,
            "claim": self.claim.offered,
            "started": self._began,
            "checks": len(self.planned),
        }
        self._old = reading.outcomes(self.options.compare) if self.options.compare else None
        empty(self.options.report_dir)
        self._journal = Journal(self.options.report_dir, header)

    def survey(self, whole: bool) -> None:
        """Look for expectations that name nothing; ``whole`` says whether every check was collected."""
        checks = {check.id: check.requirements for check in self.collected} if whole else None
        where = self.candidate.expectations
        self.problems += [
            f"{where}: {line}" for line in self.expectations.stale(checks, self.spec.requirements)
        ]

    def meet(self, flavour: str, stage: Stage) -> Setting:
        """Note what a stage says of implementation and broker."""
        self.settings[flavour] = self._setting(flavour, stage)
        self._missing[flavour] = stage.missing
        self._stages[flavour] = stage
        if self._journal is not None:
            tick = getattr(stage, "tick", None)
            self._journal.stage({**asdict(self.settings[flavour]), "tick_s": tick})
        return self.settings[flavour]

    # -- while it goes on -----------------------------------------------------------------------------

    def admit(self, check: PlannedCheck) -> None:
        """Let a check begin.

        Raises:
            NotApplicable: it does not apply to this claim, broker or clock.
        """
        scene = Scene(
            check.flavour,
            self.settings[check.flavour].clock,
            self.options.managed,
            self._missing.get(check.flavour, {}),
            getattr(self._stages.get(check.flavour), "horizon", float("inf")),
        )
        requirements = [self.spec.requirements[name] for name in check.requirements]
        reason = obstacle(check.needs, requirements, self.claim, scene)
        if reason is not None:
            raise NotApplicable(reason)

    def judge(self, check: PlannedCheck, outcome: Outcome) -> dict[str, Outcome]:
        """Answer the verdicts of a check on its requirements, known failures forgiven."""
        if outcome.verdict == "not-run" and self.options.require_brokers:
            outcome = replace(outcome, verdict="error", reason=f"{outcome.reason} (and brokers are required)")
        outcomes = share(outcome, check.requirements)
        return self.expectations.forgive(check.id, outcomes, self.conditions(check.flavour))

    def finish(self, check: PlannedCheck, duration_s: float, outcomes: Mapping[str, Outcome]) -> CheckResult:
        """Note a check that has ended, and what it has measured."""
        notes = getattr(self._stages.get(check.flavour), "notes", [])
        result = CheckResult(check.id, check.flavour, duration_s, outcomes, tuple(notes))
        notes.clear()
        self.results.append(result)
        if self._journal is not None:
            history = getattr(self._stages.get(check.flavour), "history", ())
            self._journal.add(result, history, self.slack(check.flavour), self.reproduce)
        return result

    def finished_chapters(self, check: PlannedCheck) -> list[Chapter]:
        """Answer the chapters of which ``check`` was the last one on its flavour of broker."""
        ended = {result.id for result in self.results if result.flavour == check.flavour}
        rest = [p for p in self.planned if p.flavour == check.flavour and p.id not in ended]
        open_areas = {name.split("-")[0] for p in rest for name in p.requirements}
        own = {name.split("-")[0] for name in check.requirements}
        return [chapter for chapter in self.spec.chapters if chapter.prefix in own - open_areas]

    # -- conclusions ----------------------------------------------------------------------------------

    def conditions(self, flavour: str) -> Conditions:
        """Answer what an expectation's ``when`` is compared with."""
        setting = self.settings[flavour]
        return Conditions(flavour, LINKS[flavour], setting.clock, setting.version, setting.adapter)

    def conclude(self, flavour: str | None = None) -> dict[str, RequirementResult]:
        """Answer the result of every requirement so far, on one flavour of broker or on all together."""
        flavours = self.options.flavours if flavour is None else (flavour,)
        conditions = {name: self.conditions(name) for name in flavours}
        results = [result for result in self.results if result.flavour in flavours]
        unmasked = self.expectations.unmask(results, conditions, self._complete(flavours))
        return roll_up(self.spec.requirements.values(), unmasked, self._why_not_run)

    def write(self, exit_code: int) -> dict[str, RequirementResult]:
        """Write the report folder and answer the result of every requirement."""
        results, duration_s = self.conclude(), time.monotonic() - self._started
        hints = self.hints
        complete = len(self.results) == len(self.planned)
        if self._journal is not None:
            told = {"exit_status": exit_code, "duration_s": round(duration_s, 3)}
            self._journal.close({"complete": complete, **told, **conclusions(results, hints)})
        for flavour in self.options.flavours if self.options.all_brokers else ():
            folder = self.options.report_dir / flavour
            pace = Pace(self._began, duration_s, self._simulated_s([flavour]))
            write_report(folder, self.settings[flavour], self.conclude(flavour), pace, hints)
        pace = Pace(self._began, duration_s, self._simulated_s(self.options.flavours))
        write_report(self.options.report_dir, self.setting(), results, pace, hints)
        if self._journal is not None:
            write_page(self.options.report_dir, reading.read(self.options.report_dir), self._old)
        return results

    def _simulated_s(self, flavours: Sequence[str]) -> float | None:
        """Answer the virtual seconds that scenarios took, None when time was real throughout."""
        stages = [self._stages[flavour] for flavour in flavours if flavour in self._stages]
        moved = [getattr(stage, "simulated_s", None) for stage in stages]
        return (
            sum(seconds for seconds in moved if seconds is not None)
            if any(s is not None for s in moved)
            else None
        )

    def setting(self) -> Setting:
        """Answer what was judged and where; for several brokers, all of them."""
        settings = list(self.settings.values())
        if not self.options.all_brokers:
            return settings[0]
        return Setting(
            **{**_fields(settings[0]), "version": next((s.version for s in settings if s.version), "")},
            flavour="all",
            source=", ".join(dict.fromkeys(setting.source for setting in settings)),
            broker=", ".join(f"{setting.flavour} {setting.broker}".strip() for setting in settings),
            clock="wall" if any(setting.clock == "wall" for setting in settings) else settings[0].clock,
        )

    @property
    def duration_s(self) -> float:
        """Answer the seconds since the run was made."""
        return time.monotonic() - self._started

    @property
    def hints(self) -> Hints:
        """Answer what a reader can do about failures, and what is wrong with the run itself."""
        issues = {entry.reason: entry.issue for entry in self.expectations.entries if entry.issue}
        return Hints(self.reproduce, issues, (*self.problems, *self.complaints))

    def reproduce(self, requirement: str, flavour: str) -> str:
        """Answer the command that checks one requirement on one flavour of broker again."""
        return again(self.command, self.candidate.spelling, self.options, requirement, flavour)

    def slack(self, flavour: str) -> float | None:
        """Answer the seconds by which stamps of different observers may disagree; None when nobody observed."""
        history = getattr(self._stages.get(flavour), "history", None)
        return None if history is None else float(history.slack)

    def _complete(self, flavours: Sequence[str]) -> set[str]:
        """Answer the requirements all of whose collected checks have ended on these flavours."""
        ended = {(result.id, result.flavour) for result in self.results}
        wanting = {
            name
            for check in self.collected
            if check.flavour in flavours and (check.id, check.flavour) not in ended
            for name in check.requirements
        }
        return set(self.spec.requirements) - wanting

    def _why_not_run(self, requirement: Requirement) -> str:
        if requirement.excluded:
            return f"excluded: {requirement.excluded}"
        if all(requirement.id not in check.requirements for check in self.collected):
            return "no check"
        if all(requirement.id not in check.requirements for check in self.planned):
            return NOT_SELECTED
        return CUT_SHORT

    def _setting(self, flavour: str, stage: Stage | None) -> Setting:
        identity: Mapping[str, Any] = stage.identity if stage else {}
        broker = stage.broker if stage else None
        return Setting(
            suite=version("celeriac"),
            spec=self.spec.version,
            adapter=self.claim.name,
            implementation=str(identity.get("implementation", self.claim.title)),
            version=str(identity.get("version", "unknown")),
            flavour=flavour,
            source=broker.source if broker else self.options.shown_source or "unknown",
            broker=broker.version if broker else "unknown",
            clock=stage.kind if stage else clock_for(flavour, self.options.time, self.claim),
            withdrawn=stage.withdrawn if stage else None,
        )


def _fields(setting: Setting) -> dict[str, str]:
    names = ("suite", "spec", "adapter", "implementation")
    return {name: getattr(setting, name) for name in names}
