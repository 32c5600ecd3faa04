"""The report folder holds what other tools read."""

from __future__ import annotations

import json
import os
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from celeriac.conformance.badges import FILES
from celeriac.spec import load, validator

CHECKS = """
@check("BAS-001", "BAS-002")
def test_pass(world): world.call("accept")

@check("BAS-003")
def test_fail(world): raise Violation("", Judgement("fail", "one | two", "a \\x00 \\ud800 <b>"))

@check("BAS-006")
def test_error(world): world.call("broken")

@check("BAS-007")
@pytest.mark.parametrize("word", ["a-@b", "c"])
def test_not_applicable(world, word): raise NotApplicable("not here")

@check("BAS-008")
def test_known(world): raise Violation("BAS-008", Judgement("fail", "x", "y"))
"""
ENTRY = '[[known_failure]]\nrequirement = "BAS-008"\nreason = "a bug"\nissue = "owner/name#7"\n'


@pytest.fixture
def finished(suite: Any) -> Any:
    """Run checks with five different verdicts."""
    suite.checks(CHECKS)
    suite.expect(ENTRY)
    return suite.run()


def test_results(finished: Any) -> None:
    """results.json has the shape of its schema and one entry per requirement of the specification."""
    results = finished.results
    assert [error.message for error in validator("report").iter_errors(results)] == []
    assert list(results["requirements"]) == list(load().requirements)
    assert results["implementation"] == {"name": "Scripted", "version": "1.2.3"}
    assert results["broker"] == {"flavour": "embedded", "from": "script", "version": "0.9"}
    assert results["clock"] == "virtual"
    assert sum(results["counts"].values()) == len(load().requirements)
    first = results["requirements"]["BAS-001"]
    assert (first["level"], first["role"], first["verdict"]) == ("MUST", "producer", "pass")
    assert first["checks"][0]["id"].endswith("::test_pass")


def test_journal(finished: Any) -> None:
    """results.jsonl has a header, a line per check and a footer that says whether the run is complete."""
    header, *checks, footer = finished.journal
    assert (header["record"], footer["record"]) == ("header", "footer")
    assert header["checks"] == len(checks) == 6
    assert (footer["complete"], footer["exit_status"]) == (True, 1)
    assert [check["verdict"] for check in checks] == [
        "pass",
        "fail",
        "error",
        "not-applicable",
        "not-applicable",
        "known-failure",
    ]
    assert checks[1]["requirements"]["BAS-003"]["expected"] == "one | two"


def test_journal_grows_while_the_run_goes_on(suite: Any) -> None:
    """Every check that has ended is on disk when the next one begins."""
    journal = suite.folder / "out" / "results.jsonl"
    suite.checks(f"""
        @check("BAS-001")
        def test_first(world): pass

        @check("BAS-002")
        def test_second(world):
            lines = open({str(journal)!r}).read().splitlines()
            assert len(lines) == 3 and "test_first" in lines[2], lines
    """)
    assert suite.run().status == 0


def test_a_crash_leaves_the_journal(suite: Any) -> None:
    """When the process dies, the journal lacks its footer and no older report stands beside it."""
    suite.checks('@check("BAS-001")\ndef test_first(world): pass\n')
    assert suite.run().status == 0
    suite.checks(
        '@check("BAS-001")\ndef test_first(world): pass\n'
        '@check("BAS-002")\ndef test_die(world):\n    import os; os._exit(9)\n'
    )
    child = os.fork()
    if child == 0:
        suite.run()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    out = suite.folder / "out"
    assert [path.name for path in out.iterdir()] == ["results.jsonl"]
    lines = (out / "results.jsonl").read_text().splitlines()
    assert len(lines) == 3
    assert "test_first" in lines[2]


def test_junit(finished: Any) -> None:
    """junit.xml tells failures, errors and skips apart, with the versions and the time of the run."""
    root = ET.parse(finished.folder / "junit.xml").getroot()  # noqa: S314 - written by the run above
    (suite,) = root
    numbers = {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert numbers == {"tests": "6", "failures": "1", "errors": "1", "skipped": "3"}
    properties = {each.get("name"): each.get("value") for each in suite.iter("property")}
    assert properties["implementation"] == "Scripted 1.2.3"
    assert finished.results["started"].startswith(str(suite.get("timestamp")))
    cases = {case.get("name"): case for case in suite.iter("testcase")}
    assert cases["test_pass"].findtext("system-out") == "BAS-001: pass\nBAS-002: pass"
    failure = cases["test_fail"].findtext("failure") or ""
    assert "expected: one | two" in failure
    assert "reproduce: pytest . " in failure
    known = cases["test_known"].find("skipped")
    assert known is not None
    assert (known.get("type"), known.get("message")) == ("known-failure", "BAS-008: a bug (owner/name#7)")


def test_summary(finished: Any) -> None:
    """summary.md says how the run ended, what is unexpected with its command, and what was known with its thread."""
    text = (finished.folder / "summary.md").read_text()
    assert text.startswith("# Scripted 1.2.3: 1 requirement fails, 1 is in error\n")
    assert "- expected: one | two\n+ observed: a " in text
    assert "--requirement=BAS-003\n" in text
    assert "a bug | [owner/name#7](https://github.com/owner/name/issues/7) |" in text


def test_badges(finished: Any) -> None:
    """The folder has badges of the run and of each profile."""
    for name in FILES:
        assert (finished.folder / name).is_file()
    assert json.loads((finished.folder / "badge.json").read_text())["message"] == "1 failed, 5 not judged"


def test_names_of_checks_are_stable(suite: Any) -> None:
    """A check has the same id on one broker and on all, parameters included."""
    suite.checks(CHECKS)
    alone = {line["id"] for line in suite.run().journal[1:-1]}
    assert {line["id"] for line in suite.run("--broker=all").journal[1:-1]} == alone
    assert f"{suite.file.name}::test_not_applicable[a-@b]" in alone
