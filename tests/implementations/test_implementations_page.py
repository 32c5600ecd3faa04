"""The page of results says what was recorded and what the expectations say."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from celeriac.conformance.claim import bundled, find_adapter
from celeriac.conformance.expectations import read_expectations
from celeriac.spec import PROFILES, load, validator
from tests.implementations.page import ADAPTERS, UNEXPECTED, Place, as_text, page, places, row, with_matrix

DOCS = Path(__file__).resolve().parents[2] / "docs"
ROWS: list[dict[str, Any]] = json.loads((DOCS / "implementations.json").read_text())["rows"]

#: Verdict -> how many requirements have it in a run that never was.
COUNTS = {"pass": 7, "known-failure": 2, "fail": 1, "error": 3, "not-applicable": 5}
NAMES = iter(load().requirements)
PROFILE = {"verdict": "failed", "passed": 7, "judged": 13, "deviating": ["ETA-004"], "unclaimed": []}
RESULTS = {
    "suite": {"version": "0.1"},
    "spec": {"version": "1.0"},
    "implementation": {"name": "Mine", "version": "1.2"},
    "broker": {"flavour": "rabbitmq", "from": "process", "version": "3.10.8"},
    "clock": "wall",
    "started": "2026-01-31T23:59:59+00:00",
    "duration_s": 12.4,
    "profiles": dict.fromkeys(PROFILES, PROFILE),
    "requirements": {
        next(NAMES): {"verdict": verdict} for verdict, count in COUNTS.items() for _ in range(count)
    },
}


def test_page_is_what_the_record_and_the_expectations_make() -> None:
    """The page is generated: scripts/implementations --page makes it from the record and the present expectations."""
    assert (DOCS / "implementations.md").read_text() == page(ROWS)


def test_readme_has_the_present_table() -> None:
    """README's table is made of the same record, with a line for each implementation."""
    readme = (DOCS.parent / "README.md").read_text()

    assert with_matrix(readme, ROWS) == readme
    assert readme.count("\n| `") == 1 + len({r["adapter"] for r in ROWS})


def test_readme_without_a_table_is_refused() -> None:
    """Where README has no such table, nothing is written over."""
    with pytest.raises(ValueError, match=r"README\.md has no table"):
        with_matrix("# Celeriac\n", ROWS)


def test_rows_are_of_bundled_adapters_where_they_are_judged() -> None:
    """Each row is of a bundled adapter on a broker that it speaks, no row twice, and nothing was unexpected."""
    possible = [
        (place.adapter, place.broker) for name in ADAPTERS for place in places(find_adapter(name).claim)
    ]
    there = [(r["adapter"], r["broker"]) for r in ROWS]

    assert set(there) <= set(possible)
    assert len(there) == len(set(there))
    assert [r for r in ROWS if set(UNEXPECTED) & r["verdicts"].keys()] == []


def test_rows_follow_their_schema() -> None:
    """What is recorded is what the schema describes, and speaks of requirements that exist."""
    validator("implementations").validate({"rows": ROWS})
    named = {name for r in ROWS for ids in r["verdicts"].values() for name in ids}
    assert named <= load().requirements.keys()


def test_rows_are_all_there_is_to_say_of_a_requirement() -> None:
    """What has passed and what has another verdict is everything that there is."""
    everything = len(load().requirements)
    assert [r for r in ROWS if r["pass"] + sum(map(len, r["verdicts"].values())) != everything] == []


def test_no_bundled_adapter_is_left_out() -> None:
    """Every bundled adapter has a place on the page but the one that is judged under its version."""
    assert {*ADAPTERS, "celery-5.5"} == set(bundled())


def test_row_keeps_the_ids_behind_each_verdict() -> None:
    """A row names the requirements of every verdict but a pass, and the page counts what nobody foresaw as other."""
    there = row(Place("mine", "rabbitmq"), RESULTS)

    validator("implementations").validate({"rows": [there]})
    assert (there["pass"], there["date"]) == (7, "2026-01-31")
    assert {verdict: len(ids) for verdict, ids in there["verdicts"].items()} | {"pass": 7} == COUNTS
    text = page([{**there, "adapter": "reference"}])
    assert "| reference | 1.2 | rabbitmq 3.10.8 | 7 | 2 | 4 | 5 | wall | 12 | 2026-01-31 |" in text
    assert "| reference | rabbitmq 3.10.8 | failed, 1 of 13 broken |" in text


def test_written_rows_have_a_line_per_list() -> None:
    """The file of recorded rows has a list of ids on one line, and is the JSON that it was made from."""
    there = row(Place("mine", "rabbitmq"), RESULTS)

    assert json.loads(as_text({"rows": [there]})) == {"rows": [there]}
    assert max(map(len, as_text({"rows": [there]}).split("\n"))) > 40
    assert len(as_text({"rows": [there]}).split("\n")) < 90


@pytest.mark.parametrize("name", ADAPTERS)
def test_known_failures_have_reasons_for_maintainers(name: str) -> None:
    """No known failure of a bundled adapter is a draft, and a thread is named as owner/repository#number."""
    entries = read_expectations(find_adapter(name).expectations, date.min).entries

    assert [e for e in entries if e.reason.startswith("DRAFT")] == []
    threads = [e.issue for e in entries if e.issue]
    assert [t for t in threads if t.count("/") != 1 or not t.partition("#")[2].isdigit()] == []
