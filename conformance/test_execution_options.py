"""Execution options: the five forms of a call, and that every option is accepted and reaches the wire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from celeriac.conformance import oracles
from celeriac.conformance.adapter import Ok, Raised, Signature
from celeriac.conformance.checks import check
from celeriac.conformance.decoding import body_of

if TYPE_CHECKING:
    from celeriac.conformance.calls import Called
    from celeriac.conformance.history import Record
    from celeriac.conformance.world import World

arguments = st.lists(st.integers() | st.text(max_size=10) | st.none() | st.booleans(), max_size=5)
keywords = st.dictionaries(st.from_regex(r"[a-z_]{1,10}", fullmatch=True), st.integers(), max_size=4)

#: What differs between two messages of one call.
PERSONAL = {"id", "root_id", "parent_id", "eta", "expires", "origin"}


def messages_of(world: World, called: Called) -> list[Record]:
    """Answer every message that carries the id of a call, waiting for the first."""
    world.published(called)
    return world.history.of("published", task_id=called.id)


def require_message(
    world: World, requirement: str, called: Called, task: str, args: Any, kwargs: Any
) -> Record:
    """Require exactly one message of a call, for this task with these arguments; answer its record."""
    messages = messages_of(world, called)
    world.judge(requirement, oracles.equal(1, len(messages), "the number of messages", *messages))
    record = messages[0]
    world.judge(requirement, oracles.equal(task, record.headers.get("task"), "the task header", record))
    body = body_of(record)
    seen = [list(body[0] or ()), dict(body[1] or {})]
    world.judge(requirement, oracles.equal([list(args), dict(kwargs)], seen, "the arguments", record))
    return record


def essence(record: Record) -> tuple[Any, ...]:
    """Answer what two messages of equal calls have in common."""
    headers = {name: value for name, value in record.headers.items() if name not in PERSONAL}
    properties = {name: value for name, value in record.properties.items() if name != "correlation_id"}
    return headers, properties, body_of(record), record.exchange, record.routing_key


@check("OPT-001")
def test_apply_async_publishes_one_message(world: World) -> None:
    """One call is one message with the task's name and arguments."""
    world.begin()

    @world.for_all(arguments, keywords)
    def _(args: list[Any], kwargs: dict[str, Any]) -> None:
        called = world.call("celeriac.echo", args, kwargs)
        require_message(world, "OPT-001", called, "celeriac.echo", args, kwargs)


@check("OPT-002", modes=("delay",))
def test_delay_is_short_for_apply_async(world: World) -> None:
    """Both forms publish the same message, ids and stamps apart."""
    world.begin()

    @world.for_all(arguments, keywords)
    def _(args: list[Any], kwargs: dict[str, Any]) -> None:
        short = world.published(world.call("celeriac.echo", args, kwargs, mode="delay"))
        long = world.published(world.call("celeriac.echo", tuple(args), kwargs))
        world.judge(
            "OPT-002", oracles.equal(essence(long), essence(short), "the message of delay", long, short)
        )


@check("OPT-003", modes=("delay",))
def test_delay_takes_no_options(world: World) -> None:
    """Keywords with the names of options are arguments, and no option takes effect."""
    world.begin()
    kwargs = {"countdown": 10, "expires": 60, "queue": "elsewhere", "priority": 9, "ignore_result": True}
    called = world.call("celeriac.echo", (), kwargs, mode="delay")
    record = require_message(world, "OPT-003", called, "celeriac.echo", [], kwargs)
    plain = world.published(world.call("celeriac.echo", (), {}))
    for name in ("eta", "expires", "ignore_result"):
        expected, seen = plain.headers.get(name), record.headers.get(name)
        world.judge("OPT-003", oracles.equal(expected, seen, f"the {name} header", record))
    judgement = oracles.equal(plain.routing_key, record.routing_key, "the routing key", record)
    world.judge("OPT-003", judgement)


