"""Results of a run, written by hand, for what is made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from celeriac.conformance.outcome import CheckResult, Outcome, RequirementResult
from celeriac.conformance.report import Pace, Setting
from celeriac.spec import load

Results = Mapping[str, RequirementResult]


@pytest.fixture
def setting() -> Setting:
    """Answer where the run played."""
    return Setting("0.1", "1.0", "mine", "Mine", "5.5.3", "rabbitmq", "process", "3.12", "travel")


@pytest.fixture
def pace() -> Pace:
    """Answer how long it took."""
    return Pace("2030-01-01T00:00:00+00:00", 12.3, 3600.0)


@pytest.fixture
def results() -> Callable[..., Results]:
    """Answer a function that gives requirements these outcomes, ids with ``_`` for ``-``, and all others a pass."""

    def make(**outcomes: Outcome) -> Results:
        named = {name.replace("_", "-"): outcome for name, outcome in outcomes.items()}
        return {name: _result(name, named.get(name, Outcome("pass"))) for name in load().requirements}

    return make


def _result(name: str, outcome: Outcome) -> RequirementResult:
    check = CheckResult(f"test_{name[:3].lower()}.py::test_{name[4:]}", "rabbitmq", 0.25, {name: outcome})
    return RequirementResult(load().requirements[name], outcome.verdict, outcome.reason, [(check, outcome)])
