"""The built wheel is what users get, so the wheel is what is tested."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("spec", "reference", "conformance", "adapters")
SOURCES = (*PACKAGES, "pyproject.toml", "README.md", "LICENSE")
CLAIM = """
name = "tiny"
roles = ["producer"]
links = ["amqp"]
clocks = ["wall"]
driver.command = ["{python}", "-m", "tiny"]
build.requirements = ["./tiny-1.0-py3-none-any.whl"]
"""
JUNK = shutil.ignore_patterns("__pycache__", "*.egg-info", ".*")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy, so that nothing a former build left behind can slip in."""
    source = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=JUNK)
        else:
            shutil.copy(ROOT / name, source / name)
    run(sys.executable, "-m", "build", "--wheel", "--outdir", str(source / "dist"), str(source), cwd=source)
    (built,) = (source / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel in a fresh virtual environment and answer its folder of commands."""
    home = tmp_path_factory.mktemp("fresh")
    venv.create(home, with_pip=True)
    run(str(home / "bin" / "python"), "-m", "pip", "install", "-q", str(wheel), cwd=home)
    return home / "bin"


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command that must succeed, with nothing of this checkout in its environment."""
    done = attempt(*command, cwd=cwd)
    assert done.returncode == 0, (
        f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    )
    return done


def attempt(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command and answer how it ended."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "PYTHON"))
    }
    return subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def files_in(wheel: Path) -> set[str]:
    """Answer the names of the wheel's files."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_wheel_holds_every_file_of_the_four_packages(wheel: Path) -> None:
    """Every module, chapter, schema, vector and adapter.toml of the checkout is in the wheel."""
    wanted = {
        f"celeriac/{path.relative_to(ROOT).as_posix()}"
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file()
        and not any(part.startswith((".", "__pycache__")) for part in path.parts[len(ROOT.parts) :])
    }
    assert wanted - files_in(wheel) == set()


def test_wheel_holds_nothing_else(wheel: Path) -> None:
    """Installing Celeriac adds `celeriac` to a user's packages and no module of another name."""
    assert {name.split("/")[0].split("-")[0] for name in files_in(wheel)} == {"celeriac"}


def test_wheel_registers_no_pytest_plugin(wheel: Path) -> None:
    """Installing Celeriac changes nobody else's pytest: its one entry point is the command."""
    (entry_points,) = (name for name in files_in(wheel) if name.endswith("entry_points.txt"))
    parser = ConfigParser()
    with zipfile.ZipFile(wheel) as archive:
        parser.read_string(archive.read(entry_points).decode())
    assert {group: dict(parser[group]) for group in parser.sections()} == {
        "console_scripts": {"celeriac": "celeriac.conformance.cli:main"}
    }


def test_installed_command_judges_the_reference(installed: Path, tmp_path: Path) -> None:
    """`celeriac run --adapter=reference` from any folder judges the reference and leaves its report there."""
    run(str(installed / "celeriac"), "run", "--adapter=reference", cwd=tmp_path)
    report = json.loads((tmp_path / ".celeriac" / "results.json").read_text())
    assert report["adapter"]["name"] == "reference"
    assert report["counts"].get("pass", 0) > 0
    assert {
        verdict for verdict in ("fail", "error", "unexpected-pass") if report["counts"].get(verdict)
    } == set()


def test_installed_command_makes_environments(installed: Path, tmp_path: Path) -> None:
    """`celeriac build` makes an environment in which an adapter's processes run the installed Celeriac."""
    info = "tiny-1.0.dist-info"
    with zipfile.ZipFile(tmp_path / "tiny-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    (tmp_path / "adapter.toml").write_text(CLAIM)
    command = (str(installed / "celeriac"), "build", "adapter.toml")

    made = run("env", f"CELERIAC_CACHE={tmp_path}", *command, cwd=tmp_path).stdout

    code = "import celeriac.adapters, importlib.metadata as m; print(celeriac.adapters.__file__, m.version('tiny'))"
    place, version = run(made.split()[1], "-c", code, cwd=tmp_path).stdout.split()
    assert Path(place).resolve().is_relative_to(installed.parent.resolve())
    assert version == "1.0"


def test_installed_command_ignores_the_users_pytest(installed: Path, tmp_path: Path) -> None:
    """A pytest.ini, a conftest.py and tests in the user's folder have no part in `celeriac run`."""
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    (tmp_path / "conftest.py").write_text("raise RuntimeError('the conftest of the user was loaded')\n")
    (tmp_path / "test_mine.py").write_text(
        "def test_mine(): raise RuntimeError('the test of the user was run')\n"
    )
    done = run(str(installed / "celeriac"), "run", "--adapter=reference", "--requirement=ETA", cwd=tmp_path)
    assert "of the user" not in done.stdout + done.stderr


def test_pytest_beside_celeriac_is_unchanged(installed: Path, tmp_path: Path) -> None:
    """Where Celeriac is installed, a user's own pytest neither loads its plugin nor knows its options."""
    (tmp_path / "test_mine.py").write_text("def test_mine(): pass\n")
    done = run(str(installed / "python"), "-m", "pytest", "--trace-config", cwd=tmp_path)
    assert "celeriac.conformance" not in done.stdout
    refused = attempt(str(installed / "python"), "-m", "pytest", "--adapter=reference", cwd=tmp_path)
    assert refused.returncode == pytest.ExitCode.USAGE_ERROR


@pytest.mark.parametrize("language", ["node", "other", "python"])
def test_starting_point_from_the_wheel(installed: Path, tmp_path: Path, language: str) -> None:
    """The wheel has what ``celeriac new-adapter`` copies, and its doctor leads on from there."""
    celeriac = str(installed / "celeriac")
    run(celeriac, "new-adapter", "new-one", f"--language={language}", cwd=tmp_path)
    if language == "node":
        assert (tmp_path / "new-one" / "celeriac.mjs").is_file()
        return
    done = attempt(celeriac, "doctor", "--adapter=new-one/adapter.toml", cwd=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "What is missing next: publish" in done.stdout
