"""Linking: what follows a task that returns, and what follows one that raises."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from celeriac.conformance import oracles
from celeriac.conformance.adapter import Ok, Signature
from celeriac.conformance.checks import check
from celeriac.conformance.decoding import body_of, moment
from celeriac.conformance.messages import Embed, WireMessage
from celeriac.conformance.messages import wire_signature as sig

if TYPE_CHECKING:
    from celeriac.conformance.history import Record
    from celeriac.conformance.world import World

#: A task that no worker of a check knows.
UNKNOWN = "somebody.elses.task"


def parent(
    world: World, task: str = "celeriac.add", args: Sequence[Any] = (2, 2), **embed: Any
) -> WireMessage:
    """Let a worker receive a task that something follows; it belongs to a tree with another root."""
    world.begin()
    world.worker()
    message = world.message(task, args, embed=Embed(**embed)).with_headers(root_id=str(uuid.uuid4()))
    world.inject(message)
    return message


def let_pass(world: World) -> None:
    """Let the worker execute one more task: what it does for those before is done then."""
    after = world.send("celeriac.add", (3, 3))
    world.expect("ended", task_id=after.task_id)


def followers(world: World, message: WireMessage, count: int) -> list[Record]:
    """Answer the messages that the worker publishes for other tasks, waiting until there are ``count``."""
    world.until(lambda: len(_published(world, message)) >= count)
    let_pass(world)
    return _published(world, message)


def _published(world: World, message: WireMessage) -> list[Record]:
    messages = world.history.having(lambda record: record.kind == "published" and "task" in record.headers)
    return [record for record in messages if record.task_id != message.task_id]


def called(record: Record) -> tuple[str, list[Any]]:
    """Answer the task that a message asks for, and its positional arguments."""
    return record.headers["task"], list(body_of(record)[0])


def named(signatures: Sequence[Mapping[str, Any]] | None) -> list[tuple[str, list[Any]]]:
    """Answer the tasks and the positional arguments of some signatures."""
    return [(signature["task"], list(signature["args"])) for signature in signatures or ()]


def require_followers(
    world: World, requirement: str, message: WireMessage, expected: Sequence[tuple[str, list[Any]]]
) -> list[Record]:
    """Require that exactly these tasks, in this order, are called with these arguments."""
    records = followers(world, message, len(expected))
    seen = [called(record) for record in records]
    world.judge(requirement, oracles.equal(list(expected), seen, "what follows", *records))
    return records


def require_silence(world: World, requirement: str, message: WireMessage) -> None:
    """Require that nobody is called for a task, neither in the worker nor by a message."""
    world.expect("ended", task_id=message.task_id)
    let_pass(world)
    seen = [*_published(world, message), *world.history.of("errback")]
    world.require(requirement, not seen, "nothing follows", f"{[record.kind for record in seen]}", *seen)


# -- the caller's side


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


@check("LNK-001")
def test_single_link(world: World) -> None:
    """One callback is a list of one."""
    world.begin()
    expected = [("celeriac.add", [16])]
    require_links(world, "LNK-001", "callbacks", expected, link=linked("celeriac.add", 16))


@check("LNK-002")
def test_several_links(world: World) -> None:
    """Callbacks keep their order."""
    world.begin()
    links = [linked("celeriac.add", 16), linked("celeriac.echo"), linked("celeriac.add", 1)]
    expected = [("celeriac.add", [16]), ("celeriac.echo", []), ("celeriac.add", [1])]
    require_links(world, "LNK-002", "callbacks", expected, link=links)


@check("LNK-003")
def test_single_errback(world: World) -> None:
    """One errback is a list of one."""
    world.begin()
    expected: list[tuple[str, list[Any]]] = [("celeriac.handler", [])]
    require_links(world, "LNK-003", "errbacks", expected, link_error=linked("celeriac.handler"))


@check("LNK-004")
def test_several_errbacks(world: World) -> None:
    """Errbacks keep their order."""
    world.begin()
    links = [linked("celeriac.handler"), linked("celeriac.echo", 1)]
    expected = [("celeriac.handler", []), ("celeriac.echo", [1])]
    require_links(world, "LNK-004", "errbacks", expected, link_error=links)


@check("LNK-005")
def test_links_travel_with_every_serializer(world: World) -> None:
    """A callback reaches the wire in each encoding."""
    world.begin()
    for name in ("json", "yaml", "msgpack", "pickle"):
        if not world.has(f"serializer:{name}"):
            continue
        called = world.call(link=linked("celeriac.add", 16), serializer=name)
        expected = f"serializer {name}: the call with a link is accepted"
        world.require("LNK-005", isinstance(called.answer, Ok), expected, f"{called.answer}")
        found = body_of(world.published(called))[2].get("callbacks")
        expected = f"serializer {name}: the callback is in the body"
        world.require("LNK-005", "celeriac.add" in str(found), expected, f"callbacks: {found!r}")


# -- callbacks


@check("LNK-006")
def test_every_callback_is_published_once(world: World) -> None:
    """A known, another known and an unknown task are each called by one message."""
    callbacks = [sig("celeriac.add", 16), sig("celeriac.echo", "x"), sig(UNKNOWN)]
    records = followers(world, parent(world, callbacks=callbacks), 3)
    seen = sorted(record.headers["task"] for record in records)
    expected = sorted([UNKNOWN, "celeriac.add", "celeriac.echo"])
    world.judge("LNK-006", oracles.equal(expected, seen, "the tasks of the messages", *records))


@check("LNK-007")
def test_result_comes_before_the_arguments_of_a_callback(world: World) -> None:
    """Each of two callbacks gets the parent's result, a list that stays one, and then its own arguments."""
    callbacks = [sig("celeriac.echo", "own", 16), sig("celeriac.echo")]
    message = parent(world, "celeriac.echo", (1, 2), callbacks=callbacks)
    result = [[1, 2], {}]
    seen = sorted((called(record)[1] for record in followers(world, message, 2)), key=len)
    world.judge(
        "LNK-007", oracles.equal([[result], [result, "own", 16]], seen, "the arguments of the callbacks")
    )


