"""Oracles: pure functions from a history to a judgement.

Theory
------
An oracle sees records only, never a clock, a socket or an adapter, so every rule can be proved on a history
written by hand, and a recorded history can be judged again later.  A judgement says what was expected and what
was observed in words a reader understands without the code, and names the records it rests on.

Stamps are compared with ``history.slack``: 0 where one virtual clock stamps everything, a few milliseconds
where several processes stamp.  Lower bounds ("not before") are judged with that slack alone.  Upper bounds
("not later than") get ``lateness`` on top, because a busy machine delays but never hastens.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from celeriac.conformance.decoding import iso, moment
from celeriac.conformance.verdicts import Judgement

if TYPE_CHECKING:
    from celeriac.conformance.history import History, Record

__all__ = [
    "MILLISECOND",
    "acked_after_end",
    "acked_before_end",
    "attempts",
    "consumer_cancelled",
    "delivered",
    "end_of_worker",
    "equal",
    "executed",
    "held_until",
    "lease_closed",
    "moment_within",
    "never_started",
    "not_before",
    "redelivered",
    "redelivered_within",
    "requeued",
    "revoked",
    "settled",
    "side_by_side",
    "stored",
]

#: The precision of a moment on the wire that every implementation has, in seconds.
MILLISECOND = 0.001


def equal(expected: Any, observed: Any, what: str, *evidence: Record) -> Judgement:
    """Judge that ``what`` has the expected value."""
    verdict = "pass" if _same(expected, observed) else "fail"
    return _judge(verdict == "pass", f"{what} is {expected!r}", f"{what} is {observed!r}", evidence)


def moment_within(record: Record, header: str, earliest: float, latest: float, why: str) -> Judgement:
    """Judge that a header denotes a moment in a range (epoch seconds), to the millisecond.

    Args:
        record: the published message.
        header: ``eta`` or ``expires``.
        earliest: the first moment that will do.
        latest: the last one.
        why: where the range comes from, in words.
    """
    text = record.headers.get(header)
    at = moment(text)
    ok = at is not None and earliest - MILLISECOND <= at <= latest + MILLISECOND
    span = iso(earliest) if earliest == latest else f"{iso(earliest)} to {iso(latest)}"
    return _judge(ok, f"{header} is {why}: {span}", f"{header} is {text!r}", [record])


def not_before(history: History, task_id: str, moment: float) -> Judgement:
    """Judge that every start of the task is at or after ``moment`` (epoch seconds) and that it starts at all."""
    starts = history.of("started", task_id=task_id)
    early = [record for record in starts if record.at < moment - history.slack]
    expected = f"no start of {task_id} before {moment:.6f}"
    if not starts:
        return Judgement("fail", expected + ", and at least one start", "it was never started")
    observed = "starts at " + ", ".join(f"{record.at:.6f} ({record.at - moment:+.6f} s)" for record in starts)
    return _judge(not early, expected, observed, early or starts)


def executed(history: History, task_id: str, *, times: int | range = 1) -> Judgement:
    """Judge how often the task was started; ``range(1, 3)`` allows one or two."""
    starts = history.of("started", task_id=task_id)
    allowed = range(times, times + 1) if isinstance(times, int) else times
    expected = f"{task_id} is executed {_times(allowed)}"
    return _judge(len(starts) in allowed, expected, f"it was executed {_count(len(starts))}", starts)


def never_started(history: History, task_id: str) -> Judgement:
    """Judge that the task was not started."""
    return executed(history, task_id, times=0)


def stored(history: History, task_id: str, state: str) -> Judgement:
    """Judge that the last result record of the task has this state."""
    records = history.of("stored", task_id=task_id)
    seen = ", ".join(record.state for record in records) or "nothing"
    ok = bool(records) and records[-1].state == state
    return _judge(ok, f"the result of {task_id} ends as {state}", f"stored: {seen}", records)


def revoked(history: History, task_id: str) -> Judgement:
    """Judge that the task ended as REVOKED with a TaskRevokedError."""
    judgement = stored(history, task_id, "REVOKED")
    if judgement.verdict != "pass":
        return judgement
    result = judgement.evidence[-1].result
    name = result.get("exc_type") if isinstance(result, dict) else type(result).__name__
    return _judge(
        name == "TaskRevokedError",
        "the stored error is a TaskRevokedError",
        f"the stored result is {result!r}",
        judgement.evidence,
    )


def settled(history: History, task_id: str, how: Sequence[str] = ("acked", "rejected")) -> Judgement:
    """Judge that the message left the broker in one of these ways and was not handed back."""
    records = history.of("acked", "rejected", "requeued", task_id=task_id)
    ways = [record.kind for record in records]
    ok = bool(ways) and ways[-1] in how and "requeued" not in ways
    return _judge(
        ok, f"the message is {' or '.join(how)} once", f"it was {', '.join(ways) or 'left'}", records
    )


def acked_before_end(history: History, task_id: str) -> Judgement:
    """Judge the early acknowledgement: the ack does not wait for the end of the task."""
    return _order(history, task_id, "acked", "ended", "acked before the task ends")


def acked_after_end(history: History, task_id: str) -> Judgement:
    """Judge the late acknowledgement: the ack follows the end of the task."""
    return _order(history, task_id, "ended", "acked", "acked after the task ended")


def held_until(history: History, task_id: str, moment: float) -> Judgement:
    """Judge that the message was delivered and not settled before ``moment`` (epoch seconds)."""
    deliveries = history.of("delivered", task_id=task_id)
    early = [r for r in history.of("acked", "rejected", task_id=task_id) if r.at < moment - history.slack]
    expected = f"delivered, and unacknowledged until {moment:.6f}"
    observed = f"delivered {_count(len(deliveries))}, settled early {_count(len(early))}"
    return _judge(bool(deliveries) and not early, expected, observed, [*deliveries, *early])


def side_by_side(history: History, task_ids: Sequence[str]) -> Judgement:
    """Judge that all of these tasks had started, each once, when the first of them ended."""
    records = [r for task_id in task_ids for r in history.of("started", "ended", task_id=task_id)]
    starts = [record.at for record in records if record.kind == "started"]
    ends = [record.at for record in records if record.kind == "ended"]
    expected = f"{len(task_ids)} tasks start before the first of them ends"
    if len(starts) != len(task_ids) or not ends:
        return Judgement("fail", expected, f"{len(starts)} starts, {len(ends)} ends", tuple(records))
    gap = min(ends) - max(starts)
    return _judge(gap > 0, expected, f"the last starts {gap:.3f} s before the first ends", records)


def lease_closed(
    history: History, task_id: str, timeout: float, interval: float, lateness: float
) -> Judgement:
    """Judge that the broker closed the channel of an overdue delivery with 406, in time and not too early.

    Args:
        history: what happened.
        task_id: the task whose delivery is overdue.
        timeout: seconds that a delivery may stay unacknowledged.
        interval: seconds between two looks of the broker.
        lateness: seconds that the observation may come late.
    """
    expected = (
        f"the channel is closed with 406 between {timeout} s and {timeout + interval} s after the delivery"
    )
    delivery = history.first("delivered", task_id=task_id)
    if delivery is None:
        return Judgement("fail", expected, f"{task_id} was never delivered")
    closes = history.of("closed", scope="channel", by="broker", code=406)
    if not closes:
        return Judgement("fail", expected, "no channel was closed with 406", (delivery,))
    elapsed = closes[0].at - delivery.at
    ok = timeout - history.slack <= elapsed <= timeout + interval + lateness + history.slack
    return _judge(ok, expected, f"closed after {elapsed:.6f} s", [delivery, closes[0]])


def consumer_cancelled(
    history: History, task_id: str, timeout: float, interval: float, lateness: float
) -> Judgement:
    """Judge that the broker cancelled the consumer of an overdue delivery in time, and closed no channel.

    Args: as for ``lease_closed``.
    """
    latest = timeout + interval + lateness
    expected = f"the consumer is cancelled between {timeout:g} s and {latest:g} s after the delivery"
    delivery = history.first("delivered", task_id=task_id)
    closes = history.of("closed", scope="channel", by="broker")
    if closes:
        return Judgement("fail", f"{expected}, and no channel closed", "a channel was closed", tuple(closes))
    cancels = history.of("cancelled")
    if delivery is None or not cancels:
        return Judgement("fail", expected, "no consumer was cancelled", (delivery,) if delivery else ())
    elapsed = cancels[0].at - delivery.at
    ok = timeout - history.slack <= elapsed <= latest + history.slack
    return _judge(ok, expected, f"cancelled after {elapsed:.3f} s", [delivery, cancels[0]])


def requeued(history: History, task_id: str) -> Judgement:
    """Judge that the message went back to its queue."""
    records = history.of("requeued", task_id=task_id)
    return _judge(bool(records), f"{task_id} is requeued", f"requeued {_count(len(records))}", records)


def redelivered(history: History, task_id: str) -> Judgement:
    """Judge that every delivery but the first says that it is a redelivery, and that there is one."""
    deliveries = history.of("delivered", task_id=task_id)
    flags = [bool(record.redelivered) for record in deliveries]
    ok = len(flags) > 1 and not flags[0] and all(flags[1:])
    expected = "a first delivery with redelivered false, then at least one with redelivered true"
    return _judge(ok, expected, f"redelivered flags {flags}", deliveries)


def redelivered_within(history: History, task_id: str, earliest: float, latest: float) -> Judgement:
    """Judge that the second delivery comes between so many seconds after the first."""
    deliveries = history.of("delivered", task_id=task_id)
    expected = f"a second delivery, {earliest:g} s to {latest:g} s after the first"
    if len(deliveries) < 2:
        return Judgement("fail", expected, f"delivered {_count(len(deliveries))}", tuple(deliveries))
    gap = deliveries[1].at - deliveries[0].at
    ok = earliest - history.slack <= gap <= latest + history.slack
    return _judge(ok, expected, f"after {gap:.3f} s", deliveries)


def delivered(history: History, task_id: str, *, times: int = 1) -> Judgement:
    """Judge how often the message was delivered."""
    deliveries = history.of("delivered", task_id=task_id)
    observed = f"it was delivered {_count(len(deliveries))}"
    return _judge(len(deliveries) == times, f"{task_id} is delivered {_count(times)}", observed, deliveries)


def attempts(
    runs: Iterable[Sequence[float]], waits: Sequence[float], *, early: float, lateness: float
) -> Judgement:
    """Judge the moments of connection attempts against the waits of a retry policy.

    Several runs of one scenario are judged by their shortest gaps: load can only lengthen a gap.

    Args:
        runs: for each run the moments (seconds) at which a connection was attempted.
        waits: the expected seconds between consecutive attempts; one attempt more than waits is expected.
        early: seconds by which a gap may be too short.
        lateness: seconds by which the shortest gap may be too long.
    """
    runs = [list(run) for run in runs]
    counts = sorted({len(run) for run in runs})
    expected = f"{len(waits) + 1} attempts with waits {_seconds(waits)}"
    if counts != [len(waits) + 1]:
        return Judgement(
            "fail", expected, f"attempts per run: {[len(run) for run in runs]}, waits {_gaps(runs)}"
        )
    gaps = [min(gap) for gap in zip(*(_differences(run) for run in runs), strict=True)]
    ok = all(wait - early <= gap <= wait + lateness for gap, wait in zip(gaps, waits, strict=True))
    return _judge(ok, expected, f"waits {_seconds(gaps)}", ())


def end_of_worker(stopped: Sequence[Record]) -> str:
    """Say in one line how a worker ended, given its ``stopped`` records; or that it did not."""
    if not stopped:
        return "the worker executes nothing any more"
    last = str(stopped[0].data.get("log") or "").strip().splitlines()[-1:]
    return ": ".join([f"the worker stopped with exit code {stopped[0].exit_code}", *last])


def _order(history: History, task_id: str, first: str, then: str, sentence: str) -> Judgement:
    # by their stamps: what two observers saw may reach the history in either order
    records = sorted(history.of(first, then, task_id=task_id), key=lambda record: record.at)
    kinds = [record.kind for record in records]
    ok = first in kinds and (then not in kinds or kinds.index(first) < kinds.index(then))
    return _judge(ok and then in kinds, sentence, f"order seen: {', '.join(kinds) or 'nothing'}", records)


def _judge(ok: bool, expected: str, observed: str, evidence: Iterable[Record]) -> Judgement:
    return Judgement("pass" if ok else "fail", expected, observed, tuple(evidence))


def _same(expected: Any, observed: Any) -> bool:
    return type(expected) is type(observed) and bool(expected == observed)


def _differences(moments: Sequence[float]) -> list[float]:
    return [later - earlier for earlier, later in pairwise(moments)]


def _gaps(runs: Sequence[Sequence[float]]) -> str:
    return "; ".join(_seconds(_differences(run)) for run in runs)


def _seconds(values: Iterable[float]) -> str:
    return "[" + ", ".join(f"{value:.3g}" for value in values) + "] s"


def _count(number: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(number, f"{number} times")


def _times(allowed: range) -> str:
    return " or ".join(_count(number) for number in allowed)
