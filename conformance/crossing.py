"""One producer and one worker, two implementations: what survives the way from the one to the other.

The two share a queue.  Each feature is one call; a plain call after it proves that the worker is through with it, so
that nothing is waited for that cannot come any more.  A worker that dies or takes nothing more is started anew.
"""

from __future__ import annotations

import itertools
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

from celeriac.conformance.adapter import Adapter, Answer, Call, Event, Ok, Scenario, Signature, WorkerSpec
from celeriac.conformance.claim import Claim
from celeriac.conformance.verdicts import HarnessError

__all__ = ["FEATURES", "SIGNS", "Crossing", "Party", "Sign"]

#: What has become of a feature: it works; the producer refused it; one of the two does not claim what it takes; the
#: task was executed and the feature silently lost; nothing was executed although the worker lives; the worker died.
Sign = Literal["+", "-", ".", "!", "0", "x"]

SIGNS: Mapping[Sign, str] = {
    "+": "works",
    "-": "refused by the producer",
    ".": "not claimed",
    "!": "LOST without a word",
    "0": "not executed",
    "x": "the worker died or hangs",
}

#: Seconds after which a worker that has not done a plain task is taken for dead.
PATIENCE = 8.0

#: Seconds of the countdown, and by how much a start may seem early because two clocks are read.
COUNTDOWN, SLACK = 1.0, 0.05


class Party(NamedTuple):
    """An implementation that takes part."""

    claim: Claim
    make: Callable[[], Adapter]


@dataclass
class Crossing:
    """A producer and a worker on one broker.

    Args:
        producer: who calls.
        worker: who executes.
        broker_url: of the broker.
        backend_url: of the result back end that both have, None when there is none.
    """

    producer: Party
    worker: Party
    broker_url: str
    backend_url: str | None
    _events: list[Event] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        self._calling, self._working = self.producer.make(), self.worker.make()
        self._calling.emit = lambda event: None
        self._working.emit = self._hear
        self._is_open = False

    def run(self) -> dict[str, Sign]:
        """Try every feature and answer their signs.

        Raises:
            HarnessError: an adapter broke.
        """
        return {name: self._try(feature) for name, feature in FEATURES.items()}

    def close(self) -> None:
        """End both parties."""
        for adapter in (self._calling, self._working):
            adapter.close()

    # -- what a feature does ---------------------------------------------------------------------------

    def call(self, task: str, *args: Any, kwargs: Mapping[str, Any] | None = None, **options: Any) -> str:
        """Call a task, a plain one after it, and answer the id once the worker is through with both."""
        task_id = self._send(task, args, kwargs or {}, options)
        plain = self._send("celeriac.add", (1, 1), {}, {})
        if (
            not self._await(lambda: bool(self.of("ended", plain)) or self._has_stopped())
            or self._has_stopped()
        ):
            raise _DiedError
        return task_id

    def of(self, kind: str, task_id: str | None = None) -> list[Event]:
        """Answer the worker's events of a kind, of one task if its id is given."""
        with self._changed:
            return [e for e in self._events if e.kind == kind and task_id in (None, e.data.get("task_id"))]

    def wait(self, kind: str, task_id: str | None = None, seconds: float = PATIENCE) -> Event | None:
        """Wait for an event of a kind; answer None when it does not come, or the worker ends first."""
        self._await(lambda: bool(self.of(kind, task_id)) or self._has_stopped(), seconds)
        found = self.of(kind, task_id)
        return found[0] if found else None

    def result(self, task_id: str) -> Answer:
        """Let the producer read a result."""
        return self._calling.get_result(task_id, timeout=PATIENCE / 2)

    # -- how it is done --------------------------------------------------------------------------------

    def _try(self, feature: Feature) -> Sign:
        if any(party.claim.denies(word) for party, word in feature.takes(self)):
            return "."
        try:
            self._open()
            return feature.sign(self)
        except _RefusedError:
            return "-"
        except _DiedError:
            self._end()
            return "x"

    def _open(self) -> None:
        if self._is_open:
            return
        self._events.clear()
        name = f"interop-{uuid.uuid4()}"
        scenario = Scenario(name, self.broker_url, self.backend_url, name)
        _must("begin", self._working.begin(scenario))
        _must("start_worker", self._working.start_worker(WorkerSpec("w", self.broker_url, (name,))))
        _must("begin", self._calling.begin(scenario))
        self._is_open = True

    def _end(self) -> None:
        self._is_open = False
        for adapter in (self._calling, self._working):
            adapter.end()

    def _send(self, task: str, args: Any, kwargs: Mapping[str, Any], options: Mapping[str, Any]) -> str:
        answer = self._calling.call(Call(task, args, kwargs, _mode(self.producer.claim), options))
        if isinstance(answer, Ok):
            return str(answer.value["task_id"])
        _sound("call", answer)
        raise _RefusedError

    def _hear(self, event: Event) -> None:
        with self._changed:
            self._events.append(event)
            self._changed.notify_all()

    def _has_stopped(self) -> bool:
        return bool(self.of("stopped"))

    def _await(self, holds: Callable[[], bool], seconds: float = PATIENCE) -> bool:
        with self._changed:
            return self._changed.wait_for(holds, seconds)


class _DiedError(Exception):
    """The worker has ended, or does not execute a plain task."""


class _RefusedError(Exception):
    """The producer does not make the call."""


def _mode(claim: Claim) -> Any:
    return next((mode for mode in ("apply_async", "send_task") if mode in claim.modes), "apply_async")


