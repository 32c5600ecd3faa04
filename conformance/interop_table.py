"""The table of who works with whom: what has become of each feature between a producer and a worker, as text and JSON.

Pure: from outcomes to lines.  A loss without a word is shouted, for whoever calls hears nothing of it either.
"""

from __future__ import annotations

import json
import textwrap
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, NamedTuple

from celeriac.conformance.interop_features import FEATURES
from celeriac.spec import validator

__all__ = ["Cells", "Outcome", "Pair", "document", "lines", "write_interop"]

#: What can have become of a feature.
Kind = Literal[
    "works",
    "refused",
    "not-claimed-by-producer",
    "not-claimed-by-worker",
    "no-common-backend",
    "lost",
    "died",
    "broken",
]

#: How a cell says it, and what that means.
WORDS: Mapping[Kind, tuple[str, str]] = {
    "works": ("ok", "works"),
    "refused": ("no", "refused by the producer"),
    "not-claimed-by-producer": ("-p", "not claimed by the producer"),
    "not-claimed-by-worker": ("-w", "not claimed by the worker"),
    "no-common-backend": ("-b", "no result back end in common"),
    "lost": ("LOST", "silently lost"),
    "died": ("DIED", "the worker died or hangs"),
    "broken": ("ERR", "an adapter broke"),
}

#: The outcomes that are explained below the table, and how their list begins.
EXPLAINED: Mapping[Kind, str] = {
    "lost": "Silently lost",
    "died": "Died or hangs",
    "broken": "Adapters that broke",
}

#: Columns of a terminal that an explanation fills.
WIDTH = 118


@dataclass(frozen=True, slots=True)
class Outcome:
    """What has become of a feature.

    Attributes:
        kind: in a word.
        note: what exactly was lost, or how it was refused; nothing that differs from call to call.
    """

    kind: Kind
    note: str = ""


class Pair(NamedTuple):
    """A producer and a worker on a broker, all by name."""

    broker: str
    producer: str
    worker: str


#: Pair -> feature -> what has become of it.
Cells = Mapping[Pair, Mapping[str, Outcome]]


def lines(cells: Cells) -> Iterator[str]:
    """Answer the table: a block for each broker and producer, a line for each worker, a column for each feature."""
    short = {f.heading: name for name, f in FEATURES.items() if f.heading != name}
    for legend in (dict(WORDS.values()), short):
        yield from textwrap.wrap("; ".join(f"{word}: {meaning}" for word, meaning in legend.items()), WIDTH)
    width = max((len(f"{pair.producer} calls") for pair in cells), default=0)
    width = max((width, *(len(pair.worker) + 2 for pair in cells)))
    for broker in _names(cells, 0):
        yield from ("", f"== {broker} ==")
        for producer in _names(cells, 1):
            rows = {pair.worker: row for pair, row in cells.items() if pair[:2] == (broker, producer)}
            if rows:
                yield from ("", *_block(f"{producer} calls", rows, width))
    for kind, title in EXPLAINED.items():
        yield from _explanations(kind, title, cells)


def _names(cells: Cells, place: int) -> Iterable[str]:
    return dict.fromkeys(pair[place] for pair in cells)


def _block(title: str, rows: Mapping[str, Mapping[str, Outcome]], width: int) -> Iterator[str]:
    headings = [feature.heading for feature in FEATURES.values()]
    yield f"{title:<{width}} {' '.join(f'{heading:<4}' for heading in headings)}".rstrip()
    for worker, row in rows.items():
        words = (f"{WORDS[row[name].kind][0]:<{max(4, len(f.heading))}}" for name, f in FEATURES.items())
        yield f"{f'  {worker}':<{width}} {' '.join(words)}".rstrip()


def _explanations(kind: str, title: str, cells: Cells) -> Iterator[str]:
    """Answer what was lost, each loss once, with everybody between whom it happens."""
    found: defaultdict[tuple[str, str, str], dict[str, list[str]]] = defaultdict(dict)
    for pair, row in cells.items():
        for feature, outcome in row.items():
            if outcome.kind == kind:
                where = found[pair.broker, feature, outcome.note]
                where.setdefault(pair.worker, []).append(pair.producer)
    for broker in _names(cells, 0):
        here = [(feature, note, where) for (name, feature, note), where in found.items() if name == broker]
        if here:
            yield from ("", f"{title} on {broker}:")
        for feature, note, where in sorted(here, key=lambda loss: list(FEATURES).index(loss[0])):
            yield f"  {feature}: {note}"
            for producers, workers in _rectangles(where):
                yield from _wrapped(f"{', '.join(producers)} to {', '.join(workers)}")


def _rectangles(where: Mapping[str, Sequence[str]]) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
    """Answer producers and workers, every one of the first with every one of the second."""
    alike: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for worker, producers in where.items():
        alike[tuple(producers)].append(worker)
    yield from alike.items()


def _wrapped(text: str) -> Iterator[str]:
    yield from textwrap.wrap(
        text, WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 8, break_on_hyphens=False
    )


def document(cells: Cells, versions: Mapping[str, str], missing: Mapping[str, str]) -> dict[str, Any]:
    """Answer ``interop.json``, which the schema ``interop`` describes.

    Args:
        cells: what has become of what.
        versions: name of an adapter -> the version of what it drives.
        missing: name of an adapter that is left out, or of a broker that cannot be had -> the reason.
    """
    return {
        "suite": {"version": version("celeriac")},
        "versions": dict(versions),
        "left_out": dict(missing),
        "pairs": [{**pair._asdict(), "features": _features(row)} for pair, row in cells.items()],
    }


def _features(row: Mapping[str, Outcome]) -> dict[str, dict[str, str]]:
    return {name: {"outcome": o.kind, **({"note": o.note} if o.note else {})} for name, o in row.items()}


def write_interop(
    folder: Path, cells: Cells, versions: Mapping[str, str], missing: Mapping[str, str]
) -> Collection[Path]:
    """Write ``interop.json`` and ``interop.md`` and answer their paths.

    Raises:
        AssertionError: the document breaks its schema, which is a bug of ours.
        OSError: the folder cannot be made or written to.
    """
    content = document(cells, versions, missing)
    assert not (faults := [e.message for e in validator("interop").iter_errors(content)]), faults
    folder.mkdir(parents=True, exist_ok=True)
    data, page = folder / "interop.json", folder / "interop.md"
    data.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    page.write_text("\n".join(_page(cells, versions, missing)) + "\n", encoding="utf-8")
    return (data, page)


def _page(cells: Cells, versions: Mapping[str, str], missing: Mapping[str, str]) -> Iterator[str]:
    yield from ("# Who works with whom", "")
    yield from (f"* {name} {number}" for name, number in versions.items())
    yield from (f"* {name} is left out: {reason}" for name, reason in missing.items())
    yield from ("", "```text", *lines(cells), "```")
