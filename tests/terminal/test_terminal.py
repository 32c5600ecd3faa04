"""What a run says on the terminal: what is wrong comes first, in five parts, and fits."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from celeriac.conformance.differing import differences
from celeriac.conformance.history import Record
from celeriac.conformance.outcome import CheckResult, Outcome, RequirementResult
from celeriac.conformance.profiles import ProfileResult, profiles
from celeriac.conformance.terminal import failure, fitting, known, profile_lines
from celeriac.conformance.verdicts import Judgement
from celeriac.spec import load

BLOCK = """\
FAIL  ETA-008  SHOULD  producer
  A `countdown` keeps its fraction of a second.
  check      test_eta.py::test_first on rabbitmq
  expected   countdown is 1.5
                            ^
  observed   countdown is 1.0
                            ^
  evidence   #7 +0.000000 s tap published task_id='t-1'
  seen by    the tap on the wire; stamps agree within 0.005 s
  alike in   test_second on rabbitmq
  reproduce  celeriac run --requirement=ETA-008 --broker=rabbitmq"""

RECORD = Record(7, 3.0, "published", "tap", {"task_id": "t-1"})
SEEN = Outcome(
    "fail", "countdown is 1.0", Judgement("fail", "countdown is 1.5", "countdown is 1.0", (RECORD,))
)


def result(name: str, outcomes: Sequence[Outcome], flavour: str = "rabbitmq") -> RequirementResult:
    """Answer a requirement that checks called first, second and so on have decided."""
    names = ("first", "second", "third", "fourth", "fifth")
    checks = [
        (CheckResult(f"test_eta.py::test_{word}", flavour, 0.1, {name: outcome}), outcome)
        for word, outcome in zip(names, outcomes, strict=False)
    ]
    return RequirementResult(load().requirements[name], outcomes[0].verdict, outcomes[0].reason, checks)


def reproduce(requirement: str, flavour: str) -> str:
    """Answer a short command."""
    return f"celeriac run --requirement={requirement} --broker={flavour}"


def test_five_parts_of_a_failure() -> None:
    """A failure has its sentence, what was expected, what was observed, on what that rests, and the command."""
    assert "\n".join(failure(result("ETA-008", [SEEN, SEEN]), reproduce, lambda _: 0.005)) == BLOCK


def test_virtual_time_is_exact() -> None:
    """Where one clock stamps everything a reader is told so; where nobody knows, nothing is claimed."""
    assert "one clock stamps everything" in "\n".join(
        failure(result("ETA-008", [SEEN]), reproduce, lambda _: 0.0)
    )
    assert "seen by" not in "\n".join(failure(result("ETA-008", [SEEN]), reproduce))


def test_checks_that_differ_are_shown_up_to_three() -> None:
    """Each different finding is shown, and from the fourth on its check is named."""
    found = [Outcome("error", f"reason {number}") for number in range(5)]
    text = "\n".join(failure(result("ETA-008", found), reproduce))
    assert [f"reason     reason {number}" in text for number in range(5)] == [True] * 3 + [False] * 2
    assert "and        2 more checks: test_fourth on rabbitmq, test_fifth on rabbitmq" in text


@pytest.mark.parametrize("columns", [1, 60, 80, 100, 300])
def test_lines_fit_the_terminal(columns: int) -> None:
    """Lines are as wide as the terminal, at least 40 and at most 100 columns; only the command is never broken."""
    width = fitting(columns)
    assert 40 <= width <= 100
    lines = failure(result("MSG-001", [SEEN]), reproduce, lambda _: 0.0, width)
    assert [line for line in lines if len(line) > width and "reproduce" not in line] == []


@pytest.mark.parametrize(
    ("first", "second", "under_first", "under_second"),
    [
        ("the number is 1", "the number is 2", "              ^", "              ^"),
        ("state is 'SUCCESS'", "state is 'FAILURE'", "          ^^^^^^^ ", "          ^^^^^^^ "),
        ("it is 2030", "it is '2030'", " " * 10, " " * 12),
        ("[1, 2]", "[1, 2]", "      ", "      "),
        ("a start at 5", "nothing was seen", " " * 12, " " * 16),
        (
            "eta is the instant that was given: 2030-01-01T00:00:10",
            "eta is 2030-01-01T00:00:00",
            " " * 52 + "^^",
            " " * 24 + "^^",
        ),
    ],
)
def test_differences(first: str, second: str, under_first: str, under_second: str) -> None:
    """What differs is marked in both texts; words around a value are not, and texts that are unlike are not."""
    assert differences(first, second) == (under_first, under_second)


def test_profiles_close_a_run() -> None:
    """Each profile that was judged has a line with its verdict, its counts and what does not hold."""
    good = [result("BAS-001", [Outcome("pass")]), result("ETA-001", [SEEN])]
    assert profile_lines(profiles({each.requirement.id: each for each in good})) == [
        "profiles:",
        "  producer     success, all 1",
        "  scheduling   failed, 1 of 1 broken: ETA-001",
    ]
    unclaimed = tuple(f"LNK-{number:03d}" for number in range(1, 9))
    some, many = (ProfileResult("workflow", "partial", 2, 2, (), ids) for ids in (unclaimed[:3], unclaimed))
    assert profile_lines([some, many])[1:] == [
        "  workflow     partial, 2 of 5 hold; not claimed: LNK-001 to LNK-003",
        "  workflow     partial, 2 of 10 hold; not claimed: 8 requirements",
    ]
    assert profile_lines(profiles({})) == []


def test_known_failures_of_one_reason_are_told_once() -> None:
    """A reason stands once behind all requirements that it explains, with its thread."""
    late, other = Outcome("known-failure", "too late"), Outcome("known-failure", "never")
    results = [result("ETA-001", [late]), result("ETA-002", [other]), result("EXP-001", [late])]

    assert known(results, {"too late": "a/b#1"}) == [
        "  ETA-001, EXP-001  too late (a/b#1)",
        "  ETA-002  never",
    ]
