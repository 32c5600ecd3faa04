"""Nothing that a run has started outlives it, however it ends."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from celeriac.conformance.environments import VARIABLE

#: A harness that has had a worker, and waits with a driver, a driver started ahead, and a fork server each time.
HARNESS = """
import sys
from celeriac.adapters.celery.adapter import CeleryAdapter
from celeriac.conformance.adapter import Ok, Scenario, WorkerSpec
url = sys.argv[1]
adapter = CeleryAdapter()
for fresh in (True, True):
    assert adapter.begin(Scenario("s", url, None, "orphans", fresh=fresh)) == Ok()
    assert adapter.start_worker(WorkerSpec("w1", url, ("orphans",))) == Ok()
print("running", flush=True)
sys.stdin.read()
"""


def _descendants(process: int) -> Iterator[int]:
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            yield child
            yield from _descendants(child)


def test_nothing_survives_a_harness_that_is_killed(
    node_url: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Drivers, the driver started ahead, fork servers, workers and their pools end when the harness is killed."""
    monkeypatch.setenv(VARIABLE, str(tmp_path))  # where no other run reaps
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", HARNESS, node_url("redis")]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as harness:
        assert harness.stdout is not None
        assert harness.stdout.readline() == b"running\n"
        watches = [os.pidfd_open(pid) for pid in _descendants(harness.pid)]
        harness.kill()

    try:
        gone = [bool(select.select([watch], [], [], 20)[0]) for watch in watches]
    finally:
        for watch in watches:
            os.close(watch)

    assert len(gone) >= 5
    assert all(gone)
