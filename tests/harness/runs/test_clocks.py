"""Which clock a run has, how far it can go, and which dialect the embedded broker speaks."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from celeriac.adapters.reference.adapter import ReferenceAdapter
from celeriac.conformance.applicability import Scene, obstacle
from celeriac.conformance.checks import Needs
from celeriac.conformance.claim import Claim, find_adapter
from celeriac.conformance.options import clock_for
from celeriac.conformance.stages import open_stage
from celeriac.conformance.verdicts import NotApplicable

HOUR = 3600.0


@pytest.fixture(scope="module")
def claim() -> Claim:
    """The claim of the reference: every clock, every link."""
    return find_adapter("reference").claim


@pytest.mark.parametrize(
    ("flavour", "time", "clocks", "links", "clock"),
    [
        ("embedded", "auto", ("virtual", "travel", "wall"), ("in-process", "amqp"), "virtual"),
        ("embedded", "auto", ("virtual", "travel", "wall"), ("amqp",), "travel"),
        ("embedded", "auto", ("travel", "wall"), ("in-process", "amqp"), "travel"),
        ("embedded", "auto", ("wall",), ("in-process", "amqp"), "wall"),
        ("redis", "auto", ("virtual", "travel", "wall"), ("in-process", "redis"), "travel"),
        ("rabbitmq", "auto", ("travel", "wall"), ("amqp",), "travel"),
        ("rabbitmq", "auto", ("virtual", "wall"), ("in-process", "amqp"), "wall"),
        ("rabbitmq", "wall", ("travel", "wall"), ("amqp",), "wall"),
        ("embedded", "travel", ("virtual", "travel", "wall"), ("in-process", "amqp"), "travel"),
    ],
)
def test_the_clock_that_goes_fastest_is_taken(
    claim: Claim, flavour: str, time: str, clocks: tuple[str, ...], links: tuple[str, ...], clock: str
) -> None:
    """Unless a run names a clock it has the fastest that the claim allows: virtual in process, else the travelling."""
    assert clock_for(flavour, time, replace(claim, clocks=clocks, links=links)) == clock


@pytest.mark.parametrize(
    ("needed", "horizon", "reason"),
    [
        (0.0, 60.0, None),
        (3 * HOUR, 60.0, "takes 3.0 hours; the wall clock cannot be moved so far"),
        (3 * HOUR, 72 * HOUR, None),
        (73 * HOUR, 72 * HOUR, "takes 73.0 hours; the wall clock cannot be moved so far"),
        (73 * HOUR, float("inf"), None),
    ],
)
def test_a_check_plays_where_its_hours_can_pass(
    claim: Claim, needed: float, horizon: float, reason: str | None
) -> None:
    """A check that takes hours is not applicable where the clock cannot go so far, and says so."""
    needs = Needs(("worker",), horizon=needed)
    assert obstacle(needs, [], claim, Scene("embedded", "wall", horizon=horizon)) == reason


def test_the_hours_of_a_stage_count(suite: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """How far a clock can go, its stage says: what takes longer is skipped before it begins."""
    suite.checks(
        """
        @check("BAS-001", horizon=7200)
        def test_long(world): raise AssertionError

        @check("BAS-002", horizon=60)
        def test_short(world): pass
        """
    )
    monkeypatch.setattr(suite.stage, "horizon", 3600.0)
    run = suite.run()
    assert (run.verdict("BAS-001"), run.verdict("BAS-002")) == ("not-applicable", "pass")
    assert "takes 2.0 hours; the virtual clock cannot be moved so far" in run.reason("BAS-001")


@pytest.mark.parametrize("clock", ["virtual", "wall"])
def test_a_run_names_the_dialect_of_the_embedded_broker(clock: str) -> None:
    """``--broker-from=rabbit-4.3`` is a broker of that version for all checks, and what it lacks does not apply."""
    with closing(open_stage(ReferenceAdapter, "embedded", "rabbit-4.3", clock)) as stage:
        assert (stage.kind, stage.broker.version) == (clock, "rabbit-4.3")
        plain: dict[str, Any] = {"settings": {}, "task_attributes": {}, "results": False, "fresh": False}
        with pytest.raises(NotApplicable, match=r"rabbit-4\.3 ends overdue deliveries by consumer-cancel"):
            stage.begin(**plain, lease="channel-close")
        stage.begin(**plain, lease="consumer-cancel")
        assert stage.lease is not None
        assert stage.lease.kind == "consumer-cancel"
        stage.end()
