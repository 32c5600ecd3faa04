"""``celeriac new-adapter`` writes a starting point from which the doctor leads on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from celeriac.conformance.claim import load_claim
from celeriac.conformance.cli import main
from celeriac.conformance.scaffold import LANGUAGES

#: Language -> the files that are written for the adapter new-one, and what has to be on the PATH to use them.
FILES = {
    "python": ({"README.md", "adapter.toml", "new_one_adapter.py"}, ()),
    "node": ({"README.md", "adapter.toml", "driver.mjs", "celeriac.mjs", "package.json"}, ("node", "npm")),
    "other": ({"README.md", "adapter.toml", "driver.sh"}, ("sh",)),
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, with an empty cache; modules found there are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CELERIAC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "new_one_adapter", raising=False)
    return tmp_path


def _needs(language: str) -> None:
    absent = [program for program in FILES[language][1] if shutil.which(program) is None]
    if absent and os.environ.get("CI") == "true":
        pytest.fail(f"{absent[0]} is required under CI=true")
    if absent:
        pytest.skip(f"NO PROGRAM: {absent[0]} is not installed")


def test_every_language_has_a_template() -> None:
    """There is a template for each language that the command offers."""
    assert set(LANGUAGES) == set(FILES)


@pytest.mark.parametrize("language", FILES)
def test_doctor_leads_on(here: Path, language: str, capsys: pytest.CaptureFixture[str]) -> None:
    """As it was written the adapter passes the doctor's first steps; what is missing next is the client's message."""
    _needs(language)
    assert main(["new-adapter", "new-one", f"--language={language}"]) == 0
    assert "Next: celeriac doctor --adapter=new-one/adapter.toml" in capsys.readouterr().out
    assert {path.name for path in (here / "new-one").iterdir()} == FILES[language][0]

    assert main(["doctor", "--adapter=new-one/adapter.toml"]) == 1

    said = capsys.readouterr().out
    steps = re.findall(r"^  (?:ok|missing) +(\w+)", said, re.MULTILINE)
    assert steps[-3:] == ["scenario", "values", "publish"]
    assert "  ok        hello     New one 0.0\n" in said
    assert "here the client has to send a message" in said


@pytest.mark.parametrize("language", FILES)
def test_nothing_of_the_template_is_left(here: Path, language: str) -> None:
    """The name of the adapter stands wherever the template's own client had a name."""
    assert main(["new-adapter", "new-one", f"--language={language}"]) == 0
    written = {path: path.read_text() for path in (here / "new-one").iterdir() if path.name != "celeriac.mjs"}
    assert [path.name for path, text in written.items() if re.search("my.?client", text, re.IGNORECASE)] == []
    claim = load_claim(here / "new-one" / "adapter.toml")
    assert (claim.name, claim.title) == ("new-one", "New one")


def test_python_needs_no_repair(here: Path) -> None:
    """The Python that is written is as clean as that of the project."""
    assert main(["new-adapter", "new-one", "--language=python"]) == 0
    settings = Path(__file__).parents[2] / "pyproject.toml"
    command = [sys.executable, "-m", "ruff", "check", f"--config={settings}", "--ignore=INP001", "new-one"]
    found = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


def test_nothing_is_overwritten(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is there already is named and left alone, and nothing else is written."""
    (here / "place").mkdir()
    (here / "place" / "adapter.toml").write_text("mine")
    words = ["new-adapter", "new-one", "--language=other", "--folder=place"]
    assert main(words) == 4
    assert (
        capsys.readouterr().err == "celeriac new-adapter: place/adapter.toml: there already, and left alone\n"
    )
    assert [path.name for path in (here / "place").iterdir()] == ["adapter.toml"]
    assert (here / "place" / "adapter.toml").read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["new-one"], "the following arguments are required: --language"),
        (["--language=node"], "the following arguments are required: NAME"),
        (["new-one", "--language=nodes"], "invalid choice: 'nodes'"),
        (["New One", "--language=node"], "'New One' is no name of an adapter: small letters, digits and -"),
        (["new-one", "--language=node", "--folder=file/in"], "file/in cannot be written to: Not a directory"),
    ],
)
def test_wrong_usage(here: Path, words: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A name, a language or a folder that cannot be used costs one line and status 4."""
    (here / "file").write_text("")
    assert main(["new-adapter", *words]) == 4
    (said,) = capsys.readouterr().err.splitlines()
    assert line in said
