"""Brokers and time: what happens when a countdown outlives the broker's patience.

The two scenarios are those of the guide's warnings.  Where the clock can be moved they play at the brokers'
real defaults (half an hour, one hour), else at short settings; the bodies are the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from celeriac.conformance import oracles
from celeriac.conformance.checks import check
from celeriac.conformance.holding import (
    beyond,
    note_close,
    note_life,
    run_to_the_end,
    until_ended_or_stopped,
)

if TYPE_CHECKING:
    from celeriac.conformance.calls import Sent
    from celeriac.conformance.world import World


def hold_beyond_the_timeout(world: World) -> tuple[Sent, str]:
    """Let a worker hold a task until the broker has closed its channel; answer the task and the worker."""
    world.begin(lease="channel-close")
    worker = world.worker()
    sent = world.send("celeriac.add", (2, 2), eta=beyond(world))
    world.expect("delivered", task_id=sent.task_id)
    world.wait("closed", scope="channel", by="broker", timeout=world.lease.timeout + world.stage.patience)
    return sent, worker


@check("TIM-001", lease="channel-close", roles=("worker",))
def test_overdue_channel_is_closed_in_time(world: World) -> None:
    """The channel is closed with 406, one check interval after the timeout at the latest."""
    sent, _ = hold_beyond_the_timeout(world)
    note_close(world, sent, "classic")
    latest, lateness = world.lease.timeout + world.lease.interval, world.lateness_after(world.lease.timeout)
    world.judge("TIM-001", oracles.lease_closed(world.history, sent.task_id, 0, latest, lateness))


@check("TIM-002", lease="channel-close", roles=("worker",))
def test_channel_is_not_closed_before_the_timeout(world: World) -> None:
    """The channel stays open for as long as the timeout says."""
    sent, _ = hold_beyond_the_timeout(world)
    delivery = world.expect("delivered", task_id=sent.task_id)
    for close in world.history.of("closed", scope="channel", by="broker"):
        after, timeout = close.at - delivery.at, world.lease.timeout
        expected = f"no close within {timeout} s of the delivery"
        holds = after >= timeout - world.history.slack
        world.require("TIM-002", holds, expected, f"closed after {after:.3f} s", delivery, close)


@check("TIM-003", lease="channel-close", roles=("worker",))
def test_message_of_a_closed_channel_is_delivered_again(world: World) -> None:
    """The message goes back to its queue and its next delivery says that it is one."""
    sent, worker = hold_beyond_the_timeout(world)
    run_to_the_end(world, sent, worker)
    world.judge("TIM-003", oracles.requeued(world.history, sent.task_id))
    world.judge("TIM-003", oracles.redelivered(world.history, sent.task_id))


@check("TIM-004", lease="channel-close", roles=("worker",))
def test_punctual_channel_stays_open(world: World) -> None:
    """A channel that lives much longer than the timeout, and acknowledges in time, is not closed."""
    world.begin(lease="channel-close")
    world.worker()
    for _ in range(8):
        sent = world.send("celeriac.add", (2, 2), eta=world.lease.timeout / 4)
        world.expect("acked", task_id=sent.task_id)
    closes = world.history.of("closed", scope="channel", by="broker")
    world.judge(
        "TIM-004", oracles.equal(0, len(closes), "the number of channels closed by the broker", *closes)
    )


@check("TIM-005", lease="channel-close", roles=("worker",))
def test_longer_timeout_means_one_delivery(world: World) -> None:
    """A countdown shorter than the timeout costs one delivery and one execution."""
    world.begin(lease="channel-close")
    world.worker()
    sent = world.send("celeriac.add", (2, 2), eta=world.lease.timeout / 2)
    world.expect("acked", task_id=sent.task_id)
    world.advance(world.lease.interval)
    world.judge("TIM-005", oracles.delivered(world.history, sent.task_id))
    world.judge("TIM-005", oracles.executed(world.history, sent.task_id))


@check("TIM-006", link="amqp", roles=("worker",))
def test_lost_connection_gives_its_messages_back(world: World) -> None:
    """What a worker held when its connection was cut is delivered again, and says so."""
    world.begin()
    worker = world.worker()
    sent = world.send("celeriac.add", (2, 2), eta=2 * world.tick)
    world.expect("delivered", task_id=sent.task_id)
    world.drop_connections()
    run_to_the_end(world, sent, worker)
    world.judge("TIM-006", oracles.redelivered(world.history, sent.task_id))


@check("TIM-007", lease="channel-close")
def test_task_beyond_consumer_timeout_runs_once(world: World) -> None:
    """The guide's scenario: the broker takes the message back, and the task still runs exactly once."""
    sent, worker = hold_beyond_the_timeout(world)
    run_to_the_end(world, sent, worker)
    world.advance(world.tick)
    note_life(world, sent)
    world.judge("TIM-007", oracles.executed(world.history, sent.task_id))


@check("TIM-007", lease="channel-close")
def test_task_beyond_consumer_timeout_runs_once_between_two_workers(world: World) -> None:
    """With a second worker on the same queue the task goes from hand to hand, and still runs exactly once."""
    world.begin(lease="channel-close")
    workers = [world.worker(), world.worker()]
    sent = world.send("celeriac.add", (2, 2), eta=beyond(world))
    run_to_the_end(world, sent, *workers)
    world.advance(world.tick)
    world.judge("TIM-007", oracles.executed(world.history, sent.task_id))


@check("TIM-008", lease="channel-close")
def test_task_beyond_consumer_timeout_keeps_its_eta(world: World) -> None:
    """No delivery of the task starts it before its moment."""
    sent, worker = hold_beyond_the_timeout(world)
    run_to_the_end(world, sent, worker)
    assert sent.eta is not None
    world.judge("TIM-008", oracles.not_before(world.history, sent.task_id, sent.eta))


