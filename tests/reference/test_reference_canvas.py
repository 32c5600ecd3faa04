"""The canvas of the reference: chains, groups, and the links between them, as callers and workers see them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from celeriac.reference import AsyncResult, GroupResult, chain, group
from celeriac.reference.errors import ResultTimeout
from celeriac.spec import validator

Lab = Any

CHORD = "a task after a group is a chord"


@pytest.fixture(params=["memory", "rpc"])
def tasks(lab: Lab, request: pytest.FixtureRequest) -> Any:
    """Tasks of an application whose worker is running, over either result back end."""
    app = lab.app("rpc://" if request.param == "rpc" else None)

    def fail(_: Any) -> None:
        raise ValueError("no")

    add, double = app.tasks["add"], app.task(name="double")(lambda x: 2 * x)
    lab.worker(app)
    return SimpleNamespace(app=app, add=add, double=double, fail=app.task(name="fail")(fail))


def bodies(lab: Lab) -> list[Any]:
    """The bodies of the task messages, in order."""
    return [json.loads(message.body) for message in lab.published()]


# -- chains


@pytest.mark.parametrize(
    "made",
    [
        lambda add: chain(add.s(2, 2), add.s(16), add.s(4)),
        lambda add: chain(step for step in (add.s(2, 2), add.s(16), add.s(4))),
        lambda add: add.s(2, 2) | add.s(16) | add.s(4),
        lambda add: add.s(2, 2) | (add.s(16) | add.s(4)),
        lambda add: chain(chain(add.s(2, 2), add.s(16)), add.s(4)),
    ],
)
def test_a_chain_is_made_in_many_ways(lab: Lab, tasks: Any, made: Callable[[Any], Any]) -> None:
    """However the chain was put together, one message carries the rest, and the last value is answered."""
    result = made(tasks.add).apply_async()
    (first,) = bodies(lab)
    assert [each["args"] for each in first[2]["chain"]] == [[4], [16]]
    assert result.get(timeout=1) == 24
    assert result.parent.get() == 20
    assert result.parent.parent.get() == 4
    assert result.parent.parent.parent is None


def test_options_of_a_chain_find_their_tasks(lab: Lab, tasks: Any) -> None:
    """Of a chain's options the id and the callbacks are the last task's, errbacks everybody's, others the first's."""
    add, double = tasks.add, tasks.double
    steps = chain(add.s(2, 2), add.s(1).set(countdown=5), add.s(3))
    result = steps.apply_async(task_id="last", link=double.s(), link_error=double.s(), priority=4)
    (message,) = lab.published()
    embed = json.loads(message.body)[2]
    last, second = embed["chain"]
    assert result.id == "last"
    assert message.properties["priority"] == 4
    assert embed["callbacks"] is None
    assert [
        len(each) for each in (embed["errbacks"], *(o["options"]["link_error"] for o in (last, second)))
    ] == [
        1,
        1,
        1,
    ]
    assert last["options"]["link"][0]["task"] == "double"
    assert second["options"]["countdown"] == 5
    assert {"link", "priority"} & second["options"].keys() == set()


def test_arguments_of_a_chain_are_those_of_its_first_task(tasks: Any) -> None:
    """What a chain is called with comes before the arguments of its first task."""
    assert chain(tasks.add.s(2), tasks.add.s(16)).delay(1).get(timeout=1) == 19


def test_a_failure_ends_the_wait_for_a_chain(tasks: Any) -> None:
    """The error of any task in a chain is raised where its last value is awaited."""
    result: Any = chain(tasks.add.s(2, 2), tasks.fail.s(), tasks.add.s(4)).apply_async()
    with pytest.raises(ValueError, match="no"):
        result.get(timeout=1)
    assert result.parent.parent.get() == 4


def test_a_chain_may_end_with_a_group(tasks: Any) -> None:
    """The members of a group at the end of a chain all get the result before them."""
    add = tasks.add
    result: Any = chain(add.s(2, 2), group(add.s(1), add.s(2) | tasks.double.s())).apply_async()
    assert isinstance(result, GroupResult)
    assert result.get(timeout=1) == [5, 12]
    assert isinstance(result.parent, AsyncResult)
    assert result.parent.get() == 4


def test_a_failure_before_a_group_reaches_its_members(tasks: Any) -> None:
    """Whoever waits for a group after a task that failed learns of it."""
    result = chain(tasks.fail.s(1), group(tasks.add.s(1), tasks.add.s(2) | tasks.double.s())).apply_async()
    with pytest.raises(ValueError, match="no"):
        result.get(timeout=1)
    assert result.failed()


def test_a_chain_needs_a_task() -> None:
    """A chain of nothing has no value, and is refused."""
    with pytest.raises(ValueError, match="at least one"):
        chain()


# -- groups


def test_a_group_is_a_list_of_handles(lab: Lab, tasks: Any) -> None:
    """A group's handle knows its members, in order, and how far they are."""
    result = group(tasks.add.s(i, i) for i in (2, 4, 8, 16)).apply_async()
    assert (len(result), result[1].id) == (4, result.results[1].id)
    assert result.get(timeout=1) == [4, 8, 16, 32]
    assert (result.ready(), result.waiting(), result.completed_count()) == (True, False, 4)
    assert (result.successful(), result.failed()) == (True, False)
    assert [each.get() for each in result] == result.join()
    assert repr(result).startswith(f"<GroupResult: {result.id} [")
    assert {message.headers["group"] for message in lab.published()} == {result.id}


