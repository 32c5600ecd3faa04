"""Advanced options: exchange, routing key and priority."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from celeriac.conformance import oracles, places
from celeriac.conformance.adapter import ExchangeRef
from celeriac.conformance.checks import check
from celeriac.spec import vectors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from celeriac.conformance.world import World

#: The steps and the separator of the lists over Redis, unless somebody says otherwise.
STEPS, SEP = [0, 3, 6, 9], "\x06\x16"


@check("ADV-001", link="amqp")
def test_exchange_and_routing_key_are_the_address(world: World) -> None:
    """Given both, the message is published to that exchange with that key."""
    places.judge_rows(world, "ADV-001")


@check("ADV-002", link="amqp")
def test_exchange_or_routing_key_alone(world: World) -> None:
    """Given one of them, it is carried, or the message waits in its queue; there is no third place."""
    places.judge_rows(world, "ADV-002")


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


def judge_keys(world: World, requirement: str) -> None:
    """Play the rows of the table of keys and judge the list of each message, byte by byte."""
    rows = [row for row in vectors("redis-priority-keys")["cases"] if requirement in row["requirements"]]
    for options, group in itertools.groupby(rows, transport_options):
        world.begin(settings={"broker_transport_options": options} if options else {})
        for row in group:
            judge_key(world, requirement, row)


def transport_options(row: Mapping[str, Any]) -> dict[str, Any]:
    """Answer what the transport has to be told for a row."""
    wanted, usual = {"priority_steps": row["steps"], "sep": row["sep"]}, {"priority_steps": STEPS, "sep": SEP}
    return {name: value for name, value in wanted.items() if value != usual[name]}


def judge_key(world: World, requirement: str, row: Mapping[str, Any]) -> None:
    """Judge the list of one message, in a queue whose name ends like that of the row."""
    priority = {} if row["priority"] is None else {"priority": row["priority"]}
    record = world.published(world.call(queue=f"{world.queue}.{row['queue']}", **priority))
    expected = world.queue.encode() + b"." + bytes.fromhex(row["key_hex"])
    what = f"queue {row['queue']}, priority {row['priority']}: the list"
    world.judge(requirement, oracles.equal(expected, record.key, what, record))


@check("ADV-004", link="redis")
def test_priority_chooses_the_list(world: World) -> None:
    """The list is that of the highest step that is not above the priority."""
    judge_keys(world, "ADV-004")


@check("ADV-005")
def test_priority_out_of_range_is_refused(world: World) -> None:
    """Numbers beyond one octet raise."""
    world.begin()
    for priority in (-1, 256, 100_000):
        world.require_refusal("ADV-005", priority=priority)


@check("ADV-006", link="amqp")
def test_exchange_object_is_its_name(world: World) -> None:
    """An exchange given as an object is the exchange of that name, of whatever type."""
    world.begin()
    for exchange in (
        ExchangeRef("amq.topic", "topic"),
        ExchangeRef("amq.direct"),
        ExchangeRef("amq.fanout", "fanout"),
    ):
        record = world.published(world.call(exchange=exchange, routing_key="a.b.c"))
        seen = (record.exchange, record.routing_key)
        judgement = oracles.equal((exchange.name, "a.b.c"), seen, "exchange and routing key", record)
        world.judge("ADV-006", judgement)


# -- order ------------------------------------------------------------------------------------------------


def queue_with_priorities(world: World) -> str:
    """Begin a scenario with a queue that tells ten priorities apart, over AMQP because the setting says so."""
    settings = {"task_queue_max_priority": 10} if world.link == "amqp" else {}
    world.begin(settings=settings)
    return places.declare(world, places.new_name("urgent"), max_priority=10)


def order_of_starts(world: World, queue: str, priorities: Sequence[int]) -> list[int]:
    """Let messages with these priorities wait in a queue, start a worker, and answer them in the order of starts."""
    sent = {world.send(queue=queue, priority=number).task_id: number for number in priorities}
    world.worker(queues=(queue,))
    for task_id in sent:
        world.expect("ended", task_id=task_id)
    return [sent[record.task_id] for record in world.history.of("started") if record.task_id in sent]


@check("ADV-007", link="amqp")
def test_setting_gives_queues_priorities(world: World) -> None:
    """A queue that a call creates has the maximum of the setting, and without the setting none."""
    for maximum in (10, None):
        settings = {} if maximum is None else {"task_queue_max_priority": maximum}
        world.begin(settings=settings)
        queue = places.new_name("created")
        called = world.call(queue=queue)
        world.published(called)
        record = world.expect("declared", entity="queue", name=queue)
        seen = dict(record.arguments or {}).get("x-max-priority")
        judgement = oracles.equal(maximum, seen, "the argument x-max-priority", record)
        world.judge("ADV-007", judgement)


@check("ADV-008", link="amqp")
def test_higher_priority_starts_first(world: World) -> None:
    """Of six waiting messages that with 255 starts first and that with 0 last."""
    queue = queue_with_priorities(world)
    sent = [4, 0, 9, 255, 1, 6]
    seen = order_of_starts(world, queue, sent)
    world.judge("ADV-008", oracles.equal(sorted(sent, reverse=True), seen, "the priorities as they start"))


@check("ADV-009", link="redis")
def test_lower_step_starts_first(world: World) -> None:
    """Of messages in all four lists those of step 0 start first and those of step 9 last."""
    queue = queue_with_priorities(world)
    sent = [9, 6, 3, 0, 255, 4]
    seen = [max(step for step in STEPS if step <= number) for number in order_of_starts(world, queue, sent)]
    world.judge("ADV-009", oracles.equal([0, 3, 3, 6, 9, 9], seen, "the steps as they start"))


@check("ADV-010")
def test_equal_priorities_start_in_order(world: World) -> None:
    """Messages of one priority start in the order in which they were sent."""
    queue = queue_with_priorities(world)
    sent = [world.send(args=(number, 0), queue=queue, priority=3).task_id for number in range(8)]
    world.worker(queues=(queue,))
    for task_id in sent:
        world.expect("ended", task_id=task_id)
    seen = [record.task_id for record in world.history.of("started") if record.task_id in sent]
    world.judge("ADV-010", oracles.equal(sent, seen, "the tasks as they start"))


# -- which priority ---------------------------------------------------------------------------------------


def judge_priority(
    world: World,
    requirement: str,
    expected: int,
    *,
    attribute: int | None = None,
    setting: int | None = None,
    **option: Any,
) -> None:
    """Judge the priority of a call, given what the attribute and the setting say."""
    world.begin(
        settings={} if setting is None else {"task_default_priority": setting},
        task_attributes={} if attribute is None else {"celeriac.add": {"priority": attribute}},
    )
    record = world.published(world.call(**option))
    said = f"option {option.get('priority')}, attribute {attribute}, setting {setting}: the priority"
    world.judge(requirement, oracles.equal(expected, record.properties.get("priority"), said, record))


@check("ADV-011")
def test_priority_of_the_call_wins(world: World) -> None:
    """The option decides whatever the setting says, zero included."""
    for setting, option in ((5, 7), (5, 0), (0, 7)):
        judge_priority(world, "ADV-011", option, setting=setting, priority=option)


@check("ADV-011", features=("task_attributes",))
def test_priority_of_the_call_wins_over_the_attribute(world: World) -> None:
    """The option decides whatever the attribute says, zero included."""
    for attribute, option in ((5, 7), (5, 0), (0, 7)):
        judge_priority(world, "ADV-011", option, attribute=attribute, setting=3, priority=option)


@check("ADV-012")
def test_priority_of_the_task_wins_over_the_setting(world: World) -> None:
    """Without the option the attribute decides, zero included."""
    for attribute, setting in ((5, None), (5, 3), (0, 3)):
        judge_priority(world, "ADV-012", attribute, attribute=attribute, setting=setting)


@check("ADV-013")
def test_default_priority(world: World) -> None:
    """Without option and attribute the setting decides."""
    for setting in (5, 1, 9):
        judge_priority(world, "ADV-013", setting, setting=setting)


@check("ADV-014", link="redis")
def test_message_without_priority_waits_in_the_first_list(world: World) -> None:
    """Without a priority the list is the one that is named like the queue."""
    judge_keys(world, "ADV-014")


@check("ADV-015", link="redis")
def test_steps_and_separator_can_be_chosen(world: World) -> None:
    """With other steps or another separator the lists are named accordingly."""
    judge_keys(world, "ADV-015")
