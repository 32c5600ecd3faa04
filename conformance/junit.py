"""``junit.xml``: one test case per check, for servers that know nothing of requirements.

Only what the schemas that servers validate with have in common: a suite for each module and flavour of broker (so
that trees of class names read ``celeriac.celery.rabbitmq`` and below it the module), properties at suites alone, and
no host.  What a check found stands in the text of its case.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from xml.etree import ElementTree as ET

from celeriac.conformance.evidence import record_lines
from celeriac.conformance.headline import Hints
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


def junit(
    adapter: str,
    checks: Sequence[CheckResult],
    properties: Mapping[str, str],
    started: str,
    hints: Hints | None = None,
) -> bytes:
    """Answer the file.

    Args:
        adapter: its name, the first part of class names.
        checks: every check that has ended.
        properties: versions and the like, for every suite.
        started: when the run began, ISO 8601.
        hints: how a check is run again, and where known failures are discussed.
    """
    groups: dict[tuple[str, str], list[CheckResult]] = {}
    for check in checks:
        groups.setdefault((check.flavour, check.id.partition("::")[0]), []).append(check)
    root = ET.Element("testsuites", {"name": "celeriac", **_numbers(checks)})
    for (flavour, module), members in groups.items():
        name = f"celeriac.{_part(adapter)}.{flavour}.{_stem(module)}"
        suite = ET.SubElement(root, "testsuite", {"name": name, **_numbers(members)})
        suite.set("skipped", str(_count(members, "skipped")))
        suite.set("timestamp", started.partition("+")[0])
        suite.set("file", f"conformance/{module}")
        listed = ET.SubElement(suite, "properties")
        for key, value in {**properties, "flavour": flavour}.items():
            ET.SubElement(listed, "property", name=key, value=_clean(value))
        suite.extend([_case(check, name, hints or Hints()) for check in members])
    ET.indent(root)
    content: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return content


def _numbers(checks: Sequence[CheckResult]) -> dict[str, str]:
    return {
        "tests": str(len(checks)),
        "failures": str(_count(checks, "failure")),
        "errors": str(_count(checks, "error")),
        "time": f"{sum(check.duration_s for check in checks):.3f}",
    }


def _count(checks: Sequence[CheckResult], element: str) -> int:
    return sum(ELEMENTS.get(check.verdict) == element for check in checks)


def _case(check: CheckResult, suite: str, hints: Hints) -> ET.Element:
    name = check.id.partition("::")[2]
    case = ET.Element("testcase", classname=suite, name=_clean(name), time=f"{check.duration_s:.3f}")
    element = ELEMENTS.get(check.verdict)
    if element:
        grave = {each: found for each, found in check.outcomes.items() if found.verdict == check.verdict}
        found = ET.SubElement(case, element, type=check.verdict, message=_clean(_message(grave, hints)))
        told = {each: list(_told(each, outcome, check, hints)) for each, outcome in grave.items()}
        found.text = _clean("\n\n".join("\n".join([each, *lines]) for each, lines in told.items() if lines))
    verdicts = "\n".join(f"{each}: {outcome.verdict}" for each, outcome in check.outcomes.items())
    ET.SubElement(case, "system-out").text = verdicts
    return case


def _message(outcomes: Mapping[str, Outcome], hints: Hints) -> str:
    """Answer ids and reasons, requirements of one reason together."""
    reasons: dict[str, list[str]] = {}
    for name, outcome in outcomes.items():
        reasons.setdefault(outcome.reason, []).append(name)
    return "; ".join(
        f"{', '.join(names)}: {reason}{f' ({hints.issues[reason]})' if reason in hints.issues else ''}"
        for reason, names in reasons.items()
    )


def _told(requirement: str, outcome: Outcome, check: CheckResult, hints: Hints) -> Iterator[str]:
    if outcome.judgement is not None:
        yield f"expected: {outcome.judgement.expected}"
        yield f"observed: {outcome.judgement.observed}"
        yield from record_lines(outcome.judgement.evidence)
    if outcome.detail:
        yield outcome.detail.rstrip()
    if ELEMENTS.get(check.verdict) != "skipped":
        yield f"reproduce: {hints.reproduce(requirement, check.flavour)}"


def _stem(module: str) -> str:
    return _part(module.removesuffix(".py").removeprefix("test_"))


def _part(name: str) -> str:
    """Answer a name as a part of a class name, which a dot would split."""
    return name.replace(".", "_")


def _clean(text: str) -> str:
    return ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", text)
