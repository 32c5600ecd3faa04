"""Basics: the five forms of a call, and that every option is accepted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from celeriac.conformance import oracles
from celeriac.conformance.adapter import Ok, Raised
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


@check("BAS-001")
def test_apply_async_publishes_one_message(world: World) -> None:
    """One call is one message with the task's name and arguments."""
    world.begin()

    @world.for_all(arguments, keywords)
    def _(args: list[Any], kwargs: dict[str, Any]) -> None:
        called = world.call("celeriac.echo", args, kwargs)
        require_message(world, "BAS-001", called, "celeriac.echo", args, kwargs)


@check("BAS-002", modes=("delay",))
def test_delay_is_short_for_apply_async(world: World) -> None:
    """Both forms publish the same message, ids and stamps apart."""
    world.begin()

    @world.for_all(arguments, keywords)
    def _(args: list[Any], kwargs: dict[str, Any]) -> None:
        short = world.published(world.call("celeriac.echo", args, kwargs, mode="delay"))
        long = world.published(world.call("celeriac.echo", tuple(args), kwargs))
        world.judge(
            "BAS-002", oracles.equal(essence(long), essence(short), "the message of delay", long, short)
        )


@check("BAS-003", modes=("delay",))
def test_delay_takes_no_options(world: World) -> None:
    """Keywords with the names of options are arguments, and no option takes effect."""
    world.begin()
    kwargs = {"countdown": 10, "expires": 60, "queue": "elsewhere", "priority": 9, "ignore_result": True}
    called = world.call("celeriac.echo", (), kwargs, mode="delay")
    record = require_message(world, "BAS-003", called, "celeriac.echo", [], kwargs)
    plain = world.published(world.call("celeriac.echo", (), {}))
    for name in ("eta", "expires", "ignore_result"):
        expected, seen = plain.headers.get(name), record.headers.get(name)
        world.judge("BAS-003", oracles.equal(expected, seen, f"the {name} header", record))
    judgement = oracles.equal(plain.routing_key, record.routing_key, "the routing key", record)
    world.judge("BAS-003", judgement)


@check("BAS-004", modes=("direct",))
def test_direct_call_runs_here(world: World) -> None:
    """A direct call answers the function's value and publishes nothing."""
    world.begin()
    answer = world.call("celeriac.add", (2, 3), mode="direct").answer
    holds = isinstance(answer, Ok) and answer.value == {"value": 5}
    world.require("BAS-004", holds, "the value 5", f"{answer}")
    world.advance(world.tick)
    published = world.history.of("published")
    world.require("BAS-004", not published, "no message", f"{len(published)} messages", *published)


@check("BAS-005", modes=("direct",))
def test_direct_call_raises_what_the_function_raises(world: World) -> None:
    """The exception of the function reaches the caller with its type and text."""
    world.begin()
    answer = world.call("celeriac.fail", ("a reason",), mode="direct").answer
    holds = isinstance(answer, Raised) and answer.type.endswith("ValueError") and answer.text == "a reason"
    world.require("BAS-005", holds, "a ValueError with the text 'a reason'", f"{answer}")


@check("BAS-006", modes=("send_task",))
def test_send_task_needs_no_registration(world: World) -> None:
    """A known and an unknown name are both published."""
    world.begin()
    for name in ("celeriac.echo", "somebody.elses.task"):
        called = world.call(name, (1, "a"), {"k": 2}, mode="send_task")
        require_message(world, "BAS-006", called, name, [1, "a"], {"k": 2})


@check("BAS-007", modes=("signature",))
def test_signature_keeps_arguments_and_options(world: World) -> None:
    """What a signature stores is what its message carries."""
    world.begin()
    called = world.call("celeriac.echo", (1, 2), {"k": 3}, mode="signature", priority=7, ignore_result=True)
    record = require_message(world, "BAS-007", called, "celeriac.echo", [1, 2], {"k": 3})
    world.judge("BAS-007", oracles.equal(7, record.properties.get("priority"), "the priority", record))
    world.judge("BAS-007", oracles.equal(True, record.headers.get("ignore_result"), "ignore_result", record))


@check("BAS-008")
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
        world.judge("BAS-008", oracles.equal([called.id], ids, f"the id header of {mode}", record, *found))


@check("BAS-009")
def test_ids_differ(world: World) -> None:
    """Two equal calls have different ids on the wire."""
    world.begin()
    ids = [world.published(world.call()).headers.get("id") for _ in range(10)]
    world.judge("BAS-009", oracles.equal(len(ids), len(set(ids)), "the number of different ids of ten calls"))


@check("BAS-010")
def test_missing_arguments_are_empty(world: World) -> None:
    """Arguments that are left out are an empty list and an empty mapping."""
    world.begin()
    record = world.published(world.call("celeriac.echo", (), {}))
    body = body_of(record)
    seen = [body[0] if body[0] is None else list(body[0]), body[1]]
    world.judge("BAS-010", oracles.equal([[], {}], seen, "the arguments", record))


@check("BAS-011")
def test_every_valid_combination_is_accepted(world: World) -> None:
    """Any options that are valid against the schema make one message."""
    world.begin()

    @world.for_all(world.any_options())
    def _(options: dict[str, Any]) -> None:
        called = world.call(**options)
        world.require("BAS-011", isinstance(called.answer, Ok), f"{options} is accepted", f"{called.answer}")
        messages = messages_of(world, called)
        world.judge("BAS-011", oracles.equal(1, len(messages), "the number of messages", *messages))


@check("BAS-012")
def test_malformed_arguments_are_refused(world: World) -> None:
    """A text or a number as arguments, or a list as keywords, raises and publishes nothing."""
    world.begin()
    for args, kwargs in (("ab", {}), (5, {}), ({"a": 1}, {}), ((), ["k"]), ((), "k")):
        world.require_refusal("BAS-012", task="celeriac.echo", args=args, kwargs=kwargs)
