"""The page on what the field got wrong names requirements and checks that exist, and that belong together."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from celeriac import spec
from tests.saboteurs.coverage import read_checks

PAGE = (Path(__file__).parents[2] / "docs/field-faults.md").read_text(encoding="utf-8")

#: The numbered rows: number, sentence, who, requirements, checks, links.
ROWS = [row.strip("| ").split(" | ") for row in PAGE.splitlines() if re.match(r"\| \d+ \|", row)]

CHECKS = {check.id: check.requirements for check in read_checks()}
REQUIREMENTS = spec.load().requirements


def requirements(row: list[str]) -> list[str]:
    """Answer the requirements of a row."""
    return row[3].split(", ")


def checks(row: list[str]) -> list[str]:
    """Answer the checks of a row."""
    return re.findall(r"`([^`]+)`", row[4])


def test_every_assertion_has_its_row() -> None:
    """The rows are numbered without gaps, have six cells, and begin with the twenty assertions."""
    assert [int(row[0]) for row in ROWS] == list(range(1, len(ROWS) + 1))
    assert {len(row) for row in ROWS} == {6}
    assert len(ROWS) >= 20


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_requirements_and_checks_of_a_row_belong_together(row: list[str]) -> None:
    """Each requirement exists and is decided by a check of the row, and each check decides one of them."""
    named, deciding = requirements(row), checks(row)
    assert set(named) <= REQUIREMENTS.keys()
    assert set(deciding) <= CHECKS.keys()
    assert set(named) <= {name for check in deciding for name in CHECKS[check]}
    assert all(set(named).intersection(CHECKS[check]) for check in deciding)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_links_of_a_row_are_links(row: list[str]) -> None:
    """Where a fault can be seen is one of the two links, or either."""
    assert set(row[5].split(", ")) <= {"amqp", "redis", "either"}


def test_every_sender_of_a_sample_is_told_of() -> None:
    """The clients whose messages are sampled stand on the page by their names."""
    cases = [*spec.vectors("messages")["cases"], *spec.vectors("raw-messages")["cases"]]
    names = {case["sent_by"].split(",")[0] for case in cases if "sent_by" in case}
    assert [name for name in sorted(names) if f"| {name}" not in PAGE] == []


def test_every_requirement_on_the_page_exists() -> None:
    """No id on the page is of a requirement that there is not."""
    assert set(re.findall(r"\b[A-Z]{3}-\d{3}\b", PAGE)) <= REQUIREMENTS.keys()
