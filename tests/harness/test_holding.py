"""Tasks that are held for long: what is done until they have ended."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from celeriac.conformance.history import History
from celeriac.conformance.holding import SUCCESSORS, beyond, run_to_the_end
from celeriac.conformance.providers import LeaseTimes
from celeriac.conformance.verdicts import Judgement, Violation

TASK: Any = SimpleNamespace(task_id="t")


class Scripted:
    """A world in which the running worker does one thing per wait: it stops, or it ends the task.

    Args:
        fates: what happens while the check waits, in order; afterwards nothing.
    """

    def __init__(self, *fates: str) -> None:
        self.history = History()
        self.lease = LeaseTimes(1800.0, 60.0, "channel-close")
        self.fates = list(fates)
        self.started: list[dict[str, Any]] = []
        self.running = "w0"

    def until(self, predicate: Callable[[], bool]) -> bool:
        while not predicate() and self.fates:
            fate = self.fates.pop(0)
            if fate == "ended":
                self.history.add("ended", 1.0, "probe", task_id="t")
            elif fate == "other":
                self.history.add("ended", 1.0, "probe", task_id="u")
            else:
                self.history.add("stopped", 1.0, "harness", worker=self.running, exit_code=1, log="")
        return predicate()

    def worker(self, **start: Any) -> str:
        self.started.append(start)
        self.running = f"w{len(self.started)}"
        return self.running

    def expect(self, kind: str, **fields: Any) -> Any:
        record = self.history.first(kind, **fields)
        if record is None:
            raise Violation("", Judgement("fail", kind, "nothing"))
        return record


def play(*fates: str, **start: Any) -> Scripted:
    """Run a task to its end while this happens, and answer the world."""
    world: Any = Scripted(*fates)
    run_to_the_end(world, TASK, "w0", **start)
    return world  # type: ignore[no-any-return]


def test_a_worker_that_lives_gets_no_successor() -> None:
    """Where the task ends, nobody else is started; the end of another task is not its end."""
    assert play("ended").started == []
    assert play("other", "ended").started == []


def test_a_stopped_worker_gets_a_successor_like_itself() -> None:
    """When the last worker has stopped another is started, with the settings of the first, until the task ends."""
    world = play("stopped", "stopped", "ended", settings={"a": 1})
    assert world.started == [{"settings": {"a": 1}}] * 2
    assert world.fates == []


def test_a_worker_among_others_is_not_replaced() -> None:
    """As long as one of several workers runs, the task is waited for."""
    world: Any = Scripted("stopped", "ended")
    run_to_the_end(world, TASK, "w0", "another")
    assert world.started == []


def test_workers_that_always_stop_are_given_up() -> None:
    """A task that nobody lives long enough to end is a violation after a known number of successors."""
    world: Any = Scripted(*["stopped"] * 100)
    with pytest.raises(Violation):
        run_to_the_end(world, TASK, "w0")
    assert len(world.started) == SUCCESSORS


def test_a_task_that_never_ends_is_a_violation() -> None:
    """A worker that neither stops nor ends the task in time gets no successor, because it has not stopped."""
    world: Any = Scripted()
    with pytest.raises(Violation):
        run_to_the_end(world, TASK, "w0")
    assert world.started == []


@pytest.mark.parametrize(("timeout", "interval"), [(1800.0, 60.0), (3600.0, 100.0), (1.0, 0.25)])
def test_beyond_outlives_one_lease_and_not_two(timeout: float, interval: float) -> None:
    """What is held beyond its lease comes back once, however late the broker looks, and not twice."""
    world: Any = SimpleNamespace(lease=LeaseTimes(timeout, interval, "channel-close"))
    assert timeout + interval < beyond(world) < 2 * timeout
