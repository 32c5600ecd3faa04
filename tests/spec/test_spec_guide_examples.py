"""Every example of the guide is accounted for: played by checks that exist, or left out with a reason."""

from __future__ import annotations

import ast
import json
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from celeriac import conformance, spec
from celeriac.spec.model import GUIDE_SECTIONS

CHECKS = Path(conformance.__file__).parent
EXAMPLES = spec.guide_examples()

#: The modules whose checks are those of the examples, and of nothing else.
MODULES = ("test_guide_examples.py", "test_guide_examples_sending.py")

#: How many examples the guide has in each section.
COUNTS = {
    "basics": 6,
    "example": 4,
    "linking-callbacks-errbacks": 4,
    "on-message": 3,
    "eta-and-countdown": 3,
    "expiration": 1,
    "message-sending-retry": 1,
    "retry-policy": 2,
    "connection-error-handling": 2,
    "serializers": 3,
    "compression": 8,
    "connections": 2,
    "routing-options": 2,
    "results-options": 1,
}

Place = tuple[str, int]


def marked() -> dict[str, set[Place]]:
    """Answer the examples that each check of the two modules is marked with, read without importing them."""
    found: dict[str, set[Place]] = {}
    for name in MODULES:
        for node in ast.parse((CHECKS / name).read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                found[f"{name}::{node.name}"] = set(_places(node))
    return found


def _places(function: ast.FunctionDef) -> list[Place]:
    calls = [mark for mark in function.decorator_list if isinstance(mark, ast.Call)]
    marks = [call.args for call in calls if isinstance(call.func, ast.Name) and call.func.id == "example"]
    values = [[ast.literal_eval(argument) for argument in arguments] for arguments in marks]
    return [(section, number) for section, *numbers in values for number in numbers]


def test_the_list_fits_its_schema() -> None:
    """The file is valid against its schema, and a copy of it is handed out each time."""
    path = Path(spec.__file__).parent / "guide-examples.json"
    spec.validator("guide-examples").validate(json.loads(path.read_text(encoding="utf-8")))
    assert spec.guide_examples() == EXAMPLES
    assert spec.guide_examples() is not EXAMPLES


def test_every_example_is_listed_once_in_the_order_of_the_guide() -> None:
    """Sections follow one another as in the guide, and the examples of each are numbered from 1 without a gap."""
    places = [(example["section"], example["number"]) for example in EXAMPLES]
    order = [section for section in GUIDE_SECTIONS if section in COUNTS]
    assert places == [(section, number + 1) for section in order for number in range(COUNTS[section])]


@pytest.mark.parametrize("row", EXAMPLES, ids=lambda row: f"{row['section']}-{row['number']}")
def test_the_checks_of_an_example_exist_and_name_it(row: dict[str, object]) -> None:
    """Each check is a test function, and those in the modules of the examples are marked with the example."""
    checks, marks = row["checks"], marked()
    assert isinstance(checks, list)
    for check in checks:
        module, _, function = check.partition("::")
        assert f"def {function}(" in (CHECKS / module).read_text(encoding="utf-8")
        if module in MODULES:
            assert (row["section"], row["number"]) in marks[check]


def test_every_check_of_an_example_is_listed() -> None:
    """A check stands in the list under each example that it is marked with, and each is marked with one at least."""
    listed: dict[str, set[Place]] = defaultdict(set)
    for row in EXAMPLES:
        for check in row["checks"]:
            listed[check].add((row["section"], row["number"]))
    found = marked()
    assert all(found.values())
    assert {check: places for check, places in listed.items() if check.split("::")[0] in MODULES} == found


def test_what_is_not_run_is_not_run_for_its_form() -> None:
    """Only what installs something or is the text of an error cannot be run as it stands."""
    forms = Counter(row["form"] for row in EXAMPLES if "not_run" in row)
    assert forms == {"console": 5, "pycon": 5}
