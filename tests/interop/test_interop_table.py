"""The table of what crosses says what happened, and its deviations are asserted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.table import DEVIATION, DEVIATIONS, FEATURE, Table

CELL = ("eta", "reference", "celery-5.5", "redis")


def report(outcome: str, when: str = "call", *properties: tuple[str, object]) -> pytest.TestReport:
    """Answer what pytest reports of a part of a test."""
    report = pytest.TestReport("t", ("t", 1, "t"), {}, outcome, None, when)  # type: ignore[arg-type]
    report.user_properties = [(FEATURE, CELL), *properties]
    return report


def shown(*reports: pytest.TestReport) -> str:
    """Answer the line of the feature, without its name."""
    table = Table()
    for each in reports:
        table.note(each)
    (line,) = [line for line in table.lines() if line.startswith("eta ")]
    return line.removeprefix("eta").strip()


@pytest.mark.parametrize(
    ("reports", "sign"),
    [
        ([report("passed", "setup")], "."),
        ([report("passed")], "+"),
        ([report("passed"), report("passed", "teardown", (DEVIATION, "ignored-failure"))], "2"),
        ([report("passed"), report("failed")], "F"),
        ([report("passed"), report("failed", "teardown")], "F"),
        ([report("skipped", "setup")], "s"),
    ],
)
def test_sign_is_the_worst_of_a_cell(reports: list[pytest.TestReport], sign: str) -> None:
    """A cell is as good as the worst of its tests, and a known deviation has its number."""
    cells = shown(*reports).split()
    assert cells == ["...", f"..{sign}", *["..."] * 7]


def test_reasons_of_what_was_met_are_told() -> None:
    """The deviations that the run has met are told below, each with its number and its reason."""
    table = Table()
    table.note(report("passed", "teardown", (DEVIATION, "ignored-failure")))
    assert list(table.lines())[-1] == f"2  {DEVIATIONS['ignored-failure'].reason}"


def test_nothing_is_printed_when_nothing_crossed() -> None:
    """A run without crossings has no table."""
    assert list(Table().lines()) == []


def test_every_deviation_is_asserted() -> None:
    """Each known deviation is asked for by a test, which then asserts what happens instead."""
    tests = "".join(
        path.read_text() for path in Path(__file__).parent.glob("test_*.py") if path != Path(__file__)
    )
    assert [name for name in DEVIATIONS if f'deviates("{name}")' not in tests] == []
