"""The page "Your first adapter" does what it says, step by step, and the pages after it show what comes of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from celeriac.conformance.expectations import read_expectations

PAGES = Path(__file__).resolve().parents[2] / "docs" / "adapters"
PAGE = (PAGES / "first-adapter.md").read_text()
NEXT_PAGE = (PAGES / "reading-a-failure.md").read_text()
KNOWN_FAILURES = (PAGES / "known-failures.md").read_text()
BLOCK = re.compile(
    r"^```\w+(?: (?P<kind>\w+)=(?P<name>\S+))?\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
#: The two commands that judge: a few requirements, and all.
FEW, ALL = r"^celeriac run --adapter=\S+ .*$", r"^celeriac run --adapter=\S+$"
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


def attempt(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    """Type a command of the page in the folder."""
    return subprocess.run(
        [str(COMMAND), *command.removeprefix("celeriac ").split()],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def follow(folder: Path, pattern: str) -> tuple[int, dict[str, Any], str]:
    """Type the page's only command of a pattern in the folder; answer its status, its report and what it has said."""
    (command,) = set(re.findall(pattern, PAGE, re.MULTILINE))
    done = attempt(folder, command)
    results = folder / ".celeriac" / "results.json"
    assert results.exists(), done.stdout + done.stderr
    return done.returncode, json.loads(results.read_text()), done.stdout


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


def unexpected(report: dict[str, Any]) -> dict[str, str]:
    """Answer the verdicts that are not as expected."""
    found = {name: each["verdict"] for name, each in report["requirements"].items()}
    return {name: verdict for name, verdict in found.items() if verdict in {"fail", "error", "inconclusive"}}


def without_ids(text: str) -> str:
    """Answer a text in which every id of a task and of a scenario reads the same."""
    return re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|celeriac-[0-9a-f]{8}", "ID", text)


def test_client_in_any_language_begins_where_the_page_says(tmp_path: Path) -> None:
    """The two commands of the first half end with what the page shows of them."""
    new, doctor = re.findall(r"^celeriac (?:new-adapter|doctor) .*$", PAGE, re.MULTILINE)
    (shown,) = re.findall(r"^```text\n(  ok .*?)^```$", PAGE, re.MULTILINE | re.DOTALL)

    assert attempt(tmp_path, new).returncode == 0
    walked = attempt(tmp_path, doctor)
    assert (walked.returncode, walked.stderr) == (1, "")
    assert walked.stdout.startswith(shown)


def test_adapter_of_the_page_is_complete(folder: Path) -> None:
    """The doctor misses nothing in the adapter of the page, as the page says."""
    (doctor,) = re.findall(r"`(celeriac doctor --adapter=adapter\.toml)`", PAGE)
    walked = attempt(folder, doctor)
    assert walked.returncode == 0, walked.stdout
    assert "The adapter is complete" in walked.stdout


def test_first_adapter_fails_where_the_page_says(folder: Path) -> None:
    """The adapter fails MSG-003 and nothing else, with status 1, and the next page shows what was printed."""
    status, report, said = follow(folder, FEW)
    (shown,) = re.findall(r"^```text\n(FAIL .*?)^```$", NEXT_PAGE, re.MULTILINE | re.DOTALL)

    assert (status, verdicts(report)) == (1, {"MSG-003": "fail", "MSG-006": "pass", "MSG-007": "pass"})
    assert without_ids(shown) in without_ids(said)


def test_first_adapter_passes_when_repaired(folder: Path) -> None:
    """With the page's repair all three requirements pass, with exit status 0."""
    repair(folder)
    status, report, _ = follow(folder, FEW)
    assert (status, set(verdicts(report).values())) == (0, {"pass"})


def test_first_adapter_on_everything(folder: Path) -> None:
    """Of all requirements those fail that the page names, and none is an error."""
    repair(folder)
    status, report, _ = follow(folder, ALL)
    named = re.findall(r"^\* `([A-Z]+-\d+)`: ", PAGE, re.MULTILINE)
    assert (status, unexpected(report)) == (1, dict.fromkeys(named, "fail"))


def test_first_adapter_with_its_expectations(folder: Path) -> None:
    """With the page's expectations everything is as expected, with exit status 0."""
    repair(folder)
    write(folder, "expectations.toml")
    status, report, said = follow(folder, ALL)
    assert (status, unexpected(report)) == (0, {}), said


def test_known_failures_of_the_page_are_some(tmp_path: Path) -> None:
    """What the page on known failures shows as a file is one, and holds on the days that it names."""
    (shown,) = re.findall(r"^```toml\n(.*?)^```$", KNOWN_FAILURES, re.MULTILINE | re.DOTALL)
    path = tmp_path / "expectations.toml"
    path.write_text(shown)
    read = read_expectations(path, date(2027, 6, 30), drafts=False)
    assert (read.problems, len(read.entries)) == ([], 3)
