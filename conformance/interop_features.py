"""What may survive the way from a producer to a worker, and how one sees that it did not.

Every feature is a row of a table: what the producer does, and a function of what the worker has reported, or of what
the producer then reads, that answers a loss in words.  Nothing here calls anybody or waits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple, get_args

from celeriac.conformance.adapter import Answer, Call, Event, Ok, Raised, Signature

__all__ = ["COUNTDOWN", "FEATURES", "NOT_EXECUTED", "PHASES", "Feature", "Sent"]

#: Seconds of the countdown and up to the eta, and by how much a start may seem early because two clocks are read.
COUNTDOWN, SLACK = 1.0, 0.05

#: Seconds that a task takes whose result is awaited meanwhile.
BUSY = 0.3

#: What has become of a task that no worker has ever reported.
NOT_EXECUTED = "it was not executed"

REASON = "the soup is cold"


@dataclass(frozen=True, slots=True)
class Sent:
    """A call that the producer has made.

    Attributes:
        task_id: of the task, of the first one in a chain.
        at: epoch seconds just before the call.
        number: what no other call has among its arguments.
        last_id: what the producer asks for the result: the id of the last task in a chain.
    """

    task_id: str
    at: float
    number: int
    last_id: str


#: From a call and all that the worker has reported so far to what was lost; None when nothing is missing (any more).
Judge = Callable[[Sent, Sequence[Event]], str | None]

#: From the answer to ``get_result`` to what was lost.
Reading = Callable[[Answer, int], str | None]


#: The order in which features are tried: first a plain call, without which nothing works; then what takes a worker that
#: has nothing to do, for a broker drops what has expired when nobody is there to take it; most; what the producer waits
#: for from the moment of its call; and last what workers die of, or hand out for ever.
Phase = Literal["plain", "alone", "together", "waiting", "risky"]
PHASES: tuple[Phase, ...] = get_args(Phase)


class Feature(NamedTuple):
    """One column of the table.

    Attributes:
        call: what the producer is asked, from a number of its own and the present time; several calls are a chain.
        judge: what the worker's reports must show.
        heading: the name in the table, where it is shorter.
        producer: words of the claim, none of which its producer may deny.
        worker: the same of its worker: probe tasks that it may lack.
        reading: what the producer must then read.
        phase: when it is tried, see ``PHASES``.
    """

    call: Callable[[int, datetime], Call | tuple[Signature, ...]]
    judge: Judge
    heading: str
    producer: tuple[str, ...] = ()
    worker: tuple[str, ...] = ()
    reading: Reading | None = None
    phase: Phase = "together"


def _events(events: Sequence[Event], kind: str, task_id: str | None = None) -> list[Mapping[str, Any]]:
    return [e.data for e in events if e.kind == kind and task_id in (None, e.data.get("task_id"))]


def _arrives(*args: Any, **kwargs: Any) -> Judge:
    """Answer what sees whether the arguments have arrived; None among them stands for the number."""

    def judge(sent: Sent, events: Sequence[Event]) -> str | None:
        started = _events(events, "started", sent.task_id)
        if not started:
            return NOT_EXECUTED
        expected = [sent.number if arg is None else arg for arg in args]
        seen = (list(started[0].get("args", ())), dict(started[0].get("kwargs", {})))
        return None if seen == (expected, kwargs) else "the arguments arrived changed"

    return judge


def _not_before(sent: Sent, events: Sequence[Event]) -> str | None:
    starts = [e.at for e in events if e.kind == "started" and e.data.get("task_id") == sent.task_id]
    if not starts:
        return NOT_EXECUTED
    return None if min(starts) >= sent.at + COUNTDOWN - SLACK else "it ran before its time"


def _never(sent: Sent, events: Sequence[Event]) -> str | None:
    return "it ran although it had expired" if _events(events, "started", sent.task_id) else None


def _follower(loss: str) -> Judge:
    """Answer what sees whether the task that adds the number to the first one's result has run."""

    def judge(sent: Sent, events: Sequence[Event]) -> str | None:
        if not _events(events, "ended", sent.task_id):
            return NOT_EXECUTED
        follows = any(list(data.get("args", ())) == [4, sent.number] for data in _events(events, "started"))
        return None if follows else loss

    return judge


def _errback(sent: Sent, events: Sequence[Event]) -> str | None:
    if not _events(events, "ended", sent.task_id):
        return NOT_EXECUTED
    return None if _events(events, "errback", sent.task_id) else "the errback was not called"


