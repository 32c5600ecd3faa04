"""The cases that a CI server shows keep to what the schemas of JUnit files have in common."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from xml.etree import ElementTree as ET

import pytest

from celeriac.conformance.headline import Hints
from celeriac.conformance.history import Record
from celeriac.conformance.junit import junit
from celeriac.conformance.outcome import CheckResult, Outcome
from celeriac.conformance.verdicts import Judgement

#: Element -> the attributes it must have, those it may have, and its children in order.
GRAMMAR: Mapping[str, tuple[set[str], set[str], Sequence[str]]] = {
    "testsuites": ({"name", "tests", "failures", "errors", "time"}, set(), ["testsuite"]),
    "testsuite": (
        {"name", "tests", "failures", "errors", "skipped", "time", "timestamp"},
        {"file", "id", "package", "version"},
        ["properties", "testcase", "system-out", "system-err"],
    ),
    "properties": (set(), set(), ["property"]),
    "property": ({"name", "value"}, set(), []),
    "testcase": (
        {"name", "classname", "time"},
        set(),
        ["skipped", "error", "failure", "system-out", "system-err"],
    ),
    "failure": ({"type", "message"}, set(), []),
    "error": ({"type", "message"}, set(), []),
    "skipped": ({"type", "message"}, set(), []),
    "system-out": (set(), set(), []),
}
RECORD = Record(3, 1.0, "published", "tap", {"task_id": "t-1"})
FAILED = Outcome("fail", "it is 2", Judgement("fail", "it is 1", "it is 2", (RECORD,)), "x=\x00")
CHECKS = [
    CheckResult("test_eta.py::test_pass", "embedded", 0.5, {"ETA-001": Outcome("pass")}),
    CheckResult(
        "test_eta.py::test_fail[1]", "embedded", 0.25, {"ETA-002": FAILED, "ETA-003": Outcome("pass")}
    ),
    CheckResult("test_eta.py::test_fail[1]", "redis", 0.25, {"ETA-002": Outcome("known-failure", "a bug")}),
    CheckResult("test_eta.py::test_error", "redis", 0.1, {"ETA-004": Outcome("error", "broken")}),
    CheckResult(
        "test_exp.py::test_undecided", "redis", 0.1, {"EXP-004": Outcome("inconclusive", "who knows")}
    ),
    CheckResult("test_exp.py::test_none", "redis", 0.0, {"EXP-001": Outcome("not-applicable", "not \ud800")}),
]


@pytest.fixture
def root() -> ET.Element:
    """Answer the file of checks with all verdicts on two brokers."""
    hints = Hints(lambda requirement, flavour: f"again {requirement} {flavour}", {"a bug": "owner/name#1"})
    text = junit("mine-5.5", CHECKS, {"suite": "0.1"}, "2030-01-01T00:00:00+00:00", hints)
    return ET.fromstring(text)  # noqa: S314 - made here


def test_structure(root: ET.Element) -> None:
    """Every element has the attributes and children that strict readers allow, in their order, and no host."""
    for element in root.iter():
        needed, allowed, children = GRAMMAR[element.tag]
        assert needed <= set(element.keys()) <= needed | allowed, element.tag
        places = [children.index(child.tag) for child in element]
        assert places == sorted(places), element.tag


def test_numbers_add_up(root: ET.Element) -> None:
    """The counts and the time of every suite are those of its cases, and those of the file are their sum."""
    for suite in root:
        cases = suite.findall("testcase")
        assert suite.get("tests") == str(len(cases))
        for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert suite.get(name) == str(sum(case.find(tag) is not None for case in cases))
        assert float(suite.get("time", 0)) == pytest.approx(sum(float(case.get("time", 0)) for case in cases))
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.get("timestamp", ""))
    for name in ("tests", "failures", "errors"):
        assert int(root.get(name, 0)) == sum(int(suite.get(name, 0)) for suite in root)


def test_tree(root: ET.Element) -> None:
    """Class names make a tree of adapter, broker and module, in which no two cases share a name."""
    names = [suite.get("name") for suite in root]
    assert names == [
        "celeriac.mine-5_5.embedded.eta",
        "celeriac.mine-5_5.redis.eta",
        "celeriac.mine-5_5.redis.exp",
    ]
    cases = [(case.get("classname"), case.get("name")) for case in root.iter("testcase")]
    assert len(set(cases)) == len(cases) == len(CHECKS)
    assert {name for name, _ in cases} == set(names)


def test_what_a_case_says(root: ET.Element) -> None:
    """A failure has ids, both values, the record and its command; a known one its reason and thread, as a skip."""
    failure, known, error, undecided, none = (
        case.find(tag)
        for case in root.iter("testcase")
        for tag in ("failure", "skipped", "error")
        if case.find(tag) is not None
    )
    assert failure is not None
    assert failure.get("message") == "ETA-002: it is 2"
    assert failure.text == (
        "ETA-002\nexpected: it is 1\nobserved: it is 2\n#3 +0.000000 s tap published task_id='t-1'\n"
        "x=\N{REPLACEMENT CHARACTER}\nreproduce: again ETA-002 embedded"
    )
    assert known is not None
    assert (known.get("type"), known.get("message")) == ("known-failure", "ETA-002: a bug (owner/name#1)")
    assert error is not None
    assert "reproduce: again ETA-004 redis" in (error.text or "")
    assert undecided is not None
    assert undecided.get("type") == "inconclusive"
    assert none is not None
    assert none.get("message") == "EXP-001: not \N{REPLACEMENT CHARACTER}"
    outs = [case.findtext("system-out") for case in root.iter("testcase")]
    assert outs[1] == "ETA-002: fail\nETA-003: pass"
