"""``badge.json`` and ``badge.svg``, and one of each for every profile: what a README shows of a run.

The first is for shields.io and whoever else draws from an endpoint, the second needs nobody.  A verdict is a word and
numbers of requirements, never a percentage and never a colour alone; a run of a part is no verdict on the whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape

from celeriac.conformance.headline import is_whole, overall, verdict_counts
from celeriac.conformance.outcome import RequirementResult
from celeriac.conformance.profiles import profiles
from celeriac.spec import PROFILES

__all__ = ["FILES", "Badge", "badges"]

LABEL = "Calling API"

#: Verdict -> what shields.io calls its colour, and the colour itself, on which white text can be read (4.5 to 1).
COLOURS: Mapping[str, tuple[str, str]] = {
    "success": ("brightgreen", "#2e7d32"),
    "partial": ("orange", "#b04a00"),
    "failed": ("red", "#c62828"),
    "not-claimed": ("lightgrey", "#616161"),
    "not-judged": ("lightgrey", "#616161"),
    "incomplete": ("lightgrey", "#616161"),
}
DARK = "#424242"

#: Characters -> how wide they are in a sans serif of 11 pixels; others are as wide as most.
WIDTHS: Mapping[str, float] = {
    **dict.fromkeys("ijl.,:;'|! ", 3.9),
    **dict.fromkeys("frt()-/", 4.9),
    **dict.fromkeys("mwMW", 10.2),
    **dict.fromkeys("ABCDEFGHKLNOPQRSTUVXYZ", 7.8),
}
WIDTH, MARGIN, HEIGHT = 6.8, 6, 20

#: The name of every file in the folder of the report.
FILES = (
    "badge.json",
    "badge.svg",
    *(f"badge-{name}.{suffix}" for name in PROFILES for suffix in ("json", "svg")),
)


@dataclass(frozen=True, slots=True)
class Badge:
    """A sign of two fields.

    Attributes:
        label: what it speaks of.
        message: the verdict in words.
        verdict: a key of ``COLOURS``.
        title: more words, for whoever points at it or cannot see it.
    """

    label: str
    message: str
    verdict: str
    title: str

    def endpoint(self) -> str:
        """Answer the JSON of an endpoint for shields.io."""
        colour, _ = COLOURS[self.verdict]
        content = {"schemaVersion": 1, "label": self.label, "message": self.message, "color": colour}
        return json.dumps(content, indent=2) + "\n"

    def svg(self) -> str:
        """Answer a picture that needs no font, no network and no eyes."""
        left, right = (_width(text) + 2 * MARGIN for text in (self.label, self.message))
        _, colour = COLOURS[self.verdict]
        title = escape(f"{self.label}: {self.title}")
        whole, size = left + right, f'height="{HEIGHT}"'
        lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{whole}" {size} role="img" aria-label="{title}">',
            f"<title>{title}</title>",
            f'<rect width="{whole}" {size} rx="3" fill="{DARK}"/>',
            f'<path d="M{left} 0h{right - 3}a3 3 0 0 1 3 3v14a3 3 0 0 1-3 3h-{right - 3}z" fill="{colour}"/>',
            '<g fill="#fff" font-family="Verdana,DejaVu Sans,Geneva,sans-serif" font-size="11">',
            _text(self.label, MARGIN),
            _text(self.message, left + MARGIN),
            "</g>",
            "</svg>",
        ]
        return "\n".join(lines) + "\n"


def badges(results: Mapping[str, RequirementResult]) -> Iterator[tuple[str, str]]:
    """Answer every badge of a run: the name of its file and its text."""
    whole = is_whole(results)
    found = profiles(results)
    everything = "; ".join(f"{profile.name} {profile}" for profile in found)
    message = verdict_counts(found) if whole else "incomplete run"
    title = everything if whole else "only a part of the requirements was run"
    yield from _files("badge", Badge(LABEL, message, overall(results), title))
    for profile in found:
        words = str(profile) if whole else "incomplete run"
        verdict = profile.verdict if whole else "incomplete"
        yield from _files(f"badge-{profile.name}", Badge(f"{LABEL}, {profile.name}", words, verdict, words))


def _files(place: str, badge: Badge) -> Iterator[tuple[str, str]]:
    yield f"{place}.json", badge.endpoint()
    yield f"{place}.svg", badge.svg()


def _width(text: str) -> int:
    return round(sum(WIDTHS.get(char, WIDTH) for char in text))


def _text(text: str, x: int) -> str:
    return f'<text x="{x}" y="14" textLength="{_width(text)}" lengthAdjust="spacingAndGlyphs">{escape(text)}</text>'
