"""A producer of one implementation and a worker of another, on one broker.

A worker lives on a queue of its own.  That it is through with all that was sent is shown by a task that the harness
sends after it, so that nothing is waited for that cannot come any more.
"""

from __future__ import annotations

import itertools
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from celeriac.conformance.adapter import (
    Adapter,
    Answer,
    Broken,
    Call,
    Event,
    Ok,
    Raised,
    Scenario,
    Unsupported,
    WorkerSpec,
)
from celeriac.conformance.claim import Claim
from celeriac.conformance.guard import GuardedAdapter
from celeriac.conformance.inject import AmqpInjector, Injector, RedisInjector
from celeriac.conformance.interop_features import COUNTDOWN, Feature, Sent
from celeriac.conformance.interop_table import Outcome
from celeriac.conformance.messages import task_message
from celeriac.conformance.verdicts import HarnessError

__all__ = ["Caller", "Party", "Place"]

#: Seconds that an adapter may take for an answer.
DEADLINE = 20.0

#: Seconds after which a worker that has not done a plain task is taken for one that hangs.
PATIENCE = 5.0

#: Seconds for which something may be late that nothing proves to be lost.
GRACE = 1.0

#: Seconds for which a producer waits for a result.
READING = 2.0


class Party(NamedTuple):
    """An implementation that takes part.

    Attributes:
        claim: its claim.
        make: makes its adapter.
    """

    claim: Claim
    make: Callable[[], Adapter]

    def adapter(self) -> Adapter:
        """Answer an adapter whose every answer comes within a deadline."""
        return GuardedAdapter(self.make(), self.claim.patience(DEADLINE))


class Place:
    """The worker of one implementation, which is started anew when it dies.

    Args:
        party: the implementation.
        broker_url: of the broker.
        backend_url: of the result back end, None for none.

    Raises:
        HarnessError: the adapter broke.
    """

    def __init__(self, party: Party, broker_url: str, backend_url: str | None) -> None:
        self.party, self.backend_url = party, backend_url
        self._url = broker_url
        self._events: list[Event] = []
        self._changed = threading.Condition()
        self._adapter = party.adapter()
        self._adapter.emit = self._heard
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        name = f"celeriac-interop-{uuid.uuid4()}"
        self._events = []
        self.scenario = Scenario(name, self._url, self.backend_url, name)
        make: Callable[[str], Injector] = RedisInjector if self._url.startswith("redis") else AmqpInjector
        self._queue = make(self._url)
        self._queue.open(name)
        _demand("begin", self._adapter.begin(self.scenario))
        _demand("start_worker", self._adapter.start_worker(WorkerSpec(name, self._url, (name,))))

    def renew(self) -> None:
        """Start the worker anew, on a queue of its own."""
        self._end()
        self._open()

    def close(self) -> None:
        """End the worker."""
        self._end()
        self._adapter.close()

    def _end(self) -> None:
        self._adapter.end()  # the worker may be dead, and its adapter, too
        self._queue.close()

    @property
    def events(self) -> Sequence[Event]:
        """What the worker has reported so far."""
        with self._changed:
            return tuple(self._events)

    def death(self) -> str | None:
        """Answer how the worker has ended; None while it lives."""
        stopped = [event.data for event in self.events if event.kind == "stopped"]
        return f"the worker ended with status {stopped[0].get('exit_code')}" if stopped else None

    def settle(self, satisfied: Callable[[Sequence[Event]], bool]) -> str | None:
        """Return when ``satisfied``, or when what is missing cannot come; answer how the worker died, if it did."""
        hangs = "the worker lives and takes no more tasks"
        if not self._passes():
            return self.death() or hangs
        if not self._until(satisfied, COUNTDOWN + GRACE):
            if not self._passes():
                return self.death() or hangs
            self._until(satisfied, GRACE)
        return self.death()

    def _passes(self) -> bool:
        """Answer whether the worker does a plain task, hence has taken all that was sent before."""
        plain = task_message("celeriac.add", (1, 1), reply_to=self.scenario.queue, ignore_result=True)
        self._queue.send(plain, self.scenario.queue)
        return self._until(lambda events: any(_is_end(event, plain.task_id) for event in events), PATIENCE)

    def _until(self, holds: Callable[[Sequence[Event]], bool], seconds: float) -> bool:
        """Wait until something holds, or the worker has ended, or time is up; answer whether it holds."""
        with self._changed:
            self._changed.wait_for(lambda: holds(self._events) or self.death() is not None, seconds)
            return holds(self._events)

    def _heard(self, event: Event) -> None:
        with self._changed:
            if event.data.get("worker") == self.scenario.id:  # not what a former one says at its end
                self._events.append(event)
                self._changed.notify_all()


