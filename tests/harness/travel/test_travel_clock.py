"""The clock that the harness moves: on a machine whose time is the test's, with processes that are the test's, too."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celeriac.conformance import travel
from celeriac.conformance.travel import TravelClock, step

DAY = 86_400.0


# -- steps ------------------------------------------------------------------------------------------------------


@given(
    wait=st.floats(0.001, 3 * DAY),
    interruptions=st.sets(st.integers(0, 1500), max_size=4),
)
@settings(max_examples=60, deadline=None)
def test_steps_sum_up_and_keep_their_limits(wait: float, interruptions: set[int]) -> None:
    """Whatever happens on the way, the steps are the wait together, and none is longer than what went before allows."""
    idle, left, number = 0.0, wait, 0
    while left > 0:
        if number in interruptions:
            idle = 0.0
        seconds = step(idle, left)
        assert 0 < seconds <= left
        assert seconds <= max(travel.SHORTEST, travel.GROWTH * idle)
        far = idle >= travel.FAR and left > travel.FAR / 8
        assert seconds <= (travel.FARTHEST if far else travel.LONGEST)
        idle, left, number = idle + seconds, left - seconds, number + 1
    assert left == 0
    assert number < 5_000


def test_steps_grow_from_the_shortest_to_the_longest() -> None:
    """The first step is the shortest, later ones are a twentieth of what has passed, and then they grow no more."""
    assert [step(idle, DAY) for idle in (0.0, 0.9, 1.0, 100.0, 210.0, 300.0, 7199.0)] == pytest.approx(
        [0.05, 0.05, 0.05, 5.0, 10.5, 10.5, 10.5]
    )


def test_far_steps_are_made_far_from_the_end_only() -> None:
    """Once two hours have passed in vain a step is the farthest, until a quarter of an hour is left."""
    assert step(7200.0, DAY) == step(DAY, 901.0) == travel.FARTHEST
    assert step(DAY, 900.0) == 10.5
    assert step(7199.0, DAY) == 10.5


def test_steps_grow_to_an_hour_where_nobody_is_connected() -> None:
    """A broker without clients is moved as far as a twentieth of what has passed, and by an hour at the most."""
    assert step(7200.0, DAY, alone=True) == 360.0
    assert step(DAY, DAY, alone=True) == 3600.0
    assert step(DAY, 900.0, alone=True) == 900.0


def test_the_last_step_is_what_is_left() -> None:
    """However little is left, nobody is moved beyond the end."""
    assert [step(idle, left) for idle in (0.0, 100.0, DAY) for left in (0.01, 1e-9)] == [0.01, 1e-9] * 3


# -- the clock --------------------------------------------------------------------------------------------------


class Machine:
    """Everything around the clock: the machine's time, which goes on while somebody sleeps, and who follows.

    Attributes:
        seconds: the machine's time.
        offset: what preloaded processes read.
        moves: for each move the machine's time, the offset before and the step.
        happened: the number of records.
        late: who has not noticed the last step.
        on_move: is called after each move, with the offset.
    """

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.offset = 0.0
        self.moves: list[tuple[float, float, float]] = []
        self.happened = 0
        self.late: set[int] = set()
        self.on_move: Callable[[float], None] = lambda offset: None
        self.planned: list[tuple[float, Callable[[], None]]] = []
        self.clock = TravelClock(self.write, self.wake, lambda: self.happened, lambda: set(self.late))

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        due = [action for at, action in self.planned if at <= self.seconds]
        self.planned = [(at, action) for at, action in self.planned if at > self.seconds]
        for action in due:
            action()

    def write(self, offset: float) -> None:
        self.moves.append((self.seconds, self.offset, offset - self.offset))
        self.offset = offset

    def wake(self, seconds: float) -> None:
        assert seconds == pytest.approx(self.moves[-1][2])
        self.on_move(self.offset)

    def happen(self) -> None:
        self.happened += 1

    @property
    def steps(self) -> list[float]:
        return [seconds for _, _, seconds in self.moves]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine that sleeps for as long as the clock wants, at once."""
    machine = Machine()
    monkeypatch.setattr(travel, "time", machine)
    return machine


