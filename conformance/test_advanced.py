"""Advanced options: exchange, routing key and priority."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

from celeriac.conformance import oracles
from celeriac.conformance.checks import check

if TYPE_CHECKING:
    from celeriac.conformance.world import World


@check("ADV-001", link="amqp")
def test_exchange_and_routing_key_are_the_address(world: World) -> None:
    """Given both, the message is published to that exchange with that key."""
    world.begin()
    called = world.call(exchange="amq.topic", routing_key="a.b.c")
    record = world.published(called)
    seen = (record.exchange, record.routing_key)
    world.judge("ADV-001", oracles.equal(("amq.topic", "a.b.c"), seen, "exchange and routing key", record))


@check("ADV-002", link="amqp")
def test_exchange_or_routing_key_alone(world: World) -> None:
    """Given one of them, it is carried, or the message goes to the default queue; there is no third place."""
    world.begin()
    plain = world.published(world.call())
    default = (plain.exchange, plain.routing_key)
    exchange = world.published(world.call(exchange="amq.direct"))
    key = world.published(world.call(routing_key="a.b"))
    for name, record, seen, wanted in (
        ("exchange", exchange, exchange.exchange, "amq.direct"),
        ("routing key", key, key.routing_key, "a.b"),
    ):
        place = (record.exchange, record.routing_key)
        expected = f"the {name} {wanted!r}, or the default queue by {default}"
        world.require("ADV-002", place == default or seen == wanted, expected, f"{place}", record)


@check("ADV-003")
def test_priority_is_carried(world: World) -> None:
    """Every priority from 0 to 255 is the property of the message."""
    world.begin()

    @world.for_all(st.integers(0, 255))
    def _(priority: int) -> None:
        record = world.published(world.call(priority=priority))
        world.judge(
            "ADV-003", oracles.equal(priority, record.properties.get("priority"), "the priority", record)
        )


@check("ADV-004", link="redis")
def test_priority_chooses_the_list(world: World) -> None:
    """The list is that of the highest step that is not above the priority."""
    world.begin()
    for priority in (0, 1, 2, 3, 5, 6, 8, 9, 10, 255):
        record = world.published(world.call(priority=priority))
        step = max(step for step in (0, 3, 6, 9) if step <= priority)
        seen = (record.queue, record.bucket)
        expected = (world.queue, step)
        world.judge("ADV-004", oracles.equal(expected, seen, f"priority {priority}: list and step", record))


@check("ADV-005")
def test_priority_out_of_range_is_refused(world: World) -> None:
    """Numbers beyond one octet raise."""
    world.begin()
    for priority in (-1, 256, 100_000):
        world.require_refusal("ADV-005", priority=priority)
