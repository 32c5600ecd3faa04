"""The page of results says what was recorded and what the expectations say."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from celeriac.conformance.claim import bundled, find_adapter
from celeriac.conformance.expectations import read_expectations
from celeriac.conformance.outcome import GRAVITY
from tests.implementations.page import ADAPTERS, Place, page, places, row

DOCS = Path(__file__).resolve().parents[2] / "docs"
ROWS: list[dict[str, Any]] = json.loads((DOCS / "implementations.json").read_text())["rows"]

RESULTS = {
    "implementation": {"name": "Mine", "version": "1.2"},
    "broker": {"flavour": "rabbitmq", "from": "process", "version": "3.10.8"},
    "counts": {
        **dict.fromkeys(GRAVITY, 0),
        "pass": 7,
        "known-failure": 2,
        "fail": 1,
        "error": 3,
        "not-applicable": 5,
    },
    "duration_s": 12.4,
}


def test_page_is_what_the_record_and_the_expectations_make() -> None:
    """The page is generated: scripts/implementations --page makes it from the record and the present expectations."""
    assert (DOCS / "implementations.md").read_text() == page(ROWS)


def test_rows_are_of_bundled_adapters_where_they_are_judged() -> None:
    """Each row is of a bundled adapter on a broker that it speaks, no row twice, and nothing was unexpected."""
    possible = [
        (place.adapter, place.broker) for name in ADAPTERS for place in places(find_adapter(name).claim)
    ]
    there = [(r["adapter"], r["broker"]) for r in ROWS]

    assert set(there) <= set(possible)
    assert len(there) == len(set(there))
    assert [r for r in ROWS if r["other"]] == []


def test_no_bundled_adapter_is_left_out() -> None:
    """Every bundled adapter has a place on the page but the one that is judged under its version."""
    assert {*ADAPTERS, "celery-5.5"} == set(bundled())


def test_row_counts_what_was_not_expected() -> None:
    """A row counts everything that is neither a pass nor known nor not applicable as other."""
    there = row(Place("mine", "rabbitmq"), RESULTS)

    assert (there["pass"], there["known"], there["other"], there["not_applicable"]) == (7, 2, 4, 5)
    assert "| reference | 1.2 | rabbitmq 3.10.8 | 7 | 2 | 4 | 5 | 12 |" in page(
        [{**there, "adapter": "reference"}]
    )


@pytest.mark.parametrize("name", ADAPTERS)
def test_known_failures_have_reasons_for_maintainers(name: str) -> None:
    """No known failure of a bundled adapter is a draft, and a thread is named as owner/repository#number."""
    entries = read_expectations(find_adapter(name).expectations, date.min).entries

    assert [e for e in entries if e.reason.startswith("DRAFT")] == []
    threads = [e.issue for e in entries if e.issue]
    assert [t for t in threads if t.count("/") != 1 or not t.partition("#")[2].isdigit()] == []
