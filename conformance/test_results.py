"""Results: whether one is stored, what the record looks like, where it goes, and what a caller reads."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from celeriac.conformance import oracles
from celeriac.conformance.adapter import Ok
from celeriac.conformance.checks import check
from celeriac.spec import validator

if TYPE_CHECKING:
    from celeriac.conformance.calls import Sent
    from celeriac.conformance.history import Record
    from celeriac.conformance.messages import WireMessage
    from celeriac.conformance.world import World

CALLER = ("producer", "result-consumer")
EXTENDED = ("name", "args", "kwargs", "worker", "retries", "queue")
DAY = 86_400.0


# -- whether a result is stored


def require_header(world: World, requirement: str, expected: bool) -> None:
    """Require the ``ignore_result`` header of a call without the option."""
    record = world.published(world.call())
    seen = record.headers.get("ignore_result", "absent")
    world.judge(requirement, oracles.equal(expected, seen, "the ignore_result header", record))


@check("RES-001")
def test_ignore_result_is_carried(world: World) -> None:
    """True in the call is true in the header."""
    world.begin()
    record = world.published(world.call(ignore_result=True))
    world.judge("RES-001", oracles.equal(True, record.headers.get("ignore_result"), "ignore_result", record))


@check("RES-002")
def test_ignore_result_can_be_switched_off(world: World) -> None:
    """False in the call is false in the header, against setting and attribute."""
    world.begin(
        settings={"task_ignore_result": True}, task_attributes={"celeriac.add": {"ignore_result": True}}
    )
    record = world.published(world.call(ignore_result=False))
    world.judge("RES-002", oracles.equal(False, record.headers.get("ignore_result"), "ignore_result", record))


@check("RES-003", roles=("producer", "result-consumer"))
def test_ignored_result_is_null_at_once(world: World) -> None:
    """Nobody executes the task, and still its result is answered."""
    world.begin()
    answer = world.get(world.call(ignore_result=True), timeout=world.tick)
    value = answer.value.get("value", "absent") if isinstance(answer, Ok) else answer
    world.judge("RES-003", oracles.equal(None, value, "the answered result"))


@check("RES-004")
def test_attribute_decides_for_the_call(world: World) -> None:
    """The attribute is the header, against the default and against the setting."""
    world.begin(task_attributes={"celeriac.add": {"ignore_result": True}})
    require_header(world, "RES-004", True)
    world.begin(
        settings={"task_ignore_result": True}, task_attributes={"celeriac.add": {"ignore_result": False}}
    )
    require_header(world, "RES-004", False)


@check("RES-005")
def test_setting_decides_without_an_attribute(world: World) -> None:
    """The setting is the header, and without one it is false."""
    world.begin()
    require_header(world, "RES-005", False)
    world.begin(settings={"task_ignore_result": True})
    require_header(world, "RES-005", True)


def states(world: World, task_id: str) -> list[str]:
    """Answer the states that were stored of a task."""
    return [record.state for record in world.history.of("stored", task_id=task_id)]


def beyond_the_start(states: Sequence[str]) -> list[str]:
    """Answer the states without STARTED; whether that is stored is for RES-016 to decide."""
    return [state for state in states if state != "STARTED"]


def require_nothing_stored(
    world: World, requirement: str, task: str, args: Sequence[Any], **fields: Any
) -> None:
    """Require that a worker executes a task and stores nothing of it, while it does of the next."""
    world.begin()
    world.worker()
    sent = world.send(task, args, **fields)
    world.expect("ended", task_id=sent.task_id)
    after = world.send("celeriac.add", (3, 3))
    world.expect("stored", task_id=after.task_id, state="SUCCESS")
    world.judge(requirement, oracles.equal([], states(world, sent.task_id), "the stored states"))


@check("RES-006")
def test_ignored_return_value_is_not_stored(world: World) -> None:
    """A task that returns is executed, and nothing is stored of it."""
    require_nothing_stored(world, "RES-006", "celeriac.add", (2, 2), ignore_result=True)


@check("RES-007")
def test_ignored_failure_is_not_stored(world: World) -> None:
    """A task that raises is executed, and nothing is stored of it."""
    require_nothing_stored(world, "RES-007", "celeriac.fail", ("no",), ignore_result=True)


@check("RES-008")
def test_wanted_result_is_stored(world: World) -> None:
    """False in the header wins over the worker's setting, and over the attribute of its task."""
    world.begin(
        settings={"task_ignore_result": True}, task_attributes={"celeriac.echo": {"ignore_result": True}}
    )
    world.worker()
    sent = [world.send(task, (2, 2), ignore_result=False) for task in ("celeriac.add", "celeriac.echo")]
    for message in sent:
        world.expect("ended", task_id=message.task_id)
    for message in sent:
        world.wait("stored", task_id=message.task_id, timeout=world.tick)
        stored = beyond_the_start(states(world, message.task_id))
        world.judge("RES-008", oracles.equal(["SUCCESS"], stored, "the stored states"))