def test_a_wait_moves_everybody_to_its_end(machine: Machine) -> None:
    """An hour in which nothing happens has passed for everybody, and takes the machine a fraction of it."""
    assert machine.clock.wait_for(lambda: False, 3600.0) is False
    assert machine.clock.moved == machine.offset
    passed = machine.clock.monotonic() - 1000.0
    assert 3600.0 <= passed < 3600.0 + 2 * travel.LOOK
    assert machine.seconds - 1000.0 < 3600.0 / 100
    assert sum(machine.steps) == pytest.approx(machine.offset)
    assert min(machine.steps) > 0


@pytest.mark.parametrize("operation", ["advance", "sleep"])
def test_advancing_and_sleeping_are_waits(machine: Machine, operation: str) -> None:
    """``advance`` and ``sleep`` take everybody along in steps, like a wait for nothing."""
    getattr(machine.clock, operation)(120.0)
    assert 0 <= machine.clock.monotonic() - 1120.0 < 2 * travel.LOOK
    assert len(machine.moves) > 10


def test_what_holds_already_is_seen_at_once(machine: Machine) -> None:
    """Nobody waits, and nobody is moved, for what is so already."""
    assert machine.clock.wait_for(lambda: True, 3600.0) is True
    assert (machine.seconds, machine.moves) == (1000.0, [])


def test_what_comes_by_itself_moves_nobody(machine: Machine) -> None:
    """What happens in the calm before the first step is waited for on the machine's own time."""
    machine.planned = [(1000.1, machine.happen)]
    assert machine.clock.wait_for(lambda: machine.happened == 1, 3600.0) is True
    assert machine.moves == []


def test_nothing_moves_before_it_is_calm(machine: Machine) -> None:
    """As long as things happen in quick succession time is left alone; the last of them is followed by a calm."""
    last = 1000.0 + 5 * 0.8 * travel.CALM
    machine.planned = [(1000.0 + n * 0.8 * travel.CALM, machine.happen) for n in range(1, 6)]
    machine.clock.wait_for(lambda: False, 10.0)
    assert machine.happened == 5
    assert machine.moves[0][0] - last >= travel.CALM


def test_what_never_ends_is_not_waited_for(machine: Machine) -> None:
    """Where something happens all the time, time is moved nevertheless, in the shortest steps."""

    def forever() -> None:
        machine.happen()
        machine.planned.append((machine.seconds, forever))

    machine.planned = [(1000.0, forever)]
    assert machine.clock.wait_for(lambda: False, 5.0) is False
    assert machine.steps
    assert max(machine.steps) <= travel.SHORTEST + 1e-9


def test_steps_are_short_again_after_something_has_happened(machine: Machine) -> None:
    """The step that follows an event is the shortest one, however long nothing had happened before."""

    def once(offset: float) -> None:
        if machine.happened == 0 and offset > 200.0:
            machine.happen()

    machine.on_move = once
    machine.clock.wait_for(lambda: False, 600.0)
    before = next(index for index, (_, offset, _) in enumerate(machine.moves) if offset > 200.0)
    assert machine.steps[before - 1] > 5.0
    assert machine.steps[before] == pytest.approx(travel.SHORTEST)
    assert machine.steps[before - 1] > 5.0 > machine.steps[before + 40]


def test_a_predicate_ends_the_wait_where_it_comes_to_hold(machine: Machine) -> None:
    """What a move brings about ends the wait: nobody is moved any further, and it is seen within one step."""
    assert machine.clock.wait_for(lambda: machine.offset >= 100.0, 3600.0) is True
    assert 100.0 <= machine.offset < 100.0 * (1 + 2 * travel.GROWTH)


def test_a_step_waits_for_whoever_is_late(machine: Machine) -> None:
    """After a step the next one waits until everybody has noticed it."""

    def oversleep(offset: float) -> None:
        machine.late = {7}
        machine.planned.append((machine.seconds + 0.5, machine.late.clear))

    machine.on_move = oversleep
    machine.clock.wait_for(lambda: False, 5.0)
    gaps = [after[0] - before[0] for before, after in pairwise(machine.moves)]
    assert len(gaps) > 3
    assert min(gaps) >= 0.5 - 1e-9


