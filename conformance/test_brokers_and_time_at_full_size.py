"""Brokers and time: hours and days as people use them, where the clock can be moved so far."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from celeriac.conformance import oracles
from celeriac.conformance.adapter import Ok
from celeriac.conformance.calls import Called
from celeriac.conformance.checks import check
from celeriac.conformance.holding import note_life

if TYPE_CHECKING:
    from celeriac.conformance.calls import Sent
    from celeriac.conformance.world import World

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0

#: Countdowns of the guide's readers, in seconds.
COUNTDOWNS = {"40 minutes": 40 * MINUTE, "20 hours": 20 * HOUR}


def hold_for(world: World, countdown: float) -> Sent:
    """Let a worker hold a task for so long, and then some more time pass."""
    sent = world.send("celeriac.add", (2, 2), eta=countdown)
    world.wait("ended", task_id=sent.task_id, timeout=countdown + HOUR)
    world.advance(world.tick)
    note_life(world, sent)
    return sent


@check("TIM-005", lease="patient", link="amqp", horizon=21 * HOUR, roles=("worker",))
@pytest.mark.parametrize("countdown", COUNTDOWNS.values(), ids=COUNTDOWNS)
def test_countdown_survives_with_the_guides_remedy(world: World, countdown: float) -> None:
    """With consumer_timeout = 31622400000 a long countdown costs one delivery and one execution."""
    world.begin(lease="patient")
    world.worker()
    sent = hold_for(world, countdown)
    world.judge("TIM-005", oracles.delivered(world.history, sent.task_id))
    world.judge("TIM-005", oracles.executed(world.history, sent.task_id))


@check("TIM-013", lease="patient-redeliver", horizon=3 * HOUR, roles=("worker",))
@pytest.mark.parametrize("workers", [1, 2])
def test_countdown_survives_with_a_larger_visibility_timeout(world: World, workers: int) -> None:
    """With a visibility_timeout that is longer, a countdown of two hours costs one delivery, whoever sweeps."""
    world.begin(lease="patient-redeliver")
    for _ in range(workers):
        world.worker()
    sent = hold_for(world, 2 * HOUR)
    world.judge("TIM-013", oracles.delivered(world.history, sent.task_id))
    world.judge("TIM-013", oracles.executed(world.history, sent.task_id))


def hold_for_two_hours(world: World, workers: int) -> Sent:
    """Let workers, who sweep while they wait, share a queue with a task that is due in two hours."""
    world.begin(lease="redeliver")
    for _ in range(workers):
        world.worker()
    return hold_for(world, 2 * HOUR)


@check("TIM-012", lease="redeliver", horizon=3 * HOUR, roles=("worker",))
@pytest.mark.parametrize("workers", [1, 2])
def test_waiting_workers_sweep(world: World, workers: int) -> None:
    """The message of a task that is due in two hours is delivered again after one, by a sweep of those who wait."""
    sent = hold_for_two_hours(world, workers)
    lease = world.lease
    latest = lease.timeout + lease.interval + world.lateness_after(lease.timeout)
    # how early it may be is for TIM-011 to decide
    world.judge("TIM-012", oracles.redelivered_within(world.history, sent.task_id, 0, latest))


@check("TIM-014", lease="redeliver", horizon=3 * HOUR)
@pytest.mark.parametrize("workers", [1, 2])
def test_task_due_in_two_hours_runs(world: World, workers: int) -> None:
    """A task that is due in two hours is executed at least once, by one worker or two."""
    sent = hold_for_two_hours(world, workers)
    world.judge("TIM-014", oracles.executed(world.history, sent.task_id, times=range(1, 1000)))


@check("TIM-015", lease="redeliver", horizon=3 * HOUR)
@pytest.mark.parametrize("workers", [1, 2])
def test_task_due_in_two_hours_keeps_its_eta(world: World, workers: int) -> None:
    """None of its copies starts earlier."""
    sent = hold_for_two_hours(world, workers)
    assert sent.eta is not None
    world.judge("TIM-015", oracles.not_before(world.history, sent.task_id, sent.eta))


@check("ETA-004", lease="patient", horizon=2 * DAY, roles=("worker",))
def test_task_of_tomorrow_waits(world: World) -> None:
    """A task with the eta of this time tomorrow is started tomorrow, not before."""
    world.begin(lease="patient")
    world.worker()
    sent = hold_for(world, DAY)
    assert sent.eta is not None
    world.judge("ETA-004", oracles.not_before(world.history, sent.task_id, sent.eta))


@check("EXP-008", horizon=2 * DAY)
def test_task_is_wanted_for_a_day(world: World) -> None:
    """A task that expires in a day is executed in the last hour of that day, and not in the hour after it."""
    world.begin()
    in_time = world.send("celeriac.add", (2, 2), expires=DAY)
    world.advance(DAY - HOUR)
    worker = world.worker()
    world.expect("ended", task_id=in_time.task_id)
    world.stop(worker)
    too_late = world.send("celeriac.add", (2, 2), expires=DAY)
    world.advance(DAY + HOUR)
    world.worker()
    after = world.send("celeriac.add", (3, 3))
    world.expect("ended", task_id=after.task_id)
    world.judge("EXP-008", oracles.never_started(world.history, too_late.task_id))


@check("RES-021", link="redis", horizon=2 * DAY, roles=("worker", "result-consumer"))
def test_result_is_kept_for_a_day(world: World) -> None:
    """Whoever looks for the first time finds a result after 23 hours, and none after 25."""
    world.begin()
    world.worker()
    tasks = [world.send("celeriac.add", (2, 2)).task_id for _ in range(2)]
    stored = [world.expect("stored", task_id=task_id, state="SUCCESS").at for task_id in tasks]
    for task_id, at, hours, expected in zip(tasks, stored, (23, 25), ("SUCCESS", "PENDING"), strict=True):
        world.advance(at + hours * HOUR - world.now())
        state = world.state(Called(task_id, Ok(), world.now(), world.now()))
        world.require("RES-021", state == Ok(expected), f"{expected} after {hours} hours", f"{state}")