@check("RES-009")
def test_worker_decides_without_a_header(world: World) -> None:
    """With a null header and without one, the attribute decides, and where there is none, the setting."""
    world.begin(
        settings={"task_ignore_result": True}, task_attributes={"celeriac.add": {"ignore_result": False}}
    )
    world.worker()
    for header in (None, "absent"):
        messages = {task: without_decision(world, task, header) for task in ("celeriac.echo", "celeriac.add")}
        for message in messages.values():
            world.inject(message)
            world.expect("ended", task_id=message.task_id)
        # whoever stores both has stored the first by then
        world.wait("stored", task_id=messages["celeriac.add"].task_id, timeout=world.tick)
        for task, message in messages.items():
            stored = beyond_the_start(states(world, message.task_id))
            expected = ["SUCCESS"] if task == "celeriac.add" else []
            about = f"header {header!r}, {task}: the stored states"
            world.judge("RES-009", oracles.equal(expected, stored, about))


def without_decision(world: World, task: str, header: str | None) -> WireMessage:
    """Answer a message whose header ``ignore_result`` is null or ``absent``."""
    message = world.message(task, (2, 2)).with_headers(ignore_result=header)
    return message.without_headers("ignore_result") if header else message


# -- the record


def records_of(world: World, sent: Sent) -> list[Record]:
    """Wait for the final state of a task, and answer all its records up to that.

    Raises:
        Violation: nothing at all is stored.
    """
    world.expect("stored", task_id=sent.task_id)
    world.until(lambda: not {"SUCCESS", "FAILURE"}.isdisjoint(states(world, sent.task_id)))
    return world.history.of("stored", task_id=sent.task_id)


def execute(world: World, task: str, *args: Any, **settings: Any) -> list[Record]:
    """Let a worker execute a task, and answer what it has stored up to the final state."""
    world.begin(settings=settings)
    world.worker()
    return records_of(world, world.send(task, args))


def final(world: World, task: str, *args: Any, **settings: Any) -> Record:
    """Let a worker execute a task, and answer the record of its final state."""
    return execute(world, task, *args, **settings)[-1]


@check("RES-010")
def test_records_are_valid(world: World) -> None:
    """The records of a return value, of progress, of a retry and of a failure are valid against the schema."""
    world.begin()
    world.worker()
    calls = (("celeriac.add", (2, 2)), ("celeriac.progress", (2,)), ("celeriac.retry", (1, 0, "no")))
    for sent in [world.send(task, args) for task, args in calls]:
        for record in records_of(world, sent):
            wrong = "; ".join(error.message for error in validator("result").iter_errors(record.record))
            world.require("RES-010", not wrong, "a record valid against the schema", wrong, record)
            seen = record.record.get("task_id")
            world.judge("RES-010", oracles.equal(sent.task_id, seen, "the task_id", record))


@check("RES-011")
def test_return_value_is_stored(world: World) -> None:
    """Values of every kind that JSON knows are stored as they were returned."""
    values = [0, 2.5, None, True, "", "c\u00e9leri", [], [[1]], {"a": {"b": None}}]
    record = final(world, "celeriac.echo", *values)
    world.judge("RES-011", oracles.equal("SUCCESS", record.state, "the status", record))
    world.judge("RES-011", oracles.equal([values, {}], record.result, "the result", record))


