"""Celery on Redis, both at their defaults: the hour of a visibility timeout, at full size."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from celeriac.conformance.providers import Node

ROOT = Path(__file__).parents[3]


@pytest.mark.usefixtures("faketime")
def test_celery_meets_the_hours_of_redis(tmp_path: Path, server: Node) -> None:
    """A run of time travel judges the visibility timeout of one hour at its real size."""
    command = [sys.executable, "-m", "pytest", "conformance", "-p", "no:cacheprovider", "--adapter=celery"]
    source = ["--broker=redis", "--broker-from=process", "--time=travel"]
    chosen = ["--requirement=TIM-012", f"--report-dir={tmp_path}"]
    done = subprocess.run([*command, *source, *chosen], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / "results.json").read_text())
    assert (results["clock"], results["clock_withdrawn"]) == ("travel", None)
    assert results["implementation"]["name"] == "Celery"
    assert results["simulated_s"] > 3600
    judged: Any = results["requirements"]["TIM-012"]
    assert judged["verdict"] == "pass"
    assert any("at_full_size" in check["id"] for check in judged["checks"])