@check("TIM-009", lease="channel-close")
def test_worker_survives_a_closed_channel(world: World) -> None:
    """The worker whose channel was closed executes the next task, without a successor."""
    _, worker = hold_beyond_the_timeout(world)
    prompt = world.send("celeriac.add", (3, 3))
    until_ended_or_stopped(world, prompt, [worker])
    stopped = world.history.of("stopped", worker=worker)
    ended = world.history.of("ended", task_id=prompt.task_id)
    observed = oracles.end_of_worker(stopped)
    world.require(
        "TIM-009", bool(ended) and not stopped, "the worker goes on executing tasks", observed, *stopped
    )


@check("TIM-010", lease="channel-close")
def test_redelivered_task_keeps_its_absolute_eta(world: World) -> None:
    """The task starts at its moment, not a countdown after the redelivery."""
    sent, worker = hold_beyond_the_timeout(world)
    run_to_the_end(world, sent, worker)
    assert sent.eta is not None
    countdown = sent.eta - sent.at
    again = world.expect("delivered", task_id=sent.task_id, count=2)
    started = world.expect("started", task_id=sent.task_id)
    world.require(
        "TIM-010",
        started.at < again.at + countdown - world.history.slack,
        f"started at its eta, well before {countdown} s after the redelivery",
        f"started {started.at - sent.eta:+.3f} s from its eta, {started.at - again.at:.3f} s after the redelivery",
        again,
        started,
    )


def hold_beyond_visibility(world: World) -> Sent:
    """Let a worker hold a task until a sweep after the visibility timeout; answer the task.

    The sweep is made by a second worker that connects then.  It consumes another queue, so that the second
    copy reaches the worker that holds the first.
    """
    world.begin(lease="redeliver")
    world.worker()
    lease = world.lease
    sent = world.send("celeriac.add", (2, 2), eta=2 * lease.timeout + lease.interval + 3 * world.tick)
    first = world.expect("delivered", task_id=sent.task_id)
    world.advance(first.at + lease.timeout * 1.1 - world.now())
    world.worker(queues=(f"{world.queue}-other",))
    world.wait("delivered", task_id=sent.task_id, count=2)
    return sent


@check("TIM-011", lease="redeliver", roles=("worker",))
def test_no_second_delivery_before_the_visibility_timeout(world: World) -> None:
    """Sweeps before the timeout leave a held message alone."""
    world.begin(lease="redeliver")
    world.worker()
    sent = world.send("celeriac.add", (2, 2), eta=2 * world.lease.timeout + world.lease.interval)
    first = world.expect("delivered", task_id=sent.task_id)
    world.worker(queues=(f"{world.queue}-other",))
    world.wait(
        "delivered", task_id=sent.task_id, count=2, timeout=first.at + world.lease.timeout - world.now()
    )
    early = [
        record
        for record in world.history.of("delivered", task_id=sent.task_id)[1:]
        if record.at - first.at < world.lease.timeout - world.history.slack
    ]
    expected = f"no second delivery within {world.lease.timeout} s"
    world.require("TIM-011", not early, expected, f"{len(early)} early deliveries", first, *early)


@check("TIM-012", lease="redeliver", roles=("worker",))
def test_sweep_after_the_visibility_timeout_delivers_again(world: World) -> None:
    """The guide's scenario: held for longer than the timeout, the message is delivered a second time."""
    sent = hold_beyond_visibility(world)
    latest = 1.1 * world.lease.timeout + world.lease.interval + world.lateness_after(world.lease.timeout)
    # how early it may be is for TIM-011 to decide
    world.judge("TIM-012", oracles.redelivered_within(world.history, sent.task_id, 0, latest))


@check("TIM-013", lease="redeliver", roles=("worker",))
def test_longer_visibility_timeout_means_one_delivery(world: World) -> None:
    """A countdown shorter than the timeout costs one delivery, whoever sweeps."""
    world.begin(lease="redeliver")
    world.worker()
    sent = world.send("celeriac.add", (2, 2), eta=world.lease.timeout / 2)
    world.expect("acked", task_id=sent.task_id)
    world.advance(world.lease.timeout)
    world.worker(queues=(f"{world.queue}-other",))
    world.judge("TIM-013", oracles.delivered(world.history, sent.task_id))
    world.judge("TIM-013", oracles.executed(world.history, sent.task_id))


@check("TIM-014", lease="redeliver")
def test_task_beyond_visibility_timeout_runs(world: World) -> None:
    """The task is executed at least once."""
    sent = hold_beyond_visibility(world)
    world.expect("ended", task_id=sent.task_id)
    world.judge("TIM-014", oracles.executed(world.history, sent.task_id, times=range(1, 1000)))


@check("TIM-015", lease="redeliver")
def test_task_beyond_visibility_timeout_keeps_its_eta(world: World) -> None:
    """No copy of the task starts before its moment."""
    sent = hold_beyond_visibility(world)
    world.expect("ended", task_id=sent.task_id)
    assert sent.eta is not None
    world.judge("TIM-015", oracles.not_before(world.history, sent.task_id, sent.eta))


@check("TIM-016", lease="redeliver")
def test_second_copy_is_not_executed(world: World) -> None:
    """A worker that holds a message and is delivered its copy executes the task once."""
    sent = hold_beyond_visibility(world)
    copies = world.history.of("delivered", task_id=sent.task_id)
    world.require("TIM-016", len(copies) > 1, "a second delivery to begin with", "there was none", *copies)
    world.expect("ended", task_id=sent.task_id)
    after = world.send("celeriac.add", (3, 3))
    world.expect("ended", task_id=after.task_id)
    world.judge("TIM-016", oracles.executed(world.history, sent.task_id))