@check("RES-012")
def test_failure_is_stored_as_data(world: World) -> None:
    """The record names the exception's class and module, and has its text."""
    record = final(world, "celeriac.fail", "a reason")
    world.judge("RES-012", oracles.equal("FAILURE", record.state, "the status", record))
    result = record.result if isinstance(record.result, Mapping) else {}
    world.judge("RES-012", oracles.equal("ValueError", result.get("exc_type"), "exc_type", record))
    message, module = result.get("exc_message"), result.get("exc_module", "absent")
    lawful = message in ("a reason", ["a reason"])
    world.require("RES-012", lawful, "exc_message is 'a reason', or a list of it", f"{message!r}", record)
    world.require("RES-012", module != "absent", "an exc_module", "none", record)


@check("RES-013")
def test_failure_has_a_traceback(world: World) -> None:
    """The record of a failure has a text that says where."""
    record = final(world, "celeriac.fail", "a reason")
    traceback = record.record.get("traceback")
    holds = isinstance(traceback, str) and bool(traceback.strip())
    world.require("RES-013", holds, "a traceback", f"{traceback!r}", record)


@check("RES-014")
def test_states_are_stored_in_order(world: World) -> None:
    """Four steps of progress are stored one by one with their meta data, and then the end."""
    records = execute(world, "celeriac.progress", 4)
    seen = [(record.state, record.result) for record in records if record.state != "STARTED"]
    expected = [("PROGRESS", {"progress": step}) for step in range(4)]
    world.judge("RES-014", oracles.equal([*expected, ("SUCCESS", "done")], seen, "what is stored", *records))


@check("RES-015")
def test_retry_is_stored(world: World) -> None:
    """A task that is retried twice is stored as RETRY twice, with an exception or null, and then as SUCCESS."""
    records = execute(world, "celeriac.retry", 2)
    seen = beyond_the_start([record.state for record in records])
    world.judge("RES-015", oracles.equal(["RETRY", "RETRY", "SUCCESS"], seen, "the stored states", *records))
    for record in records:
        if record.state != "RETRY":
            continue
        result = record.result
        holds = result is None or (isinstance(result, Mapping) and isinstance(result.get("exc_type"), str))
        world.require(
            "RES-015", holds, "an exception, or null, as the result of RETRY", f"{result!r}", record
        )


@check("RES-016")
def test_start_is_stored_on_request(world: World) -> None:
    """STARTED comes before SUCCESS with the setting, and not at all without it."""
    for settings, expected in (({"task_track_started": True}, ["STARTED", "SUCCESS"]), ({}, ["SUCCESS"])):
        records = execute(world, "celeriac.add", 2, 2, **settings)
        seen = [record.state for record in records]
        world.judge("RES-016", oracles.equal(expected, seen, f"with {settings}: the stored states", *records))


@check("RES-017")
def test_ignored_task_is_not_stored(world: World) -> None:
    """Nothing is stored of a task that asks to be ignored."""
    require_nothing_stored(world, "RES-017", "celeriac.ignore", ())


@check("RES-018")
def test_extended_record_describes_the_call(world: World) -> None:
    """The record has the name, the arguments, the worker, the retries and the queue of the task."""
    world.begin(settings={"result_extended": True})
    world.worker()
    sent = world.send("celeriac.echo", (1, "a"), {"k": None})
    record = world.expect("stored", task_id=sent.task_id)
    seen = {name: record.record.get(name, "absent") for name in EXTENDED}
    worker = seen.pop("worker")
    expected = {
        "name": "celeriac.echo",
        "args": [1, "a"],
        "kwargs": {"k": None},
        "retries": 0,
        "queue": world.queue,
    }
    world.judge("RES-018", oracles.equal(expected, seen, "the extended members", record))
    named = isinstance(worker, str) and worker not in ("", "absent")
    world.require("RES-018", named, "the name of a worker", f"{worker!r}", record)


