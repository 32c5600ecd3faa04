"""The page "Your first adapter" does what it says, step by step."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "adapters" / "first-adapter.md").read_text()
BLOCK = re.compile(
    r"^```\w+(?: (?P<kind>\w+)=(?P<name>\S+))?\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
COMMAND = Path(sys.executable).with_name("celeriac")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Answer a folder with the files that the page tells its reader to write before the first run."""
    write(tmp_path, "my_client.py", "my_adapter.py", "adapter.toml")
    return tmp_path


def write(folder: Path, *names: str) -> None:
    """Write files of the page."""
    files = {block["name"]: block["text"] for block in BLOCK.finditer(PAGE) if block["kind"] == "file"}
    for name in names:
        (folder / name).write_text(files[name])


def follow(folder: Path, *requirements: str) -> tuple[int, dict[str, Any]]:
    """Type the page's first command in the folder, or its second for a few requirements; answer status and report."""
    (first,) = re.findall(r"^celeriac (run --adapter=\S+ .*)$", PAGE, re.MULTILINE)
    (second,) = re.findall(r"^celeriac (run --adapter=\S+)$", PAGE, re.MULTILINE)
    words = [second, *(f"--requirement={name}" for name in requirements)] if requirements else [first]
    done = subprocess.run(
        [str(COMMAND), *" ".join(words).split()],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    results = folder / ".celeriac" / "results.json"
    assert results.exists(), done.stdout + done.stderr
    return done.returncode, json.loads(results.read_text())


def verdicts(report: dict[str, Any]) -> dict[str, str]:
    """Answer the verdict of each requirement that the page's command names."""
    named = re.findall(r"--requirement=([A-Z]+-\d+)", PAGE)
    return {requirement: report["requirements"][requirement]["verdict"] for requirement in named}


def repair(folder: Path) -> None:
    """Change the client as the page says: the block's first line stays and is followed by the second."""
    (block,) = (block for block in BLOCK.finditer(PAGE) if block["kind"] == "patch")
    path = folder / block["name"]
    first = block["text"].splitlines(keepends=True)[0]
    assert first in path.read_text()
    path.write_text(path.read_text().replace(first, block["text"]))


def test_first_adapter_fails_where_the_page_says(folder: Path) -> None:
    """The adapter of the page fails MSG-003 and nothing else, with exit status 1."""
    status, report = follow(folder)
    assert (status, verdicts(report)) == (1, {"MSG-003": "fail", "MSG-006": "pass", "MSG-007": "pass"})


def test_first_adapter_passes_when_repaired(folder: Path) -> None:
    """With the page's repair all three requirements pass, with exit status 0."""
    repair(folder)
    status, report = follow(folder)
    assert (status, set(verdicts(report).values())) == (0, {"pass"})


def test_first_adapter_on_everything(folder: Path) -> None:
    """Of the other requirements BAS-012 fails, RTY-004 is an error, and what is unsupported is not applicable."""
    repair(folder)
    status, report = follow(folder, "BAS-012", "RTY-004", "ETA-001")
    found = {name: report["requirements"][name]["verdict"] for name in ("BAS-012", "RTY-004", "ETA-001")}
    assert (status, found) == (1, {"BAS-012": "fail", "RTY-004": "error", "ETA-001": "not-applicable"})
    assert "the adapter raised in call: " in report["requirements"]["RTY-004"]["checks"][0]["reason"]


def test_first_adapter_with_its_expectations(folder: Path) -> None:
    """With the page's expectations BAS-012 is a known failure, with exit status 0."""
    repair(folder)
    write(folder, "expectations.toml")
    status, report = follow(folder, "BAS-012")
    assert (status, report["requirements"]["BAS-012"]["verdict"]) == (0, "known-failure")
