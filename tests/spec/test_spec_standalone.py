"""The vectors need nothing of this project: this module imports none of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

VECTORS = Path(__file__).resolve().parents[2] / "spec" / "vectors"


def test_a_stranger_can_run_the_retry_schedules() -> None:
    """Plain JSON and six lines of arithmetic are enough to use the retry vectors."""
    content = json.loads((VECTORS / "retry-schedules.json").read_text(encoding="utf-8"))
    for case in content["cases"]:
        policy = case["effective"]
        start, step, top = policy["interval_start"], policy["interval_step"], policy["interval_max"]
        count = content["horizon"] if policy["max_retries"] is None else policy["max_retries"]
        assert case["waits"] == pytest.approx([min(start + n * step, top) for n in range(count)], abs=1e-9)
