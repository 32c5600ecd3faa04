"""The page of a CI job says first what is wrong, then what was known, and stays below what a page takes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from celeriac.conformance.headline import Hints
from celeriac.conformance.outcome import NOT_SELECTED, Outcome, RequirementResult
from celeriac.conformance.report import Pace, Setting
from celeriac.conformance.summary import LARGEST, summary
from celeriac.conformance.verdicts import Judgement

FAILED = Outcome("fail", "the number is 2", Judgement("fail", "the number is 1", "the number is 2"))
KNOWN = Outcome("known-failure", "a | bug", Judgement("fail", "x", "y"))

FAILURE = """\
## Not as expected

<details open><summary><b>fail ETA-004</b> (MUST, worker): A worker does not start a task before the moment in its \
<code>eta</code> header.</summary>

Why: The earliest start is the one thing that an ETA promises.

`test_eta.py::test_004` on rabbitmq

```diff
- expected: the number is 1
+ observed: the number is 2
```

Check it again:

```sh
celeriac run --requirement=ETA-004
```

</details>
"""


@pytest.fixture
def page(results: Callable[..., Any], setting: Setting, pace: Pace) -> Callable[..., str]:
    """Answer a function that makes the page of a run with these outcomes."""

    def make(hints: Hints | None = None, **outcomes: Outcome) -> str:
        return summary(setting, results(**outcomes), pace, hints or Hints())

    return make


def test_unexpected_first_then_known(page: Callable[..., str]) -> None:
    """A failure is open with both values and its command; a known one is folded, with its thread upstream."""
    text = page(Hints(issues={"a | bug": "celery/celery#4028"}), ETA_004=FAILED, BAS_008=KNOWN)
    assert text.startswith("# Mine 5.5.3: 1 requirement fails\n")
    assert "| scheduling | failed, 1 of 40 broken | ETA-004 |  |" in text
    assert FAILURE in text
    assert text.index(FAILURE) < text.index("1 known failure")
    assert "| a \\| bug | [celery/celery#4028](https://github.com/celery/celery/issues/4028) |" in text


@pytest.mark.parametrize(
    ("outcomes", "words"),
    [
        ({}, "all 355 that applied hold"),
        ({"BAS_008": KNOWN}, "as expected, 354 hold and 1 is known to fail"),
        ({"BAS_008": FAILED, "BAS_009": FAILED}, "2 requirements fail"),
        (
            {"BAS_001": Outcome("error", "broken"), "BAS_008": FAILED},
            "1 requirement fails, 1 is in error",
        ),
        ({"BAS_001": Outcome("unexpected-pass", "mended")}, "1 holds unexpectedly"),
    ],
)
def test_headline(outcomes: dict[str, Outcome], words: str, page: Callable[..., str]) -> None:
    """The first line says in words how the run ended, what is wrong before anything else."""
    assert page(**outcomes).startswith(f"# Mine 5.5.3: {words}\n")


def test_errors_of_one_cause_are_told_once(page: Callable[..., str]) -> None:
    """Requirements in error for the same reason share one block that names them, however many there are."""
    broken = Outcome("error", "no broker")
    text = page(BAS_001=broken, BAS_002=broken, BAS_003=broken, LNK_001=broken)
    assert text.startswith("# Mine 5.5.3: 4 are in error\n")
    assert text.count("Reason: no broker") == text.count("<details") == 1
    assert "Likewise BAS-002, BAS-003, LNK-001." in text


def test_problems_are_told(page: Callable[..., str]) -> None:
    """A stale expectation is in the first line and in a section of its own."""
    text = page(Hints(problems=("known failure 3 matches nothing",)))
    assert text.startswith("# Mine 5.5.3: 1 problem with the run\n")
    assert "## Problems with the run\n\n- known failure 3 matches nothing\n" in text


def test_what_was_left_out_is_counted(page: Callable[..., str]) -> None:
    """What does not apply is a number, not a list; the run's circumstances close the page."""
    text = page(BAS_001=Outcome("not-applicable", "not here"), BAS_002=Outcome("not-run", "no check"))
    assert "Of 355 requirements 1 not applicable and 1 not run" in text
    assert "BAS-001" not in text
    assert text.endswith(
        "| run | 2030-01-01T00:00:00+00:00, 12.3 s, in which 1.0 h passed on virtual clocks |\n"
    )


def test_part_of_a_run_says_so(results: Callable[..., Any], setting: Setting, pace: Pace) -> None:
    """A selection is no verdict on the whole, and the page says how much was run."""
    some = results()
    few = {
        name: each if name == "ETA-004" else RequirementResult(each.requirement, "not-run", NOT_SELECTED)
        for name, each in some.items()
    }
    assert "Only a part was run: 1 of 355 requirements." in summary(setting, few, pace)


def test_a_bad_day_fits_the_page(results: Callable[..., Any], setting: Setting, pace: Pace) -> None:
    """However much fails with however long texts, the page stays small and names every requirement."""
    long = Outcome("fail", "x" * 5000, Judgement("fail", "é" * 99999, "ü" * 99999), "line\n" * 9999)
    everything = dict.fromkeys((name.replace("-", "_") for name in results()), long)
    text = summary(setting, results(**everything), pace)
    assert 1000 < len(text.encode()) <= LARGEST
    assert [name for name in results() if name not in text] == []


def test_texts_of_an_implementation_are_shown_as_they_are(page: Callable[..., str]) -> None:
    """Neither HTML nor a fence in what was observed can change the page."""
    evil = Outcome("fail", "<b>", Judgement("fail", "</details>```", "````\n# heading\n<script>"), "```")
    text = page(ETA_004=evil)
    fences = re.findall(r"^(`{3,})(\w*)$", text, re.MULTILINE)
    assert ("`````", "diff") in fences
    assert "<script>" not in re.sub(r"^(`{3,})\w*\n.*?^\1$", "", text, flags=re.MULTILINE | re.DOTALL)
