"""Both adapters keep the contract, on every link and on every clock they have."""

from __future__ import annotations

import itertools
import uuid
from typing import Any

import pytest

from celeriac.conformance.adapter import Broken, Call, ErrorClass, Ok, Raised, Signature, WorkerSpec


def test_task_is_executed_and_its_result_comes_back(running: Any) -> None:
    """``add(2, 2)`` is 4, and the worker reports the execution."""
    task_id = running.task_id("celeriac.add", 2, 2)

    assert running.get(task_id) == Ok({"value": 4, "messages": []})
    started = running.wait("started", task_id=task_id)
    ended = running.wait("ended", task_id=task_id)
    assert started.data["worker"] == "w1"
    assert (started.data["task"], started.data["attempt"]) == ("celeriac.add", 0)
    assert list(started.data["args"]) == [2, 2]
    assert (ended.data["state"], ended.data["value"]) == ("SUCCESS", 4)
    assert running.adapter.state(task_id) == Ok("SUCCESS")


def test_countdown_is_waited_for(running: Any) -> None:
    """A task with a countdown does not start before it is over, by the clock of the scenario."""
    before = running.clock.now().timestamp()

    task_id = running.task_id("celeriac.add", 1, 1, countdown=1)

    assert running.wait("started", task_id=task_id).at >= before + 1


def test_expired_task_is_revoked(running: Any) -> None:
    """A task that has expired is not started, and its caller learns that it was revoked."""
    task_id = running.task_id("celeriac.add", 1, 1, expires=-10)

    answer = running.get(task_id)

    assert isinstance(answer, Raised)
    assert (answer.category, answer.text) == ("revoked", "expired")


@pytest.mark.parametrize("mode", ["apply_async", "delay", "send_task", "signature"])
def test_forms_of_the_api_send_the_task(running: Any, mode: str) -> None:
    """Each form of the calling API that sends is driven."""
    task_id = running.task_id("celeriac.add", 20, 3, mode=mode)

    assert running.get(task_id) == Ok({"value": 23, "messages": []})


def test_direct_call_runs_here(running: Any) -> None:
    """The mode ``direct`` answers the function's value, and no worker reports anything."""
    seen = len(running.events)

    assert running.call("celeriac.add", 20, 3, mode="direct") == Ok({"value": 23})
    assert [event for event in running.events[seen:] if event.data.get("value") == 23] == []


def test_values_outside_json_reach_the_implementation(running: Any) -> None:
    """Arguments cross every boundary as what they are, and so do reports."""
    value = (b"\xff", {1: None}, {2})

    task_id = running.task_id("celeriac.echo", value, serializer="pickle")

    assert running.wait("started", task_id=task_id).data["args"] == (value,)


def test_links_are_native_signatures(running: Any) -> None:
    """A link gets the parent's result; a link_error is told of the failure."""
    mark = next(_marks)
    parent = running.task_id("celeriac.add", 1, 2, link=Signature("celeriac.add", (mark,)))
    failed = running.task_id("celeriac.fail", "no", link_error=[Signature("celeriac.handler")])

    running.wait("ended", task="celeriac.add", value=mark + 3)
    errback = running.wait("errback", task_id=failed)
    assert (errback.data["exc_type"], errback.data["exc_message"]) == ("ValueError", "no")
    assert errback.data["has_traceback"] is True
    assert running.get(parent) == Ok({"value": 3, "messages": []})


_marks = itertools.count(1000, 10)


@pytest.mark.parametrize("kind", ["chain", "pipe"])
def test_chain_has_a_value_and_an_id_for_each_task(running: Any, kind: str) -> None:
    """A chain is waited for by its last id, and the tasks before it by theirs."""
    steps = [
        Signature("celeriac.add", (2, 2)),
        Signature("celeriac.add", (16,)),
        Signature("celeriac.add", (4,)),
    ]

    answer = running.adapter.compose(kind, steps, {})

    assert isinstance(answer, Ok), answer
    first, second, last = answer.value["task_ids"]
    assert answer.value["id"] == last
    values = [running.get(task_id) for task_id in (last, second, first)]
    assert values == [Ok({"value": value, "messages": []}) for value in (24, 20, 4)]


