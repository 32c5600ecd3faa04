"""The numbers and tables of the home page, all computed from the specification and from what was recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import groupby
from typing import Any

from celeriac.conformance.profiles import MEANINGS
from celeriac.spec import PROFILES
from docs.site.sources import Sources
from docs.site.verdicts import SYMBOLS, profile_cell
from tests.implementations.page import verdicts

__all__ = ["matrix", "numbers", "trust"]


def trust(sources: Sources) -> Mapping[str, tuple[int, int]]:
    """Answer the four numbers by which the suite may be trusted: what -> how many of how many.

    Of runs, the first number is how many checks disagreed in them.
    """
    kills, flakes = sources.recorded["kill-matrix"], sources.recorded["flakes"]
    caught = [each.id for each in sources.saboteurs if kills["saboteurs"].get(each.id)]
    passed = [each.id for each in sources.oddities if kills["oddities"].get(each.id)]
    return {
        "requirements checked": (len(sources.checks_of), len(sources.requirements)),
        "saboteurs caught": (len(caught), len(sources.saboteurs)),
        "oddities passed": (len(passed), len(sources.oddities)),
        "disagreements": (len(flakes["disagreements"]), flakes["runs"]),
    }


def numbers(sources: Sources) -> str:
    """Answer the four numbers in HTML, each with a link to the page behind it."""
    kills, flakes = sources.recorded["kill-matrix"], sources.recorded["flakes"]
    found = trust(sources)
    told = {
        "requirements checked": ("requirements/index.html", "the others say why they cannot be"),
        "saboteurs caught": (
            "quality/kill-matrix.html",
            f"implementations wrong on purpose, {kills['date']}",
        ),
        "oddities passed": (
            "quality/kill-matrix.html#oddities",
            "implementations odd but lawful, none blamed",
        ),
        "disagreements": ("quality/flakes.html", f"of checks, in runs in random orders, {flakes['date']}"),
    }
    items = []
    for name, (href, words) in told.items():
        some, of_all = found[name]
        runs = name == "disagreements"
        title = f"{name} in {of_all} runs" if runs else name
        number = f"{some}" if runs else f"{some} <small>of {of_all}</small>"
        items.append(
            f'<li><a href="{href}"><strong>{number}</strong><span class="title">{title}</span>'
            f'<span class="note">{words}</span></a></li>'
        )
    return f'<ul class="numbers">{"".join(items)}</ul>'


def matrix(sources: Sources, page: str = "index") -> str:
    """Answer the table of implementations and profiles in HTML."""
    up = "../" * page.count("/")
    heads = "".join(f'<th scope="col" title="{escape(told)}">{name}</th>' for name, told in PROFILES.items())
    bodies = "".join(
        f"<tbody>{''.join(_lines(list(rows), up))}</tbody>"
        for _, rows in groupby(sources.rows, key=lambda row: row["adapter"])
    )
    return (
        '<div class="wide"><table class="matrix"><thead><tr><th scope="col">implementation</th>'
        f'<th scope="col">broker</th>{heads}</tr></thead>{bodies}</table></div>\n'
        f'<p class="legend">{_legend()}</p>'
    )


def _lines(rows: Sequence[Mapping[str, Any]], up: str) -> Iterator[str]:
    for number, row in enumerate(rows):
        name = ""
        if not number:
            first = f'<a href="{up}implementations/{row["adapter"]}.html">{escape(row["adapter"])}</a>'
            name = (
                f'<th scope="rowgroup" rowspan="{len(rows)}">{first}<small>{escape(_who(row))}</small></th>'
            )
        cells = "".join(
            f'<td data-label="{result.name}">{profile_cell(result)}</td>' for result in verdicts(row)
        )
        where = f"{row['broker']} {row['broker_version']}"
        yield (
            f'<tr>{name}<th scope="row" class="where">{escape(where)}'
            f"<small>{row['date']}, {row['clock']} clock</small></th>{cells}</tr>"
        )


def _who(row: Mapping[str, Any]) -> str:
    return f"{row['implementation']} {row['version']}"


def _legend() -> str:
    return " ".join(
        f'<span class="verdict {name}"><span class="symbol" aria-hidden="true">{SYMBOLS[name]}</span> '
        f"{name.replace('-', ' ')}</span>: {meaning}."
        for name, meaning in reversed(list(MEANINGS.items()))
        if name != "not-judged"
    )
