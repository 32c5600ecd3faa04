"""What a whole run says: what is wrong, what was known, the profiles, and what to do next, in this order."""

from __future__ import annotations

from typing import Any

import pytest

CHECKS = """
@check("BAS-001")
def test_pass(world): pass

@check("BAS-002", "ETA-001")
def test_fail(world): raise Violation("BAS-002", Judgement("fail", "the number is 1", "the number is 2"))

@check("BAS-003")
def test_known(world): raise Violation("BAS-003", Judgement("fail", "x", "y"))
"""
ENTRIES = """
[[known_failure]]
requirement = "BAS-003"
reason = "a bug"
issue = "owner/name#7"

[[known_failure]]
requirement = "BAS-004"
reason = "nobody checks it"
"""


@pytest.fixture
def finished(suite: Any) -> Any:
    """Run checks of which one fails, one is known to fail, and an expectation that matches nothing."""
    suite.checks(CHECKS)
    suite.expect(ENTRIES)
    return suite.run()


def test_order(finished: Any) -> None:
    """Failures come before known ones, these before problems and profiles, and the last lines say what to do next."""
    lines = finished.out.splitlines()
    starts = (
        "FAIL  BAS-002",
        "1 known failure:",
        "  problem    ",
        "profiles:",
        "355 requirements:",
        "report: ",
        "next: ",
    )
    found = [next(number for number, line in enumerate(lines) if line.startswith(each)) for each in starts]
    assert found == sorted(found)
    assert "  BAS-003  a bug (owner/name#7)" in lines
    block = lines[found[0] : found[1]]
    assert lines[found[-1]].removeprefix("next:").strip() == block[-2].removeprefix("  reproduce").strip()
    assert "  producer     failed, 2 of 3 broken: BAS-002, BAS-003" in lines


def test_success_is_short(suite: Any) -> None:
    """A run in which all is as expected has nothing to do next."""
    suite.checks('@check("BAS-001")\ndef test_pass(world): pass\n')
    out = suite.run().out
    assert "next:" not in out
    assert "known failure" not in out
    assert "reproduce" not in out


def test_selection_tells_of_what_was_selected(suite: Any) -> None:
    """Chapters that nobody chose are left out, and profiles, which need the whole."""
    suite.checks(CHECKS)
    out = suite.run("--requirement=BAS").out
    assert "BAS  Basics" in out
    assert "ETA  ETA and countdown" not in out
    assert "profiles:" not in out


def test_what_was_asked_for_comes_first(suite: Any) -> None:
    """A check of the chosen area that breaks another requirement, too, is told under the chosen one first."""
    suite.checks("""
        @check("BAS-002", "ETA-001")
        def test_both(world): world.call("broken")
    """)
    out = suite.run("--requirement=ETA").out
    assert "ERROR  ETA-001" in out
    assert "likewise   BAS-002" in out
    assert out.rstrip().splitlines()[-3].endswith("--requirement=ETA-001")


def test_quiet(suite: Any) -> None:
    """With -q there is no line per chapter, and known failures are ids."""
    suite.checks(CHECKS)
    suite.expect(ENTRIES)
    out = suite.run("-q").out
    assert "BAS  Basics" not in out
    assert "FAIL  BAS-002" in out
    assert "a bug" not in out
    assert "             BAS-003" in out.splitlines()


def test_narrow_terminal(suite: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a narrow terminal every line of a run's own fits, but for commands and paths."""
    monkeypatch.setenv("COLUMNS", "60")
    suite.checks(CHECKS)
    lines = suite.run().out.splitlines()
    whole = ("  reproduce", "  check  ", "next:", "Celeriac", "=")
    assert [line for line in lines if len(line) > 60 and not line.startswith(whole)] == []


def test_no_colour_in_a_file(finished: Any) -> None:
    """What is written to a file has no escape sequences."""
    assert "\x1b" not in finished.out


def test_reproduce_names_the_broker_as_it_can_be_had(suite: Any) -> None:
    """A source that the embedded broker does not have is not in its command, which would be refused."""
    suite.checks(CHECKS)
    out = suite.run("--broker=all", "--broker-from=process", absent=("redis", "valkey")).out
    commands = [line for line in out.splitlines() if line.startswith("  reproduce") and "BAS-002" in line]
    assert len(commands) == 2
    assert "--broker-from" not in commands[0]
    assert "--broker=rabbitmq --broker-from=process" in commands[1]