@check("OPT-004", modes=("direct",))
def test_direct_call_runs_here(world: World) -> None:
    """A direct call answers the function's value and publishes nothing."""
    world.begin()
    answer = world.call("celeriac.add", (2, 3), mode="direct").answer
    holds = isinstance(answer, Ok) and answer.value == {"value": 5}
    world.require("OPT-004", holds, "the value 5", f"{answer}")
    world.advance(world.tick)
    published = world.history.of("published")
    world.require("OPT-004", not published, "no message", f"{len(published)} messages", *published)


@check("OPT-005", modes=("direct",))
def test_direct_call_raises_what_the_function_raises(world: World) -> None:
    """The exception of the function reaches the caller with its type and text."""
    world.begin()
    answer = world.call("celeriac.fail", ("a reason",), mode="direct").answer
    holds = isinstance(answer, Raised) and answer.type.endswith("ValueError") and answer.text == "a reason"
    world.require("OPT-005", holds, "a ValueError with the text 'a reason'", f"{answer}")


@check("OPT-006", modes=("send_task",))
def test_send_task_needs_no_registration(world: World) -> None:
    """A known and an unknown name are both published."""
    world.begin()
    for name in ("celeriac.echo", "somebody.elses.task"):
        called = world.call(name, (1, "a"), {"k": 2}, mode="send_task")
        require_message(world, "OPT-006", called, name, [1, "a"], {"k": 2})


@check("OPT-007", modes=("signature",))
def test_signature_keeps_arguments_and_options(world: World) -> None:
    """What a signature stores is what its message carries."""
    world.begin()
    called = world.call("celeriac.echo", (1, 2), {"k": 3}, mode="signature", priority=7, ignore_result=True)
    record = require_message(world, "OPT-007", called, "celeriac.echo", [1, 2], {"k": 3})
    world.judge("OPT-007", oracles.equal(7, record.properties.get("priority"), "the priority", record))
    world.judge("OPT-007", oracles.equal(True, record.headers.get("ignore_result"), "ignore_result", record))


@check("OPT-008")
def test_answered_id_is_the_message_id(world: World) -> None:
    """Each form answers the id that stands in the header of its message."""
    world.begin()
    for mode in ("apply_async", "delay", "send_task", "signature"):
        if not world.claim.claims(mode):
            continue
        called = world.call("celeriac.echo", (mode,), mode=mode)
        record = world.expect("published")
        world.wait("published", task_id=called.id)
        found = [r for r in world.history.of("published") if body_of(r)[0] in ([mode], (mode,))]
        ids = [r.headers.get("id") for r in found]
        world.judge("OPT-008", oracles.equal([called.id], ids, f"the id header of {mode}", record, *found))


@check("OPT-009")
def test_ids_differ(world: World) -> None:
    """Two equal calls have different ids on the wire."""
    world.begin()
    ids = [world.published(world.call()).headers.get("id") for _ in range(10)]
    world.judge("OPT-009", oracles.equal(len(ids), len(set(ids)), "the number of different ids of ten calls"))


@check("OPT-010")
def test_missing_arguments_are_empty(world: World) -> None:
    """Arguments that are left out are an empty list and an empty mapping."""
    world.begin()
    record = world.published(world.call("celeriac.echo", (), {}))
    body = body_of(record)
    seen = [body[0] if body[0] is None else list(body[0]), body[1]]
    world.judge("OPT-010", oracles.equal([[], {}], seen, "the arguments", record))


@check("OPT-011")
def test_every_valid_combination_is_accepted(world: World) -> None:
    """Any options that are valid against the schema make one message."""
    world.begin()

    @world.for_all(world.any_options())
    def _(options: dict[str, Any]) -> None:
        called = world.call(**options)
        world.require("OPT-011", isinstance(called.answer, Ok), f"{options} is accepted", f"{called.answer}")
        messages = messages_of(world, called)
        world.judge("OPT-011", oracles.equal(1, len(messages), "the number of messages", *messages))


