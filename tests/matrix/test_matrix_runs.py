"""The matrix runs what it has no results of, keeps what has ended, and says what could not be run."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.matrix import __main__ as matrix
from tests.matrix.rows import ADAPTERS, PLACES
from tests.matrix.samples import CLOSED, results

PLACE = "rabbitmq=celeriac-trixie"


class Machine:
    """A machine on which runs are a few lines of Python, and images are a table."""

    def __init__(self, folder: Path) -> None:
        self.images = {"celeriac-trixie": "sha256:1"}
        self.docs = folder / "docs"
        self.status = 0
        self.version: str | None = "3.10.8"
        self.clock = "travel"
        self.ran: list[str] = []
        self.docs.mkdir()

    def command(self, kept: matrix.Kept) -> list[str]:
        """Answer a command that leaves results, says a line and ends."""
        self.ran.append(f"{kept.adapter} on {kept.place}")
        sample = json.dumps(results(CLOSED, version=self.version, clock=self.clock))
        body = f"import pathlib, sys; pathlib.Path({str(kept.folder / 'results.json')!r}).write_text({sample!r}); "
        return [sys.executable, "-c", f"{body}print('== the end =='); sys.exit({self.status})"]

    def matrix(self, *words: str) -> int:
        """Run scripts/matrix."""
        self.ran.clear()
        return matrix.main([PLACE, "--adapter=celery", f"--docs={self.docs}", *words])

    def row(self) -> Any:
        """Answer the row of the run in matrix.json."""
        runs = json.loads((self.docs / "matrix.json").read_text())["runs"]
        (row,) = [
            run
            for run in runs
            if (run["adapter"], run["image"], run["flavour"]) == ("celery", "celeriac-trixie", "rabbitmq")
        ]
        return row


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Answer a machine with a cache folder of its own."""
    machine = Machine(tmp_path)
    monkeypatch.setenv("CELERIAC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(matrix, "command", machine.command)
    monkeypatch.setattr(matrix, "image_id", machine.images.get)
    return machine


def test_a_run_that_ended_is_kept(machine: Machine) -> None:
    """A second call runs nothing and writes the same table."""
    machine.matrix()
    assert machine.ran == [f"celery on {PLACE}"]
    first = (machine.docs / "matrix.json").read_text()
    machine.matrix()
    assert (machine.ran, (machine.docs / "matrix.json").read_text()) == ([], first)
    assert machine.row()["version"] == "3.10.8"


def test_a_run_with_failures_is_kept(machine: Machine) -> None:
    """Requirements that fail are results."""
    machine.status = 1
    machine.matrix()
    assert machine.row()["why_not"] is None
    machine.matrix()
    assert machine.ran == []


@pytest.mark.parametrize("change", [("--again",), ()], ids=["asked to", "another image"])
def test_a_run_is_made_again(machine: Machine, change: tuple[str, ...]) -> None:
    """A kept run is made again when it is asked for, and when the image is another one."""
    machine.matrix()
    if not change:
        machine.images["celeriac-trixie"] = "sha256:2"
    machine.matrix(*change)
    assert machine.ran == [f"celery on {PLACE}"]


def test_a_run_with_errors_is_shown_and_tried_again(machine: Machine) -> None:
    """What a run with errors has found out is in the table, and the next call runs it again."""
    machine.status = 3
    machine.matrix()
    assert machine.row()["version"] == "3.10.8"
    machine.matrix()
    assert machine.ran == [f"celery on {PLACE}"]


def test_a_run_on_another_clock_is_tried_again(machine: Machine) -> None:
    """A run whose clock could not be moved is in the table, and the next call runs it again."""
    machine.clock = "wall"
    machine.matrix()
    assert machine.row()["clock"] == "wall"
    machine.matrix()
    assert machine.ran == [f"celery on {PLACE}"]


def test_a_run_without_a_broker_says_so(machine: Machine) -> None:
    """A run that met no broker is a row with its exit status and its last line."""
    machine.status, machine.version = 3, None
    assert machine.matrix() == 1
    assert machine.row()["why_not"] == "the run ended with exit status 3: the end"


def test_a_missing_image_is_a_row(machine: Machine) -> None:
    """Without its image a place is not run, and the table says what to do."""
    machine.images.clear()
    machine.matrix()
    assert machine.ran == []
    assert machine.row()["why_not"] == "the image celeriac-trixie is not there (see scripts/images)"


def test_the_table_has_every_place(machine: Machine) -> None:
    """Places that were never tried are rows that say so, and the exit status tells that there are some."""
    assert machine.matrix() == 1
    runs = json.loads((machine.docs / "matrix.json").read_text())["runs"]
    untried = [run for run in runs if run["why_not"] == "it has not been run to its end yet"]
    assert len(untried) == len(runs) - 1 == len(PLACES) * len(ADAPTERS) - 1
    assert "## Not run" in (machine.docs / "matrix.md").read_text()


def test_what_a_run_says_is_shown_and_kept(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    """The lines of a run appear while it goes on, after a line that names the run and its log."""
    machine.matrix()
    first, second, third, _ = capsys.readouterr().out.splitlines()
    log = Path(first.rpartition("log in ")[2])
    assert first.startswith(f"[1/1] celery on {PLACE}: log in ")
    assert second.strip() == log.read_text().strip() == "== the end =="
    assert third.startswith(f"[1/1] celery on {PLACE}: done, after ")


@pytest.mark.parametrize("word", ["celeriac-trixie", "kafka=celeriac-trixie", "rabbitmq="])
def test_a_wrong_place_is_told(word: str) -> None:
    """What is no FLAVOUR=IMAGE is refused before anything is run."""
    with pytest.raises(SystemExit, match=f"scripts/matrix: '{word}' is no FLAVOUR=IMAGE"):
        matrix.main([word])


def test_a_run_judges_one_image_on_travel(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run asks for the chapter, on the named image, with a clock that is moved; no broker is an error."""
    monkeypatch.undo()
    (place,) = matrix._places([PLACE])
    words = matrix.command(matrix.Kept(place, "celery"))
    assert {
        "--adapter=celery",
        "--broker=rabbitmq",
        "--time=travel",
        "--requirement=TIM",
        "--require-brokers",
    } <= {*words}
    assert matrix.environment(place)["CELERIAC_IMAGE_RABBITMQ"] == "celeriac-trixie"