@check("LNK-008")
def test_immutable_callback_gets_no_result(world: World) -> None:
    """Immutable callbacks, with arguments and without, are called as they are."""
    callbacks = [sig("celeriac.echo", "own", 16, immutable=True), sig("celeriac.echo", immutable=True)]
    message = parent(world, callbacks=callbacks)
    seen = sorted((called(record)[1] for record in followers(world, message, 2)), key=len)
    world.judge("LNK-008", oracles.equal([[], ["own", 16]], seen, "the arguments of the callbacks"))


@check("LNK-009")
def test_callback_keeps_its_keyword_arguments(world: World) -> None:
    """Keyword arguments of both kinds of signatures reach the callback."""
    kwargs = {"key": {"n": 1}, "flag": None}
    callbacks = [sig("celeriac.echo", kwargs=kwargs, immutable=immutable) for immutable in (False, True)]
    records = followers(world, parent(world, callbacks=callbacks), 2)
    seen = [dict(body_of(record)[1]) for record in records]
    world.judge("LNK-009", oracles.equal([kwargs, kwargs], seen, "the keyword arguments", *records))


def options_of(record: Record) -> dict[str, Any]:
    """Answer what a message shows of the options that ``test_callback_keeps_its_options`` gives."""
    embed = body_of(record)[2]
    return {
        "expires": moment(record.headers.get("expires")),
        "priority": record.properties.get("priority") or 0,
        "link": named(embed["callbacks"]),
        "link_error": named(embed["errbacks"]),
    }


@check("LNK-010", features=("link_error",))
def test_callback_keeps_its_options(world: World) -> None:
    """Expiry, priority and links of one callback are those of its message; the next callback has none."""
    link, link_error = sig("celeriac.echo", "linked"), sig("celeriac.handler")
    options: dict[str, Any] = {"expires": 3600, "priority": 7, "link": [link], "link_error": [link_error]}
    message = parent(
        world, callbacks=[sig("celeriac.echo", "first", **options), sig("celeriac.echo", "second")]
    )
    records = followers(world, message, 2)
    mine, other = (
        [record for record in records if called(record)[1][1:] == [name]] for name in ("first", "second")
    )
    world.require(
        "LNK-010", len(mine) == len(other) == 1, "a message for each callback", f"{len(records)}", *records
    )
    first, second = options_of(mine[0]), options_of(other[0])
    left = (first.pop("expires") or 0.0) - mine[0].at
    world.require("LNK-010", 3500 < left < 3700, "the first expires in 3600 s", f"in {left:.3f} s", mine[0])
    expected = {"priority": 7, "link": named([link]), "link_error": named([link_error])}
    world.judge("LNK-010", oracles.equal(expected, first, "the options of the first", mine[0]))
    nothing: dict[str, Any] = {"expires": None, "priority": 0, "link": [], "link_error": []}
    world.judge("LNK-010", oracles.equal(nothing, second, "the options of the second", other[0]))


