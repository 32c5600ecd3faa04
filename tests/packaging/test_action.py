"""The action runs the suite in somebody else's CI: its steps are run here as the runner would run them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
STEPS: list[dict[str, Any]] = ACTION["runs"]["steps"]
PAGE = (ROOT / "docs" / "adapters" / "running-in-ci.md").read_text()
CLAIM = """
name = "mine"
roles = ["producer"]
links = ["amqp"]
clocks = ["wall"]
driver.class = "my_adapter:Mine"
"""
DRIVER = """
from celeriac.conformance.adapter import Adapter, Ok


class Mine(Adapter):
    def hello(self):
        return {"implementation": "mine", "version": "1"}

    def begin(self, scenario):
        return Ok()

    def end(self):
        return Ok()

    def call(self, call):
        return Ok({"task_id": "nothing is sent"})

    def close(self):
        pass
"""


@pytest.fixture
def runner(tmp_path: Path) -> dict[str, str]:
    """Answer the variables of a runner on which the first steps have been done: Celeriac is installed."""
    temp = tmp_path / "temp"
    commands = temp / "celeriac" / "bin"
    commands.mkdir(parents=True)
    (commands / "celeriac").symlink_to(Path(sys.executable).with_name("celeriac"))
    work = tmp_path / "work"
    work.mkdir()
    (work / "adapter.toml").write_text(CLAIM)
    (work / "my_adapter.py").write_text(DRIVER)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    files = {"GITHUB_STEP_SUMMARY": str(tmp_path / "summary"), "GITHUB_OUTPUT": str(tmp_path / "output")}
    return {**kept, **files, "RUNNER_TEMP": str(temp), "CI": "true"}


def step(name: str, runner: dict[str, str], **inputs: str) -> subprocess.CompletedProcess[str]:
    """Run a step with these inputs and the defaults of the others."""
    (found,) = (each for each in STEPS if each.get("name") == name)
    values = {key: str(given.get("default", "")) for key, given in ACTION["inputs"].items()} | inputs
    given = {key: _filled(text, values) for key, text in found.get("env", {}).items()}
    return subprocess.run(
        ["bash", "-eo", "pipefail", "-c", found["run"]],
        cwd=Path(runner["GITHUB_STEP_SUMMARY"]).with_name("work"),
        env={**runner, **given},
        capture_output=True,
        text=True,
        check=False,
    )


def _filled(text: str, inputs: dict[str, str]) -> str:
    return re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda found: inputs[found[1]], text)


def test_inputs_that_are_used_are_declared_and_documented() -> None:
    """Every input that a step uses is declared, every declared one is used, and the page has a row for each."""
    used = set(re.findall(r"\$\{\{ inputs\.([\w-]+) \}\}", (ROOT / "action.yml").read_text()))

    assert used == set(ACTION["inputs"])
    assert [name for name in used if f"| `{name}` |" not in PAGE] == []


def test_example_of_the_page_is_lawful() -> None:
    """The workflow on the page names only inputs that there are, and those without which the action cannot run."""
    example, _ = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    steps = yaml.safe_load(example)["jobs"]["conformance"]["steps"]
    needed = {name for name, each in ACTION["inputs"].items() if each.get("required")}
    given = set(steps[-1]["with"])
    assert needed <= given <= set(ACTION["inputs"])


def test_no_input_reaches_a_shell_as_code() -> None:
    """What a user writes reaches the steps in variables, never in the text of a script."""
    assert [each["name"] for each in STEPS if "${{" in each.get("run", "")] == []


def test_run_ends_with_the_status_of_the_suite_and_leaves_a_summary(runner: dict[str, str]) -> None:
    """A run that fails fails its step, and its summary is on the page of the job all the same."""
    ran = step(
        "Run the conformance suite",
        runner,
        adapter="adapter.toml",
        requirement="MSG-003 MSG-006",
        arguments="-q",
    )
    told = step("Summary", runner)

    assert (ran.returncode, told.returncode) == (1, 0), ran.stdout + ran.stderr
    assert "<b>fail MSG-003</b>" in Path(runner["GITHUB_STEP_SUMMARY"]).read_text()


def test_report_folder_is_where_the_artefact_is_taken_from(runner: dict[str, str]) -> None:
    """Every file that the page names is in the folder that the action uploads and answers as its output."""
    step("Run the conformance suite", runner, adapter="adapter.toml", requirement="MSG-003", arguments="-q")

    folder = Path(runner["RUNNER_TEMP"]) / "celeriac-report"
    (upload,) = (each for each in STEPS if each.get("uses", "").startswith("actions/upload-artifact"))
    assert upload["with"]["path"] == "${{ runner.temp }}/" + folder.name
    assert Path(runner["GITHUB_OUTPUT"]).read_text() == f"folder={folder}\n"
    (judge,) = (each for each in STEPS if each.get("id") == "judge")
    assert judge["name"] == "Run the conformance suite"
    assert ACTION["outputs"]["folder"]["value"] == "${{ steps.judge.outputs.folder }}"
    table = PAGE.partition("## What a run leaves")[2]
    named = re.findall(r"`([\w-]+\.\w+)`", "".join(re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)))
    assert len(named) > 6
    assert [name for name in named if not (folder / name).is_file()] == []


def test_gitlab_example_names_files_of_the_report() -> None:
    """The job for GitLab keeps the folder that a run writes by default, and its cases."""
    _, example = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    artifacts = yaml.safe_load(example)["conformance"]["artifacts"]
    assert artifacts == {
        "when": "always",
        "paths": [".celeriac/"],
        "reports": {"junit": ".celeriac/junit.xml"},
    }


def test_wrong_word_is_the_users(runner: dict[str, str]) -> None:
    """A requirement that does not exist ends the step with status 4 and one line; no summary is no error."""
    ran = step("Run the conformance suite", runner, adapter="adapter.toml", requirement="MSG-999")

    assert ran.returncode == 4
    assert "MSG-999" in ran.stderr + ran.stdout
    assert step("Summary", runner).returncode == 0
