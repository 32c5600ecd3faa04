"""A site that would be wrong is not built: the error names the place and what is wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from celeriac.spec import load
from docs.site.build import build
from docs.site.documents import page_of, rewritten
from docs.site.errors import SiteError
from docs.site.sources import ROOT, Sources, read_sources
from docs.site.tree import pages_and_files

REQUIREMENTS = load().requirements


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Answer a copy of what the site reads of the checkout."""
    for name in ("docs", "spec", "adapters"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("CONTRIBUTING.md", "CHANGELOG.md"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def renamed(row: dict[str, Any]) -> None:
    """Let a row speak of a requirement that does not exist."""
    row["verdicts"]["not-run"] = ["ETA-999"]


def unknown_clock(row: dict[str, Any]) -> None:
    """Let a row break its schema."""
    row["clock"] = "cuckoo"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [(renamed, "there is no requirement ETA-999"), (unknown_clock, "'cuckoo' is not one of")],
)
def test_record_that_is_wrong_is_refused(
    checkout: Path, change: Callable[[dict[str, Any]], None], complaint: str
) -> None:
    """A recorded run that breaks its schema, or names a requirement that was renamed, ends the build."""
    path = checkout / "docs" / "implementations.json"
    content = json.loads(path.read_text())
    change(content["rows"][0])
    path.write_text(json.dumps(content))

    with pytest.raises(SiteError, match=f"docs/implementations.json.*{complaint}"):
        read_sources(checkout)


def test_page_that_speaks_of_a_renamed_requirement_is_refused(checkout: Path, sources: Sources) -> None:
    """A document that mentions a requirement which does not exist ends the build, with file and line."""
    page = checkout / "docs" / "quick-start.md"
    page.write_text("# Quick start\n\nLook at\nETA-999 first.\n")

    with pytest.raises(SiteError, match=r"docs/quick-start\.md:4: there is no requirement ETA-999"):
        pages_and_files(replace(sources, root=checkout))


def test_check_of_a_renamed_requirement_is_refused(sources: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that decides a requirement which does not exist ends the build."""
    wrong = replace(sources.checks[0], requirements=("ETA-999",))
    monkeypatch.setattr("docs.site.sources.read_checks", lambda: (wrong,))

    with pytest.raises(SiteError, match=rf"check {wrong.id}: there is no requirement ETA-999"):
        read_sources()


def test_link_that_leads_nowhere_is_refused() -> None:
    """A document with a link to something that the repository does not have ends the build, with file and line."""
    with pytest.raises(SiteError, match=r"docs/x\.md:2: the link to nowhere\.md leads nowhere"):
        rewritten("One\n[two](nowhere.md)", "docs/x.md", "x", ROOT, REQUIREMENTS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see [time](time.md#travel)", "see [time](/guides/time.md#travel)"),
        ("[two\nlines](../spec/adapter-protocol.md)", "[two\nlines](/reference/protocol.md)"),
        ("[chapter](../spec/chapters/04-eta-countdown.md)", "[chapter](/spec/eta-countdown.md)"),
        ("[s](../spec/schemas/adapter/call.schema.json)", "[s](/spec/schemas/adapter-call.md)"),
        ("[v](../spec/vectors/results.json)", "[v](/spec/vectors/results.md)"),
        ("![a picture](../LICENSE)", '<img src="../files/LICENSE" alt="a picture">'),
        ("[l](../LICENSE)", '<a href="../files/LICENSE">l</a>'),
        ("[out](https://example.org/ETA-004)", "[out](https://example.org/ETA-004)"),
        ("by ETA-004, `ETA-004`", "by [ETA-004](/requirements/ETA-004.md), `ETA-004`"),
        ("# ETA-004", "# ETA-004"),
        ("```\nETA-004 [x](y)\n```", "```\nETA-004 [x](y)\n```"),
        ("    ETA-999 in code", "    ETA-999 in code"),
        ("ABC-001 is nobody's", "ABC-001 is nobody's"),
    ],
)
def test_document_gets_the_links_of_the_site(text: str, expected: str) -> None:
    """Links of the repository lead to pages or to copies of files, requirements to their pages; code stays as it is."""
    assert rewritten(text, "docs/x.md", "a/x", ROOT, REQUIREMENTS)[0] == expected


def test_page_that_sphinx_does_not_understand_is_refused(
    sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A warning of Sphinx ends the build, and says where."""
    monkeypatch.setattr(
        "docs.site.build.pages_and_files", lambda _: ({"index": "# One\n\n[two](/three.md)\n"}, {})
    )

    with pytest.raises(SiteError, match="Sphinx is not content"):
        build(tmp_path, sources)
    assert "three.md" in capfd.readouterr().err


def test_no_document_is_left_out() -> None:
    """Every document of the repository has a page on the site."""
    documents = [path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")]
    assert [path for path in documents if page_of(path) is None] == []