@check("LNK-011")
def test_callbacks_are_published_in_order(world: World) -> None:
    """Five callbacks are published in the order of the list."""
    callbacks = [sig("celeriac.echo", number) for number in (3, 1, 5, 2, 4)]
    message = parent(world, callbacks=callbacks)
    expected = [("celeriac.echo", [4, number]) for number in (3, 1, 5, 2, 4)]
    require_followers(world, "LNK-011", message, expected)


def require_descent(world: World, requirement: str, message: WireMessage, count: int) -> None:
    """Require that what follows a task is its child in the same tree."""
    records = followers(world, message, count)
    world.judge(requirement, oracles.equal(count, len(records), "the number of messages", *records))
    expected = (message.task_id, message.headers["root_id"])
    for record in records:
        seen = (record.headers.get("parent_id"), record.headers.get("root_id"))
        world.judge(requirement, oracles.equal(expected, seen, "parent_id and root_id", record))


@check("LNK-012")
def test_callback_is_a_child_of_its_parent(world: World) -> None:
    """Each of two callbacks knows its parent and the root of the tree."""
    callbacks = [sig("celeriac.add", 16), sig("celeriac.echo")]
    require_descent(world, "LNK-012", parent(world, callbacks=callbacks), 2)


def texts(value: Any) -> set[str]:
    """Answer every text in nested lists."""
    if isinstance(value, list | tuple):
        return set().union(*map(texts, value))
    return {value} if isinstance(value, str) else set()


@check("LNK-013")
def test_callbacks_are_children_of_the_result(world: World) -> None:
    """The ids of two callbacks are among the children of the stored result."""
    message = parent(world, callbacks=[sig("celeriac.add", 16), sig("celeriac.echo")])
    ids = {record.task_id for record in followers(world, message, 2)}
    record = world.expect("stored", task_id=message.task_id, state="SUCCESS")
    children = record.record.get("children")
    world.require(
        "LNK-013", len(ids) == 2 and ids <= texts(children), f"{sorted(ids)}", f"{children}", record
    )


@check("LNK-014")
def test_failure_has_no_callback(world: World) -> None:
    """Neither the callback nor the rest of the chain of a task that raises is published."""
    links = {"callbacks": [sig("celeriac.echo")], "chain": [sig("celeriac.echo", "next")]}
    require_silence(world, "LNK-014", parent(world, "celeriac.fail", ("no",), **links))


@check("LNK-015")
def test_callback_follows_the_last_attempt(world: World) -> None:
    """A task that is retried once is followed once, by a callback with the result of the second attempt."""
    message = parent(world, "celeriac.retry", (1,), callbacks=[sig("celeriac.echo", "own")])
    world.expect("ended", task_id=message.task_id)
    require_followers(world, "LNK-015", message, [("celeriac.echo", [1, "own"])])


@check("LNK-016", features=("link_error",))
def test_ignored_task_calls_nobody(world: World) -> None:
    """A task that asks to be ignored is followed by no callback and by no errback of either kind."""
    links = {"callbacks": [sig("celeriac.echo")], "errbacks": [sig("celeriac.handler"), sig(UNKNOWN)]}
    require_silence(world, "LNK-016", parent(world, "celeriac.ignore", (), **links))


# -- chains

#: A body's chain: the next task comes last.
CHAIN = tuple(sig("celeriac.echo", which) for which in ("fourth", "third", "second"))


@check("LNK-017")
def test_chain_goes_on_with_the_result(world: World) -> None:
    """The next task of a chain is called with the result and its own argument."""
    message = parent(world, chain=[sig("celeriac.echo", "own")])
    require_followers(world, "LNK-017", message, [("celeriac.echo", [4, "own"])])


@check("LNK-018")
def test_chain_travels_with_its_next_task(world: World) -> None:
    """Each message of a chain carries the signatures that are still to come, the last message none."""
    records = followers(world, parent(world, chain=list(CHAIN)), 3)
    seen = [named(body_of(record)[2].get("chain")) for record in records]
    expected = [named(CHAIN[:2]), named(CHAIN[:1]), []]
    world.judge("LNK-018", oracles.equal(expected, seen, "the chain of each message", *records))


# -- errbacks


def told(world: World, count: int = 1) -> list[Record]:
    """Wait until errbacks have been called, and answer the records of all calls."""
    world.expect("errback", count=count)
    let_pass(world)
    return world.history.of("errback")


