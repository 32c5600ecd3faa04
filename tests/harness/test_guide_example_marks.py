"""The marks of the guide's examples: a failure says which example it was, and whose fault it is."""

from __future__ import annotations

import pytest

from celeriac.conformance.examples import DECIDED_BY, LIFE, example
from celeriac.conformance.verdicts import HarnessError, Judgement, Violation
from celeriac.spec import load


def fail() -> None:
    """Fail as a check does."""
    raise Violation("ETA-004", Judgement("fail", "no start", "a start"))


@pytest.mark.parametrize(
    ("section", "numbers", "place"),
    [
        ("eta-and-countdown", (1,), "Calling Tasks, ETA and Countdown, example 1"),
        ("on-message", (1, 2, 3), "Calling Tasks, On message, examples 1, 2, 3"),
    ],
)
def test_failure_names_its_example(section: str, numbers: tuple[int, ...], place: str) -> None:
    """What was expected and what was seen begin with the place in the guide; the requirement stays what it was."""
    with pytest.raises(Violation) as caught:
        example(section, *numbers)(fail)()
    judgement = caught.value.judgement
    assert (judgement.expected, judgement.observed) == (f"{place}: no start", f"{place}: a start")
    assert caught.value.requirement == "ETA-004"


def test_other_errors_are_left_alone() -> None:
    """An error of the harness is no failure of an example, and passes through as it is."""

    def break_() -> None:
        raise HarnessError("the adapter broke")

    with pytest.raises(HarnessError, match="the adapter broke"):
        example("basics", 1)(break_)()


def test_section_must_exist() -> None:
    """An example of a section that the guide does not have cannot be marked."""
    with pytest.raises(KeyError, match="canvas"):
        example("canvas", 1)


def test_stations_are_requirements() -> None:
    """Each station of a call, and whoever decides what an example leaves open, is in the specification."""
    spec = load()
    named = {
        word for text in DECIDED_BY.values() for word in text.replace(" and ", " ").split() if "-" in word
    }
    assert spec.requirements.keys() >= {*LIFE, *named}
    assert "MSG" in DECIDED_BY["message"]
