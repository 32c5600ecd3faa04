"""The canary: who does not follow when time is moved is found out before anything is judged, and time is left alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from celeriac.adapters.reference.adapter import ReferenceAdapter
from celeriac.conformance import stages
from celeriac.conformance.adapter import Adapter
from celeriac.conformance.providers import Node, Provider, Unavailable
from celeriac.conformance.providers.embedded import EmbeddedProvider
from celeriac.conformance.providers.rabbitmq import RabbitProcess
from celeriac.conformance.providers.redis import RedisProcess
from celeriac.conformance.stage import Stage
from celeriac.conformance.stages import open_stage
from celeriac.conformance.travel import VARIABLE, ControlFile
from tests.harness.travel.conftest import absent
from tests.harness.travel.followers import LateProducer, LateWorker

ROOT = Path(__file__).parents[3]
#: One that every implementation passes quickly.
CHECK = "test_apply_async_publishes_one_message"

pytestmark = pytest.mark.usefixtures("faketime")


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> list[ControlFile]:
    """The control files that a stage makes."""
    made: list[ControlFile] = []

    class Kept(ControlFile):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    monkeypatch.setattr(stages, "ControlFile", Kept)
    return made


def opened(adapter: Callable[[], Adapter], flavour: str) -> Stage:
    """Open a stage of time travel."""
    try:
        return open_stage(adapter, flavour, None if flavour == "embedded" else "process", "travel")
    except Unavailable as error:
        absent(flavour, error.reason)
        raise


def not_told(self: Provider, control: ControlFile) -> None:
    """Take no notice of the control file."""


def not_moved(self: Provider, seconds: float, unblock: bool = True) -> None:
    """Do nothing of what time does."""


@pytest.mark.parametrize("flavour", ["embedded", "redis"])
def test_who_follows_is_moved(flavour: str, files: list[ControlFile]) -> None:
    """The reference and its broker follow an hour and more, and the stage of time travel is theirs."""
    with closing(opened(ReferenceAdapter, flavour)) as stage:
        assert (stage.kind, stage.withdrawn) == ("travel", None)
        assert stage.simulated_s is not None
        assert stage.simulated_s > 3600
        assert files[0].folder.exists()
    assert not files[0].folder.exists()


@pytest.mark.parametrize(
    ("adapter", "flavour", "reason"),
    [
        (LateProducer, "embedded", "the producer's clock did not follow: a countdown of 3600 s at "),
        (LateProducer, "redis", "the producer's clock did not follow: a countdown of 3600 s at "),
        (
            LateWorker,
            "redis",
            "the worker's clock did not follow: a task that was due 120 s after it was sent",
        ),
    ],
)
def test_who_does_not_follow_is_left_on_real_time(
    adapter: Callable[[], Adapter], flavour: str, reason: str, files: list[ControlFile]
) -> None:
    """An implementation that does not follow gets the machine's time, with what was seen as the reason."""
    with closing(opened(adapter, flavour)) as stage:
        assert (stage.kind, stage.simulated_s) == ("wall", None)
        assert stage.withdrawn is not None
        assert stage.withdrawn.startswith(reason)
        assert not files[0].folder.exists()


@pytest.mark.parametrize(
    ("provider", "flavour", "deaf", "how"),
    [
        (EmbeddedProvider, "embedded", "moved", not_moved),
        (RedisProcess, "redis", "moved", not_moved),
        (RabbitProcess, "rabbitmq", "follow", not_told),
    ],
)
def test_a_broker_that_does_not_follow_is_found_out(
    provider: type[Provider], flavour: str, deaf: str, how: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where what should have expired is still there the broker's clock has not moved, and time is left alone."""
    monkeypatch.setattr(provider, deaf, how)
    with closing(opened(ReferenceAdapter, flavour)) as stage:
        assert stage.kind == "wall"
        assert stage.withdrawn is not None
        assert f"the clock of {flavour} {stage.broker.version}" in stage.withdrawn
        assert "what should have expired 3600 s later was still there" in stage.withdrawn


# -- what a reader is told --------------------------------------------------------------------------------------


def run(folder: Path, *words: str, **variables: str) -> tuple[str, Any, str]:
    """Play one check; answer what the terminal said, the results and the summary."""
    command = [sys.executable, "-m", "pytest", "conformance", "-p", "no:cacheprovider", "-k", CHECK]
    done = subprocess.run(
        [*command, f"--report-dir={folder}", *words],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((folder / "results.json").read_text())
    return " ".join(done.stdout.split()), results, (folder / "summary.md").read_text()


def test_a_reader_is_told_who_does_not_follow(tmp_path: Path, server: Node) -> None:
    """The run goes on, its requirement passes, and terminal, summary and results say why time was not moved."""
    adapter = "--adapter=tests.harness.travel.followers:LateProducer"
    out, results, summary = run(tmp_path, adapter, "--broker=redis", "--broker-from=process")
    reason = results["clock_withdrawn"]
    assert reason.startswith("the producer's clock did not follow: a countdown of 3600 s at ")
    assert (results["clock"], results["simulated_s"]) == ("wall", None)
    assert results["requirements"]["BAS-001"]["verdict"] == "pass"
    assert f"no travel {reason}" in out
    assert f"No time travel: {reason}." in summary


def test_a_reader_is_told_what_to_install(tmp_path: Path) -> None:
    """Without libfaketime the run goes on with the machine's time, and says what to install."""
    out, results, summary = run(
        tmp_path, "--adapter=reference", "--time=travel", **{VARIABLE: str(tmp_path / "missing.so")}
    )
    reason = f"libfaketime is not installed (Debian: apt-get install libfaketime) or in {VARIABLE}"
    assert (results["clock"], results["clock_withdrawn"]) == ("wall", reason)
    assert f"no travel {reason}" in out
    assert f"No time travel: {reason}." in summary


def test_somebody_elses_broker_is_not_moved(tmp_path: Path, server: Node) -> None:
    """A broker at a URL keeps its time, which is told like any other reason, and the URL's broker is judged."""
    out, results, summary = run(tmp_path, "--adapter=reference", f"--broker-from={server.url}")
    reason = results["clock_withdrawn"]
    assert reason.startswith("the clock of the broker at 127.0.0.1:")
    assert reason.endswith(" is somebody else's")
    assert (results["clock"], results["broker"]["from"]) == ("wall", "url")
    assert f"no travel {reason}" in out
    assert f"No time travel: {reason}." in summary


def test_nobody_is_told_where_time_is_moved(tmp_path: Path, server: Node) -> None:
    """Where everybody follows, the clock is the travelling one without being asked for, and nothing is withdrawn."""
    out, results, summary = run(tmp_path, "--adapter=reference", "--broker=redis", "--broker-from=process")
    assert (results["clock"], results["clock_withdrawn"]) == ("travel", None)
    assert results["simulated_s"] > 3600
    assert "no travel" not in out
    assert "No time travel" not in summary
