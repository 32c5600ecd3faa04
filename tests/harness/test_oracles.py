"""The oracles, judged on histories written by hand."""

from __future__ import annotations

from typing import Any

import pytest

from celeriac.conformance import oracles
from celeriac.conformance.history import History


def history(*records: tuple[float, str, dict[str, Any]], slack: float = 0.0) -> History:
    """Answer a history of (moment, kind, fields) about task ``t``."""
    log = History(slack)
    for at, kind, fields in records:
        log.add(kind, at, "hand", **{"task_id": "t", **fields})
    return log


def delivery(at: float) -> tuple[float, str, dict[str, Any]]:
    """Answer a delivery of task ``t`` for ``history``."""
    return at, "delivered", {}


def test_not_before_accepts_a_start_at_the_moment() -> None:
    """A start exactly at the ETA is not before it."""
    assert oracles.not_before(history((10.0, "started", {})), "t", 10.0).verdict == "pass"


def test_not_before_fails_on_any_early_start() -> None:
    """One early start among later ones fails, and is the evidence."""
    log = history((9.999, "started", {}), (11.0, "started", {}))
    judgement = oracles.not_before(log, "t", 10.0)
    assert judgement.verdict == "fail"
    assert [record.at for record in judgement.evidence] == [9.999]


def test_not_before_needs_a_start() -> None:
    """A task that never ran does not pass as punctual."""
    judgement = oracles.not_before(history(), "t", 10.0)
    assert judgement.verdict == "fail"
    assert "never started" in judgement.observed


def test_not_before_allows_the_slack_of_the_history() -> None:
    """Stamps of different observers may disagree by the slack, and no more."""
    log = history((9.996, "started", {}), slack=0.005)
    assert oracles.not_before(log, "t", 10.0).verdict == "pass"
    assert oracles.not_before(log, "t", 10.002).verdict == "fail"


@pytest.mark.parametrize(("starts", "allowed", "verdict"), [
    (0, 0, "pass"), (1, 1, "pass"), (2, 1, "fail"), (0, 1, "fail"),
    (2, range(1, 4), "pass"), (4, range(1, 4), "fail"),
])  # fmt: skip
def test_executed_counts_starts(starts: int, allowed: int | range, verdict: str) -> None:
    """The number of starts is compared with the allowed numbers."""
    log = history(*[(float(i), "started", {}) for i in range(starts)])
    assert oracles.executed(log, "t", times=allowed).verdict == verdict


def test_revoked_wants_state_and_error() -> None:
    """REVOKED with another error, or the error with another state, is not enough."""
    good = {"state": "REVOKED", "result": {"exc_type": "TaskRevokedError", "exc_message": ["expired"]}}
    assert oracles.revoked(history((1, "stored", good)), "t").verdict == "pass"
    for bad in (
        {**good, "state": "FAILURE"},
        {**good, "result": {"exc_type": "KeyError"}},
        {**good, "result": None},
    ):
        assert oracles.revoked(history((1, "stored", bad)), "t").verdict == "fail"
    assert oracles.revoked(history(), "t").verdict == "fail"


def test_stored_looks_at_the_last_record() -> None:
    """A state that was overwritten is not the state."""
    log = history((1, "stored", {"state": "STARTED"}), (2, "stored", {"state": "SUCCESS"}))
    assert oracles.stored(log, "t", "SUCCESS").verdict == "pass"
    assert oracles.stored(log, "t", "STARTED").verdict == "fail"


@pytest.mark.parametrize(("kinds", "verdict"), [
    (["acked"], "pass"), (["rejected"], "pass"), ([], "fail"), (["requeued"], "fail"), (["requeued", "acked"], "fail"),
])  # fmt: skip
def test_settled_wants_the_message_gone_for_good(kinds: list[str], verdict: str) -> None:
    """A message that was handed back, even once, is not settled."""
    log = history(*[(float(i), kind, {}) for i, kind in enumerate(kinds)])
    assert oracles.settled(log, "t").verdict == verdict


def test_early_and_late_acknowledgement_exclude_each_other() -> None:
    """The same two records in the other order decide between early and late."""
    early = history((1, "acked", {}), (2, "ended", {}))
    late = history((1, "ended", {}), (2, "acked", {}))
    assert oracles.acked_before_end(early, "t").verdict == "pass"
    assert oracles.acked_before_end(late, "t").verdict == "fail"
    assert oracles.acked_after_end(late, "t").verdict == "pass"
    assert oracles.acked_after_end(early, "t").verdict == "fail"
    assert oracles.acked_after_end(history((1, "ended", {})), "t").verdict == "fail"


