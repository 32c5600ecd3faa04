"""Basics: the five forms of a call, and that every option is accepted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from celeriac.conformance import oracles, places
from celeriac.conformance.adapter import Ok, Raised, Signature
from celeriac.conformance.checks import check
from celeriac.conformance.decoding import body_of, moment, task_of
from celeriac.spec import schema

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from celeriac.conformance.calls import Called
    from celeriac.conformance.history import Record
    from celeriac.conformance.world import World

#: Integers that every language can hand to an encoder of JSON; larger ones are the business of SER-013.
integers = st.integers(-(2**53) + 1, 2**53 - 1)

arguments = st.lists(integers | st.text(max_size=10) | st.none() | st.booleans(), max_size=5)
keywords = st.dictionaries(st.from_regex(r"[a-z_]{1,10}", fullmatch=True), integers, max_size=4)

#: Options that have nothing to do with each other.
MANY_OPTIONS = {
    "countdown": 1.5,
    "expires": 3600,
    "priority": 255,
    "ignore_result": True,
    "serializer": "json",
    "retry": True,
    "retry_policy": {"max_retries": 2, "interval_start": 0},
}

#: What differs between two messages of one call.
PERSONAL = {"id", "root_id", "parent_id", "eta", "expires", "origin"}


def offered(world: World, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Answer the keyword arguments of a call that is about more than these: none where the claim denies them."""
    return {} if world.claim.denies("kwargs") else kwargs


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
    world.judge(requirement, oracles.equal(task, task_of(record), "the name of the task", record))
    body = body_of(record)
    seen = [list(body[0] or ()), dict(body[1] or {})]
    world.judge(requirement, oracles.equal([list(args), dict(kwargs)], seen, "the arguments", record))
    return record


def essence(record: Record) -> tuple[Any, ...]:
    """Answer what two messages of equal calls have in common."""
    headers = {name: value for name, value in record.headers.items() if name not in PERSONAL}
    properties = {
        name: value for name, value in record.properties.items() if name not in {"correlation_id", "reply_to"}
    }
    return headers, properties, body_of(record), record.exchange, record.routing_key


def effect(record: Record) -> tuple[Any, ...]:
    """Answer what options do to a message, moments as the presence of one."""
    moments = {name: record.headers.get(name) is not None for name in ("eta", "expires")}
    properties = {name: value for name, value in essence(record)[1].items() if name != "expiration"}
    return moments, record.headers.get("ignore_result"), properties, record.exchange, record.routing_key


@check("BAS-001")
def test_apply_async_publishes_one_message(world: World) -> None:
    """One call is one message with the task's name and arguments."""
    world.begin()

    def judge(args: Any, kwargs: dict[str, Any]) -> None:
        kwargs = offered(world, kwargs)
        called = world.call("celeriac.echo", args, kwargs)
        require_message(world, "BAS-001", called, "celeriac.echo", args, kwargs)

    judge((None, 0, "", [], {}), {"_private": 1, "none": None, "zero": 0, "args": [1], "kwargs": {"a": 1}})
    world.for_all(arguments, keywords)(judge)


@check("BAS-002", modes=("delay",))
def test_delay_is_short_for_apply_async(world: World) -> None:
    """Both forms publish the same message, ids and stamps apart."""
    world.begin()

    @world.for_all(arguments, keywords)
    def _(args: list[Any], kwargs: dict[str, Any]) -> None:
        kwargs = offered(world, kwargs)
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
        kwargs = offered(world, {"k": 2})
        called = world.call(name, (1, "a"), kwargs, mode="send_task")
        require_message(world, "BAS-006", called, name, [1, "a"], kwargs)


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
    calls = [("celeriac.add", (2, 2)), ("celeriac.echo", ("a word",))] * 5
    ids = [world.published(world.call(*call)).task_id for call in calls]
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
    """Any options that are valid against the schema make one message, many of them at once, too."""
    world.begin()

    def judge(options: dict[str, Any]) -> None:
        called = world.call(**options)
        world.require("BAS-011", isinstance(called.answer, Ok), f"{options} is accepted", f"{called.answer}")
        messages = messages_of(world, called)
        world.judge("BAS-011", oracles.equal(1, len(messages), "the number of messages", *messages))

    judge(MANY_OPTIONS)
    world.for_all(world.any_options())(judge)


