"""The benchmark of the suite reads a report right."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from celeriac.adapters.reference.adapter import ReferenceAdapter
from celeriac.conformance.virtual_stage import VirtualStage

SCRIPT: dict[str, Any] = runpy.run_path(
    str(Path(__file__).resolve().parents[1] / "benchmarks" / "suite_speed.py")
)
BOTH = {"id": "test_a.py::test_both", "duration_s": 2.0}
ONE = {"id": "test_a.py::test_one", "duration_s": 0.5}
REPORT = {
    "implementation": {"name": "Rusty", "version": "1"},
    "broker": {"flavour": "embedded"},
    "clock": "virtual",
    "duration_s": 4.0,
    "simulated_s": 7200.0,
    "requirements": {
        "ETA-001": {"checks": [BOTH, ONE]},
        "ETA-002": {"checks": [BOTH]},
        "EXP-001": {"checks": []},
    },
}


def test_a_check_is_shared_by_what_it_decides() -> None:
    """The seconds of a check that decides two requirements count half for each, and all seconds count once."""
    found = SCRIPT["measured"](REPORT)
    assert found["requirements"] == {"ETA-001": 1.5, "ETA-002": 1.0, "EXP-001": 0.0}
    assert found["simulated_per_wall"] == 1800


@pytest.mark.parametrize(("simulated", "told"), [(7200.0, True), (None, False)])
def test_simulated_time_is_told_where_there_is_any(simulated: float | None, told: bool) -> None:
    """The table ends with the ratio of simulated to real time, unless time was real."""
    lines = list(SCRIPT["table"](SCRIPT["measured"]({**REPORT, "simulated_s": simulated})))
    assert ("2.0 hours were simulated: 1,800 seconds in each second" in lines) == told
    assert any(line.split() == ["ETA", "2", "2.50", "1.250"] for line in lines)


def test_simulated_time_adds_up() -> None:
    """A virtual stage counts the seconds of each scenario that has ended."""
    stage = VirtualStage(ReferenceAdapter)
    for seconds in (90.0, 30.5):
        stage.begin(settings={}, task_attributes={}, results=None, fresh=False, lease=None)
        stage.clock.advance(seconds)
        stage.end()
    stage.close()
    assert stage.simulated_s == pytest.approx(120.5)