def _must(operation: str, answer: Answer) -> None:
    if not isinstance(answer, Ok):
        raise HarnessError(f"{operation!r} was answered {answer}")


def _sound(operation: str, answer: Answer) -> None:
    from celeriac.conformance.adapter import Broken

    if isinstance(answer, Broken):
        raise HarnessError(f"{operation!r}: {answer.detail}")


# -- the features -----------------------------------------------------------------------------------------


class Feature(NamedTuple):
    """One line of the table.

    Attributes:
        sign: tries it.
        worker: words of the claim that its worker must not deny.
        producer: the same of its producer.
    """

    sign: Callable[[Crossing], Sign]
    worker: tuple[str, ...] = ()
    producer: tuple[str, ...] = ()

    def takes(self, crossing: Crossing) -> list[tuple[Party, str]]:
        """Answer who must not deny what."""
        return [(crossing.worker, word) for word in self.worker] + [
            (crossing.producer, word) for word in self.producer
        ]


_numbers = itertools.count(1000)


def _arguments(crossing: Crossing) -> Sign:
    args, kwargs = ("é", [1, 2.5], None), {"k": {"deep": True}}
    return _unchanged(crossing, crossing.call("celeriac.echo", *args, kwargs=kwargs), args, kwargs)


def _unchanged(crossing: Crossing, task_id: str, args: Any, kwargs: Any) -> Sign:
    started = crossing.wait("started", task_id, 1.0)
    if started is None:
        return "0"
    same = list(started.data.get("args", ())) == list(args) and started.data.get("kwargs") == kwargs
    return "+" if same else "!"


def _option(**options: Any) -> Callable[[Crossing], Sign]:
    """Answer what tries an option that must not change what is executed."""
    return lambda crossing: _unchanged(
        crossing, crossing.call("celeriac.add", 3, 4, kwargs={}, **options), (3, 4), {}
    )


def _countdown(crossing: Crossing) -> Sign:
    before = datetime.now(UTC).timestamp()
    task_id = crossing.call("celeriac.add", 2, 2, countdown=COUNTDOWN)
    started = crossing.wait("started", task_id, COUNTDOWN + 2)
    if started is None:
        return "0"
    return "+" if started.at >= before + COUNTDOWN - SLACK else "!"


def _eta(crossing: Crossing) -> Sign:
    due = datetime.now(UTC) + timedelta(seconds=COUNTDOWN)
    task_id = crossing.call("celeriac.add", 2, 2, eta=due)
    started = crossing.wait("started", task_id, COUNTDOWN + 2)
    if started is None:
        return "0"
    return "+" if started.at >= due.timestamp() - SLACK else "!"


def _expires(crossing: Crossing) -> Sign:
    past = datetime.now(UTC) - timedelta(seconds=60)
    return "!" if crossing.of("started", crossing.call("celeriac.add", 2, 2, expires=past)) else "+"


def _link(crossing: Crossing) -> Sign:
    number = next(_numbers)
    link = Signature("celeriac.add", (number,))
    task_id = crossing.call("celeriac.add", 2, 2, link=link)

    def follower() -> bool:
        return any(list(e.data.get("args", ())) == [4, number] for e in crossing.of("started"))

    return _follows(crossing, task_id, follower)


def _errback(crossing: Crossing) -> Sign:
    link = Signature("celeriac.handler")
    task_id = crossing.call("celeriac.fail", "a reason", link_error=link)
    return _follows(crossing, task_id, lambda: bool(crossing.of("errback", task_id)))


def _follows(crossing: Crossing, task_id: str, follower: Callable[[], bool]) -> Sign:
    if not crossing.of("ended", task_id):
        return "0"
    crossing.call("celeriac.add", 1, 1)  # what follows was sent before this, and is done before it
    return "+" if crossing._await(follower, 1.0) else "!"  # noqa: SLF001 - it is a part of this class


def _retries(crossing: Crossing) -> Sign:
    task_id = crossing.call("celeriac.retry", 2)
    ended = crossing.wait("ended", task_id)
    if ended is None:
        return "0"
    return "+" if ended.data.get("value") == 2 and len(crossing.of("started", task_id)) == 3 else "!"


def _result(crossing: Crossing) -> Sign:
    if crossing.backend_url is None:
        return "."
    answer = crossing.result(crossing.call("celeriac.add", 20, 22))
    _sound("get_result", answer)
    return "+" if isinstance(answer, Ok) and answer.value["value"] == 42 else "!"


def _failure(crossing: Crossing) -> Sign:
    if crossing.backend_url is None:
        return "."
    answer = crossing.result(crossing.call("celeriac.fail", "a reason"))
    _sound("get_result", answer)
    text = getattr(answer, "text", "")
    return "+" if "a reason" in text else "!"


#: The lines of the table, in order; those that may end a worker come last.
FEATURES: Mapping[str, Feature] = {
    "args": Feature(_arguments),
    "countdown": Feature(_countdown),
    "eta": Feature(_eta),
    "expires": Feature(_expires),
    "link": Feature(_link),
    "errback": Feature(_errback, worker=("errback",)),
    "retries": Feature(_retries, worker=("task_retry",)),
    "result": Feature(_result, producer=("result-consumer",)),
    "failure": Feature(_failure, producer=("result-consumer",)),
    "priority": Feature(_option(priority=3)),
    "compression": Feature(_option(compression="zlib")),
}
