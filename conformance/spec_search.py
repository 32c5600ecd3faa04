"""``celeriac spec --search``: requirements by the words in them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from celeriac.spec import Chapter, Requirement, Spec

__all__ = ["Passage", "missed", "passages", "search"]

#: The parts of a requirement that are searched, the weightiest first.
PARTS = ("id", "sentence", "why", "known", "excluded")

PARAGRAPH = re.compile(r"\n\s*\n")
WORD = re.compile(r"[a-z][a-z0-9_]{2,}")


@dataclass(frozen=True, slots=True)
class Passage:
    """A paragraph of a chapter outside its requirements."""

    chapter: Chapter
    text: str


def search(spec: Spec, words: Sequence[str]) -> list[Requirement]:
    """Answer the requirements that have all words, wherever case puts them, the best first.

    What has them in its id comes first, then in its sentence, then in its reason, then across all its parts; what is
    alike stays in the order of the specification.
    """
    ranked = ((_rank(requirement, words), requirement) for requirement in spec.requirements.values())
    found = [(rank, requirement) for rank, requirement in ranked if rank is not None]
    return [requirement for _, requirement in sorted(found, key=lambda pair: pair[0])]


def passages(spec: Spec, words: Sequence[str]) -> list[Passage]:
    """Answer the paragraphs around the requirements that have all words."""
    paragraphs = (Passage(chapter, text) for chapter in spec.chapters for text in _paragraphs(chapter))
    return [paragraph for paragraph in paragraphs if _has(paragraph.text, words)]


def missed(spec: Spec, words: Sequence[str]) -> str:
    """Answer one line for somebody who found nothing: what each word alone would find, and words like it."""
    if len(words) > 1 and all(search(spec, [word]) for word in words):
        alone = ", ".join(f"{word!r} in {len(search(spec, [word]))}" for word in words)
        return f"no requirement has all of these words: {alone}"
    strange = [word for word in words if not search(spec, [word])]
    near = dict.fromkeys(each for word in strange for each in _near(spec, word))
    advice = f"; did you mean {' or '.join(near)}?" if near else "; `celeriac spec` lists all requirements"
    return f"no requirement has {' or '.join(map(repr, strange))}{advice}"


def _rank(requirement: Requirement, words: Sequence[str]) -> int | None:
    parts = [str(getattr(requirement, part) or "") for part in PARTS]
    for rank, part in enumerate(parts):
        if _has(part, words):
            return rank
    return len(parts) if _has(" ".join(parts), words) else None


def _has(text: str, words: Sequence[str]) -> bool:
    plain = " ".join(text.split()).casefold()
    return all(word.casefold() in plain for word in words)


def _paragraphs(chapter: Chapter) -> Iterator[str]:
    texts = (" ".join(text.split()) for text in PARAGRAPH.split(chapter.prose))
    return (text for text in texts if text and not text.startswith("#"))


def _near(spec: Spec, word: str) -> list[str]:
    """Answer words of the specification that look like one that it does not have."""
    return difflib.get_close_matches(word.casefold(), _vocabulary(spec), n=3, cutoff=0.75)


def _vocabulary(spec: Spec) -> Mapping[str, None]:
    texts = (
        str(getattr(requirement, part) or "")
        for requirement in spec.requirements.values()
        for part in PARTS[1:]
    )
    return dict.fromkeys(word for text in texts for word in WORD.findall(text.casefold()))
