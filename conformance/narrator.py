"""Prints what ``terminal.py`` says, when it is time to."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping

import pytest

from celeriac.conformance import terminal
from celeriac.conformance.ending import Swept
from celeriac.conformance.evidence import printable
from celeriac.conformance.likeness import alike, ranges
from celeriac.conformance.outcome import RequirementResult
from celeriac.conformance.profiles import profiles
from celeriac.conformance.progress import Ticker
from celeriac.conformance.providers import Unavailable
from celeriac.conformance.quiet import replace_reporter
from celeriac.conformance.run import PlannedCheck, Run
from celeriac.conformance.stages import Stages
from celeriac.conformance.verdicts import HarnessError

__all__ = ["Narrator"]

#: The page of a report that people read first.
PAGE = "report.html"

#: Verdict -> how its heading is coloured.
COLOURS: Mapping[str, str] = {
    "fail": "red",
    "error": "red",
    "unexpected-pass": "red",
    "inconclusive": "yellow",
    "known-failure": "yellow",
}


class Narrator:
    """The voice of a conformance run.

    Args:
        config: pytest's configuration, whose terminal reporter is replaced.
        run: the run to tell of.
    """

    def __init__(self, config: pytest.Config, run: Run) -> None:
        self._config = config
        self._run = run
        self._width = terminal.fitting(shutil.get_terminal_size((terminal.WIDTH, 24)).columns)
        self._reporter = None if config.option.collectonly else replace_reporter(config)

    def swept(self, swept: Swept) -> None:
        """Tell what earlier runs had left, if anything."""
        self._say([str(swept)] if str(swept) else [])

    def ticker(self) -> Ticker | None:
        """Answer who tells of what takes long; nobody does with ``-q``, or where no file is written to."""
        if self._reporter is None or self._config.option.verbose < 0:
            return None
        try:
            # Output is captured while a check runs, this copy of its descriptor is not.
            return Ticker(os.fdopen(os.dup(self._reporter._tw._file.fileno()), "w"))  # noqa: SLF001
        except OSError:
            return None

    def opening(self) -> None:
        """Tell what will be judged."""
        self._say(terminal.header(self._run.setting(), self._run.claim.title, len(self._run.planned)))
        self._say((f"  expectations: {problem}" for problem in self._run.problems), "red")

    def stage(self, flavour: str, stages: Stages) -> None:
        """Tell what the next checks play on, or why they cannot."""
        if flavour != self._run.options.flavours[0]:
            self._say([""])
        try:
            stage = stages.current()
        except (Unavailable, HarnessError) as error:
            self._say([f"  {flavour}: {str(error).splitlines()[0]}", ""], "red")
            return
        self._say(
            [
                *terminal.broker_line(self._run.settings[flavour], getattr(stage, "tick", None), self._width),
                "",
            ]
        )

    def chapters(self, check: PlannedCheck) -> None:
        """Tell of every chapter that this check completes, unless with ``-q``."""
        chapters = [] if self._config.option.verbose < 0 else self._run.finished_chapters(check)
        chosen = self._run.options.requirements
        if chosen is not None:  # a check of theirs may decide others beside them
            chapters = [each for each in chapters if any(r.id in chosen for r in each.requirements)]
        if not chapters:
            return
        everything = self._run.conclude(check.flavour)
        for chapter in chapters:
            results = [everything[requirement.id] for requirement in chapter.requirements]
            self._say(terminal.chapter_lines(chapter, results, self._width))
            if self._config.option.verbose > 0:
                self._say(
                    terminal.requirement_line(result, self._width)
                    for result in results
                    if chosen is None or result.requirement.id in chosen
                )

    def closing(self, results: Mapping[str, RequirementResult]) -> None:
        """Tell of everything that is not as expected, then of what was known, the verdicts, and what to do next."""
        unexpected = [
            result
            for verdict in terminal.UNEXPECTED
            for result in results.values()
            if result.verdict == verdict
        ]
        chosen = self._run.options.requirements
        if chosen is not None:  # what was asked for, before what its checks decide as well
            unexpected.sort(key=lambda result: result.requirement.id not in chosen)
        for verdict in terminal.UNEXPECTED:
            self._unexpected([result for result in unexpected if result.verdict == verdict])
        self._known([result for result in results.values() if result.verdict == "known-failure"])
        problems = [*(f"expectations: {p}" for p in self._run.problems), *self._run.complaints]
        self._say([""] * bool(problems))
        for problem in problems:
            self._say(terminal.field("problem", problem, self._width), "red")
        if self._run.options.requirements is None:
            self._say(["", *terminal.profile_lines(profiles(results), self._width)])
        self._say([""])
        self._say(terminal.totals(results, self._run.duration_s, self._width))
        self._say([f"report: {self._page()}"])
        if unexpected:
            first = unexpected[0]
            flavour = next(check.flavour for check, o in first.checks if o.verdict == first.verdict)
            self._say([f"next:   {self._run.reproduce(first.requirement.id, flavour)}"])

    def _page(self) -> str:
        """Answer where the report is, as seen from where the run was started: its page, or else its folder."""
        folder = self._run.options.report_dir
        page = folder / PAGE
        return os.path.relpath(page if page.is_file() else folder, self._config.invocation_params.dir)

    def _known(self, results: list[RequirementResult]) -> None:
        """Tell of known failures with their reasons; with ``-q`` which they are must do."""
        if not results:
            return
        self._say(["", f"{len(results)} known failure{'s' * (len(results) > 1)}:"], COLOURS["known-failure"])
        if self._config.option.verbose < 0:
            ids = ranges(result.requirement.id for result in results)
            self._say(terminal.field("", ids, self._width))
            return
        self._say(terminal.known(results, self._run.hints.issues, self._width))

    def _unexpected(self, results: list[RequirementResult]) -> None:
        for first, others in alike(results):
            heading, *rest = terminal.failure(first, self._run.reproduce, self._run.slack, self._width)
            self._say(["", heading], COLOURS[first.verdict])
            self._say(rest)
            if others:
                self._say(terminal.field("likewise", ranges(others), self._width))

    def _say(self, lines: Iterable[str], colour: str = "") -> None:
        if self._reporter is not None:
            for line in lines:
                self._reporter.write_line(printable(line), **({colour: True} if colour else {}))
