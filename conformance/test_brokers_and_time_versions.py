"""Brokers and time: what depends on the version of the broker, on the kind of queue, and on who sets the time-out.

Which version has what is data of the provider; a version without a thing is told so and not judged by it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celeriac.conformance import oracles
from celeriac.conformance.checks import check
from celeriac.conformance.holding import beyond, note_close, note_life, run_to_the_end, special_queue

if TYPE_CHECKING:
    from celeriac.conformance.calls import Sent
    from celeriac.conformance.providers import Lease
    from celeriac.conformance.world import World

QUORUM = {"x-queue-type": "quorum"}
#: How a lease ends whose channel is closed; clients close channels for reasons of their own.
BY_BROKER = {"scope": "channel", "by": "broker"}
HOUR = 3600.0


def hold_in_quorum_queue(world: World, lease: Lease) -> tuple[Sent, str, dict[str, Any]]:
    """Let a worker hold a task of a quorum queue beyond the timeout; answer task, worker and how another is started."""
    world.begin(lease=lease)
    queue, settings = special_queue(world, **QUORUM)
    start = {"queues": [queue], **settings}
    worker = world.worker(**start)
    sent = world.send("celeriac.add", (2, 2), eta=beyond(world), queue=queue)
    world.expect("delivered", task_id=sent.task_id)
    history, latest = world.history, world.lease.timeout + world.stage.patience
    world.until(lambda: bool(history.of("cancelled") or history.of("closed", **BY_BROKER)), latest)
    return sent, worker, start


@check("TIM-017", lease="endless", horizon=4 * HOUR, roles=("worker",))
def test_without_a_default_timeout_nothing_is_taken_back(world: World) -> None:
    """A delivery from a classic queue may be held for hours where the version has no timeout for it."""
    world.begin(lease="endless")
    world.worker()
    sent = world.send("celeriac.add", (2, 2), eta=3 * HOUR)
    world.expect("ended", task_id=sent.task_id, timeout=4 * HOUR)
    note_life(world, sent)
    world.judge("TIM-017", oracles.delivered(world.history, sent.task_id))


@check("TIM-018", lease="channel-close", roles=("worker",))
def test_quorum_queue_closes_the_channel_too(world: World) -> None:
    """A delivery from a quorum queue ends like one from a classic queue: 406 in time, and delivered again."""
    sent, worker, start = hold_in_quorum_queue(world, "channel-close")
    note_close(world, sent, "quorum")
    lease, lateness = world.lease, world.lateness_after(world.lease.timeout)
    judgement = oracles.lease_closed(world.history, sent.task_id, lease.timeout, lease.interval, lateness)
    world.judge("TIM-018", judgement)
    run_to_the_end(world, sent, worker, **start)
    world.judge("TIM-018", oracles.redelivered(world.history, sent.task_id))


@check("TIM-019", lease="consumer-cancel", roles=("worker",))
def test_quorum_queue_cancels_the_consumer(world: World) -> None:
    """The consumer is cancelled at the timeout, no channel is closed, and the message is delivered again."""
    sent, _, start = hold_in_quorum_queue(world, "consumer-cancel")
    note_close(world, sent, "quorum")
    world.worker(**start)  # whoever was cancelled may rest, for all that the broker knows
    world.wait("delivered", task_id=sent.task_id, count=2)
    lease, lateness = world.lease, world.lateness_after(world.lease.timeout)
    judgement = oracles.consumer_cancelled(
        world.history, sent.task_id, lease.timeout, lease.interval, lateness
    )
    world.judge("TIM-019", judgement)
    world.judge("TIM-019", oracles.redelivered(world.history, sent.task_id))


@check("TIM-020", lease="consumer-cancel")
def test_task_of_a_cancelled_consumer_runs_once(world: World) -> None:
    """The worker consumes again, and the task runs exactly once, not before its moment."""
    sent, worker, start = hold_in_quorum_queue(world, "consumer-cancel")
    run_to_the_end(world, sent, worker, **start)
    world.advance(world.tick)
    note_life(world, sent)
    world.judge("TIM-020", oracles.executed(world.history, sent.task_id))
    assert sent.eta is not None
    world.judge("TIM-020", oracles.not_before(world.history, sent.task_id, sent.eta))


def judge_own_timeout(world: World, requirement: str, queue: str, settings: dict[str, Any]) -> None:
    """Judge that a task is handed from one worker to another when the timeout of its queue is over."""
    for _ in range(2):
        world.worker([queue], **settings)
    sent = world.send("celeriac.add", (2, 2), eta=beyond(world), queue=queue)
    timeout, latest = world.lease.timeout, world.lease.timeout + world.lease.interval
    world.wait("delivered", task_id=sent.task_id, count=2, timeout=latest + world.stage.patience)
    note_close(world, sent, "quorum")
    latest += world.lateness_after(timeout)
    world.judge(requirement, oracles.redelivered_within(world.history, sent.task_id, timeout, latest))


@check("TIM-021", lease="queue-argument", roles=("worker",))
def test_timeout_of_a_queue_replaces_the_brokers(world: World) -> None:
    """The argument x-consumer-timeout of a queue counts for its deliveries."""
    world.begin(lease="queue-argument")
    milliseconds = round(world.lease.timeout * 1000)
    queue, settings = special_queue(world, **QUORUM, **{"x-consumer-timeout": milliseconds})
    judge_own_timeout(world, "TIM-021", queue, settings)


@check("TIM-022", lease="policy", roles=("worker",))
def test_timeout_of_a_policy_replaces_the_brokers(world: World) -> None:
    """The policy consumer-timeout counts for the deliveries of the queues that it applies to."""
    world.begin(lease="policy")
    queue, settings = special_queue(world, **QUORUM)
    world.stage.set_policy(f"^{queue}$", {"consumer-timeout": round(world.lease.timeout * 1000)})
    judge_own_timeout(world, "TIM-022", queue, settings)
