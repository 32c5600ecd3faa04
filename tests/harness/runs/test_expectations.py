"""Known failures are strict: what they foresee must happen, and nothing else is forgiven."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from celeriac.conformance.expectations import Conditions, read_expectations

HERE = Conditions(broker="rabbitmq", link="amqp", clock="wall", version="5.5.3")

FAILING = """
@check("RTY-003")
def test_waits(world): raise Violation("RTY-003", Judgement("fail", "0.4 s", "0.6 s"))
"""
PASSING = """
@check("RTY-003")
def test_attempts(world): pass
"""
ENTRY = """
[[known_failure]]
requirement = "RTY-003"
reason = "kombu caps the wait too late"
"""


def test_foreseen_failure(suite: Any) -> None:
    """A foreseen failure is a known failure with its reason, and the run is as expected."""
    suite.checks(FAILING + PASSING)
    suite.expect(ENTRY)
    finished = suite.run()
    assert finished.status == 0
    assert finished.verdict("RTY-003") == "known-failure"
    assert "RTY-003  kombu caps the wait too late" in finished.out
    assert finished.out.splitlines()[-1].strip("= ").startswith("1 passed, 1 xfailed")


def test_by_check(suite: Any) -> None:
    """An entry may name the one check that fails."""
    suite.checks(FAILING + PASSING)
    suite.expect(ENTRY.replace('requirement = "RTY-003"', f'check = "{suite.file.name}::test_waits"'))
    assert suite.run().status == 0


def test_unexpected_pass(suite: Any) -> None:
    """Where nothing fails although an entry foresees it, the run fails and says what to do."""
    suite.checks(PASSING)
    suite.expect(ENTRY)
    finished = suite.run()
    assert finished.status == 1
    assert finished.verdict("RTY-003") == "unexpected-pass"
    assert "if it is mended, remove the entry" in " ".join(finished.out.split())


def test_part_of_a_requirement_is_no_pass(suite: Any) -> None:
    """A passing check alone does not contradict an entry whose failing check was not selected."""
    suite.checks(FAILING + PASSING)
    suite.expect(ENTRY)
    finished = suite.run("-k", "attempts")
    assert (finished.status, finished.verdict("RTY-003")) == (0, "pass")


def test_error_is_never_known(suite: Any) -> None:
    """An error stays an error, whatever is foreseen."""
    suite.checks(FAILING + '@check("RTY-003")\ndef test_broken(world): world.call("broken")\n')
    suite.expect(ENTRY)
    finished = suite.run()
    assert (finished.status, finished.verdict("RTY-003")) == (3, "error")


def test_each_flavour_is_judged_alone(suite: Any) -> None:
    """An entry with a condition holds where the condition does, and only there."""
    suite.checks(FAILING)
    suite.expect(ENTRY + 'when = {broker = ["redis", "valkey"]}\n')
    finished = suite.run("--broker=all")
    checks = finished.results["requirements"]["RTY-003"]["checks"]
    assert [check["verdict"] for check in checks] == ["fail", "fail", "known-failure", "known-failure"]
    suite.expect(ENTRY)
    assert suite.run("--broker=all").status == 0


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            ENTRY.replace("RTY-003", "RTY-999"),
            "known failure 1 (RTY-999) matches nothing: unknown requirement 'RTY-999'",
        ),
        (
            ENTRY.replace("RTY-003", "RTY-004"),
            "known failure 1 (RTY-004) matches nothing: no check decides RTY-004",
        ),
        (
            ENTRY.replace('requirement = "RTY-003"', 'check = "test_x.py::test_wait"'),
            "unknown check 'test_x.py::test_wait'",
        ),
        (ENTRY.replace("reason", "why"), "known failure 1: "),
        (ENTRY.replace("kombu caps the wait too late", " "), "known failure 1 (reason): "),
        (
            ENTRY + "expires = 2020-01-31\n",
            "known failure 1 (RTY-003) has expired on 2020-01-31; mend it or renew it",
        ),
        (ENTRY + 'when = {moon = "full"}\n', "known failure 1 (when): "),
        ("[[known_failure]\n", "expectations.toml: "),
    ],
)
def test_stale_and_malformed_entries(suite: Any, text: str, line: str) -> None:
    """An entry that names nothing, lacks its reason, has expired or is malformed fails the run with a clear line."""
    suite.checks(PASSING)
    suite.expect(text)
    finished = suite.run()
    assert finished.status == 1
    assert "expectations: " in finished.out
    assert line in " ".join(finished.out.split())


def test_narrowed_run_calls_nothing_stale(suite: Any) -> None:
    """A run of one file does not complain of entries for checks elsewhere."""
    suite.checks(PASSING)
    suite.expect(ENTRY.replace("RTY-003", "RTY-004"))
    assert suite.run(str(suite.file)).status == 0


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ({}, True),
        ({"broker": "rabbitmq"}, True),
        ({"broker": "redis"}, False),
        ({"broker": ["redis", "rabbitmq"]}, True),
        ({"link": "amqp", "clock": "virtual"}, False),
        ({"version": "5.5.*"}, True),
        ({"version": "5.4.*"}, False),
    ],
)
def test_conditions(tmp_path: Path, when: dict[str, Any], holds: bool) -> None:
    """Every condition must hold; a list holds when one of its patterns does."""
    inner = ", ".join(f"{name} = {value!r}" for name, value in when.items())
    path = tmp_path / "expectations.toml"
    path.write_text(ENTRY + f"when = {{{inner}}}\n")
    expectations = read_expectations(path, date(2030, 1, 1))
    assert not expectations.problems
    assert (expectations.known("test_x.py::test_y", "RTY-003", HERE) is not None) is holds


def test_last_day_still_holds(tmp_path: Path) -> None:
    """An entry holds on its last day, as a TOML date or as text."""
    path = tmp_path / "expectations.toml"
    for written in ("2030-01-01", '"2030-01-01"'):
        path.write_text(ENTRY + f"expires = {written}\n")
        assert len(read_expectations(path, date(2030, 1, 1)).entries) == 1
        assert read_expectations(path, date(2030, 1, 2)).entries == []


TWO_FAIL = """
@check("RTY-003")
def test_waits(world): raise Violation("RTY-003", Judgement("fail", "0.4 s", "0.6 s"))