@check("OPT-012")
def test_malformed_arguments_are_refused(world: World) -> None:
    """A text or a number as arguments, or a list as keywords, raises and publishes nothing."""
    world.begin()
    for args, kwargs in (("ab", {}), (5, {}), ({"a": 1}, {}), ((), ["k"]), ((), "k")):
        world.require_refusal("OPT-012", task="celeriac.echo", args=args, kwargs=kwargs)


def arrives(world: World, requirement: str, called: Called, queue: str) -> None:
    """Require that a worker of ``queue`` gets the message of a call."""
    record = world.wait("delivered", task_id=called.id)
    seen = None if record is None else record.queue
    evidence = () if record is None else (record,)
    world.judge(requirement, oracles.equal(queue, seen, "the queue in which the message arrives", *evidence))


@check("OPT-013", roles=("producer", "worker"))
def test_queue_option_names_the_queue(world: World) -> None:
    """The message arrives in the named queue, and not in the default one."""
    world.begin()
    elsewhere = f"{world.queue}.elsewhere"
    world.worker(queues=(elsewhere,))
    world.worker()
    arrives(world, "OPT-013", world.call(queue=elsewhere), elsewhere)


@check("OPT-014", roles=("producer", "worker"))
def test_default_queue(world: World) -> None:
    """Without a routing option the message arrives in the default queue."""
    world.begin()
    world.worker()
    arrives(world, "OPT-014", world.call(), world.queue)


@check("OPT-015", roles=("producer", "worker"))
def test_undeclared_queue_keeps_its_messages(world: World) -> None:
    """A message to a queue that nobody has used yet is executed by the first worker that consumes it."""
    world.begin()
    elsewhere = f"{world.queue}.new"
    called = world.call(queue=elsewhere, serializer="json")
    world.published(called)
    world.worker(queues=(elsewhere,))
    world.expect("ended", task_id=called.id)
    world.judge("OPT-015", oracles.executed(world.history, called.id))


@check("OPT-016", link="amqp")
def test_exchange_and_routing_key_are_the_address(world: World) -> None:
    """Given both, the message is published to that exchange with that key."""
    world.begin()
    called = world.call(exchange="amq.topic", routing_key="a.b.c")
    record = world.published(called)
    seen = (record.exchange, record.routing_key)
    world.judge("OPT-016", oracles.equal(("amq.topic", "a.b.c"), seen, "exchange and routing key", record))


@check("OPT-017", link="amqp")
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
        world.require("OPT-017", place == default or seen == wanted, expected, f"{place}", record)


@check("OPT-018")
def test_priority_is_carried(world: World) -> None:
    """Every priority from 0 to 255 is the property of the message."""
    world.begin()

    @world.for_all(st.integers(0, 255))
    def _(priority: int) -> None:
        record = world.published(world.call(priority=priority))
        world.judge(
            "OPT-018", oracles.equal(priority, record.properties.get("priority"), "the priority", record)
        )


@check("OPT-019", link="redis")
def test_priority_chooses_the_list(world: World) -> None:
    """The list is that of the highest step that is not above the priority."""
    world.begin()
    for priority in (0, 1, 2, 3, 5, 6, 8, 9, 10, 255):
        record = world.published(world.call(priority=priority))
        step = max(step for step in (0, 3, 6, 9) if step <= priority)
        seen = (record.queue, record.bucket)
        expected = (world.queue, step)
        world.judge("OPT-019", oracles.equal(expected, seen, f"priority {priority}: list and step", record))


@check("OPT-020")
def test_priority_out_of_range_is_refused(world: World) -> None:
    """Numbers beyond one octet raise."""
    world.begin()
    for priority in (-1, 256, 100_000):
        world.require_refusal("OPT-020", priority=priority)


