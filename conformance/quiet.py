"""The terminal reporter of a conformance run: pytest's own, without what it says of tests."""

from __future__ import annotations

import pytest
from _pytest.terminal import TerminalReporter

__all__ = ["QuietReporter", "replace_reporter"]

NAME = "terminalreporter"


class QuietReporter(TerminalReporter):  # type: ignore[misc] # final for typing only; it is made to be replaced
    """Counts for pytest's closing line, tells of collection errors, and leaves the rest to the run."""

    @property
    def showheader(self) -> bool:
        """Answer False: the run has a header of its own."""
        return False

    def pytest_collection(self) -> None:
        """Say nothing of collecting."""

    def report_collect(self, final: bool = False) -> None:
        """Say nothing of what was collected."""

    def pytest_runtest_logstart(self, nodeid: str, location: tuple[str, int | None, str]) -> None:
        """Say nothing of a test that starts."""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a report."""
        category, *_ = self.config.hook.pytest_report_teststatus(report=report, config=self.config)
        self._add_stats(category, [report])

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Say nothing of progress (older versions of pytest do so here)."""

    def summary_failures(self) -> None:
        """Leave the failures to the run."""

    def summary_errors(self) -> None:
        """Tell of modules that could not be collected; the run tells of checks."""
        everything = self.stats.get("error", [])
        broken = [report for report in everything if isinstance(report, pytest.CollectReport)]
        if broken:
            self.stats["error"] = broken
            super().summary_errors()
            self.stats["error"] = everything

    def short_test_summary(self) -> None:
        """Leave the summary to the run."""


def replace_reporter(config: pytest.Config) -> QuietReporter:
    """Put a quiet reporter in the place of pytest's, and answer it."""
    manager = config.pluginmanager
    manager.unregister(name=NAME)
    reporter = QuietReporter(config)
    manager.register(reporter, NAME)
    return reporter