@check("BAS-012")
def test_malformed_arguments_are_refused(world: World) -> None:
    """A text or a number as arguments, or a list as keywords, raises and publishes nothing."""
    world.begin()
    for args, kwargs in (("ab", {}), (5, {}), ({"a": 1}, {}), ((), ["k"]), ((), "k")):
        world.require_refusal("BAS-012", task="celeriac.echo", args=args, kwargs=kwargs)


@check("BAS-013")
def test_countdown_and_expires_count_from_one_moment(world: World) -> None:
    """What lies between the two headers is exactly the difference of the two options."""
    world.begin()
    for countdown, expires in ((60, 120), (1, 3600), (30, 90), (7200, 86_400)):
        record = world.published(world.call(countdown=countdown, expires=expires))
        eta, end = moment(record.headers.get("eta")), moment(record.headers.get("expires"))
        gap = None if eta is None or end is None else end - eta
        holds = gap is not None and abs(gap - (expires - countdown)) <= oracles.MILLISECOND
        expected = f"countdown {countdown}, expires {expires}: {expires - countdown} s from eta to expires"
        world.require("BAS-013", holds, expected, f"{gap} s", record)


#: What the checks of signatures store.
STORED = Signature("celeriac.echo", (1, 2), {"k": 3, "m": 4}, {"priority": 7, "serializer": "json"})


@check("BAS-014", modes=("signature",))
def test_arguments_of_the_call_come_first(world: World) -> None:
    """Arguments given to a signature stand in front of its own, be they none, one or several."""
    world.begin()
    for args in ((), (9,), (8, [9])):
        called = world.call(signature=STORED, args=args)
        record = world.published(called)
        seen = list(body_of(record)[0])
        world.judge("BAS-014", oracles.equal([*args, 1, 2], seen, "the positional arguments", record))


@check("BAS-015", modes=("signature",))
def test_keywords_of_the_call_win(world: World) -> None:
    """A keyword given to a signature replaces the stored one; the others stay."""
    world.begin()
    record = world.published(world.call(signature=STORED, args=(), kwargs={"k": 30, "n": 5}))
    seen = dict(body_of(record)[1])
    world.judge("BAS-015", oracles.equal({"k": 30, "m": 4, "n": 5}, seen, "the keyword arguments", record))


@check("BAS-016", modes=("signature",))
def test_options_of_the_call_win(world: World) -> None:
    """An option given to a signature replaces the stored one; the others stay."""
    world.begin()
    stored = Signature("celeriac.echo", options={"priority": 7, "ignore_result": True, "countdown": 60})
    record = world.published(world.call(signature=stored, args=(), priority=2, expires=3600))
    for name, expected, seen in (
        ("the priority", 2, record.properties.get("priority")),
        ("the header ignore_result", True, record.headers.get("ignore_result")),
        ("whether there is an eta", True, record.headers.get("eta") is not None),
        ("whether there is an expires", True, record.headers.get("expires") is not None),
    ):
        world.judge("BAS-016", oracles.equal(expected, seen, name, record))


@check("BAS-017", modes=("signature",))
def test_immutable_signature_keeps_its_arguments(world: World) -> None:
    """Arguments given to an immutable signature do not travel."""
    world.begin()
    stored = Signature("celeriac.echo", (1, 2), {"k": 3}, immutable=True)
    record = world.published(world.call(signature=stored, args=(9,), kwargs={"k": 30, "n": 5}))
    args, kwargs, _ = body_of(record)
    world.judge("BAS-017", oracles.equal([[1, 2], {"k": 3}], [list(args), kwargs], "the arguments", record))


@check("BAS-018", modes=("signature", "delay"))
def test_delay_of_a_signature(world: World) -> None:
    """Both forms of calling a signature publish the same message, ids and stamps apart."""
    world.begin()
    for args, kwargs in (((), {}), ((9,), {}), ((8, 9), {"k": 30, "countdown": 5})):
        long = world.published(world.call(signature=STORED, args=args, kwargs=kwargs))
        short = world.published(world.call(signature=STORED, args=args, kwargs=kwargs, mode="delay"))
        world.judge(
            "BAS-018", oracles.equal(essence(long), essence(short), "the message of delay", long, short)
        )


#: Option -> what stands in for it, and where that shows.
FALLBACKS: Mapping[str, tuple[Any, Callable[[Record], Any]]] = {
    "priority": (6, lambda record: record.properties.get("priority")),
    "ignore_result": (True, lambda record: record.headers.get("ignore_result")),
    "expires": (3600, lambda record: record.headers.get("expires") is not None),
}


