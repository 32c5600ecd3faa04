"""The kill matrix: what the suite says of every variant, and how a reader sees it."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from celeriac.conformance.outcome import GRAVITY, worst
from tests.saboteurs.variants import Oddity, Saboteur, Variant

__all__ = ["BAD", "Matrix", "Outcome"]

ROOT = Path(__file__).resolve().parents[2]

#: Seconds without any news after which the runner is given up.
PATIENCE_S = 300.0

#: Verdicts that say that something is wrong.
BAD = GRAVITY[: GRAVITY.index("pass")]


@dataclass(frozen=True)
class Outcome:
    """What the suite says of a variant.

    Attributes:
        variant: the variant.
        status: the exit status of its run.
        processor_s: the seconds of processor time that the run took.
        folder: its report.
    """

    variant: Variant
    status: int
    processor_s: float
    folder: Path

    @cached_property
    def requirements(self) -> Mapping[str, Any]:
        """Answer the results of all requirements, as they stand in the report."""
        results = self.folder / "results.json"
        assert results.is_file(), f"{self.variant.id}: the run left no report; see {self.folder / 'log.txt'}"
        found: Mapping[str, Any] = json.loads(results.read_text(encoding="utf-8"))["requirements"]
        return found

    @property
    def log(self) -> str:
        """Answer what the run printed."""
        return (self.folder / "log.txt").read_text(encoding="utf-8")

    @cached_property
    def verdicts(self) -> Mapping[str, Mapping[str, str]]:
        """Answer requirement -> check -> verdict."""
        return {
            name: {check["id"]: check["verdict"] for check in result["checks"]}
            for name, result in self.requirements.items()
        }

    @property
    def checks(self) -> set[str]:
        """Answer the checks that the variant was judged by."""
        return {check for verdicts in self.verdicts.values() for check in verdicts}

    def failed(self) -> dict[str, str]:
        """Answer the requirements whose verdict is graver than a pass.

        A check that ended at one of its requirements has no verdict on the others.
        """
        found = {name: worst(verdicts.values()) for name, verdicts in self.verdicts.items()}
        return {name: verdict for name, verdict in found.items() if verdict in BAD}

    def differing(self, baseline: Outcome) -> dict[str, str]:
        """Answer the checks that do not say of their requirements what they said of the baseline."""
        return {
            check: verdict
            for name, verdicts in self.verdicts.items()
            for check, verdict in verdicts.items()
            if verdict != baseline.verdicts[name][check]
        }

    def caught_by(self, requirement: str) -> list[str]:
        """Answer the checks that failed a requirement."""
        found = self.verdicts[requirement]
        return [check.partition("::")[2] for check, verdict in found.items() if verdict == "fail"]


class Matrix:
    """The outcomes of variants, which processes of their own work out.

    Args:
        folder: where the reports go.
    """

    def __init__(self, folder: Path) -> None:
        self.outcomes: dict[str, Outcome] = {}
        self.began = self.ended = time.monotonic()
        self._folder = folder
        self._variants: dict[str, tuple[Variant, Path]] = {}
        self._lines: queue.Queue[str] = queue.Queue()
        self._runners: list[tuple[subprocess.Popen[str], threading.Thread]] = []

    def judge(self, name: str, variants: Sequence[Variant], *options: str) -> None:
        """Begin to judge variants, the reference first.

        Args:
            name: of the folder of their reports.
            variants: what to judge.
            options: of the runner.
        """
        folder = self._folder / name
        folder.mkdir()
        self._variants |= {variant.id: (variant, folder / variant.id) for variant in variants}
        names = [variant.id for variant in variants]
        with (folder / "log.txt").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.saboteurs.runner", *options, str(folder), *names],
                cwd=ROOT,
                env={**os.environ, "PYTEST_ADDOPTS": ""},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        reader = threading.Thread(target=self._read, args=(process,), daemon=True)
        reader.start()
        self._runners.append((process, reader))

    def __getitem__(self, variant: Variant) -> Outcome:
        """Answer the outcome of a variant, waiting for it."""
        while variant.id not in self.outcomes:
            line = self._lines.get(timeout=PATIENCE_S)
            assert line, f"the runner ended without a word on {variant.id}: {self._complaint(variant)}"
            said = json.loads(line)
            about, folder = self._variants[said["id"]]
            self.outcomes[about.id] = Outcome(about, said["status"], said["processor_s"], folder)
            self.ended = time.monotonic()
        return self.outcomes[variant.id]

    def close(self) -> None:
        """End the runners, and the runs that they still have."""
        for process, reader in self._runners:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            reader.join()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                self._lines.put(line)
        if process.wait():
            self._lines.put("")

    def _complaint(self, variant: Variant) -> str:
        _, folder = self._variants[variant.id]
        return (folder.parent / "log.txt").read_text()[-2000:]

    # -- what a reader gets ---------------------------------------------------------------------------

    def rows(self) -> Iterator[str]:
        """Answer the lines of the kill matrix: requirement, saboteur, the checks that failed it; then the sums."""
        outcomes = sorted(self.outcomes.values(), key=lambda one: getattr(one.variant, "requirement", ""))
        yield from map(_row, outcomes)
        yield ""
        yield self._sums()

    def document(self) -> dict[str, Any]:
        """Answer the content of ``kill-matrix.json`` (schema ``kill-matrix``)."""
        outcomes = sorted(self.outcomes.values(), key=lambda one: one.variant.id)
        return {
            "date": datetime.now(UTC).date().isoformat(),
            "checks": sum(len(one.checks) for one in outcomes),
            "seconds": round(self.ended - self.began),
            "saboteurs": {
                one.variant.id: one.caught_by(one.variant.requirement)
                for one in outcomes
                if isinstance(one.variant, Saboteur)
            },
            "oddities": {
                one.variant.id: one.status == 0 for one in outcomes if isinstance(one.variant, Oddity)
            },
        }

    def _sums(self) -> str:
        outcomes = self.outcomes.values()
        saboteurs = [_is_caught(one) for one in outcomes if isinstance(one.variant, Saboteur)]
        oddities = [one.status == 0 for one in outcomes if isinstance(one.variant, Oddity)]
        checks = sum(len(one.checks) for one in outcomes)
        processor_s = sum(one.processor_s for one in outcomes)
        return (
            f"{sum(saboteurs)} of {len(saboteurs)} saboteurs caught, {sum(oddities)} of {len(oddities)} oddities "
            f"green, by {checks} checks in {self.ended - self.began:.0f} s ({processor_s:.0f} s of processor time)"
        )


def _is_caught(outcome: Outcome) -> bool:
    assert isinstance(outcome.variant, Saboteur)
    return bool(outcome.caught_by(outcome.variant.requirement))


def _row(outcome: Outcome) -> str:
    variant = outcome.variant
    if not isinstance(variant, Saboteur):
        return f"{'':8} {variant.id:36} {'green' if outcome.status == 0 else f'exit {outcome.status}'}"
    caught = ", ".join(outcome.caught_by(variant.requirement)) or "NOT CAUGHT"
    return f"{variant.requirement:8} {variant.id:36} {caught}"
