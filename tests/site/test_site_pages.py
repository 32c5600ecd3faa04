"""The pages say what the specification, the checks and the recorded runs say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from celeriac.conformance.claim import find_adapter
from celeriac.spec import load, schema_names, vector_names
from docs.site import home, implementations, interop, timelines
from docs.site.chapters import STATES, state, strip
from docs.site.sources import Sources
from docs.site.verdicts import of_row
from tests.implementations.page import verdicts
from tests.saboteurs.coverage import Coverage, read_checks
from tests.saboteurs.roster import ODDITIES, ON_REDIS, SABOTEURS

REQUIREMENTS = load().requirements


def test_every_requirement_has_a_page_of_its_own(pages: dict[str, str]) -> None:
    """The page of a requirement has its sentence, its reason and its anchor."""
    for each in REQUIREMENTS.values():
        text = pages[f"requirements/{each.id}"]
        assert each.sentence in text
        assert each.why in text
        assert f'id="{each.id}"' in text


def test_every_chapter_shows_its_requirements(pages: dict[str, str]) -> None:
    """The page of a chapter has each of its requirements, under the anchor that links use, and all of its prose."""
    for chapter in load().chapters:
        text = pages[f"spec/{chapter.slug}"]
        for each in chapter.requirements:
            assert f'id="{each.id}"' in text
            assert each.sentence.split("`")[0] in text
        for heading in re.findall(r"^## .*$", chapter.prose, re.MULTILINE):
            assert heading in text


def test_schemas_and_vectors_have_pages(pages: dict[str, str]) -> None:
    """Each schema and each file of vectors has a page with the file to take away."""
    for name in schema_names():
        assert f"schemas/{name}.schema.json" in pages[f"spec/schemas/{name}"]
    for name in vector_names():
        assert f"vectors/{name}.json" in pages[f"spec/vectors/{name}"]


def test_numbers_of_the_home_page_are_those_of_the_data(sources: Sources, pages: dict[str, str]) -> None:
    """The four numbers are counted again here, in another way, and stand on the page."""
    everybody = (*SABOTEURS, *ON_REDIS)
    counted = Coverage(load(), read_checks(), everybody, ODDITIES).document()["total"]
    kills, flakes = sources.recorded["kill-matrix"], sources.recorded["flakes"]
    caught = [name for name, checks in kills["saboteurs"].items() if checks]
    expected = {
        "requirements checked": (counted["checked"], counted["normative"]),
        "saboteurs caught": (len({each.id for each in everybody} & set(caught)), len(everybody)),
        "oddities passed": (sum(kills["oddities"][each.id] for each in ODDITIES), len(ODDITIES)),
        "disagreements": (len(flakes["disagreements"]), flakes["runs"]),
    }

    assert home.trust(sources) == expected
    found = re.findall(r"<strong>(\d+)(?: <small>of (\d+)</small>)?</strong>", pages["index"])
    shown = [(int(some), int(of_all)) for some, of_all in found if of_all]
    assert shown == [numbers for name, numbers in expected.items() if name != "disagreements"]
    assert f"disagreements in {flakes['runs']} runs" in pages["index"]


def test_matrix_has_a_word_and_numbers_for_every_profile(sources: Sources, pages: dict[str, str]) -> None:
    """Each recorded run is a line of the home page, each of its verdicts a symbol, a word and numbers."""
    lines = re.findall(r"<tr>.*?</tr>", home.matrix(sources))[1:]
    assert len(lines) == len(sources.rows)
    for row, line in zip(sources.rows, lines, strict=True):
        assert row["date"] in line
        told = re.sub(r" <small>(.*?)</small>", r", \1", line.partition("</th><td")[2])
        assert re.findall(r"</span> (.*?)</span></td>", told) == list(map(str, verdicts(row)))
    assert home.matrix(sources) in pages["index"]
    assert "%" not in pages["index"]


def test_verdicts_on_a_page_are_those_that_were_recorded(sources: Sources, pages: dict[str, str]) -> None:
    """The page of a requirement says of every recorded run what that run has found."""
    for each in REQUIREMENTS.values():
        found = re.findall(r'<td><span class="verdict ([a-z-]+)">', pages[f"requirements/{each.id}"])
        expected = [] if each.excluded else [of_row(row, each.id) for row in sources.rows]
        assert found == expected, each.id


def test_known_failures_on_record_have_their_reason(sources: Sources, pages: dict[str, str]) -> None:
    """Whatever is known to fail has a reason on the page of its requirement, for every run that shows it."""
    for row in sources.rows:
        for name in row["verdicts"].get("known-failure", ()):
            bodies = pages[f"requirements/{name}"].split("<tbody>")
            (body,) = (text for text in bodies if f'implementations/{row["adapter"]}.html"' in text)
            assert "does not hold</span><small>" in body, (row["adapter"], row["broker"], name)


def test_implementations_tell_their_findings(sources: Sources, pages: dict[str, str]) -> None:
    """The page of an implementation has each reason why one of its runs deviates."""
    for name in dict.fromkeys(row["adapter"] for row in sources.rows):
        rows = [row for row in sources.rows if row["adapter"] == name]
        own, shared = implementations.findings(find_adapter(name), rows)
        text = pages[f"implementations/{name}"]
        assert [e for e in (*own, *shared) if e.reason[1:].rstrip(".") not in text] == []
        assert bool(own or shared) == any("known-failure" in row["verdicts"] for row in rows)


def test_strip_tells_three_states_apart(sources: Sources) -> None:
    """A requirement is proven, checked or cannot be checked, by symbol and in words and not by colour alone."""
    proven, excluded = (
        next(r for r in REQUIREMENTS.values() if bool(r.excluded) is is_excluded)
        for is_excluded in (False, True)
    )
    unproven = replace(sources, saboteurs=())
    assert [state(sources, proven), state(unproven, proven)] == ["proven", "checked"]
    assert state(sources, excluded) == "unchecked"
    drawn = strip(sources, [proven, excluded], "spec/x", "it")
    for name in ("proven", "unchecked"):
        assert f">{STATES[name][0]}</a>" in drawn
        assert STATES[name][1] in drawn


def test_timelines_are_to_scale_and_told_in_words(sources: Sources) -> None:
    """A picture of a held task has a title, a description, and lengths that are those of the record."""
    for life in timelines.lives(sources.recorded["matrix"]):
        drawn = timelines.picture(life, "a")
        assert timelines.summary(life) in drawn
        assert drawn.count('class="executed" d=') == len(life.executed)
        marks = [float(x) for x in re.findall(r'class="delivered" cx="([\d.]+)"', drawn)]
        due = float(re.search(r'class="due" x1="([\d.]+)"', drawn)[1])  # type: ignore[index]
        first, second = marks
        scale = (due - first) / life.countdown_s
        assert second - first == pytest.approx(life.delivered[1] * scale, abs=0.2)


def features(**outcomes: str) -> Mapping[str, Mapping[str, str]]:
    """Answer the features of a pair."""
    return {name: {"outcome": outcome, "note": "why"} for name, outcome in outcomes.items()}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (features(args="works"), ("success", "1 of 1")),
        (features(args="works", eta="lost"), ("failed", "1 of 2, 1 silently lost")),
        (features(args="died", eta="lost"), ("failed", "0 of 2, 1 end the worker, 1 silently lost")),
        (features(args="works", eta="refused"), ("partial", "1 of 2, 1 refused")),
        (features(args="not-claimed-by-worker"), ("not-claimed", "0 of 1, 1 not claimed")),
        (
            features(a="works", b="not-claimed-by-worker", c="not-claimed-by-producer"),
            ("success", "1 of 3, 2 not claimed"),
        ),
    ],
)
def test_pairs_are_told_by_the_worst_of_their_features(row: Any, expected: tuple[str, str]) -> None:
    """A pair in which something is lost is marked as that, however much of it works."""
    style, _, words = interop.cell_of(row)
    assert (style, ", ".join(words)) == expected


def test_interop_page_has_every_pair(sources: Sources, pages: dict[str, str]) -> None:
    """Each recorded pair of producer and worker is a cell of the table of its broker, with the number of what works."""
    pairs = sources.recorded["interop"]["pairs"]
    cells = re.findall(
        r'<td data-label="([^"]+)"><span class="verdict [a-z-]+">.*?</span> (\d+ of \d+)', pages["interop"]
    )
    works = [sum(each["outcome"] == "works" for each in pair["features"].values()) for pair in pairs]
    told = [f"{count} of {len(pair['features'])}" for count, pair in zip(works, pairs, strict=True)]
    assert sorted(cells) == sorted(zip((pair["worker"] for pair in pairs), told, strict=True))
