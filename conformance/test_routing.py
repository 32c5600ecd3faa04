"""Routing: which queue a message reaches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from celeriac.conformance import oracles
from celeriac.conformance.checks import check

if TYPE_CHECKING:
    from celeriac.conformance.calls import Called
    from celeriac.conformance.world import World


def arrives(world: World, requirement: str, called: Called, queue: str) -> None:
    """Require that a worker of ``queue`` gets the message of a call."""
    record = world.wait("delivered", task_id=called.id)
    seen = None if record is None else record.queue
    evidence = () if record is None else (record,)
    world.judge(requirement, oracles.equal(queue, seen, "the queue in which the message arrives", *evidence))


@check("ROU-001", roles=("producer", "worker"))
def test_queue_option_names_the_queue(world: World) -> None:
    """The message arrives in the named queue, and not in the default one."""
    world.begin()
    elsewhere = f"{world.queue}.elsewhere"
    world.worker(queues=(elsewhere,))
    world.worker()
    arrives(world, "ROU-001", world.call(queue=elsewhere), elsewhere)


@check("ROU-002", roles=("producer", "worker"))
def test_default_queue(world: World) -> None:
    """Without a routing option the message arrives in the default queue."""
    world.begin()
    world.worker()
    arrives(world, "ROU-002", world.call(), world.queue)


@check("ROU-003", roles=("producer", "worker"))
def test_undeclared_queue_keeps_its_messages(world: World) -> None:
    """A message to a queue that nobody has used yet is executed by the first worker that consumes it."""
    world.begin()
    elsewhere = f"{world.queue}.new"
    called = world.call(queue=elsewhere, serializer="json")
    world.published(called)
    world.worker(queues=(elsewhere,))
    world.expect("ended", task_id=called.id)
    world.judge("ROU-003", oracles.executed(world.history, called.id))
