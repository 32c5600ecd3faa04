"""The matrix: every variant that the selected tests ask for, judged by the whole suite, two at a time."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.saboteurs.roster import REFERENCE
from tests.saboteurs.variants import Saboteur, Variant

ROOT = Path(__file__).resolve().parents[2]

#: Seconds without any news after which the runner is given up.
PATIENCE_S = 300.0

KEY = pytest.StashKey["Matrix"]()


@dataclass(frozen=True)
class Outcome:
    """What the suite said of a variant."""

    variant: Variant
    status: int
    seconds: float
    folder: Path

    @property
    def requirements(self) -> Mapping[str, Any]:
        results = self.folder / "results.json"
        assert results.is_file(), f"{self.variant.id}: the run left no report; see {self.folder / 'log.txt'}"
        found: Mapping[str, Any] = json.loads(results.read_text())["requirements"]
        return found

    @property
    def verdicts(self) -> dict[str, str]:
        return {name: result["verdict"] for name, result in self.requirements.items()}

    @property
    def log(self) -> str:
        return (self.folder / "log.txt").read_text()

    def caught_by(self, requirement: str) -> list[str]:
        """Answer the checks that failed a requirement."""
        checks = self.requirements[requirement]["checks"]
        return [check["id"].partition("::")[2] for check in checks if check["verdict"] == "fail"]


class Matrix:
    """The outcomes of variants, which a process of its own works out one after the other."""

    def __init__(self, variants: Sequence[Variant], folder: Path) -> None:
        self.outcomes: dict[str, Outcome] = {}
        self._variants = {variant.id: variant for variant in variants}
        self._folder = folder
        self._lines: queue.Queue[str] = queue.Queue()
        self._errors = (folder / "errors.txt").open("w+")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.saboteurs.runner", str(folder), *self._variants],
            cwd=ROOT,
            env={**os.environ, "PYTEST_ADDOPTS": ""},
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __getitem__(self, variant: Variant) -> Outcome:
        """Answer the outcome of a variant, waiting for it."""
        while variant.id not in self.outcomes:
            line = self._lines.get(timeout=PATIENCE_S)
            assert line, f"the runner ended without a word on {variant.id}: {self._complaint()}"
            said = json.loads(line)
            name = said["id"]
            outcome = Outcome(self._variants[name], said["status"], said["seconds"], self._folder / name)
            self.outcomes[name] = outcome
        return self.outcomes[variant.id]

    def close(self) -> None:
        """End the runner, and the runs that it still has."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join()
        self._errors.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put("")

    def _complaint(self) -> str:
        self._errors.seek(0)
        return self._errors.read()[-2000:]


@pytest.fixture(scope="session")
def matrix(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    """Judge the variants of all selected tests, in their order; the reference comes first."""
    params = (getattr(item, "callspec", None) for item in request.session.items)
    wanted = [spec.params["variant"] for spec in params if spec is not None and "variant" in spec.params]
    matrix = Matrix([REFERENCE, *wanted], tmp_path_factory.mktemp("matrix"))
    request.config.stash[KEY] = matrix
    yield matrix
    matrix.close()


@pytest.fixture(scope="session")
def baseline(matrix: Matrix) -> Outcome:
    """Answer what the suite says of the reference itself; unless that is green, nothing else can be judged."""
    outcome = matrix[REFERENCE]
    wrong = {name: verdict for name, verdict in outcome.verdicts.items() if verdict in BAD}
    assert (outcome.status, wrong) == (0, {}), f"the reference itself is not green:\n{outcome.log[-3000:]}"
    return outcome


#: Verdicts that the reference may not have.
BAD = frozenset({"fail", "error", "inconclusive", "known-failure", "unexpected-pass"})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the kill matrix when the run was for the saboteurs."""
    matrix = config.stash.get(KEY, None)
    if matrix is None or "saboteurs" not in config.option.markexpr:
        return
    terminalreporter.section("kill matrix")
    for outcome in sorted(matrix.outcomes.values(), key=lambda one: getattr(one.variant, "requirement", "")):
        terminalreporter.line(_row(outcome))


def _row(outcome: Outcome) -> str:
    variant = outcome.variant
    if not isinstance(variant, Saboteur):
        return f"{'':8} {variant.id:36} {'green' if outcome.status == 0 else f'exit {outcome.status}'}"
    caught = ", ".join(outcome.caught_by(variant.requirement)) or "NOT CAUGHT"
    return f"{variant.requirement:8} {variant.id:36} {caught}"
