"""The task message, continued: when a worker acknowledges it, and what it sends when a task is tried again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celeriac.conformance import oracles
from celeriac.conformance.checks import check

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
