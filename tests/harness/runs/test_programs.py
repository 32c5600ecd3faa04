"""Programs: what a claim's files and steps make, for implementations in other languages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from celeriac.conformance.claim import find_adapter, load_claim
from celeriac.conformance.environments import Build, BuildError, make


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the cache folder be the test's own."""
    monkeypatch.setenv("CELERIAC_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def program(tmp_path: Path) -> Build:
    """Answer a build of one file of its own and one from a folder beside it, in one step."""
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "common.txt").write_text("common\n")
    claim = tmp_path / "mine"
    claim.mkdir()
    (claim / "own.txt").write_text("own\n")
    steps = (("sh", "-c", "cat own.txt common.txt > program"),)
    return Build((), claim, needs=("sh",), files=("*.txt", "../shared/*.txt"), steps=steps)


def test_program_is_built_of_files_and_steps(program: Build) -> None:
    """Files are copied, those from beside the claim without their folder, and the steps run where the copies are."""
    made = make(program)

    assert made.folder is not None
    assert (made.folder / "program").read_text() == "own\ncommon\n"
    assert made.fill("{build}/program") == f"{made.folder}/program"
    assert sorted(path.name for path in program.base.iterdir()) == ["own.txt"]


def test_program_is_built_again_when_a_file_changes(program: Build) -> None:
    """A program is built once, until the content of one of its files changes."""
    lines: list[str] = []
    first = make(program, lines.append).folder
    assert make(program, lines.append).folder == first
    (program.base / "own.txt").write_text("changed\n")

    second = make(program, lines.append).folder

    assert second is not None
    assert second != first
    assert (second / "program").read_text() == "changed\ncommon\n"
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"needs": ("sh", "celeriac-no-such")}, "mine cannot be built: celeriac-no-such must be installed"),
        ({"files": ("*.rs",)}, r"\[build\] files: there is no \*\.rs in /"),
        (
            {"steps": (("sh", "-c", "echo begun; echo no such header; echo; echo bye; exit 3"),)},
            r"mine cannot be built: sh -c .*: begun / no such header / bye \(more in /.*/steps\.log\)",
        ),
        (
            {"requirements": ("tiny",), "python": "3.0"},
            "tiny cannot be built: python3.0 must be installed and on the PATH",
        ),
    ],
    ids=["program", "file", "step", "python"],
)
def test_what_a_program_lacks_is_named(program: Build, changes: dict[str, Any], text: str) -> None:
    """What a build lacks is said in one line: a program, a file, a step that fails, a Python."""
    with pytest.raises(BuildError, match=text):
        make(replace(program, **changes))


def test_command_runs_what_was_built(program: Build) -> None:
    """``{build}`` in the command of a driver is the folder of what was built, and limits become deadlines."""
    claim = program.base / "adapter.toml"
    claim.write_text(
        'name = "mine"\nroles = ["producer"]\nlinks = ["amqp"]\nclocks = ["wall"]\n'
        '[build]\nfiles = ["own.txt"]\n[driver]\ncommand = ["{build}/own.txt"]\n'
        "[limits]\nanswer_seconds = 25\nstart_seconds = 90\n"
    )

    driver: Any = find_adapter(str(claim)).factory()

    assert Path(driver.command[0]).read_text() == "own\n"
    assert (driver.deadline, driver.start_deadline) == (25, 90)
    assert load_claim(claim).patience(20) == 46
