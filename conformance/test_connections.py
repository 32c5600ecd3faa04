"""Connections: which of them a call uses, and for how long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celeriac.conformance import oracles
from celeriac.conformance.adapter import Call, Ok
from celeriac.conformance.checks import check
from celeriac.conformance.decoding import body_of

if TYPE_CHECKING:
    from celeriac.conformance.adapter import Shared
    from celeriac.conformance.calls import Called, Together
    from celeriac.conformance.history import Record
    from celeriac.conformance.world import World

#: The calls of the guide, in an order that is not that of their arguments.
NUMBERS = ((2, 2), (16, 16), (4, 4), (8, 8))


def together(world: World, over: Shared) -> Together:
    """Make four calls over something of the caller's."""
    return world.call_together([Call("celeriac.add", pair) for pair in NUMBERS], over)


def published(world: World, calls: tuple[Called, ...]) -> list[Record]:
    """Answer the messages of some calls, in the order of the calls."""
    return [world.published(call) for call in calls]


def connections(records: list[Record]) -> list[int]:
    """Answer the connections that some messages came over."""
    return [record.connection for record in records]


def require_own_connection(world: World, requirement: str, over: Shared) -> None:
    """Require that four calls come over one connection, which is not the only one of the pool.

    With a limit of one, a call that ignores what it is given can only use the connection that an earlier call has
    left in the pool.
    """
    world.begin(settings={"broker_pool_limit": 1}, results=False, fresh=True)
    (pooled,) = published(world, (world.call("celeriac.echo"),))
    records = published(world, together(world, over).calls)
    seen = connections(records)
    holds = len(set(seen)) == 1 and pooled.connection not in seen
    expected = f"one connection, and not number {pooled.connection}, which is in the pool"
    world.require(requirement, holds, expected, f"connections {seen}", pooled, *records)


@check("CON-001")
def test_publisher_chooses_the_connection(world: World) -> None:
    """Four calls with one publisher come over its connection."""
    require_own_connection(world, "CON-001", "producer-as-publisher")


@check("CON-002")
def test_calls_over_a_publisher_keep_their_order(world: World) -> None:
    """Four calls with one publisher are four messages, in the order of the calls."""
    world.begin()
    records = published(world, together(world, "producer-as-publisher").calls)
    in_order = sorted(world.history.of("published"), key=lambda record: record.seq)
    seen = [
        tuple(body_of(record)[0]) for record in in_order if record.task_id in {r.task_id for r in records}
    ]
    world.judge("CON-002", oracles.equal(list(NUMBERS), seen, "what is published", *in_order))


@check("CON-003")
def test_task_makes_a_publisher(world: World) -> None:
    """Pool, connection, publisher: the guide's four calls are accepted."""
    world.begin()
    answer = together(world, "publisher").answer
    world.require("CON-003", isinstance(answer, Ok), "the calls are accepted", f"{answer}")


@check("CON-004")
def test_producer_chooses_the_connection(world: World) -> None:
    """Four calls with one producer come over its connection."""
    require_own_connection(world, "CON-004", "producer")


@check("CON-005")
def test_connection_is_used(world: World) -> None:
    """Four calls with one connection come over it."""
    require_own_connection(world, "CON-005", "connection")


def calls_in_a_row(world: World, **settings: Any) -> list[Record]:
    """Begin from nothing, and answer the messages of three calls, each made when the one before was published."""
    world.begin(settings=settings, results=False, fresh=True)
    return [world.published(world.call()) for _ in range(3)]


@check("CON-006")
def test_calls_share_a_connection(world: World) -> None:
    """Three calls come over one connection."""
    records = calls_in_a_row(world)
    seen = connections(records)
    world.require("CON-006", len(set(seen)) == 1, "one connection", f"connections {seen}", *records)


#: What switches the pool off.
NO_POOL = (None, 0)


@check("CON-007")
def test_without_a_pool_nothing_is_shared(world: World) -> None:
    """With either value that means no pool, three calls come over three connections."""
    for limit in NO_POOL:
        records = calls_in_a_row(world, broker_pool_limit=limit)
        seen = connections(records)
        expected = f"three connections with a limit of {limit}"
        world.require("CON-007", len(set(seen)) == 3, expected, f"connections {seen}", *records)


@check("CON-008")
def test_without_a_pool_nothing_stays_open(world: World) -> None:
    """With either value that means no pool, each connection that a call came over is closed."""
    for limit in NO_POOL:
        records = calls_in_a_row(world, broker_pool_limit=limit)
        for record in records:
            closed = world.wait("disconnected", connection=record.connection, timeout=world.tick)
            expected = f"connection {record.connection} is closed, with a limit of {limit}"
            world.require("CON-008", closed is not None, expected, "it is still open", record)