@pytest.mark.parametrize(
    ("first_end", "records", "verdict"),
    [(3, 2, "pass"), (2, 2, "fail"), (3, 1, "fail")],
    ids=["side by side", "one after the other", "one never starts"],
)
def test_side_by_side_compares_the_last_start_with_the_first_end(
    first_end: float, records: int, verdict: str
) -> None:
    """Tasks run at the same time when each has started before any has ended."""
    starts = [(1.0, "started", {}), (2.0, "started", {"task_id": "u"})][:records]
    log = history(*starts, (first_end, "ended", {}))
    assert oracles.side_by_side(log, ["t", "u"]).verdict == verdict


def test_held_until_fails_on_an_early_ack() -> None:
    """An acknowledgement before the moment breaks the hold; one after it does not."""
    delivered: tuple[float, str, dict[str, object]] = (0.0, "delivered", {})
    assert oracles.held_until(history(delivered, (5.0, "acked", {})), "t", 5.0).verdict == "pass"
    assert oracles.held_until(history(delivered, (4.0, "acked", {})), "t", 5.0).verdict == "fail"
    assert oracles.held_until(history(), "t", 5.0).verdict == "fail"


@pytest.mark.parametrize(("at", "verdict"), [
    (1799.9, "fail"), (1800.0, "pass"), (1860.0, "pass"), (1860.1, "fail"),
])  # fmt: skip
def test_lease_closed_is_exact_on_both_sides(at: float, verdict: str) -> None:
    """The close lies between the timeout and the timeout plus one check interval."""
    close = {"scope": "channel", "by": "broker", "code": 406}
    log = history((0.0, "delivered", {}), (at, "closed", close))
    assert oracles.lease_closed(log, "t", 1800, 60, 0.0).verdict == verdict


def test_lease_closed_wants_406_from_the_broker() -> None:
    """Another code, or a close by the client, is not the consumer timeout."""
    for close in (
        {"scope": "channel", "by": "broker", "code": 404},
        {"scope": "channel", "by": "client", "code": 406},
    ):
        log = history((0.0, "delivered", {}), (1810.0, "closed", close))
        assert oracles.lease_closed(log, "t", 1800, 60, 0.0).verdict == "fail"


@pytest.mark.parametrize(("flags", "verdict"), [
    ([False, True], "pass"), ([False, True, True], "pass"), ([False], "fail"), ([False, False], "fail"),
    ([True, True], "fail"), ([], "fail"),
])  # fmt: skip
def test_redelivered_wants_the_flag_on_all_but_the_first(flags: list[bool], verdict: str) -> None:
    """Only later deliveries say that they are redeliveries, and there is one."""
    log = history(*[(float(i), "delivered", {"redelivered": flag}) for i, flag in enumerate(flags)])
    assert oracles.redelivered(log, "t").verdict == verdict


@pytest.mark.parametrize(("slack", "second", "verdict"), [
    (0.0, 3599.999, "fail"), (0.0, 3600.0, "pass"), (0.0, 3700.0, "pass"), (0.0, 3700.001, "fail"),
    (0.005, 3599.996, "pass"), (0.005, 3700.004, "pass"), (0.005, 3599.99, "fail"), (0.005, 3700.01, "fail"),
])  # fmt: skip
def test_redelivered_within_measures_from_the_first_delivery(
    slack: float, second: float, verdict: str
) -> None:
    """The second delivery comes neither before the first moment nor after the last, but for the slack of the stamps."""
    log = history((10.0, "delivered", {}), (10.0 + second, "delivered", {}), slack=slack)
    assert oracles.redelivered_within(log, "t", 3600.0, 3700.0).verdict == verdict


def test_redelivered_within_judges_the_second_delivery_of_this_task() -> None:
    """A third delivery changes nothing, another task's is not counted, and a single one is not enough."""
    first, second, third = delivery(0.0), delivery(5.0), delivery(500.0)
    assert oracles.redelivered_within(history(first, second, third), "t", 4.0, 6.0).verdict == "pass"
    alone = oracles.redelivered_within(history(first, (5.0, "delivered", {"task_id": "u"})), "t", 4.0, 6.0)
    assert (alone.verdict, alone.observed) == ("fail", "delivered once")
    assert oracles.redelivered_within(history(), "t", 4.0, 6.0).observed == "delivered never"


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_delivered_counts_exactly(number: int) -> None:
    """Only the number that is asked for passes, and other tasks do not count."""
    other = (0.0, "delivered", {"task_id": "u"})
    log = history(other, *[(float(at), "delivered", {}) for at in range(number)])
    assert oracles.delivered(log, "t").verdict == ("pass" if number == 1 else "fail")
    assert oracles.delivered(log, "t", times=number).verdict == "pass"
    assert oracles.delivered(log, "t", times=number + 1).verdict == "fail"


