"""The command runs the checks anywhere, lists adapters and prints requirements."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from celeriac.conformance.cli import main
from celeriac.spec import load


def command(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run ``celeriac`` in a folder, as a user would."""
    code = "import sys; from celeriac.conformance.cli import main; sys.exit(main())"
    environment = {**os.environ, "PYTEST_ADDOPTS": "--no-such-option", "PYTEST_PLUGINS": "no_such_plugin"}
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_run_is_shut_off_from_the_folder(suite: Any) -> None:
    """``celeriac run`` takes no notice of the folder's configuration, conftest, tests or pytest variables."""
    (suite.folder / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    (suite.folder / "conftest.py").write_text("raise RuntimeError('not mine')\n")
    suite.file.write_text("def test_mine(): assert False\n")
    finished = command(
        "run", f"--adapter={suite.adapter}", "--requirement=RES-024", "--report-dir=here", cwd=suite.folder
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "requirements 1 not applicable" in (suite.folder / "here" / "summary.md").read_text()
    assert "1 skipped" in finished.stdout.splitlines()[-1]
    assert "spec 1.0-draft" in finished.stdout
    assert not (suite.folder / ".pytest_cache").exists()


def test_run_reproduces_itself(suite: Any) -> None:
    """The reproduce line of ``celeriac run`` is a ``celeriac run``."""
    driver = suite.folder / f"{suite.module}.py"
    driver.write_text(
        driver.read_text().replace("def begin(self, scenario):", "def begin(self, scenario):\n        1 / 0")
    )
    finished = command("run", f"--adapter={suite.adapter}", "--requirement=BAS-001", cwd=suite.folder)
    assert finished.returncode == 3, finished.stdout + finished.stderr
    assert (
        f"  reproduce  celeriac run --adapter={suite.adapter} --requirement=BAS-001"
        in finished.stdout.splitlines()
    )
    assert "ZeroDivisionError" in finished.stdout


def test_run_without_adapter(tmp_path: Path) -> None:
    """``celeriac run`` alone says which adapters there are, in one line and nothing before it."""
    finished = command("run", cwd=tmp_path)
    assert finished.returncode == 4
    (line,) = (finished.stdout + finished.stderr).split("\n\n", 1)[0].splitlines()
    assert line.startswith("ERROR: checks need --adapter=NAME; adapters: ")


def test_adapters(capsys: pytest.CaptureFixture[str]) -> None:
    """``celeriac adapters`` has a line for each, with its roles, links and clocks, in two columns."""
    assert main(["adapters"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = dict(line.split(maxsplit=1) for line in lines)
    assert rows["celery"].startswith("Celery: producer, worker")
    assert rows["celery"].endswith("amqp, redis; travel, wall")
    assert len({line.index(rows[name], len(name)) for name, line in zip(rows, lines, strict=True)}) == 1


def test_spec(capsys: pytest.CaptureFixture[str]) -> None:
    """``celeriac spec`` prints a requirement, an area, or a line for each."""
    assert main(["spec", "eta-004"]) == 0
    requirement = load().requirements["ETA-004"]
    text = capsys.readouterr().out
    assert text.startswith("ETA-004  MUST  worker")
    assert requirement.sentence in text
    assert requirement.why in text
    assert main(["spec", "EXP"]) == 0
    assert "EXP-001" in capsys.readouterr().out
    assert main(["spec"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(load().requirements)


def test_unknown_requirement(capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown id costs one line with the nearest ones and status 4."""
    assert main(["spec", "ETA-04"]) == 4
    assert capsys.readouterr().err.startswith(
        "celeriac spec: unknown requirement 'ETA-04'; did you mean ETA-0"
    )


def test_run_help(capsys: pytest.CaptureFixture[str]) -> None:
    """``celeriac run --help`` tells of Celeriac's own options, and where pytest's are."""
    assert main(["run", "--help"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in ("--adapter", "--broker-from", "--require-brokers", "pytest --help"))
    assert "--durations" not in text


def test_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown command or option costs one line and status 4."""
    assert main(["rnu"]) == 4
    assert capsys.readouterr().err.splitlines() == ["celeriac: unknown command 'rnu'; did you mean run?"]
    assert main(["--verison"]) == 4
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(("words", "status"), [(["--version"], 0), ([], 0), (["--help"], 0), (["rnu"], 4)])
def test_help_version_and_mistakes(words: list[str], status: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Version and help are there; an unknown command is a usage error."""
    assert main(words) == status
    captured = capsys.readouterr()
    assert "celeriac" in captured.out + captured.err


def test_help_fits_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The help of every command is a sentence and fits 80 columns, and the first page has each command on one line."""
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["--help"]) == 0
    page = capsys.readouterr().out
    assert max(map(len, page.splitlines())) <= 80
    names = re.findall(r"^    (\S+) +\S", page, re.MULTILINE)
    assert names == [
        "run",
        "doctor",
        "new-adapter",
        "expectations",
        "report",
        "interop",
        "build",
        "adapters",
        "spec",
    ]
    for name in names:
        assert main([name, "--help"]) == 0
        text = capsys.readouterr().out
        assert text.startswith(f"usage: celeriac {name}")
        assert max(map(len, text.splitlines())) <= 80
        assert re.search(r"^[A-Z].*\.$", text, re.MULTILINE)
