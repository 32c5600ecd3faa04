"""Linking, written as chains and groups: what a caller publishes, what it waits for, and what a worker passes on.

Results that a caller waits for are the harness's own, and so are the messages that a worker receives.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from celeriac.conformance import oracles
from celeriac.conformance.adapter import Ok, Raised, Signature
from celeriac.conformance.checks import check
from celeriac.conformance.decoding import body_of
from celeriac.conformance.messages import Embed, WireMessage
from celeriac.conformance.messages import wire_signature as sig

if TYPE_CHECKING:
    from celeriac.conformance.adapter import Composition
    from celeriac.conformance.calls import Composed
    from celeriac.conformance.history import Record
    from celeriac.conformance.world import World

#: Who is needed where somebody calls and somebody waits.
CALLER = ("producer", "result-consumer")

#: The sums of the guide: of each, the arguments and the value.
SUMS = {(2, 2): 4, (4, 4): 8, (8, 8): 16, (16, 16): 32}
ADDITIONS = tuple(Signature("celeriac.add", pair) for pair in SUMS)

ERROR = {"exc_type": "ValueError", "exc_message": ["a reason"], "exc_module": "builtins"}

#: (2 + 2) + 16, and what echoes it: three tasks, the second and third of which get a result.
STEPS = (
    Signature("celeriac.add", (2, 2)),
    Signature("celeriac.add", (16,)),
    Signature("celeriac.echo", ("own",)),
)


def composed(world: World, kind: Composition, *tasks: Signature, **options: Any) -> Composed:
    """Begin, and call some tasks as one."""
    world.begin()
    return world.compose(kind, *tasks, **options)


def sums(world: World) -> Composed:
    """Begin, and call the sums of the guide as a group that nobody executes."""
    return composed(world, "group", *ADDITIONS)


def messages(world: World, count: int) -> list[Record]:
    """Answer the task messages, waiting for ``count`` of them and for one more, which a call after them publishes."""
    world.until(lambda: len(_messages(world)) >= count)
    mark = world.call("celeriac.echo", ("mark",))
    world.published(mark)
    return [record for record in _messages(world) if record.task_id != mark.task_id]


def _messages(world: World) -> list[Record]:
    return world.history.having(lambda record: record.kind == "published" and "task" in record.headers)


def rest_of(record: Record) -> list[Mapping[str, Any]]:
    """Answer the signatures in the ``chain`` of a message; what is no signature counts as an empty one."""
    found = body_of(record)[2].get("chain") or ()
    return [each if isinstance(each, Mapping) else {} for each in found]


def options_of(signatures: Sequence[Mapping[str, Any]], name: str) -> list[Any]:
    """Answer one option of each of some signatures."""
    return [(each.get("options") or {}).get(name) for each in signatures]


# -- a chain is called


@check("LNK-030")
def test_chain_publishes_its_first_task(world: World) -> None:
    """Of three tasks in a chain only the first gets a message."""
    composed(world, "chain", *STEPS)
    records = messages(world, 1)
    seen = [(record.headers["task"], list(body_of(record)[0])) for record in records]
    world.judge("LNK-030", oracles.equal([("celeriac.add", [2, 2])], seen, "what is published", *records))


def named(signatures: Sequence[Mapping[str, Any]]) -> list[tuple[Any, list[Any]]]:
    """Answer the tasks and the positional arguments of some signatures."""
    return [(each.get("task"), list(each.get("args") or ())) for each in signatures]


@check("LNK-031")
def test_chain_carries_the_rest_in_reverse(world: World) -> None:
    """The second task of three is the last in the list."""
    record = world.published(composed(world, "chain", *STEPS).calls[0])
    expected = [("celeriac.echo", ["own"]), ("celeriac.add", [16])]
    world.judge("LNK-031", oracles.equal(expected, named(rest_of(record)), "the chain in the body", record))


@check("LNK-032")
def test_chain_has_its_ids_beforehand(world: World) -> None:
    """The three ids that the call answers are those of the message and of the two signatures in it."""
    called = composed(world, "chain", *STEPS)
    record = world.published(called.calls[0])
    rest = rest_of(record)
    seen = dict(zip((each.get("task") for each in rest), options_of(rest, "task_id"), strict=True))
    expected = dict(zip(("celeriac.add", "celeriac.echo"), called.task_ids[1:], strict=True))
    world.judge("LNK-032", oracles.equal(expected, seen, "the ids of the second and third task", record))


@check("LNK-033", roles=CALLER)
def test_chain_says_where_results_are_awaited(world: World) -> None:
    """Both signatures that follow have the address that the message has."""
    record = world.published(composed(world, "chain", *STEPS).calls[0])
    address = record.properties.get("reply_to")
    seen = options_of(rest_of(record), "reply_to")
    world.judge("LNK-033", oracles.equal([address, address], seen, "where results are awaited", record))


@check("LNK-034", roles=CALLER)
def test_chain_is_its_last_value(world: World) -> None:
    """The wait for (2 + 2) + 16 is over when there is 20, not when there is 4."""
    called = composed(world, "chain", *STEPS[:2])
    first, last = called.calls
    world.store(first, "SUCCESS", 4)
    world.after(world.tick / 2, lambda: world.store(last, "SUCCESS", 20, awaited_by=first))
    world.judge("LNK-034", oracles.equal(Ok({"value": 20, "messages": []}), world.get(called), "the answer"))


@check("LNK-035", features=("chain",))
def test_joined_signatures_are_a_chain(world: World) -> None:
    """Three signatures joined by the operator publish what a chain of the three publishes."""
    seen = []
    kinds: tuple[Composition, ...] = ("chain", "pipe")
    for kind in kinds:
        composed(world, kind, *STEPS)
        records = messages(world, 1)
        seen.append([(list(body_of(record)[0]), named(rest_of(record))) for record in records])
    chain, pipe = seen
    world.judge("LNK-035", oracles.equal(chain, pipe, "arguments and chain of each message", *records))


# -- a group is called


@check("LNK-036")
def test_group_publishes_each_task(world: World) -> None:
    """Four sums are four messages, in the order of the signatures."""
    sums(world)
    records = messages(world, len(SUMS))
    seen = [list(body_of(record)[0]) for record in records]
    world.judge("LNK-036", oracles.equal([list(pair) for pair in SUMS], seen, "what is called", *records))


@check("LNK-037")
def test_group_has_an_id(world: World) -> None:
    """The messages of each of two groups share an id that the other group does not have."""
    groups: list[Any] = []
    for called in (sums(world), world.compose("group", *ADDITIONS)):
        records = [world.published(call) for call in called.calls]
        ids = {record.headers.get("group") for record in records}
        expected = "all messages have the same text as their header group"
        holds = len(ids) == 1 and all(isinstance(each, str) and each for each in ids)
        world.require("LNK-037", holds, expected, f"{ids}", *records)
        groups += ids
    world.require("LNK-037", len(set(groups)) == 2, "two groups have two ids", f"{groups}")


@check("LNK-038")
def test_group_numbers_its_tasks(world: World) -> None:
    """The messages of four sums are numbered from 0 to 3."""
    called = sums(world)
    records = [world.published(call) for call in called.calls]
    seen = [(body_of(record)[0][0], record.headers.get("group_index")) for record in records]
    expected = [(pair[0], index) for index, pair in enumerate(SUMS)]
    world.judge("LNK-038", oracles.equal(expected, seen, "first argument and group_index", *records))


@check("MSG-004", features=("group",))
def test_each_task_of_a_group_is_a_root(world: World) -> None:
    """A task of a group that is called outside a task is the root of its own tree."""
    for call in sums(world).calls:
        record = world.published(call)
        seen = (record.headers.get("root_id"), record.headers.get("parent_id"))
        world.judge("MSG-004", oracles.equal((call.id, None), seen, "root_id and parent_id", record))


@check("LNK-039", roles=CALLER)
def test_group_is_a_list_in_order(world: World) -> None:
    """Values that arrive from the last to the first are answered from the first to the last."""
    called = sums(world)
    for call, value in reversed(tuple(zip(called.calls, SUMS.values(), strict=True))):
        world.store(call, "SUCCESS", value)
    expected = Ok({"value": [4, 8, 16, 32], "messages": []})
    world.judge("LNK-039", oracles.equal(expected, world.get(called), "the answer"))


@check("LNK-040", roles=CALLER)
def test_group_waits_for_all(world: World) -> None:
    """With any one of four results missing the wait times out."""
    called = sums(world)
    missing, *others = called.calls[::-1]
    for call in others:
        world.store(call, "SUCCESS", 4)
    answer = world.get(called, timeout=world.tick)
    timed_out = isinstance(answer, Raised) and answer.category == "timeout"
    world.require("LNK-040", timed_out, f"a timeout, as {missing.id} has no result", f"{answer}")
    world.after(world.tick / 2, lambda: world.store(missing, "SUCCESS", 8))
    expected = Ok({"value": [4, 4, 4, 8], "messages": []})
    world.judge("LNK-040", oracles.equal(expected, world.get(called), "the answer, half a tick later"))


@check("LNK-041", roles=CALLER)
def test_group_raises_the_error_of_a_task(world: World) -> None:
    """The third of four tasks has failed, and its error is raised."""
    called = sums(world)
    for index, call in enumerate(called.calls):
        world.store(call, *(("FAILURE", ERROR) if index == 2 else ("SUCCESS", 4)))
    answer = world.get(called)
    raised = (answer.type, answer.text) if isinstance(answer, Raised) else answer
    world.judge("LNK-041", oracles.equal(("ValueError", "a reason"), raised, "what is raised"))


@check("LNK-042", roles=CALLER)
def test_empty_group_is_an_empty_list(world: World) -> None:
    """A group of nobody publishes nothing and is answered at once."""
    called = composed(world, "group")
    expected = Ok({"value": [], "messages": []})
    world.judge("LNK-042", oracles.equal(expected, world.get(called, timeout=world.tick), "the answer"))
    records = messages(world, 0)
    world.judge("LNK-042", oracles.equal(0, len(records), "the number of messages", *records))


# -- a worker passes on


def parent(world: World, **embed: Any) -> WireMessage:
    """Let a worker receive a sum that something follows; it belongs to a tree with another root."""
    world.begin()
    world.worker()
    message = world.message("celeriac.add", (2, 2), embed=Embed(**embed)).with_headers(
        root_id=str(uuid.uuid4())
    )
    world.inject(message)
    return message


def followers(world: World, message: WireMessage, count: int) -> list[Record]:
    """Answer what the worker publishes for other tasks, waiting for ``count`` and until it has run one task more."""

    def found() -> list[Record]:
        return [record for record in _messages(world) if record.task_id != message.task_id]

    world.until(lambda: len(found()) >= count)
    world.expect("ended", task_id=world.send("celeriac.add", (3, 3)).task_id)
    return found()


@check("LNK-043")
def test_next_task_has_its_options(world: World) -> None:
    """Id, address and priority of a chain's next task are those of its signature."""
    task_id, address = f"next-{uuid.uuid4()}", f"celeriac.reply.{uuid.uuid4()}"
    options: dict[str, Any] = {"task_id": task_id, "reply_to": address, "priority": 7}
    records = followers(world, parent(world, chain=[sig("celeriac.echo", "own", **options)]), 1)
    seen = [
        {
            "task_id": record.headers.get("id"),
            "reply_to": record.properties.get("reply_to"),
            "priority": record.properties.get("priority"),
        }
        for record in records
    ]
    world.judge("LNK-043", oracles.equal([options], seen, "the options of the next task", *records))