@pytest.mark.parametrize(
    ("at", "verdict"), [(1799.999, "fail"), (1800.0, "pass"), (1862.0, "pass"), (1862.001, "fail")]
)
def test_consumer_cancelled_is_exact_on_both_sides(at: float, verdict: str) -> None:
    """Neither before the timeout, nor later than one interval and the lateness after it."""
    log = history((0.0, "delivered", {}), (at, "cancelled", {"consumer_tag": "c"}))
    assert oracles.consumer_cancelled(log, "t", 1800, 60, 2.0).verdict == verdict


def test_consumer_cancelled_wants_the_channel_left_open() -> None:
    """No cancel, no delivery, or a channel that the broker closes as well is not the cancelling of a consumer."""
    first, cancel = delivery(0.0), (1800.0, "cancelled", {"consumer_tag": "c"})
    close = (1800.0, "closed", {"scope": "channel", "by": "broker", "code": 406, "text": "late"})
    own = (1801.0, "closed", {"scope": "channel", "by": "client", "code": 200, "text": "bye"})
    observed = [
        oracles.consumer_cancelled(history(*log), "t", 1800, 60, 0.0)
        for log in ((), (first,), (cancel,), (first, cancel, close), (first, close))
    ]
    assert [judgement.verdict for judgement in observed] == ["fail"] * 5
    assert [judgement.observed for judgement in observed[1:4]] == [
        "no consumer was cancelled",
        "no consumer was cancelled",
        "a channel was closed",
    ]
    assert oracles.consumer_cancelled(history(first, cancel, own), "t", 1800, 60, 0.0).verdict == "pass"


def judge_attempts(*runs: list[float], waits: list[float]) -> str:
    """Answer the verdict with a tenth of a second of lateness."""
    return oracles.attempts(runs, waits, early=0.001, lateness=0.1).verdict


def test_attempts_compares_number_and_waits() -> None:
    """Both the number of attempts and every wait count."""
    assert judge_attempts([0, 0, 0.2, 0.4], waits=[0, 0.2, 0.2]) == "pass"
    assert judge_attempts([0, 0, 0.2, 0.6], waits=[0, 0.2, 0.2]) == "fail"
    assert judge_attempts([0, 0, 0.1, 0.3], waits=[0, 0.2, 0.2]) == "fail"
    assert judge_attempts([0, 0, 0.2], waits=[0, 0.2, 0.2]) == "fail"
    assert judge_attempts([0], waits=[]) == "pass"
    assert judge_attempts([], waits=[]) == "fail"


def test_attempts_takes_the_shortest_gap_of_several_runs() -> None:
    """Load that lengthens a gap in one run does not fail a punctual implementation."""
    assert judge_attempts([0, 0, 0.9], [0, 0.5, 0.7], waits=[0, 0.2]) == "pass"
    assert judge_attempts([0, 0, 0.4], [0, 0, 0.4], waits=[0, 0.2]) == "fail"


def test_equal_tells_true_from_one() -> None:
    """Values of different types are not equal, so that true is not taken for 1."""
    assert oracles.equal(1, 1, "x").verdict == "pass"
    assert oracles.equal(1, True, "x").verdict == "fail"


def test_expected_and_observed_are_said_in_words() -> None:
    """A judgement can be read without the code."""
    judgement = oracles.executed(history((1.0, "started", {}), (2.0, "started", {})), "t", times=1)
    assert judgement.expected == "t is executed once"
    assert judgement.observed == "it was executed twice"


def test_a_view_shows_what_comes_later_too() -> None:
    """A view taken at a position is live and leaves out what was before."""
    log = history((1.0, "started", {}))
    view = log.since(log.end)
    assert len(view) == 0
    log.add("ended", 2.0, "hand", task_id="t")
    assert [record.kind for record in view] == ["ended"]


def test_unknown_kinds_are_refused() -> None:
    """A typo in a kind is an error at once, not an empty history later."""
    with pytest.raises(ValueError, match="unknown kind of record 'statred'"):
        History().add("statred", 0.0, "hand")


def test_a_missing_field_is_named() -> None:
    """Reading a field that a record lacks says what it has."""
    record = History().add("started", 0.0, "hand", task_id="t")
    with pytest.raises(AttributeError, match="has no 'queue'; it has task_id"):
        _ = record.queue