@check("BAS-019")
def test_null_is_not_given(world: World) -> None:
    """Null for any option makes the message that the call without it makes."""
    world.begin()
    plain = world.published(world.call())
    for name in sorted(set(schema("execution-options")["properties"]) - {"publisher"}):
        null: dict[str, Any] = {name: None}
        record = world.published(world.call(**null))
        judgement = oracles.equal(essence(plain), essence(record), f"the message with {name}=null", record)
        world.judge("BAS-019", judgement)


@check("BAS-019", features=("task_attributes",))
def test_null_leaves_the_attribute_to_decide(world: World) -> None:
    """Null for an option does not hide the attribute of the task, nor its route."""
    for name, (value, seen) in FALLBACKS.items():
        world.begin(task_attributes={"celeriac.add": {name: value}})
        expected = seen(world.published(world.call()))
        null: dict[str, Any] = {name: None}
        record = world.published(world.call(**null))
        judgement = oracles.equal(
            expected, seen(record), f"with {name}=null, what the attribute says", record
        )
        world.judge("BAS-019", judgement)
    places.judge_rows(world, "BAS-019")


@check("BAS-020", modes=("direct", "signature"))
def test_direct_call_of_a_signature_runs_here(world: World) -> None:
    """A signature that is applied answers the function's value, and nothing is published."""
    world.begin()
    called = world.call(
        signature=Signature("celeriac.echo", (2,), {"k": 3}), args=(1,), kwargs={"n": 4}, mode="direct"
    )
    answer = called.answer
    holds = isinstance(answer, Ok) and answer.value == {"value": [[1, 2], {"k": 3, "n": 4}]}
    world.require("BAS-020", holds, "the value [[1, 2], {'k': 3, 'n': 4}]", f"{answer}")
    published = world.history.of("published")
    world.require("BAS-020", not published, "no message", f"{len(published)} messages", *published)


@check("BAS-021", modes=("direct",))
def test_direct_call_encodes_nothing(world: World) -> None:
    """Tuples, sets, bytes and keys that are numbers come back as they were."""
    world.begin()
    value = [(1, 2), {3, 4}, b"\x00\xff", {5: "five"}]
    answer = world.call("celeriac.echo", value, {"k": (6,)}, mode="direct").answer
    seen = answer.value["value"] if isinstance(answer, Ok) else answer
    world.judge("BAS-021", oracles.equal([value, {"k": (6,)}], seen, "what the function was given"))


@check("BAS-022", modes=("send_task",))
def test_send_task_takes_the_same_options(world: World) -> None:
    """With the same options both forms publish the same message, ids and stamps apart."""
    world.begin()
    for options in (
        {"priority": 4, "ignore_result": True, "queue": world.queue},
        {"countdown": 60, "expires": 3600, "ignore_result": False},
        {"serializer": "json", "ignore_result": True, "retry": True},
    ):
        kwargs = offered(world, {"k": 2})
        long = world.published(world.call("celeriac.echo", (1,), kwargs, **options))
        named = world.published(world.call("celeriac.echo", (1,), kwargs, mode="send_task", **options))
        judgement = oracles.equal(effect(long), effect(named), f"the effect of {options}", long, named)
        world.judge("BAS-022", judgement)


@check("BAS-023", modes=("send_task",))
def test_send_task_does_not_check_arguments(world: World) -> None:
    """Arguments that the function of that name could not take are published."""
    world.begin()
    for args, kwargs in (((), {}), ((1, 2, 3), {}), ((), {"z": 1})):
        called = world.call("celeriac.add", args, kwargs, mode="send_task")
        require_message(world, "BAS-023", called, "celeriac.add", args, kwargs)


@check("BAS-024")
def test_arguments_are_checked(world: World) -> None:
    """Too few and too many arguments, and a keyword that the function has not, raise."""
    world.begin()
    for args, kwargs in (((), {}), ((1, 2, 3), {}), ((1, 2), {"z": 1}), ((1, 2), {"x": 1})):
        world.require_refusal("BAS-024", task="celeriac.add", args=args, kwargs=kwargs)


@check("BAS-025")
def test_option_that_nobody_knows_is_refused(world: World) -> None:
    """A misspelt countdown raises, and nothing is published."""
    world.begin()
    world.require_refusal("BAS-025", countdwon=5)
