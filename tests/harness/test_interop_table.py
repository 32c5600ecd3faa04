"""The table of who works with whom tells a silent loss from an honest refusal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from celeriac.adapters.reference.adapter import ReferenceAdapter
from celeriac.conformance import cli, interop
from celeriac.conformance.adapter import Adapter, Answer, Broken, Call, Raised, Unsupported
from celeriac.conformance.claim import Claim, find_adapter
from celeriac.conformance.crossing import FEATURES, Party
from celeriac.conformance.interop import lines, parties, write

REFERENCE = find_adapter("reference").claim
ALL: dict[str, str] = dict.fromkeys(FEATURES, "+")


class Forgetful(ReferenceAdapter):
    """Sends a task without its options, one that has a countdown at once."""

    def call(self, call: Call) -> Answer:
        """Drop the options."""
        return super().call(Call(call.task, call.args, call.kwargs, call.mode, {}))


class Honest(ReferenceAdapter):
    """Refuses options."""

    def call(self, call: Call) -> Answer:
        """Answer that there are none."""
        if call.options:
            name = next(iter(call.options))
            return Unsupported(name, "there are no options")
        return super().call(call)


class Failing(ReferenceAdapter):
    """Is an adapter with a defect of its own."""

    def call(self, call: Call) -> Answer:
        """Break."""
        return Broken("line 7 is wrong")


def party(adapter: type[Adapter], name: str, features: Mapping[str, Any] | None = None) -> Party:
    """Answer an implementation that claims what the reference does, with some features changed."""
    claim = Claim(
        name,
        name,
        REFERENCE.roles,
        ("amqp",),
        ("wall",),
        REFERENCE.modes,
        {},
        {**REFERENCE.features, **(features or {})},
    )
    return Party(claim, adapter)


def crossed(producer: Party, worker: Party) -> dict[str, str] | str:
    """Answer what has become of each feature between two implementations on the embedded broker."""
    cells = interop.interop([producer, worker], ["embedded"], None, lambda line: None)
    return cells["embedded", producer.claim.name, worker.claim.name]


def test_everything_survives_between_two_references() -> None:
    """The reference works with itself in every line of the table."""
    assert crossed(party(ReferenceAdapter, "one"), party(ReferenceAdapter, "two")) == ALL


def test_options_that_are_dropped_are_lost() -> None:
    """A producer that drops options has a loss in every line in which one can be seen at the worker."""
    signs = crossed(party(Forgetful, "forgetful"), party(ReferenceAdapter, "two"))

    assert isinstance(signs, dict)
    lost = {name for name, sign in signs.items() if sign == "!"}
    assert lost == {"countdown", "eta", "expires", "link", "errback"}


def test_options_that_are_refused_are_not_lost() -> None:
    """A producer that refuses options is told apart from one that drops them; a worker's own features stay."""
    worker = party(ReferenceAdapter, "two", {"task_retry": False, "errback": False})
    signs = crossed(party(Honest, "honest"), worker)

    assert isinstance(signs, dict)
    assert (signs["args"], signs["link"], signs["retries"], signs["errback"]) == ("+", "-", ".", ".")


def test_broken_adapter_is_named_and_ends_nothing() -> None:
    """An adapter that breaks has its words in the place of signs, and its line in the table says so."""
    cell = crossed(party(Failing, "failing"), party(ReferenceAdapter, "two"))

    assert cell == "'call': line 7 is wrong"
    table = list(lines({("embedded", "failing", "two"): cell}))
    assert "two: 'call': line 7 is wrong" in table
    assert any(line.split() == ["args", "E"] for line in table)


def test_table_has_a_block_for_each_producer_and_a_column_for_each_worker() -> None:
    """A reader finds the producer above, the workers beside it, and a sign under each worker."""
    cells: interop.Cells = {
        ("redis", "one", "one"): ALL,
        ("redis", "one", "another"): {**ALL, "link": "!"},
        ("redis", "another", "one"): {**ALL, "args": "x"},
        ("redis", "another", "another"): ALL,
    }

    table = list(lines(cells))

    assert "redis: one calls  one  another" in table
    assert [line.split() for line in table if line.startswith("link")] == [
        ["link", "+", "!"],
        ["link", "+", "+"],
    ]
    assert "! LOST without a word" in table[0]


def test_report_has_every_pair(tmp_path: Path) -> None:
    """The report folder has the table for people and every pair for programs, an error in the place of its features."""
    write({("redis", "one", "two"): ALL, ("redis", "two", "one"): "it broke"}, tmp_path)

    pairs = json.loads((tmp_path / "interop.json").read_text())["pairs"]
    assert pairs[0] == {"broker": "redis", "producer": "one", "worker": "two", "features": ALL}
    assert pairs[1] == {"broker": "redis", "producer": "two", "worker": "one", "error": "it broke"}
    assert "redis: one calls" in (tmp_path / "interop.md").read_text()


def test_adapter_that_is_not_built_is_left_out_and_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without names everybody takes part who can without a build; whoever cannot is named with the command."""
    monkeypatch.setenv("CELERIAC_CACHE", str(tmp_path))
    said: list[str] = []

    there = parties((), said.append)

    assert "reference" in {each.claim.name for each in there}
    assert "celery-5.7 is left out: it is not built (celeriac build celery-5.7)" in said


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (
            ["--broker=rabit"],
            "celeriac interop: --broker=rabit: known are embedded, rabbitmq, redis, valkey and all",
        ),
        (["--adapter=refrence"], "celeriac interop: unknown adapter 'refrence'; did you mean reference"),
    ],
)
def test_wrong_words_are_one_line(words: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong broker or adapter is one line and status 4."""
    assert cli.main(["interop", *words]) == 4
    assert capsys.readouterr().err.startswith(text)


def test_refused_calls_are_refusals_whatever_the_words() -> None:
    """Raised and unsupported are both honest: neither is a loss."""

    class Raising(ReferenceAdapter):
        def call(self, call: Call) -> Answer:
            refused = Raised("bad-argument", "ValueError", "no options", "none")
            return refused if call.options else super().call(call)

    signs = crossed(party(Raising, "raising"), party(ReferenceAdapter, "two"))

    assert isinstance(signs, dict)
    assert signs["countdown"] == "-"