@check("OPT-021")
def test_ignore_result_is_carried(world: World) -> None:
    """True in the call is true in the header."""
    world.begin()
    record = world.published(world.call(ignore_result=True))
    world.judge("OPT-021", oracles.equal(True, record.headers.get("ignore_result"), "ignore_result", record))


@check("OPT-022")
def test_ignore_result_can_be_switched_off(world: World) -> None:
    """False in the call is false in the header, against setting and attribute."""
    world.begin(
        settings={"task_ignore_result": True}, task_attributes={"celeriac.add": {"ignore_result": True}}
    )
    record = world.published(world.call(ignore_result=False))
    world.judge("OPT-022", oracles.equal(False, record.headers.get("ignore_result"), "ignore_result", record))


@check("OPT-023", roles=("producer", "result-consumer"))
def test_ignored_result_is_null_at_once(world: World) -> None:
    """Nobody executes the task, and still its result is answered."""
    world.begin()
    answer = world.get(world.call(ignore_result=True), timeout=world.tick)
    value = answer.value.get("value", "absent") if isinstance(answer, Ok) else answer
    world.judge("OPT-023", oracles.equal(None, value, "the answered result"))


def linked(task: str, *args: Any) -> Signature:
    """Answer a signature to link."""
    return Signature(task, args)


def signature_of(found: Any) -> Any:
    """Answer the name and the arguments of a signature in a body; anything else is answered as it is."""
    return (found.get("task"), list(found.get("args") or ())) if isinstance(found, Mapping) else found


def require_links(
    world: World, requirement: str, key: str, expected: list[tuple[str, list[Any]]], **options: Any
) -> None:
    """Require the names and arguments of the signatures in the body of a call."""
    record = world.published(world.call(**options))
    found = body_of(record)[2].get(key)
    seen = [signature_of(item) for item in found] if isinstance(found, list | tuple) else found
    world.judge(requirement, oracles.equal(expected, seen, f"the {key} in the body", record))


@check("OPT-024")
def test_single_link(world: World) -> None:
    """One callback is a list of one."""
    world.begin()
    expected = [("celeriac.add", [16])]
    require_links(world, "OPT-024", "callbacks", expected, link=linked("celeriac.add", 16))


@check("OPT-025")
def test_several_links(world: World) -> None:
    """Callbacks keep their order."""
    world.begin()
    links = [linked("celeriac.add", 16), linked("celeriac.echo"), linked("celeriac.add", 1)]
    expected = [("celeriac.add", [16]), ("celeriac.echo", []), ("celeriac.add", [1])]
    require_links(world, "OPT-025", "callbacks", expected, link=links)


@check("OPT-026")
def test_single_errback(world: World) -> None:
    """One errback is a list of one."""
    world.begin()
    expected: list[tuple[str, list[Any]]] = [("celeriac.handler", [])]
    require_links(world, "OPT-026", "errbacks", expected, link_error=linked("celeriac.handler"))


@check("OPT-027")
def test_several_errbacks(world: World) -> None:
    """Errbacks keep their order."""
    world.begin()
    links = [linked("celeriac.handler"), linked("celeriac.echo", 1)]
    expected = [("celeriac.handler", []), ("celeriac.echo", [1])]
    require_links(world, "OPT-027", "errbacks", expected, link_error=links)


@check("OPT-028")
def test_links_travel_with_every_serializer(world: World) -> None:
    """A callback reaches the wire in each encoding."""
    world.begin()
    for name in ("json", "yaml", "msgpack", "pickle"):
        if not world.has(f"serializer:{name}"):
            continue
        called = world.call(link=linked("celeriac.add", 16), serializer=name)
        expected = f"serializer {name}: the call with a link is accepted"
        world.require("OPT-028", isinstance(called.answer, Ok), expected, f"{called.answer}")
        found = body_of(world.published(called))[2].get("callbacks")
        expected = f"serializer {name}: the callback is in the body"
        world.require("OPT-028", "celeriac.add" in str(found), expected, f"callbacks: {found!r}")
