"""Where messages go: in which queues they wait, and the table of who decides that.

The harness looks into queues itself, so that where a producer sends to can be judged without a worker.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from celeriac.conformance import oracles
from celeriac.spec import vectors

if TYPE_CHECKING:
    from celeriac.conformance.calls import Called
    from celeriac.conformance.history import Record
    from celeriac.conformance.world import World

__all__ = ["arrived", "declare", "judge_rows", "new_name", "require_arrival", "rows"]

Row = Mapping[str, Any]

#: The queues of the table, beside the default one.
QUEUES = ("a", "b", "c")

#: What a row can say, in the order in which it counts.
SOURCES = ("option", "attribute", "route")


def new_name(suffix: str) -> str:
    """Answer a name for a queue that nobody else has."""
    return f"celeriac.{uuid4().hex[:12]}.{suffix}"


def declare(world: World, queue: str, max_priority: int | None = None, **arguments: Any) -> str:
    """Make sure that there is another queue, until the scenario ends; answer its name.

    Args:
        world: where.
        queue: its name.
        max_priority: the highest priority that it tells apart, where queues have such a thing.
        arguments: further arguments of AMQP.
    """
    priorities = {} if max_priority is None else {"x-max-priority": max_priority}
    world.stage.declare(queue, {**priorities, **arguments})
    return queue


def arrived(world: World, called: Called) -> list[str]:
    """Answer the queues, of the scenario's and the declared ones, in which the message of a call waits.

    Whatever waits there may be taken out by looking.

    Raises:
        Violation: the call was refused, or no message of it appears on the wire.
    """
    world.published(called)
    found: list[str] = []

    def look() -> bool:
        found.extend(queue for queue, ids in world.stage.waiting().items() if called.id in ids)
        return bool(found)

    if not look():
        world.until(look, timeout=world.stage.lateness)
    return found


def require_arrival(world: World, requirement: str, called: Called, queue: str) -> None:
    """Require that the message of a call waits in ``queue`` and in no other."""
    record = world.published(called)
    judgement = oracles.equal([queue], arrived(world, called), "where the message waits", record)
    world.judge(requirement, judgement)


def rows(world: World, requirement: str) -> Sequence[Row]:
    """Answer the rows of the routing table that decide a requirement, as far as link and claim have them."""
    table = vectors("routing-precedence")["cases"]
    return [row for row in table if requirement in row["requirements"] and _playable(world, row)]


def judge_rows(world: World, requirement: str) -> None:
    """Play the rows of a requirement and judge each by its lawful outcomes."""
    for row in world.sample(rows(world, requirement)):
        names = {suffix: new_name(suffix) for suffix in QUEUES}
        called = _play(world, row, names)
        record = world.published(called)
        lawful = [_named(outcome, {"default": world.queue, **names}) for outcome in row["expected"]]
        addressed = any("queue" not in outcome and _fits(outcome, record, ()) for outcome in lawful)
        queues = (
            () if addressed else arrived(world, called)
        )  # an address is no place, for which one would wait
        holds = any(_fits(outcome, record, queues) for outcome in lawful)
        seen = {"exchange": record.exchange, "routing_key": record.routing_key, "waits in": queues}
        expected = f"{row['name']}: " + " or ".join(map(str, lawful))
        world.require(requirement, holds, expected, f"{row['name']}: {seen}", record)


def _play(world: World, row: Row, names: Mapping[str, str]) -> Called:
    option, attributes, route = (_named(row.get(source, {}), names) for source in SOURCES)
    world.begin(
        settings={"task_routes": {"celeriac.add": route}} if route else {},
        task_attributes={"celeriac.add": attributes},
    )
    for queue in names.values():
        declare(world, queue)
    return world.call(**option)


def _named(said: Any, names: Mapping[str, str]) -> Any:
    """Answer what a row says with the names of real queues."""
    if isinstance(said, str):
        return names[said]
    return {key: names.get(value, value) if key == "queue" else value for key, value in said.items()}


def _fits(outcome: Mapping[str, Any], record: Record, queues: Sequence[str]) -> bool:
    if "queue" in outcome:
        return list(queues) == [outcome["queue"]]
    return all(getattr(record, name) == value for name, value in outcome.items())


def _playable(world: World, row: Row) -> bool:
    return all(_spoken(world, need) for need in _needs(row))


def _needs(row: Row) -> Iterator[str]:
    said = [row[name] for name in SOURCES if isinstance(row.get(name), Mapping)]
    if any(key in ("exchange", "routing_key") for source in said for key in source):
        yield "exchange_routing"
    if "attribute" in row:
        yield "task_attributes"
    if "route" in row:
        yield "task_routes"


def _spoken(world: World, feature: str) -> bool:
    return world.has(feature) and (feature != "exchange_routing" or world.link == "amqp")