class Caller:
    """The producer of one implementation, which goes from place to place."""

    _numbers = itertools.count(1000)

    def __init__(self, party: Party) -> None:
        self.party = party
        self._adapter = party.adapter()
        self._adapter.emit = lambda event: None
        self._scenario: Scenario | None = None
        self._failure: str | None = None

    def send(self, feature: Feature, scenario: Scenario) -> Sent | Outcome:
        """Make the call of a feature, and answer what was sent, or how the producer refused or broke."""
        if (failure := self._enter(scenario)) is not None:
            return Outcome("broken", failure)
        number, now = next(self._numbers), datetime.now(UTC)
        answer = self._heed("call", self._perform(feature.call(number, now)))
        match answer:
            case Ok(value):
                first, last = _ids(value)
                return Sent(first, now.timestamp(), number, last)
            case Raised():
                return Outcome("refused", f"{answer.type} was raised")
            case Unsupported():
                return Outcome("refused", f"{answer.feature}: {answer.reason}")
            case Broken():
                return Outcome("broken", str(self._failure))

    def read(self, feature: Feature, sent: Sent) -> Outcome:
        """Let the producer wait for the result of a feature, and answer what it makes of it."""
        answer = self._heed("get_result", self._adapter.get_result(sent.last_id, timeout=READING))
        if isinstance(answer, Broken):
            return Outcome("broken", str(self._failure))
        assert feature.reading is not None
        loss = feature.reading(answer, sent.number)
        return Outcome("lost", loss) if loss else Outcome("works")

    def close(self) -> None:
        """End it."""
        if self._scenario is not None:
            self._adapter.end()
        self._adapter.close()

    def _perform(self, call: Any) -> Answer:
        if not isinstance(call, Call):
            return self._adapter.compose("chain", call, {})
        modes = self.party.claim.modes
        if "apply_async" not in modes and "send_task" in modes:
            call = replace(call, mode="send_task")
        return self._adapter.call(call)

    def _enter(self, scenario: Scenario) -> str | None:
        """Begin the scenario unless that is done, and answer how the adapter has broken in it, if it has."""
        if scenario is not self._scenario:
            if self._scenario is not None:
                self._adapter.end()
            self._scenario = scenario
            self._failure = _failure("begin", self._adapter.begin(scenario))
        return self._failure

    def _heed(self, operation: str, answer: Answer) -> Answer:
        """Remember that the adapter has broken: until the next scenario it is asked nothing more."""
        if isinstance(answer, Broken):
            self._failure = _failure(operation, answer)
        return answer


def _ids(value: Mapping[str, Any]) -> tuple[str, str]:
    """Answer the id of the first task and of the last."""
    if "task_ids" in value:
        return str(value["task_ids"][0]), str(value["id"])
    return str(value["task_id"]), str(value["task_id"])


def _is_end(event: Event, task_id: str) -> bool:
    return event.kind == "ended" and event.data.get("task_id") == task_id


def _failure(operation: str, answer: Answer) -> str | None:
    """Answer in a line why something was not done that must be; None when it was."""
    if isinstance(answer, Ok):
        return None
    text = answer.detail if isinstance(answer, Broken) else str(answer)
    return f"{operation!r}: {(text.splitlines() or ['it did not say why'])[0]}"


def _demand(operation: str, answer: Answer) -> None:
    if (failure := _failure(operation, answer)) is not None:
        raise HarnessError(failure)
