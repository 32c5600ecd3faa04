"""What a reader is told when an adapter fails: short, once, and from where it went wrong."""

from __future__ import annotations

import traceback
from types import SimpleNamespace
from typing import Any

import pytest

from celeriac.conformance.adapter import Adapter, Broken, Call
from celeriac.conformance.guard import GuardedAdapter
from celeriac.conformance.likeness import ranges
from celeriac.conformance.outcome import conclude
from celeriac.conformance.stage import Stage
from celeriac.conformance.stages import Stages
from celeriac.conformance.verdicts import HarnessError


class Clumsy(Adapter):
    """An adapter whose author forgot an error of the client."""

    def call(self, call: Call) -> Any:
        """Raise what the client raises."""
        raise ConnectionResetError(104, "Connection reset by peer")


def test_an_exception_of_an_adapter_is_named_first() -> None:
    """The first line names the exception; the traceback begins in the adapter, not in the harness."""
    stage: Any = SimpleNamespace(adapter=GuardedAdapter(Clumsy(), 5.0), now=lambda: 0.0)
    answer = Stage.request(stage, "call", Call("celeriac.add"))
    assert isinstance(answer, Broken)
    first, *rest = answer.detail.splitlines()
    assert first == "the adapter raised in call: ConnectionResetError: [Errno 104] Connection reset by peer"
    frames = [line for line in rest if line.startswith("  File ")]
    assert len(frames) == 1
    assert __file__ in frames[0]


def test_a_reason_is_not_repeated_as_detail() -> None:
    """The detail of an error holds what its reason does not say."""
    assert (conclude(HarnessError("one line")).reason, conclude(HarnessError("one line")).detail) == (
        "one line",
        "",
    )
    assert conclude(HarnessError("first\nsecond\nthird")).detail == "second\nthird"


def test_a_stage_that_cannot_be_opened_says_so_alike_every_time() -> None:
    """The hundredth check is told of a missing stage with the same few lines as the first."""

    def opener(flavour: str) -> Stage:
        raise HarnessError("not installed")

    stages = Stages(opener)
    stages.enter("embedded")
    told = []
    for _ in range(3):
        with pytest.raises(HarnessError, match="not installed") as caught:
            stages.current()
        told.append(len(traceback.extract_tb(caught.value.__traceback__)))
    assert told == [told[0]] * 3


@pytest.mark.parametrize(
    ("ids", "line"),
    [
        ([], ""),
        (["ETA-001", "ETA-002"], "ETA-001, ETA-002"),
        (["ETA-001", "ETA-002", "ETA-003", "EXP-004"], "ETA-001 to ETA-003, EXP-004"),
        (["ETA-001", "ETA-003", "EXP-004", "EXP-005", "EXP-006"], "ETA-001, ETA-003, EXP-004 to EXP-006"),
    ],
)
def test_requirements_in_a_row_are_a_range(ids: list[str], line: str) -> None:
    """Three or more requirements that follow one another are told as a range within their area."""
    assert ranges(ids) == line