def test_group_is_a_list_in_order(running: Any) -> None:
    """A group is waited for by its own id, and its members by theirs."""
    numbers = ((2, 2), (4, 4), (8, 8), (16, 16))

    answer = running.adapter.compose("group", [Signature("celeriac.add", pair) for pair in numbers], {})

    assert isinstance(answer, Ok), answer
    assert running.get(answer.value["id"]) == Ok({"value": [4, 8, 16, 32], "messages": []})
    third = answer.value["task_ids"][2]
    assert running.get(third) == Ok({"value": 16, "messages": []})
    assert list(running.wait("started", task_id=third).data["args"]) == [8, 8]


@pytest.mark.parametrize("over", ["producer", "producer-as-publisher", "connection"])
def test_calls_share_a_connection(running: Any, over: str) -> None:
    """Calls over a connection of the caller's are calls like any other."""
    calls = [Call("celeriac.add", (1, 1)), Call("celeriac.add", (2, 2), mode="send_task")]

    answer = running.adapter.call_together(calls, over)

    assert isinstance(answer, Ok), answer
    values = [running.get(task_id) for task_id in answer.value["task_ids"]]
    assert values == [Ok({"value": value, "messages": []}) for value in (2, 4)]


def test_task_makes_a_publisher_or_says_that_it_cannot(running: Any) -> None:
    """The guide's own form is driven as it is written; Celery has lost the method that it needs."""
    answer = running.adapter.call_together([Call("celeriac.add", (2, 2))], "publisher")

    if isinstance(answer, Raised):
        assert (answer.type, "get_publisher" in answer.text) == ("AttributeError", True)
    else:
        assert running.get(answer.value["task_ids"][0]) == Ok({"value": 4, "messages": []})


def test_refused_member_is_raised(running: Any) -> None:
    """What the implementation raises while it composes arrives with the harness's category."""
    answer = running.adapter.compose("group", [Signature("celeriac.echo", ({2},))], {})

    assert isinstance(answer, Raised)
    assert answer.category == "encode"


def test_failure_is_raised_or_described(running: Any) -> None:
    """A failed task raises its error at its caller, or is described when the caller does not propagate."""
    task_id = running.task_id("celeriac.fail", "boom")

    assert running.get(task_id) == Raised("other", "ValueError", "boom", "maybe", None)
    described = {"exc_type": "ValueError", "exc_message": "boom"}
    assert running.get(task_id, propagate=False) == Ok({"value": described, "messages": []})
    assert running.wait("ended", task_id=task_id).data["state"] == "FAILURE"


def test_progress_is_seen_by_the_caller(running: Any) -> None:
    """``on_message`` sees each state, in order."""
    task_id = running.task_id("celeriac.progress", 2)

    answer = running.get(task_id, on_message=True)

    assert isinstance(answer, Ok)
    bodies = [body for body in answer.value["messages"] if body["task_id"] == task_id]
    assert [body["status"] for body in bodies] == ["PROGRESS", "PROGRESS", "SUCCESS"]
    assert answer.value["value"] == "done"


def test_retry_and_refusals_are_reported(running: Any) -> None:
    """A probe that is retried, ignored or rejected says so."""
    retried = running.task_id("celeriac.retry", 1)
    ignored = running.task_id("celeriac.ignore")
    rejected = running.task_id("celeriac.reject", False)

    assert running.wait("retried", task_id=retried).data["attempt"] == 0
    assert running.wait("ended", task_id=retried).data["attempt"] == 1
    assert running.wait("ended", task_id=ignored).data["state"] == "IGNORED"
    assert running.wait("ended", task_id=rejected).data["state"] == "REJECTED"


def test_probes_see_their_context_and_call_children(running: Any) -> None:
    """The context probe answers its request's metadata, and the child probe the id of the task it called."""
    context = running.get(running.task_id("celeriac.context", headers={"x": 1}, task_id=f"t-{uuid.uuid4()}"))
    child = running.get(running.task_id("celeriac.child", 1, 2))

    assert isinstance(context, Ok)
    assert context.value["value"]["headers"] == {"x": 1}
    assert context.value["value"]["id"] == context.value["value"]["correlation_id"]
    assert isinstance(child, Ok)
    assert running.wait("ended", task_id=child.value["value"]).data["value"] == 3


