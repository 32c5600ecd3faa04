"""The table of who works with whom, from recorded outcomes: a silent loss is not to be overlooked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from celeriac.conformance.interop_features import FEATURES
from celeriac.conformance.interop_table import WORDS, Outcome, Pair, lines, write_interop
from celeriac.spec import schema, validator

WORKS = dict.fromkeys(FEATURES, Outcome("works"))


def lost(**losses: str) -> dict[str, Outcome]:
    """Answer a row in which all works but these, by feature."""
    return {**WORKS, **{name: Outcome("lost", note) for name, note in losses.items()}}


def row(table: list[str], producer: str, worker: str) -> list[str]:
    """Answer the words of a pair, in the order of the features."""
    block = next(n for n, line in enumerate(table) if line.startswith(f"{producer} calls"))
    return next(line.split()[1:] for line in table[block:] if line.split()[:1] == [worker])


def test_every_outcome_has_a_word_of_its_own() -> None:
    """What works, what was refused, what nobody claims and what was lost are told apart in the row of their pair."""
    outcomes = {name: Outcome(kind, "why") for name, kind in zip(FEATURES, WORDS, strict=False)}
    cells = {Pair("redis", "one", "two"): {**WORKS, **outcomes}}

    words = row(list(lines(cells)), "one", "two")

    assert words[: len(WORDS)] == ["ok", "no", "-p", "-w", "-b", "LOST", "DIED", "ERR"]
    assert set(words[len(WORDS) :]) == {"ok"}


def test_table_has_a_block_for_each_producer_and_a_line_for_each_worker() -> None:
    """A reader finds the broker, under it each producer, and a line for each worker it calls."""
    cells = {Pair("redis", p, w): WORKS for w in ("one", "another") for p in ("one", "another")}

    table = list(lines(cells))

    assert table.count("== redis ==") == 1
    assert [line.split()[:2] for line in table if "calls" in line] == [["one", "calls"], ["another", "calls"]]
    assert sum(line.startswith("  one ") for line in table) == 2


def test_table_fits_120_columns() -> None:
    """The longest bundled name leaves room for every feature."""
    cells = {Pair("rabbitmq", "reference-process", "celery-redis-plus"): lost(link="the link was not called")}

    assert max(map(len, lines(cells))) <= 120


def test_loss_is_told_once_with_everybody_between_whom_it_happens() -> None:
    """Below the table a loss stands once, before all producers and workers of whom every two have it."""
    cells = {
        Pair("redis", "one", "fast"): lost(eta="it ran before its time"),
        Pair("redis", "two", "fast"): lost(eta="it ran before its time"),
        Pair("redis", "one", "deaf"): lost(eta="it ran before its time", link="the link was not called"),
        Pair("redis", "two", "deaf"): lost(eta="it ran before its time"),
    }

    table = list(lines(cells))

    assert table[table.index("Silently lost on redis:") + 1 :] == [
        "  eta: it ran before its time",
        "      one, two to fast, deaf",
        "  link: the link was not called",
        "      one to deaf",
    ]


@pytest.mark.parametrize(
    ("outcome", "title"),
    [
        (Outcome("died", "the worker ended with status 1"), "Died or hangs on embedded:"),
        (Outcome("broken", "'call': line 7 is wrong"), "Adapters that broke on embedded:"),
    ],
)
def test_deaths_and_broken_adapters_are_told_apart_from_losses(outcome: Outcome, title: str) -> None:
    """A worker that died and an adapter that broke have lists of their own."""
    table = list(lines({Pair("embedded", "one", "two"): {**WORKS, "args": outcome}}))

    assert table[-3:] == [title, f"  args: {outcome.note}", "      one to two"]
    assert not any("Silently" in line for line in table)


def test_report_has_every_pair(tmp_path: Path) -> None:
    """The report folder has the table for people, and every pair, version and absentee for programs."""
    cells = {
        Pair("redis", "one", "two"): lost(link="the link was not called"),
        Pair("redis", "two", "one"): WORKS,
    }

    written = write_interop(tmp_path / "new", cells, {"one": "1.0"}, {"three": "it is not built"})

    assert [path.name for path in written] == ["interop.json", "interop.md"]
    data, page = (path.read_text() for path in written)
    found = json.loads(data)
    validator("interop").validate(found)
    assert (found["versions"], found["left_out"]) == ({"one": "1.0"}, {"three": "it is not built"})
    assert found["pairs"][0]["features"]["link"] == {"outcome": "lost", "note": "the link was not called"}
    assert found["pairs"][1]["features"]["link"] == {"outcome": "works"}
    assert "* one 1.0" in page
    assert "* three is left out: it is not built" in page
    assert "one calls" in page


def test_report_that_breaks_its_schema_is_not_written(tmp_path: Path) -> None:
    """A loss without words is a bug of the harness, found before anybody reads the report."""
    with pytest.raises(AssertionError, match="note"):
        write_interop(tmp_path, {Pair("redis", "one", "two"): lost(link="")}, {}, {})

    assert list(tmp_path.iterdir()) == []


def test_nothing_crossed_is_a_legend_alone() -> None:
    """Without a pair there is no block."""
    assert not any("calls" in line for line in lines({}))


def test_schema_knows_every_outcome() -> None:
    """The schema of the report has the outcomes of the table, in the same order."""
    assert schema("interop")["$defs"]["outcome"]["properties"]["outcome"]["enum"] == list(WORDS)
