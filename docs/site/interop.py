"""The interop matrix: who works with whom, and what is lost on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from celeriac.conformance.interop_table import WORDS
from docs.site.markdown import details, fenced, table
from docs.site.sources import Sources

__all__ = ["cell_of", "page"]

HEAD = """---
hide-toc: true
---

# Interop matrix

Every producer calls every worker, and for each feature somebody looks whether it has arrived: how many of them have is
the number of a cell. What is *silently lost* is the worst: the call succeeded, and nobody was told. What is *not
claimed* by one of the two was not tried.

"""

Row = Mapping[str, Mapping[str, str]]

#: Outcomes that somebody has to hear of, the worst first -> the symbol of a pair in which one occurs.
SYMBOLS: Mapping[str, str] = {
    "died": "✘",
    "lost": "✘",
    "broken": "!",
    "refused": "◐",
    "not-claimed-by-producer": "\N{EN DASH}",
    "not-claimed-by-worker": "\N{EN DASH}",
    "no-common-backend": "\N{EN DASH}",
    "works": "✔",
}

#: Outcome -> how a cell counts it, and the class of a pair in which it is the worst.
SHORT: Mapping[str, tuple[str, str]] = {
    "died": ("end the worker", "failed"),
    "lost": ("silently lost", "failed"),
    "broken": ("adapter broke", "error"),
    "refused": ("refused", "partial"),
    "not-claimed-by-producer": ("not claimed", "success"),
    "not-claimed-by-worker": ("not claimed", "success"),
    "no-common-backend": ("no common back end", "success"),
    "works": ("work", "success"),
}


def cell_of(features: Row) -> tuple[str, str, Sequence[str]]:
    """Answer class, symbol and words of a pair: how many of its features work, and what became of the others."""
    counted = Counter(outcome["outcome"] for outcome in features.values())
    works = counted.pop("works", 0)
    told = Counter[str]()
    for kind, count in counted.items():
        told[SHORT[kind][0]] += count
    worst = next((kind for kind in SYMBOLS if counted.get(kind)), "works")
    style = SHORT[worst][1]
    symbol = SYMBOLS[worst] if style in {"failed", "error", "partial"} else SYMBOLS["works"]
    rest = [f"{count} {words}" for words, count in told.items()]
    worked = f"{works} of {len(features)}"
    if not works and style == "success":
        style, symbol = "not-claimed", SYMBOLS["not-claimed-by-worker"]
    return style, symbol, [worked, *rest]


def page(sources: Sources) -> tuple[str, str]:
    """Answer the page."""
    recorded = sources.recorded["interop"]
    versions = ", ".join(f"{name} {version}" for name, version in recorded["versions"].items())
    brokers = list(dict.fromkeys(pair["broker"] for pair in recorded["pairs"]))
    return "interop", "".join(
        [
            HEAD,
            f"Took part: {versions}. One command makes the whole table:\n\n",
            fenced("celeriac interop --broker=all", "console"),
            *(text for broker in brokers for text in _broker(broker, recorded["pairs"])),
            *_left_out(recorded["left_out"]),
        ]
    )


def _left_out(missing: Mapping[str, str]) -> Iterator[str]:
    if missing:
        yield "## Left out\n\n"
        yield "".join(f"* `{name}`: {reason}\n" for name, reason in missing.items()) + "\n"


def _broker(broker: str, pairs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    here = {
        (pair["producer"], pair["worker"]): pair["features"] for pair in pairs if pair["broker"] == broker
    }
    producers = list(dict.fromkeys(producer for producer, _ in here))
    workers = list(dict.fromkeys(worker for _, worker in here))
    yield f"## On {broker}\n\n"
    heads = "".join(f'<th scope="col">{escape(worker)}</th>' for worker in workers)
    lines = "".join(
        f'<tr><th scope="row">{escape(producer)}</th>'
        + "".join(_td(worker, here.get((producer, worker))) for worker in workers)
        + "</tr>"
        for producer in producers
    )
    yield (
        '<div class="wide"><table class="matrix interop"><thead><tr>'
        f'<th scope="col">calls ↓ &nbsp; executes →</th>{heads}</tr></thead>'
        f"<tbody>{lines}</tbody></table></div>\n\n"
    )
    yield details("What was lost, and between whom", "".join(_losses(here)))
    yield details("Feature by feature", f"{_legend()}\n\n{''.join(_features(here, producers))}")


def _td(worker: str, features: Row | None) -> str:
    if features is None:
        return f'<td data-label="{escape(worker)}">not tried</td>'
    style, symbol, (works, *rest) = cell_of(features)
    words = works + "".join(f" <small>{each}</small>" for each in rest)
    shown = f'<span class="verdict {style}"><span class="symbol" aria-hidden="true">{symbol}</span> {words}</span>'
    return f'<td data-label="{escape(worker)}">{shown}</td>'


def _losses(here: Mapping[tuple[str, str], Row]) -> Iterator[str]:
    """Answer what was lost or ended a worker: once each, with everybody between whom it happens."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for (producer, worker), row in here.items():
        for feature, outcome in row.items():
            if outcome["outcome"] in {"lost", "died", "broken"}:
                key = worker, feature, f"{WORDS[outcome['outcome']][1]}: {outcome['note']}"  # type: ignore[index]
                found.setdefault(key, []).append(producer)
    if not found:
        yield "Nothing.\n\n"
    else:
        rows = (
            [worker, feature, note, ", ".join(who)] for (worker, feature, note), who in sorted(found.items())
        )
        yield table(("worker", "feature", "what became of it", "called by"), rows)


def _features(here: Mapping[tuple[str, str], Row], producers: Sequence[str]) -> Iterator[str]:
    for producer in producers:
        rows = {worker: row for (who, worker), row in here.items() if who == producer}
        names = list(dict.fromkeys(name for row in rows.values() for name in row))
        lines = ([worker, *(_word(row.get(name)) for name in names)] for worker, row in rows.items())
        yield f"**{producer}** calls\n\n{table(['worker', *names], lines)}"


def _legend() -> str:
    return "; ".join(f"**{word}** {meaning}" for word, meaning in WORDS.values()) + "."


def _word(outcome: Mapping[str, str] | None) -> str:
    return WORDS[outcome["outcome"]][0] if outcome else ""  # type: ignore[index]