@check("LNK-044")
def test_chain_is_one_tree(world: World) -> None:
    """The second task of a chain is a child of the first, the third one of the second, all under one root."""
    message = parent(world, chain=[sig("celeriac.echo", "third"), sig("celeriac.echo", "second")])
    records = followers(world, message, 2)
    root = message.headers["root_id"]
    before = [message.task_id, *(record.task_id for record in records)]
    seen = [(record.headers.get("parent_id"), record.headers.get("root_id")) for record in records]
    expected = [(before[0], root), (before[1], root)]
    world.judge("LNK-044", oracles.equal(expected, seen, "parent_id and root_id", *records))


def group_of(*members: Mapping[str, Any]) -> dict[str, Any]:
    """Answer the signature of a group as it stands in a body."""
    return {**sig("celery.group", kwargs={"tasks": list(members)}), "subtask_type": "group"}


#: Three members, of which the second has no use for a result.
MEMBERS = (sig("celeriac.echo", 1), sig("celeriac.echo", 2, immutable=True), sig("celeriac.echo", 3))


@check("LNK-045")
def test_group_follows_a_task(world: World) -> None:
    """Each of two members of a group gets the result of the parent, in order."""
    message = parent(world, callbacks=[group_of(MEMBERS[0], MEMBERS[2])])
    records = followers(world, message, 2)
    seen = [list(body_of(record)[0]) for record in records]
    world.judge("LNK-045", oracles.equal([[4, 1], [4, 3]], seen, "the arguments of the members", *records))


@check("LNK-046")
def test_group_that_follows_has_an_id(world: World) -> None:
    """The messages of the three members share the id of a group."""
    records = followers(world, parent(world, callbacks=[group_of(*MEMBERS)]), 3)
    ids = {record.headers.get("group") for record in records}
    holds = len(records) == 3 and len(ids) == 1 and all(isinstance(each, str) and each for each in ids)
    world.require(
        "LNK-046", holds, "three messages with the same text as their header group", f"{ids}", *records
    )