def test_the_mute_are_not_waited_for_twice(machine: Machine) -> None:
    """Who does not notice within the patience is not waited for again; somebody else who is late is."""
    machine.late = {7}
    machine.clock.wait_for(lambda: False, 100.0)
    first = machine.moves[0][0] - 1000.0
    assert first >= travel.PATIENCE
    gaps = [after[0] - before[0] for before, after in pairwise(machine.moves)]
    assert max(gaps) < travel.PATIENCE / 2

    machine.late, begun = {7, 8}, machine.seconds
    number = len(machine.moves)
    machine.clock.wait_for(lambda: False, 100.0)
    assert machine.moves[number][0] - begun >= travel.PATIENCE


def test_the_mute_who_catch_up_are_waited_for_again(machine: Machine) -> None:
    """Who has not noticed in time and then does is waited for like everybody else from then on."""
    machine.late = {7}
    machine.clock.wait_for(lambda: False, 50.0)
    machine.late = set()
    machine.clock.wait_for(lambda: False, 50.0)
    machine.late, begun, number = {7}, machine.seconds, len(machine.moves)
    machine.clock.wait_for(lambda: False, 50.0)
    assert machine.moves[number][0] - begun >= travel.PATIENCE


def test_who_is_late_when_time_is_up_holds_up_nobody(machine: Machine) -> None:
    """A wait that is over ends, whoever has not noticed yet."""
    machine.late = {7}
    assert machine.clock.wait_for(lambda: False, 0.1) is False
    assert machine.clock.monotonic() - 1000.1 < 2 * travel.LOOK
    assert machine.moves == []


def test_a_wait_without_an_end_goes_on_until_it_holds(machine: Machine) -> None:
    """Without a timeout time is moved until the predicate holds, days later if need be."""
    assert machine.clock.wait_for(lambda: machine.offset > 2 * DAY) is True
    assert machine.offset < 2 * DAY + travel.FARTHEST + 1
    assert max(machine.steps) <= travel.FARTHEST + 1e-6


@pytest.mark.parametrize("timeout", [0.0, -1.0])
def test_no_time_is_no_wait(machine: Machine, timeout: float) -> None:
    """A timeout that is over already answers at once and moves nobody."""
    assert machine.clock.wait_for(lambda: False, timeout) is False
    assert machine.moves == []


def test_a_leap_is_one_move(machine: Machine) -> None:
    """``leap`` moves everybody in one go, before anybody is waited for."""
    machine.clock.leap(3600.0)
    assert machine.moves == [(1000.0, 0.0, 3600.0)]
    assert (machine.clock.monotonic(), machine.seconds) == (4600.0, 1000.0)


def test_both_clocks_are_moved_alike() -> None:
    """The date is ahead of the machine's by as much as the monotonic clock."""
    clock = TravelClock(lambda offset: None, lambda seconds: None, lambda: 0, set)
    clock.leap(90_000.0)
    before = datetime.now(UTC)
    date = clock.now()
    assert before + timedelta(seconds=90_000) <= date <= datetime.now(UTC) + timedelta(seconds=90_000)


@pytest.mark.parametrize("question", ["now", "monotonic"])
def test_nobody_is_stamped_by_the_old_time_once_the_new_one_can_be_read(question: str) -> None:
    """Who asks while the file is written is answered when it is written, with the new time."""
    asked, answers = threading.Event(), []

    def ask() -> None:
        asked.set()
        answers.append(getattr(clock, question)())

    asking = threading.Thread(target=ask)

    def write(offset: float) -> None:
        asking.start()
        assert asked.wait(20)
        asking.join(0.05)  # whoever is answered now has read the old time
        assert answers == []

    clock = TravelClock(write, lambda seconds: None, lambda: 0, set)
    before: Any = getattr(clock, question)()
    clock.leap(1000.0)
    asking.join(20)
    (answer,) = answers
    ahead = answer - before
    assert (ahead.total_seconds() if isinstance(ahead, timedelta) else ahead) >= 1000.0
