"""A badge says a verdict in a word and in numbers, to shields.io, to eyes and to ears."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from celeriac.conformance.badges import COLOURS, DARK, FILES, Badge, badges
from celeriac.conformance.outcome import CUT_SHORT, Outcome, RequirementResult

FAILED = Outcome("fail", "no")
SVG = "{http://www.w3.org/2000/svg}"


def test_every_file_is_written(results: Callable[..., Any]) -> None:
    """There is a badge of each kind for all together and for each profile."""
    assert {name for name, _ in badges(results())} == set(FILES)


@pytest.mark.parametrize(
    ("outcomes", "message", "colour"),
    [
        ({}, "6 success", "brightgreen"),
        ({"LNK_001": FAILED}, "5 success, 1 failed", "red"),
        ({"ETA_008": FAILED}, "5 success, 1 partial", "orange"),
        (
            {"LNK_001": FAILED, "ETA_008": Outcome("known-failure", "a bug")},
            "4 success, 1 partial, 1 failed",
            "red",
        ),
        ({"LNK_001": Outcome("not-run", CUT_SHORT)}, "incomplete run", "lightgrey"),
    ],
)
def test_message(
    outcomes: dict[str, Outcome], message: str, colour: str, results: Callable[..., Any]
) -> None:
    """The badge counts profiles by verdict and has the colour of the worst; a part of a run is no verdict."""
    found = {
        name: each
        if each.verdict != "not-run"
        else RequirementResult(each.requirement, "not-run", each.reason)
        for name, each in results(**outcomes).items()
    }
    texts = dict(badges(found))
    assert json.loads(texts["badge.json"]) == {
        "schemaVersion": 1,
        "label": "Calling API",
        "message": message,
        "color": colour,
    }


def test_badge_of_a_profile(results: Callable[..., Any]) -> None:
    """The badge of a profile has its counts of requirements."""
    texts = dict(badges(results(LNK_001=FAILED)))
    assert json.loads(texts["badge-workflow.json"])["message"] == "failed, 1 of 48 broken"
    assert json.loads(texts["badge-worker.json"])["message"].startswith("success, all ")
    assert all("%" not in text for text in texts.values())


def test_picture(results: Callable[..., Any]) -> None:
    """The picture is one that a screen reader can tell, and its two texts fit their fields."""
    for name, text in badges(results(LNK_001=FAILED)):
        if name.endswith(".svg"):
            root = ET.fromstring(text)  # noqa: S314 - made above
            title = root.findtext(f"{SVG}title") or ""
            assert root.get("role") == "img"
            assert root.get("aria-label") == title
            first, second = root.iter(f"{SVG}text")
            assert title.startswith(f"{first.text}: ")
            fields = root.findall(f"{SVG}path")
            border = int(re.findall(r"M(\d+)", fields[0].get("d") or "")[0])
            edges = [0, int(first.get("x", 0)), _end(first), border, int(second.get("x", 0)), _end(second)]
            assert all(left < right for left, right in pairwise([*edges, int(root.get("width", 0))]))


@pytest.mark.parametrize("colour", [DARK, *(picture for _, picture in COLOURS.values())])
def test_text_can_be_read(colour: str) -> None:
    """White text has a contrast of at least 4.5 to 1 on every colour."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    luminance = sum(part * weight for part, weight in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))
    assert 1.05 / (luminance + 0.05) >= 4.5


def test_markup_is_text() -> None:
    """Whatever a label says, the picture stays well-formed."""
    root = ET.fromstring(Badge("<&>", '"a"', "failed", "<'\">").svg())  # noqa: S314 - made here
    assert root.findtext(f"{SVG}title") == "<&>: <'\">"


def _end(text: ET.Element) -> int:
    return int(text.get("x", 0)) + int(text.get("textLength", 0))
