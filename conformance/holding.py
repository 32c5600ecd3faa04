"""Tasks that are held for longer than a broker likes: what the checks on brokers and time have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from celeriac.conformance import places
from celeriac.conformance.adapter import QueueRef

if TYPE_CHECKING:
    from celeriac.conformance.calls import Sent
    from celeriac.conformance.world import World

__all__ = ["beyond", "note_close", "note_life", "run_to_the_end", "special_queue", "until_ended_or_stopped"]

#: How often workers may be replaced before a scenario is given up.
SUCCESSORS = 8


def beyond(world: World) -> float:
    """Answer a countdown in seconds that outlives the lease once, and ends well before it would do so twice."""
    return 1.5 * world.lease.timeout + world.lease.interval


def special_queue(world: World, **arguments: Any) -> tuple[str, dict[str, Any]]:
    """Declare a queue with arguments; answer its name and the settings of a worker that is to consume it."""
    name = places.new_name("held")
    places.declare(world, name, **arguments)
    return name, {"task_queues": (QueueRef(name, arguments=arguments),)}


def until_ended_or_stopped(world: World, sent: Sent, workers: Sequence[str]) -> None:
    """Wait for the end of the task, or of all workers."""
    history = world.history
    world.until(lambda: bool(history.of("ended", task_id=sent.task_id)) or _have_stopped(world, workers))


def _have_stopped(world: World, workers: Sequence[str]) -> bool:
    return all(world.history.of("stopped", worker=worker) for worker in workers)


def run_to_the_end(world: World, sent: Sent, *workers: str, **start: Any) -> None:
    """Wait until the task has ended; when all workers have stopped by themselves, a successor starts.

    One that is there and does nothing any more has no successor.

    Args:
        world: where.
        sent: the task.
        workers: those that run.
        start: arguments of ``world.worker`` for a successor.
    """
    running = list(workers)
    for _ in range(SUCCESSORS):
        until_ended_or_stopped(world, sent, running)
        ended = world.history.first("ended", task_id=sent.task_id) is not None
        if ended or not _have_stopped(world, running):
            break
        running.append(world.worker(**start))
    world.expect("ended", task_id=sent.task_id)


def note_close(world: World, sent: Sent, queue_type: str) -> None:
    """Keep for the report what the broker did about a delivery that was held for too long, and when."""
    delivery = world.history.first("delivered", task_id=sent.task_id)
    ending = world.history.first("closed", scope="channel", by="broker") or world.history.first("cancelled")
    if delivery is None or ending is None:
        return
    world.note(
        "lease",
        {
            "queue": queue_type,
            "timeout_s": world.lease.timeout,
            "ended_after_s": round(ending.at - delivery.at, 1),
            "ending": world.lease.kind,
            "text": ending.data.get("text"),
        },
    )


def note_life(world: World, sent: Sent) -> None:
    """Keep for the report when the task was delivered and executed, and how workers ended."""
    history = world.history
    delivered = [record.at for record in history.of("delivered", task_id=sent.task_id)]
    started = [record.at for record in history.of("started", task_id=sent.task_id)]
    world.note(
        "life",
        {
            "countdown_s": None if sent.eta is None else round(sent.eta - sent.at, 1),
            "delivered_after_s": [round(at - sent.at, 1) for at in delivered],
            "executed_after_s": [round(at - sent.at, 1) for at in started],
            "workers_ended": [record.exit_code for record in history.of("stopped")],
        },
    )