def test_options_of_a_group_are_for_each_member(lab: Lab, tasks: Any) -> None:
    """Options and arguments of a group go to every member; its ``task_id`` is the id of the group."""
    result = group(tasks.add.s(1), tasks.add.s(2)).set(priority=3).apply_async((5,), task_id="all of them")
    assert result.id == "all of them"
    assert result.get(timeout=1) == [6, 7]
    assert [message.properties["priority"] for message in lab.published()] == [3, 3]
    assert [message.headers["group_index"] for message in lab.published()] == [0, 1]


def test_an_empty_group_is_done(tasks: Any) -> None:
    """A group of nobody is ready at once, and its value is an empty list."""
    result = group().delay()
    assert (result.get(timeout=1), result.ready()) == ([], True)


def test_a_failed_member_is_raised_or_listed(tasks: Any) -> None:
    """The error of a member is raised, or stands in its place for who does not want it raised."""
    result = group(tasks.add.s(1, 1), tasks.fail.s(0), tasks.add.s(2, 2)).apply_async()
    with pytest.raises(ValueError, match="no"):
        result.get(timeout=1)
    one, error, two = result.get(propagate=False)
    assert (one, str(error), two) == (2, "no", 4)
    assert (result.failed(), result.successful()) == (True, False)


def test_the_time_limit_is_for_the_whole_group(lab: Lab, tasks: Any) -> None:
    """Members that are late one after another do not add up to a longer wait."""
    result = group(tasks.add.s(1, 1).set(countdown=wait) for wait in (6, 12)).apply_async()
    before = lab.clock.monotonic()
    with pytest.raises(ResultTimeout):
        result.get(timeout=10)
    assert lab.clock.monotonic() - before == 10


def test_a_chain_in_a_group_is_one_member(lab: Lab, tasks: Any) -> None:
    """The last task of a chain is what stands for the chain in a group."""
    result = group(tasks.add.s(1, 1) | tasks.add.s(2), tasks.add.s(3, 3)).apply_async()
    assert result.get(timeout=1) == [4, 6]
    grouped = {m.headers["id"]: m.headers["group_index"] for m in lab.published() if m.headers["group"]}
    assert grouped == {result[0].id: 0, result[1].id: 1}


@pytest.mark.parametrize(
    "composed",
    [
        lambda add: group(add.s(1, 1)) | add.s(),
        lambda add: chain(group(add.s(1, 1)), add.s()),
        lambda add: chain(add.s(1, 1), group(add.s(1)), add.s(1)),
        lambda add: chain(add.s(1, 1), group(add.s(1))) | add.s(1),
        lambda add: group(add.s(1, 1)).apply_async(link=add.s(1)),
        lambda add: chain(add.s(1, 1), group(add.s(1))).apply_async(link=add.s(1)),
    ],
)
def test_a_chord_is_refused(lab: Lab, tasks: Any, composed: Callable[[Any], Any]) -> None:
    """A task after a group is refused by name before anything is sent, wherever it stands."""
    with pytest.raises(TypeError, match=CHORD):
        composed(tasks.add)
    assert lab.published() == []


def test_errbacks_of_a_group_belong_to_its_members(lab: Lab, tasks: Any) -> None:
    """A group as a whole does not fail, so that it has no errback."""
    with pytest.raises(TypeError, match="give link_error to the members"):
        group(tasks.add.s(1, 1)).apply_async(link_error=tasks.double.s())
    assert lab.published() == []


# -- links