@pytest.mark.parametrize(
    ("task", "args", "options", "category"),
    [
        ("celeriac.add", (1,), {}, "bad-argument"),
        ("celeriac.unheard_of", (), {}, "unknown-task"),
        ("celeriac.add", (1, {2}), {}, "encode"),
        ("celeriac.add", (1, 2), {"serializer": "?"}, "encode"),
        ("celeriac.add", (1, 2), {"countdown": "x"}, "bad-argument"),
    ],
)
def test_errors_of_the_caller_have_a_category(
    running: Any, task: str, args: tuple[Any, ...], options: dict[str, Any], category: str
) -> None:
    """What the implementation raises arrives with the harness's category, and nothing was sent."""
    answer = running.call(task, *args, **options)

    assert isinstance(answer, Raised)
    assert (answer.category, answer.effect) == (category, "none")


def test_unknown_id_is_pending_and_times_out(running: Any) -> None:
    """A wait for a result that does not come ends with the implementation's own timeout."""
    nobody = str(uuid.uuid4())

    answer = running.adapter.get_result(nobody, timeout=0.1)

    assert isinstance(answer, Raised)
    assert answer.category == "timeout"
    assert running.adapter.state(nobody) == Ok("PENDING")


@pytest.mark.parametrize("running", ["celery-amqp", "reference-virtual", "reference-redis"], indirect=True)
@pytest.mark.parametrize(("how", "code"), [("warm", 0), ("cold", 0), ("kill", -9)])
def test_worker_stops_as_told(running: Any, how: str, code: int) -> None:
    """Each way to stop a worker answers and reports its exit code, once."""
    name = f"w-{how}"
    running.worker(name)

    assert running.adapter.stop_worker(name, how) == Ok({"exit_code": code})
    assert running.wait("stopped", worker=name).data == {"worker": name, "exit_code": code}
    assert isinstance(running.adapter.stop_worker(name), Broken)


def test_dead_broker_is_a_connection_error(stage: Any) -> None:
    """A broker that refuses connections makes the call raise, with the cause, when the policy is used up."""
    stage.lose_broker()
    stage.begin(fresh=True)

    answer = stage.call("celeriac.add", 1, 1, retry_policy={"max_retries": 1, "interval_start": 0})

    assert isinstance(answer, Raised)
    assert (answer.category, answer.type) == ("connection", "kombu.exceptions.OperationalError")
    assert answer.cause in {"ConnectionRefusedError", "redis.exceptions.ConnectionError"}


@pytest.mark.parametrize("place", ["option", "setting"])
def test_retry_errors_are_native_classes(stage: Any, place: str) -> None:
    """Portable names of error classes arrive in the retry policy as classes, wherever the policy stands."""
    policy = {"max_retries": 0, "retry_errors": (ErrorClass("operational"), ErrorClass("connection"))}
    stage.lose_broker()
    stage.begin(fresh=True, settings={"task_publish_retry_policy": policy} if place == "setting" else {})

    answer = stage.call("celeriac.add", 1, 1, **({"retry_policy": policy} if place == "option" else {}))

    assert isinstance(answer, Raised)
    assert answer.category == "connection"


def test_end_stops_the_workers(stage: Any) -> None:
    """A worker does not outlive its scenario, and its name is free in the next."""
    stage.begin()
    stage.worker()

    assert stage.adapter.end() == Ok()

    assert stage.wait("stopped", worker="w1")
    stage.begin()
    stage.worker()
    assert stage.get(stage.task_id("celeriac.add", 1, 1)) == Ok({"value": 2, "messages": []})


def test_task_attributes_are_applied(stage: Any) -> None:
    """The scenario's attributes, not an earlier scenario's, are those of the probe task."""
    stage.begin()
    stage.adapter.end()
    stage.begin(task_attributes={"celeriac.add": {"ignore_result": True}})
    stage.worker()

    task_id = stage.task_id("celeriac.add", 1, 1)

    stage.wait("ended", task_id=task_id, value=2)
    assert stage.get(task_id) == Ok({"value": None, "messages": []})
    assert stage.adapter.state(task_id) == Ok("PENDING")


def test_second_worker_of_a_name_is_refused(running: Any) -> None:
    """A name is given once; the first worker of that name goes on."""
    spec = WorkerSpec("w1", running.scenario.broker_url, (running.scenario.queue,))

    answer = running.adapter.start_worker(spec)

    assert isinstance(answer, Broken)
    assert "'w1' is already there" in answer.detail
    assert running.get(running.task_id("celeriac.add", 1, 1)) == Ok({"value": 2, "messages": []})
