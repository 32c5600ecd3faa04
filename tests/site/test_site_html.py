"""The built site: every page is there, every link leads somewhere, programs find their twins, people what they seek."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from celeriac.spec import load, validator
from docs.site.links import dangling
from docs.site.sources import Sources
from docs.site.twins import TWINS

#: Names of the browser on different systems.
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def test_every_page_is_built(html: Path, pages: dict[str, str]) -> None:
    """Each page that was written has become HTML, and there is one for each requirement and each chapter."""
    assert [name for name in pages if not (html / f"{name}.html").is_file()] == []
    spec = load()
    assert [name for name in spec.requirements if not (html / f"requirements/{name}.html").is_file()] == []
    assert [each.slug for each in spec.chapters if not (html / f"spec/{each.slug}.html").is_file()] == []


def test_no_link_leads_nowhere(html: Path) -> None:
    """Every link and anchor of the site exists, and whatever leads outside is an address."""
    assert list(dangling(html)) == []


@pytest.mark.parametrize(
    ("link", "problem"),
    [
        ("b.html", "there is no such file"),
        ("a.html#there", "the page has no such anchor"),
        ("#there", "the page has no such anchor"),
        ("/a.html", "is neither an address nor a way from this page"),
        ("https://", "is no address"),
        ("https://example.org/a b", "is no address"),
        ("javascript:it()", "is neither an address nor a way from this page"),
        ("a.html#here", ""),
        ("https://example.org/", ""),
    ],
)
def test_link_that_leads_nowhere_is_found(tmp_path: Path, link: str, problem: str) -> None:
    """A file or an anchor that does not exist is found, and so is an address that is none."""
    (tmp_path / "a.html").write_text(f'<p id="here"><a href="{link}">x</a></p>')
    assert list(dangling(tmp_path)) == ([f"a.html: {link}: {problem}"] if problem else [])


def test_nothing_is_loaded_from_elsewhere(html: Path) -> None:
    """No page needs a network: styles, scripts and pictures are the site's own."""
    loaded = re.compile(
        r'<(?:script|img|iframe)[^>]+src="(https?:)?//|<link[^>]+stylesheet[^>]+href="(https?:)?//'
    )
    assert [path.name for path in html.rglob("*.html") if loaded.search(path.read_text())] == []


@pytest.mark.parametrize("name", TWINS)
def test_twins_follow_their_schemas(html: Path, name: str) -> None:
    """What the site offers to programs is valid, and its schema lies beside it."""
    validator(TWINS[name]).validate(json.loads((html / name).read_text()))
    assert (html / "schemas" / f"{TWINS[name]}.schema.json").is_file()


def test_twins_say_what_the_pages_say(html: Path, sources: Sources) -> None:
    """The twins have every requirement and every recorded run, and a page for each of them."""
    requirements = json.loads((html / "requirements.json").read_text())["requirements"]
    assert [each["id"] for each in requirements] == list(load().requirements)
    matrix = json.loads((html / "matrix.json").read_text())["rows"]
    assert [(row["adapter"], row["broker"]) for row in matrix] == [
        (row["adapter"], row["broker"]) for row in sources.rows
    ]
    assert [each["page"] for each in (*requirements, *matrix) if not (html / each["page"]).is_file()] == []
    assert json.loads((html / "results.json").read_text()) == sources.recorded["implementations"]


def test_every_recorded_run_has_its_badge(html: Path, sources: Sources) -> None:
    """The badge of a run says how many profiles have which verdict, as picture and as endpoint."""
    for row in sources.rows:
        endpoint = json.loads((html / f"badges/{row['adapter']}-{row['broker']}.json").read_text())
        words = dict(reversed(part.split(" ", 1)) for part in endpoint["message"].split(", "))
        found = [profile["verdict"].replace("-", " ") for profile in row["profiles"].values()]
        assert {name: int(count) for name, count in words.items()} == {
            name: found.count(name) for name in words
        }
        assert endpoint["message"] in (html / f"badges/{row['adapter']}-{row['broker']}.svg").read_text()


def test_python_interface_has_its_docstrings(html: Path) -> None:
    """The reference shows what the docstrings say."""
    assert "Answer the specification of this package" in (html / "reference/python/spec.html").read_text()
    assert "BrokerProcess" in (html / "reference/python/broker.html").read_text()
    assert "Requirement" in (html / "reference/python/spec.html").read_text()


def browser() -> str:
    """Answer the program of the browser; without one skip loudly, and fail under CI=true."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None and os.environ.get("CI") == "true":
        pytest.fail("Chromium is required under CI=true")
    if found is None:
        pytest.skip("NO BROWSER: install chromium")
    return found


def test_search_finds_a_requirement_without_a_network(html: Path, tmp_path: Path) -> None:
    """A reader who opens the folder in a browser and searches for a word finds the requirement that has it."""
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}", "--dump-dom"]
    budget = "--virtual-time-budget=60000"  # milliseconds that the page is given, not that anybody waits
    address = f"{(html / 'search.html').as_uri()}?q=daylight"
    found = subprocess.run(
        [browser(), *options, budget, address], capture_output=True, text=True, check=False, timeout=120
    )
    results = re.findall(r'<li class="kind-[a-z]+"><a href="([^"]+)"', found.stdout)
    assert "requirements/ETA-011.html" in [each.partition("?")[0] for each in results], found.stderr[-2000:]
