"""The task message, continued: what becomes of it and of its task in time, when things go on and when they do not."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from celeriac.conformance import oracles
from celeriac.conformance.checks import check
from celeriac.conformance.verdicts import NotApplicable

if TYPE_CHECKING:
    from celeriac.conformance.world import World


@check("MSG-034")
def test_time_limits_are_hard_and_soft(world: World) -> None:
    """Both limits, and each of them alone, stand in their places."""
    world.begin()
    for hard, soft in ((50, 30), (50, None), (None, 30)):
        limits: dict[str, Any] = {"time_limit": hard, "soft_time_limit": soft}
        given = {name: value for name, value in limits.items() if value is not None}
        record = world.published(world.call(**given))
        seen = list(record.headers.get("timelimit") or ())
        world.judge("MSG-034", oracles.equal([hard, soft], seen, f"the timelimit of {given}", record))


def occupy(world: World, **settings: Any) -> str:
    """Let a worker execute a task that takes a tick, and wait until its message is acknowledged."""
    world.begin(settings=settings)
    world.worker()
    sent = world.send("celeriac.sleep", (world.tick,))
    world.expect("ended", task_id=sent.task_id)
    world.expect("acked", task_id=sent.task_id)
    return sent.task_id


@check("MSG-035")
def test_early_acknowledgement(world: World) -> None:
    """The acknowledgement does not wait for the end of a long task."""
    task_id = occupy(world, task_acks_late=False)
    world.judge("MSG-035", oracles.acked_before_end(world.history, task_id))


@check("MSG-036")
def test_late_acknowledgement(world: World) -> None:
    """The acknowledgement waits for the end of a long task."""
    task_id = occupy(world, task_acks_late=True)
    world.judge("MSG-036", oracles.acked_after_end(world.history, task_id))


@check("MSG-037")
def test_further_attempts_are_numbered(world: World) -> None:
    """Three further attempts of a task are messages for the same task and id, numbered 1, 2 and 3."""
    world.begin()
    world.worker()
    sent = world.send("celeriac.retry", (3,))
    world.expect("ended", task_id=sent.task_id)
    records = [r for r in world.history.of("published", task_id=sent.task_id) if r.headers.get("retries")]
    seen = [(r.headers.get("task"), r.headers.get("id"), r.headers.get("retries")) for r in records]
    expected = [("celeriac.retry", sent.task_id, number) for number in (1, 2, 3)]
    world.judge("MSG-037", oracles.equal(expected, seen, "task, id and retries of the attempts", *records))


@check("MSG-043")
def test_further_attempts_have_an_end(world: World) -> None:
    """A task that asks for five retries and may have two is executed three times, and fails."""
    world.begin()
    world.worker()
    sent = world.send("celeriac.retry", (5, 0, None, 2))
    world.expect("stored", task_id=sent.task_id, state="FAILURE")
    after = world.send()
    world.expect("ended", task_id=after.task_id)
    world.judge("MSG-043", oracles.executed(world.history, sent.task_id, times=3))


# -- time limits

#: The states after which a task has no other.
FINAL = ("SUCCESS", "FAILURE")


def require_interruption(world: World, requirement: str, limits: list[float | None], error: str) -> None:
    """Require that a task of three ticks, which has these limits, is stored as a failure with this error."""
    world.begin()
    world.worker()
    message = world.message("celeriac.sleep", (world.tick * 3,)).with_headers(timelimit=limits)
    world.inject(message)
    world.expect("stored", task_id=message.task_id)
    world.until(lambda: any(r.state in FINAL for r in world.history.of("stored", task_id=message.task_id)))
    stored = world.history.of("stored", task_id=message.task_id)[-1]
    result = stored.result if isinstance(stored.result, Mapping) else {}
    seen = (stored.state, result.get("exc_type"))
    world.judge(requirement, oracles.equal(("FAILURE", error), seen, f"what is stored with {limits}", stored))


@check("MSG-041")
def test_soft_time_limit(world: World) -> None:
    """A task that sleeps beyond the second of its limits gets an error of its own."""
    require_interruption(world, "MSG-041", [None, world.tick], "SoftTimeLimitExceeded")


@check("MSG-042")
def test_hard_time_limit(world: World) -> None:
    """A task that sleeps beyond the first of its limits is ended."""
    require_interruption(world, "MSG-042", [world.tick, None], "TimeLimitExceeded")


# -- what is not lost


def kept(world: World, tasks: Collection[str]) -> set[str]:
    """Wait until the broker has the messages of all these tasks, or until time is up; answer those that it has."""
    found: set[str] = set()

    def look() -> bool:
        found.update(each for ids in world.stage.waiting().values() for each in ids)
        found.update(world.stage.unacked().values())
        return found.issuperset(tasks)

    world.until(look, timeout=world.tick + world.lateness)
    return found.intersection(tasks)


@check("MSG-044")
def test_killed_worker_loses_no_task_that_waits(world: World) -> None:
    """Of a dozen long tasks the broker has, when their worker is killed, all that were not started."""
    world.begin()
    worker, killed = world.worker(), threading.Event()

    def kill() -> None:
        world.stop(worker, "kill")
        killed.set()

    # by then whoever acknowledges what it receives has done so
    world.after(world.tick / 2, kill)
    sent = {world.send("celeriac.sleep", (world.tick * 3,)).task_id for _ in range(12)}
    world.until(killed.is_set)
    waiting = sent - {record.task_id for record in world.history.of("started")}
    if not waiting:
        raise NotApplicable("the worker starts all tasks at once, so none can be lost before its start")
    lost = waiting - kept(world, waiting)
    observed = f"{len(lost)} of {len(waiting)} tasks that were not started are gone"
    world.require("MSG-044", not lost, f"the broker has all {len(waiting)} of them", observed)


@check("MSG-045", link="redis")
def test_received_messages_are_noted(world: World) -> None:
    """Three held messages stand under their tags in the hash, and none when their tasks have ended."""
    world.begin()
    world.worker()
    sent = [world.send(args=(1, i), eta=world.tick * 1.5).task_id for i in range(3)]
    tags = {world.expect("delivered", task_id=task_id).delivery_tag: task_id for task_id in sent}
    world.until(lambda: unacked(world, sent) == tags, timeout=world.tick / 2)
    world.judge("MSG-045", oracles.equal(tags, unacked(world, sent), "tags and tasks that are unacked"))
    for task_id in sent:
        world.expect("ended", task_id=task_id)
    world.until(lambda: not unacked(world, sent), timeout=world.tick)
    world.judge("MSG-045", oracles.equal({}, unacked(world, sent), "what is unacked afterwards"))


def unacked(world: World, tasks: Collection[str]) -> dict[str, str]:
    """Answer what of these tasks is in the hash, by delivery tag."""
    return {tag: task_id for tag, task_id in world.stage.unacked().items() if task_id in tasks}


@check("MSG-047")
def test_tasks_run_side_by_side(world: World) -> None:
    """Of four tasks at a concurrency of four the last starts before the first has ended."""
    world.begin()
    world.worker(worker_concurrency=4)
    sent = [world.send("celeriac.sleep", (world.tick,)).task_id for _ in range(4)]
    for task_id in sent:
        world.expect("ended", task_id=task_id)
    world.judge("MSG-047", oracles.side_by_side(world.history, sent))
