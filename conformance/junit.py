"""``junit.xml``: one test case per check, for readers that know nothing of requirements."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from xml.etree import ElementTree as ET

from celeriac.conformance.evidence import record_lines
from celeriac.conformance.outcome import CheckResult, Outcome

__all__ = ["junit"]

#: Verdict -> the element that says so; verdicts that are not here are passes.
ELEMENTS: Mapping[str, str] = {
    "fail": "failure",
    "unexpected-pass": "failure",
    "error": "error",
    "inconclusive": "error",
    "known-failure": "skipped",
    "not-applicable": "skipped",
    "not-run": "skipped",
}

#: What XML 1.0 cannot hold.
ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(adapter: str, checks: Sequence[CheckResult], duration_s: float) -> bytes:
    """Answer the file: a suite named after the adapter, a case per check with its requirement ids."""
    elements = [ELEMENTS.get(check.verdict) for check in checks]
    suite = ET.Element(
        "testsuite",
        name=f"celeriac.{adapter}",
        tests=str(len(checks)),
        failures=str(elements.count("failure")),
        errors=str(elements.count("error")),
        skipped=str(elements.count("skipped")),
        time=f"{duration_s:.3f}",
    )
    for check in checks:
        suite.append(_case(check))
    root = ET.Element("testsuites")
    root.append(suite)
    content: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return content


def _case(check: CheckResult) -> ET.Element:
    module, _, name = check.id.partition("::")
    label = f"{name} @{check.flavour}"
    case = ET.Element("testcase", classname=module, name=_clean(label), time=f"{check.duration_s:.6f}")
    properties = ET.SubElement(case, "properties")
    for requirement, outcome in check.outcomes.items():
        ET.SubElement(properties, "property", name="requirement", value=requirement)
        ET.SubElement(properties, "property", name=f"verdict:{requirement}", value=outcome.verdict)
    element = ELEMENTS.get(check.verdict)
    if element:
        grave = {name: o for name, o in check.outcomes.items() if o.verdict == check.verdict}
        message = _clean("; ".join(dict.fromkeys(outcome.reason for outcome in grave.values())))
        found = ET.SubElement(case, element, type=check.verdict, message=message)
        found.text = _clean("\n".join(_text(name, outcome) for name, outcome in grave.items()))
    return case


def _text(requirement: str, outcome: Outcome) -> str:
    lines = [requirement]
    if outcome.judgement is not None:
        lines += [f"expected: {outcome.judgement.expected}", f"observed: {outcome.judgement.observed}"]
        lines += record_lines(outcome.judgement.evidence)
    return "\n".join([*lines, outcome.detail]).rstrip()


def _clean(text: str) -> str:
    return ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", text)