@check("RES-019")
def test_plain_record_keeps_the_call_to_itself(world: World) -> None:
    """Without the setting none of the extended members is there."""
    record = final(world, "celeriac.add", 2, 2)
    seen = sorted(set(EXTENDED).intersection(record.record))
    world.judge("RES-019", oracles.equal([], seen, "the extended members", record))


@check("RES-028")
def test_called_tasks_are_children(world: World) -> None:
    """The id of a task that was called by a task stands among the children of its record."""
    world.begin()
    world.worker()
    sent = world.send("celeriac.child", (2, 2))
    ended = world.expect("ended", task_id=sent.task_id)
    record = records_of(world, sent)[-1]
    children = record.record.get("children")
    named = str(ended.value) in str(children)
    world.require("RES-028", named, f"children with {ended.value}", f"{children!r}", record)


@check("RES-029")
def test_ignored_expiry_is_not_stored(world: World) -> None:
    """Nothing is stored of a task that has expired when nobody wants its result."""
    world.begin()
    world.worker()
    sent = world.send("celeriac.add", (2, 2), expires=-1, ignore_result=True)
    after = world.send("celeriac.add", (3, 3))
    world.expect("stored", task_id=after.task_id, state="SUCCESS")
    world.judge("RES-029", oracles.equal([], states(world, sent.task_id), "the stored states"))


@check("RES-030")
def test_ignored_start_is_not_stored(world: World) -> None:
    """The setting that stores starts does so for those only whose result is wanted."""
    world.begin(settings={"task_track_started": True})
    world.worker()
    sent = world.send("celeriac.add", (2, 2), ignore_result=True)
    world.expect("ended", task_id=sent.task_id)
    after = world.send("celeriac.add", (3, 3))
    world.expect("stored", task_id=after.task_id, state="SUCCESS")
    started = [state for state in states(world, sent.task_id) if state == "STARTED"]
    world.judge("RES-030", oracles.equal([], started, "the stored starts"))


# -- Redis and replies


@check("RES-020", link="redis")
def test_record_has_the_key_of_its_task(world: World) -> None:
    """The key is the prefix and the id, and the value is the record of that task."""
    record = final(world, "celeriac.add", 2, 2)
    seen = record.record.get("task_id")
    world.judge(
        "RES-020", oracles.equal(record.task_id, seen, "the task of the record under the key", record)
    )


@check("RES-021", link="redis")
def test_record_expires(world: World) -> None:
    """A record expires after a day, or when the setting says."""
    for settings, expected in (({}, DAY), ({"result_expires": 600}, 600.0)):
        record = final(world, "celeriac.add", 2, 2, **settings)
        about = f"with {settings}: the seconds to live"
        world.judge("RES-021", oracles.equal(expected, record.expires_in, about, record))


@check("RES-022", link="redis")
def test_record_is_announced(world: World) -> None:
    """Every record that is stored is announced on the channel of its key, in the same order."""
    records = execute(world, "celeriac.progress", 2)
    task_id = records[-1].task_id
    world.wait("announced", task_id=task_id, state="SUCCESS", timeout=world.tick)
    announced = [record.record for record in world.history.of("announced", task_id=task_id)]
    stored = [record.record for record in records]
    world.judge("RES-022", oracles.equal(stored, announced, "the announced records", *records))


@check("RES-023", link="amqp")
def test_record_is_sent_to_the_caller(world: World) -> None:
    """The reply goes to the queue and with the correlation id that the message names."""
    world.begin()
    world.worker()
    message = world.message().with_properties(reply_to=str(uuid.uuid4()), correlation_id=str(uuid.uuid4()))
    world.inject(message)
    stored = world.expect("stored", task_id=message.task_id, state="SUCCESS")
    replies = world.history.having(lambda r: r.kind == "published" and "task" not in r.headers)
    seen = {(r.exchange, r.routing_key, r.properties.get("correlation_id")) for r in replies}
    expected = {("", message.properties["reply_to"], message.properties["correlation_id"])}
    about = "exchange, routing key and correlation id of the replies"
    world.judge("RES-023", oracles.equal(expected, seen, about, *replies, stored))
