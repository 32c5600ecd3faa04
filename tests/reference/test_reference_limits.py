"""Time limits: on virtual time where a task is interrupted, and the machine's alarm."""

from __future__ import annotations

import signal
import threading
import time
from typing import Any

import pytest

from celeriac.reference.alarm import Alarm
from celeriac.reference.clock import VirtualClock, WallClock
from celeriac.reference.errors import SoftTimeLimitExceeded

Lab = Any

#: Longer than any alarm of these tests; nobody sleeps to its end.
LONG_S = 60


class HalfTimeError(Exception):
    """What the first limit raises."""


class FullTimeError(Exception):
    """What the second limit raises."""


@pytest.mark.parametrize(
    ("limits", "ended_at", "error"),
    [
        ({"soft_time_limit": 5}, 5, "SoftTimeLimitExceeded"),
        ({"time_limit": 7}, 7, "TimeLimitExceeded"),
        ({"soft_time_limit": 5, "time_limit": 7}, 5, "SoftTimeLimitExceeded"),
    ],
    ids=["soft", "hard", "both"],
)
def test_a_task_is_interrupted_at_its_limit(
    lab: Lab, limits: dict[str, float], ended_at: float, error: str
) -> None:
    """The first limit that is over ends a task which handles neither, and the state says which it was."""
    app = lab.app()
    app.task(name="sleep")(lab.clock.sleep)
    lab.worker(app)
    result = app.send_task("sleep", (10,), **limits)
    answer = result.get(timeout=20, propagate=False)
    assert type(answer).__name__ == error
    assert [at for at, kind, _ in lab.seen if kind == "ended"] == [ended_at]


def test_a_task_may_tidy_up_until_the_hard_limit(lab: Lab) -> None:
    """A task that handles the soft limit goes on, and is ended for good by the hard one."""
    app, told = lab.app(), []

    def stubborn() -> None:
        try:
            lab.clock.sleep(10)
        except SoftTimeLimitExceeded:
            told.append(lab.clock.monotonic())
            lab.clock.sleep(10)

    app.task(name="stubborn")(stubborn)
    lab.worker(app)
    result = app.send_task("stubborn", soft_time_limit=5, time_limit=7)
    assert type(result.get(timeout=20, propagate=False)).__name__ == "TimeLimitExceeded"
    assert told == [5]
    assert [at for at, kind, _ in lab.seen if kind == "ended"] == [7]


def test_limits_of_the_task_hold_for_messages_without(lab: Lab) -> None:
    """A worker's own limit for a task counts where the message has none, and not where it has one."""
    app = lab.app()
    app.task(name="sleep", soft_time_limit=3)(lab.clock.sleep)
    lab.worker(app)
    own = app.send_task("sleep", (10,), soft_time_limit=5)
    own.get(timeout=20, propagate=False)
    lab.inject("[[10], {}, {}]", {"task": "sleep", "id": "bare"})
    lab.clock.advance(20)
    began = lab.ran("bare")[0]
    assert [at for at, kind, _ in lab.seen if kind == "ended"] == [5, began + 3]


def test_blocks_of_virtual_time_have_limits_of_their_own() -> None:
    """The limit of an outer block does not end the sleep of an inner one, which has none."""
    clock = VirtualClock()
    with clock.limited((5, HalfTimeError())):
        with clock.limited():
            clock.sleep(10)
        assert clock.monotonic() == 10
        with pytest.raises(HalfTimeError):
            clock.sleep(0)


def test_an_alarm_raises_each_error_once() -> None:
    """The limits of a block on the machine's time come one after the other, and leave nothing set."""
    before = signal.getsignal(signal.SIGALRM)
    with Alarm([(0.02, FullTimeError()), (0.01, HalfTimeError())]):
        with pytest.raises(HalfTimeError):
            time.sleep(LONG_S)
        with pytest.raises(FullTimeError):
            time.sleep(LONG_S)
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) is before


def test_a_block_that_ends_in_time_is_left_alone() -> None:
    """What is not over when the block ends is never raised."""
    with WallClock().limited((LONG_S, HalfTimeError())):
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_other_threads_have_no_limits() -> None:
    """Only the main thread can be interrupted; in any other a block runs as if it had no limit."""
    found: list[float] = []

    def run() -> None:
        with WallClock().limited((LONG_S, HalfTimeError())):
            found.append(signal.getitimer(signal.ITIMER_REAL)[0])

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [0.0]
