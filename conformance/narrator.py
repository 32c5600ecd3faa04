"""Prints what ``terminal.py`` says, when it is time to."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from celeriac.conformance import terminal
from celeriac.conformance.ending import Swept
from celeriac.conformance.evidence import printable
from celeriac.conformance.outcome import RequirementResult
from celeriac.conformance.progress import Ticker
from celeriac.conformance.providers import Unavailable
from celeriac.conformance.quiet import replace_reporter
from celeriac.conformance.run import PlannedCheck, Run
from celeriac.conformance.stages import Stages
from celeriac.conformance.verdicts import HarnessError

__all__ = ["COMMAND_PLUGIN", "Narrator"]

#: Name under which ``celeriac run`` registers itself, so that reproduce commands use it.
COMMAND_PLUGIN = "celeriac-command"

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
        self._say([*terminal.broker_line(self._run.settings[flavour], getattr(stage, "tick", None)), ""])

    def chapters(self, check: PlannedCheck) -> None:
        """Tell of every chapter that this check completes, unless with ``-q``."""
        chapters = [] if self._config.option.verbose < 0 else self._run.finished_chapters(check)
        if not chapters:
            return
        everything = self._run.conclude(check.flavour)
        for chapter in chapters:
            results = [everything[requirement.id] for requirement in chapter.requirements]
            self._say(terminal.chapter_lines(chapter, results))
            if self._config.option.verbose > 0:
                chosen = self._run.options.requirements
                self._say(
                    terminal.requirement_line(result)
                    for result in results
                    if chosen is None or result.requirement.id in chosen
                )

    def closing(self, results: Mapping[str, RequirementResult]) -> None:
        """Tell of everything that is not as expected, of known failures, and the totals."""
        for verdict in terminal.UNEXPECTED:
            self._unexpected([result for result in results.values() if result.verdict == verdict])
        known = [result for result in results.values() if result.verdict == "known-failure"]
        if known:
            self._say(["", f"{len(known)} known failures:"], COLOURS["known-failure"])
            for result in known:
                self._say(terminal.known(result))
        folder = os.path.relpath(self._run.options.report_dir, self._config.invocation_params.dir)
        problems = [*(f"expectations: {p}" for p in self._run.problems), *self._run.complaints]
        self._say(["", *terminal.totals(results, problems, folder, self._run.duration_s)])

    def reproduce(self, requirement: str, flavour: str) -> str:
        """Answer the command that checks one requirement again."""
        options = self._run.options
        manager = self._config.pluginmanager
        places = [arg for arg in self._config.args if "::" not in arg] or ["conformance"]
        words = (
            ["celeriac run"] if manager.has_plugin(COMMAND_PLUGIN) else ["pytest", *map(_relative, places)]
        )
        words.append(f"--adapter={self._run.candidate.spelling}")
        if flavour != "embedded":
            words.append(f"--broker={flavour}")
        if options.shown_source:
            words.append(shlex.quote(f"--broker-from={options.shown_source}"))
        if options.time != "auto":
            words.append(f"--time={options.time}")
        return " ".join([*words, *(["--explore"] if options.explore else []), f"--requirement={requirement}"])

    def _unexpected(self, results: list[RequirementResult]) -> None:
        for first, alike in terminal.alike(results):
            heading, *rest = terminal.failure(first, self.reproduce)
            self._say(["", heading], COLOURS[first.verdict])
            self._say(rest)
            if alike:
                self._say(terminal.field("likewise", terminal.ranges(alike)))

    def _say(self, lines: Iterable[str], colour: str = "") -> None:
        if self._reporter is not None:
            for line in lines:
                self._reporter.write_line(printable(line), **({colour: True} if colour else {}))


def _relative(arg: str) -> str:
    return os.path.relpath(arg) if Path(arg).is_absolute() else arg