def test_groups_and_chains_are_links(tasks: Any) -> None:
    """A group and a chain follow a task like any signature, and are found among its children."""
    add = tasks.add
    parent = add.apply_async((2, 2), link=[group(add.s(1), add.s(2)), chain(add.s(10), tasks.double.s())])
    assert parent.get(timeout=1) == 4
    assert [child.get(timeout=1) for child in parent.children] == [5, 6, 14]
    (after,) = parent.children[2].children
    assert after.get(timeout=1) == 28


@pytest.mark.parametrize("kind", [group, chain])
def test_compositions_travel_as_signatures(tasks: Any, kind: Any) -> None:
    """A group and a chain on the wire are what the schema says of signatures, members included."""
    wire = kind(tasks.add.s(1), tasks.add.s(2).set(link=tasks.double.s())).set(priority=1).to_wire()
    assert (wire["task"], wire["subtask_type"]) == (f"celery.{kind.__name__}", kind.__name__)
    assert wire["options"] == {"priority": 1}
    for signature in (wire, *wire["kwargs"]["tasks"]):
        validator("signature").validate(signature)


def wire(task: str, *args: Any, kind: str | None = None, **fields: Any) -> dict[str, Any]:
    """A signature as Celery writes it."""
    plain = {"task": task, "args": list(args), "kwargs": {}, "options": {}, "immutable": False}
    return {**plain, "subtask_type": kind, **fields}


def send(lab: Lab, **embed: Any) -> None:
    """Send a sum of 2 and 2 that something follows."""
    body = [[2, 2], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None, **embed}]
    lab.inject(json.dumps(body), {"task": "add", "id": "parent"})
    lab.clock.settle()


def followers(lab: Lab) -> list[tuple[str, list[Any]]]:
    """Whom the worker has called with what."""
    sent = [message for message in lab.published() if message.headers["id"] != "parent"]
    return [(message.headers["id"], json.loads(message.body)[0]) for message in sent]


def test_groups_of_celery_are_passed_on(lab: Lab, tasks: Any) -> None:
    """A group at the end of a chain has Celery's ids, also where Celery gives options that mean nothing here."""
    members = [wire("double", options={"task_id": name, "reply_to": "r", "group_index": 0}) for name in "ab"]
    options = {"task_id": "g", "root_id": None, "parent_id": None, "stamped_headers": ["x"]}
    send(lab, chain=[wire("celery.group", kind="group", kwargs={"tasks": members}, options=options)])
    assert followers(lab) == [("a", [4]), ("b", [4])]
    assert {message.headers.get("group") for message in lab.published()} == {None, "g"}


CHORDS: Mapping[str, Any] = {
    "after the task": {"callbacks": [wire("celery.chord", kind="chord", kwargs={"header": [], "body": {}})]},
    "next in the chain": {"chain": [wire("celery.chord", kind="chord")]},
    "inside a group": {
        "callbacks": [
            wire("celery.group", kind="group", kwargs={"tasks": [wire("celery.chord", kind="chord")]})
        ]
    },
    "around the task": {"chord": wire("double")},
}


@pytest.mark.parametrize("embed", CHORDS.values(), ids=CHORDS)
def test_chords_of_celery_are_refused(lab: Lab, tasks: Any, embed: Any) -> None:
    """A task that belongs to a chord is not executed; the reason is its result, and the worker goes on."""
    send(lab, **embed)
    assert lab.ran("parent") == []
    assert followers(lab) == []
    assert tasks.add.delay(1, 1).get(timeout=1) == 2
    (refusal,) = [data["reason"] for _, kind, data in lab.seen if kind == "refused"]
    assert refusal == "a chord follows the task 'add', and chords are not supported here"


@pytest.mark.parametrize("members", [None, [], "ab", [1], [{"task": 1}]])
def test_groups_without_proper_members_are_refused(lab: Lab, tasks: Any, members: Any) -> None:
    """A group that names no signatures is malformed like any signature that is none."""
    send(lab, callbacks=[wire("celery.group", kind="group", kwargs={"tasks": members})])
    assert lab.ran("parent") == []
    assert [data["fate"] for _, kind, data in lab.seen if kind == "refused"] == ["reject"]


def test_one_connection_for_several_calls(lab: Lab, tasks: Any) -> None:
    """A publisher on a connection of the pool sends over that connection, and gives it back."""
    add = tasks.add
    with add.app.pool.acquire(block=True) as connection:
        with add.get_publisher(connection) as publisher:
            results = [add.apply_async((i, i), publisher=publisher) for i in (2, 4)]
        own = connection.connection
    assert [result.get(timeout=1) for result in results] == [4, 8]
    with add.app.pool.acquire() as again:
        assert again.connection is own