@check("LNK-019")
def test_errback_is_called_in_the_worker(world: World) -> None:
    """The worker calls the errback once by itself and publishes nothing."""
    message = parent(world, "celeriac.fail", ("no",), errbacks=[sig("celeriac.handler")])
    calls = told(world)
    world.judge("LNK-019", oracles.equal(1, len(calls), "the number of calls", *calls))
    published = _published(world, message)
    world.judge("LNK-019", oracles.equal([], [called(record) for record in published], "what is published"))


@check("LNK-020")
def test_errback_learns_what_failed(world: World) -> None:
    """The errback gets the id of the failed task, its exception and a traceback."""
    message = parent(world, "celeriac.fail", ("a reason",), errbacks=[sig("celeriac.handler")])
    record = world.expect("errback")
    seen = (record.task_id, record.exc_type, record.exc_message, record.has_traceback)
    expected = (message.task_id, "ValueError", "a reason", True)
    world.judge("LNK-020", oracles.equal(expected, seen, "id, exception, text and traceback", record))


@check("LNK-021")
def test_errback_gets_its_own_arguments(world: World) -> None:
    """The positional arguments of the signature follow the three of the worker."""
    parent(world, "celeriac.fail", ("no",), errbacks=[sig("celeriac.handler", "own", 16)])
    (record, *_) = told(world)
    seen = list(record.args)
    world.judge("LNK-021", oracles.equal(["own", 16], seen, "the arguments after the three", record))


@check("LNK-022")
def test_errbacks_are_called_in_order(world: World) -> None:
    """Three errbacks that the worker calls are called in the order of the list."""
    errbacks = [sig("celeriac.handler", number) for number in (2, 3, 1)]
    parent(world, "celeriac.fail", ("no",), errbacks=errbacks)
    calls = told(world, 3)
    seen = [list(record.args) for record in calls]
    world.judge("LNK-022", oracles.equal([[2], [3], [1]], seen, "the order of the calls", *calls))


@check("LNK-022")
def test_errbacks_are_published_in_order(world: World) -> None:
    """Three errbacks of unknown tasks are published in the order of the list."""
    errbacks = [sig(UNKNOWN, number) for number in (2, 3, 1)]
    message = parent(world, "celeriac.fail", ("no",), errbacks=errbacks)
    seen = [called(record)[1][1:] for record in followers(world, message, 3)]
    world.judge("LNK-022", oracles.equal([[2], [3], [1]], seen, "the order of the messages"))


@check("LNK-023")
def test_unknown_errback_is_published(world: World) -> None:
    """An errback that this worker does not know is called by a message with the id of the failed task."""
    message = parent(world, "celeriac.fail", ("no",), errbacks=[sig(UNKNOWN, "own", 16)])
    require_followers(world, "LNK-023", message, [(UNKNOWN, [message.task_id, "own", 16])])


@check("LNK-024")
def test_errback_of_one_argument_gets_the_id(world: World) -> None:
    """An errback that takes one argument is executed, in whichever way, with the id of the failed task."""
    message = parent(world, "celeriac.retry", (0, 0, "no"), errbacks=[sig("celeriac.fail")])
    record = world.expect("started", task="celeriac.fail")
    seen = list(record.args)
    world.judge("LNK-024", oracles.equal([message.task_id], seen, "the arguments of the errback", record))


@check("LNK-025")
def test_published_errback_is_a_child_of_its_parent(world: World) -> None:
    """Each of two published errbacks knows the failed task and the root of the tree."""
    errbacks = [sig(UNKNOWN), sig("somebodys.other.task")]
    require_descent(world, "LNK-025", parent(world, "celeriac.fail", ("no",), errbacks=errbacks), 2)


@check("LNK-026")
def test_success_has_no_errback(world: World) -> None:
    """A task that returns is followed by no errback of either kind."""
    errbacks = [sig("celeriac.handler"), sig(UNKNOWN)]
    require_silence(world, "LNK-026", parent(world, errbacks=errbacks))


@check("LNK-027")
def test_errback_follows_the_last_attempt(world: World) -> None:
    """A task that is retried once and then raises is followed by one errback, told of the last error."""
    message = parent(world, "celeriac.retry", (1, 0, "a reason"), errbacks=[sig("celeriac.handler")])
    calls = told(world)
    seen = [record.exc_message for record in calls]
    world.judge(
        "LNK-027", oracles.equal(["a reason"], seen, "the errors that the errback is told of", *calls)
    )
    attempts = world.history.of("retried", task_id=message.task_id)
    world.judge("LNK-027", oracles.equal(1, len(attempts), "the number of retries", *attempts))