def _retried(sent: Sent, events: Sequence[Event]) -> str | None:
    runs = len(_events(events, "started", sent.task_id))
    values = [data.get("value") for data in _events(events, "ended", sent.task_id)]
    if not runs:
        return NOT_EXECUTED
    if values[-1:] == [2] and runs == 3:
        return None
    return f"runs: {runs} instead of 3" if runs != 3 else "the last of 3 runs did not know its retries"


def _headers(sent: Sent, events: Sequence[Event]) -> str | None:
    ended = _events(events, "ended", sent.task_id)
    if not ended:
        return NOT_EXECUTED
    headers = (ended[0].get("value") or {}).get("headers") or {}
    return None if headers.get("celeriac") == "soup" else "the task does not see its caller's headers"


def _ended(sent: Sent, events: Sequence[Event]) -> str | None:
    return None if _events(events, "ended", sent.task_id) else NOT_EXECUTED


def _value(expected: Callable[[int], Any]) -> Reading:
    """Answer what sees whether the value came back."""

    def reading(answer: Answer, number: int) -> str | None:
        if not isinstance(answer, Ok):
            return _unread(answer)
        return None if answer.value["value"] == expected(number) else "the value came back changed"

    return reading


def _failure(answer: Answer, _: int) -> str | None:
    if isinstance(answer, Ok):
        return "the failure came back as a value"
    if isinstance(answer, Raised) and answer.category != "timeout":
        return (
            None if REASON in answer.text else f"{answer.type} was raised, which is not what the task raised"
        )
    return _unread(answer)


def _unread(answer: Answer) -> str:
    if isinstance(answer, Raised):
        return "it never came" if answer.category == "timeout" else f"reading it raised {answer.type}"
    return f"{answer}"


def _add(**options: Any) -> Callable[[int, datetime], Call]:
    return lambda number, now: Call("celeriac.add", (3, number), options=options)


def _eta(number: int, now: datetime) -> Call:
    return Call("celeriac.add", (3, number), options={"eta": now + timedelta(seconds=COUNTDOWN)})


def _expired(number: int, now: datetime) -> Call:
    return Call("celeriac.add", (3, number), options={"expires": now - timedelta(minutes=1)})


def _link(number: int, now: datetime) -> Call:
    return Call("celeriac.add", (1, 3), options={"link": Signature("celeriac.add", (number,))})


def _chain(number: int, now: datetime) -> tuple[Signature, ...]:
    return (Signature("celeriac.add", (1, 3)), Signature("celeriac.add", (number,)))


def _fail(**options: Any) -> Callable[[int, datetime], Call]:
    return lambda number, now: Call("celeriac.fail", (REASON,), options=options)


ARGS, KWARGS = ("é", [1, 2.5]), {"k": {"deep": True}}

#: The columns, in order.
FEATURES: Mapping[str, Feature] = {
    "args": Feature(
        lambda n, now: Call("celeriac.echo", (*ARGS, n)), _arrives(*ARGS, None), "args", phase="plain"
    ),
    "kwargs": Feature(
        lambda n, now: Call("celeriac.echo", (n,), KWARGS), _arrives(None, **KWARGS), "kwargs", ("kwargs",)
    ),
    "countdown": Feature(_add(countdown=COUNTDOWN), _not_before, "count", ("countdown",)),
    "eta": Feature(_eta, _not_before, "eta", ("eta",)),
    "expires": Feature(_expired, _never, "expires", ("expires",), phase="alone"),
    "link": Feature(_link, _follower("the link was not called"), "link", ("link",)),
    "errback": Feature(
        _fail(link_error=Signature("celeriac.handler")), _errback, "errback", ("link_error",), ("errback",)
    ),
    "chain": Feature(_chain, _follower("the second task was not called"), "chain", ("chain",)),
    "retries": Feature(lambda n, now: Call("celeriac.retry", (2,)), _retried, "retry", (), ("task_retry",)),
    "headers": Feature(
        lambda n, now: Call("celeriac.context", options={"headers": {"celeriac": "soup"}}),
        _headers,
        "header",
        ("headers",),
        ("context",),
    ),
    "priority": Feature(_add(priority=3), _arrives(3, None), "prio", ("priority",)),
    "result": Feature(
        _add(), _ended, "result", ("result-consumer",), reading=_value(lambda number: 3 + number)
    ),
    "failure": Feature(_fail(), _ended, "failure", ("result-consumer",), reading=_failure),
    "awaited": Feature(
        lambda n, now: Call("celeriac.sleep", (BUSY,)),
        _ended,
        "await",
        ("result-consumer",),
        reading=_value(lambda number: BUSY),
        phase="waiting",
    ),
    "compression": Feature(
        _add(compression="zlib"),
        _arrives(3, None),
        "zlib",
        ("compression", "compression:zlib"),
        phase="risky",
    ),
}
