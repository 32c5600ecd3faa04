"""The search for flaky checks sees every disagreement, and can repeat it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests import flakes
from tests.flakes import Disagreement, Shuffled, disagreements, read_journal

CHECK = ("embedded", "test_eta_countdown.py::test_past_eta_is_executed", "ETA-013")

#: An adapter that depends on the hashes of texts.
FLAKY = """
import os
from celeriac.adapters.reference.adapter import ReferenceAdapter

class Flaky(ReferenceAdapter):
    def call(self, call):
        if int(os.environ["PYTHONHASHSEED"]) % 2:
            raise RuntimeError("not today")
        return super().call(call)
"""


def test_equal_runs_agree() -> None:
    """Runs with the same verdicts disagree about nothing."""
    assert disagreements({1: {CHECK: "pass"}, 2: {CHECK: "pass"}}) == []


def test_a_disagreement_names_its_seeds() -> None:
    """Where verdicts differ, or one is missing, each verdict comes with the seeds that give it."""
    found = disagreements({1: {CHECK: "pass"}, 2: {CHECK: "fail"}, 3: {}, 4: {CHECK: "pass"}})
    assert found == [Disagreement(*CHECK, {"pass": [1, 4], "fail": [2], "no verdict": [3]})]


@pytest.mark.parametrize("ended", [True, False])
def test_journal_is_read(tmp_path: Path, ended: bool) -> None:
    """A journal gives the verdict of each check on each requirement, and says whether the run ended."""
    outcomes = {"ETA-013": {"verdict": "fail"}, "ETA-012": {"verdict": "not-run"}}
    records: list[dict[str, Any]] = [
        {"record": "header"},
        {"record": "check", "broker": "redis", "id": "test_a.py::test_b", "requirements": outcomes},
    ]
    records += [{"record": "footer", "complete": True}] if ended else []
    path = tmp_path / "results.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    seen = {
        ("redis", "test_a.py::test_b", "ETA-013"): "fail",
        ("redis", "test_a.py::test_b", "ETA-012"): "not-run",
    }
    assert read_journal(path) == (seen, ended)


def order_of(seed: int) -> list[int]:
    """Answer the order into which a seed puts twenty checks."""
    session: Any = SimpleNamespace(items=[SimpleNamespace(number=number) for number in range(20)])
    Shuffled(seed).pytest_collection_finish(session)
    return [item.number for item in session.items]


def test_a_seed_is_an_order() -> None:
    """The same seed gives the same order of all checks, another seed another one."""
    assert order_of(1) == order_of(1) != order_of(2)
    assert sorted(order_of(1)) == list(range(20))


def test_a_flaky_adapter_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An adapter that works with every other seed is told with the seeds that show it."""
    (tmp_path / "flaky.py").write_text(FLAKY)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    status = flakes.main(["2", "--seed", "4", "--adapter=flaky:Flaky", "--requirement=BAS-002"])
    told = capsys.readouterr().out
    assert status == flakes.EXIT_DISAGREE, told
    assert "  pass               1 times, e.g. with seed 4" in told
    assert "  error              1 times, e.g. with seed 5" in told