@check("RTY-004")
def test_waits_again(world): raise Violation("RTY-004", Judgement("fail", "0.4 s", "0.6 s"))
"""
BOTH = ENTRY.replace('"RTY-003"', '["RTY-003", "RTY-004"]')


def test_one_reason_for_several_requirements(suite: Any) -> None:
    """An entry may name several requirements that fail for one reason."""
    suite.checks(TWO_FAIL)
    suite.expect(BOTH)
    finished = suite.run()
    assert finished.status == 0
    assert finished.verdict("RTY-003") == finished.verdict("RTY-004") == "known-failure"


def test_each_of_several_requirements_has_to_fail(suite: Any) -> None:
    """One requirement of a list that passes is an unexpected pass, whatever becomes of the others."""
    suite.checks(FAILING + '@check("RTY-004")\ndef test_more(world): pass\n')
    suite.expect(BOTH)
    finished = suite.run()
    assert finished.status == 1
    assert finished.verdict("RTY-003") == "known-failure"
    assert finished.verdict("RTY-004") == "unexpected-pass"
    assert "known failure 1 (RTY-004)" in finished.reason("RTY-004")


def test_each_of_several_requirements_has_to_exist(suite: Any) -> None:
    """One requirement of a list that nobody knows fails the run."""
    suite.checks(FAILING)
    suite.expect(ENTRY.replace('"RTY-003"', '["RTY-003", "RTY-999"]'))
    finished = suite.run()
    assert finished.status == 1
    assert "known failure 1 (RTY-999) matches nothing" in " ".join(finished.out.split())


def test_entry_of_one_adapter(suite: Any) -> None:
    """An entry may hold for some adapters alone, where several claims share a file."""
    suite.checks(FAILING)
    suite.expect(ENTRY + 'when = {adapter = "script*"}\n')
    assert suite.run().verdict("RTY-003") == "known-failure"
    suite.expect(ENTRY + 'when = {adapter = "other-*"}\n')
    assert suite.run().verdict("RTY-003") == "fail"


def test_draft_holds_but_not_in_ci(suite: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reason that is a draft holds while somebody works on it, and fails the run under CI=true."""
    suite.checks(FAILING)
    suite.expect(ENTRY.replace("kombu caps", "DRAFT: kombu caps"))
    assert suite.run().status == 0
    monkeypatch.setenv("CI", "true")
    finished = suite.run()
    assert (finished.status, finished.verdict("RTY-003")) == (1, "known-failure")
    assert "known failure 1 (RTY-003) has a draft for a reason; say why" in " ".join(finished.out.split())
