"""The worker in virtual time: when tasks run, how messages are settled, what is stored and who is called."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from celeriac.reference import App, Worker
from celeriac.reference.broker import inproc
from celeriac.reference.errors import Ignore, Reject, ResultTimeout, TaskRevokedError
from celeriac.spec import vectors

Lab = Any

MESSAGES = vectors("messages")
GOOD = MESSAGES["base"]


def settled(lab: Lab) -> list[str]:
    """How the deliveries of the task queue were settled, in order."""
    kinds = []
    for event in lab.events("ack", "reject"):
        requeued = event.kind == "reject" and event.data["requeue"]
        kinds.append("requeued" if requeued else {"ack": "acked", "reject": "rejected"}[event.kind])
    return kinds


# -- when tasks run ------------------------------------------------------------------------------------


@pytest.mark.parametrize("countdown", [0.05, 1, 59.5, 86_400])
def test_a_task_starts_at_its_eta_and_once(lab: Lab, countdown: float) -> None:
    """On a clock without noise the start is the ETA itself."""
    app = lab.app()
    lab.worker(app)
    result = app.send_task("add", (2, 3), countdown=countdown)
    assert result.get(timeout=countdown + 1) == 5
    lab.clock.advance(86_400)
    assert lab.ran(result.id) == [pytest.approx(countdown, abs=2e-6)]


def test_held_tasks_do_not_keep_others_from_running(lab: Lab) -> None:
    """The prefetch limit grows by the number of held tasks, and shrinks again."""
    app = lab.app()
    lab.worker(app, prefetch=1)
    held = [app.send_task("add", (1, 1), countdown=600) for _ in range(5)]
    assert app.send_task("add", (1, 2)).get(timeout=1) == 3
    lab.clock.advance(601)
    assert [len(lab.ran(result.id)) for result in held] == [1] * 5
    limits = [event.data["prefetch"] for event in lab.events("qos")]
    assert (max(limits), limits[-1]) == (6, 1)


def test_a_countdown_beyond_the_consumer_timeout_runs_once_at_its_eta(lab: Lab) -> None:
    """The guide's scenario: 40 minutes against the default of 30; the worker comes back by itself."""
    app = lab.app()
    worker = lab.worker(app)
    result = app.send_task("add", (2, 3), countdown=2400)
    other = app.send_task("add", (1, 1), countdown=2000)
    lab.clock.advance(3000)
    closes = [event for event in lab.events("channel.close") if event.data["code"] == 406]
    assert len(closes) == 1
    assert (lab.ran(result.id), lab.ran(other.id)) == ([2400], [2000])
    assert worker.connected


def test_a_late_task_beyond_the_consumer_timeout_runs_once(lab: Lab) -> None:
    """The copy that the broker delivers after the channel was closed is settled without another run."""
    app = lab.app(task_acks_late=True)
    app.task(name="long")(lambda: lab.clock.sleep(2400))
    lab.worker(app)
    result = app.send_task("long")
    lab.clock.advance(10_000)
    assert lab.ran(result.id) == [0]
    assert [event.data["stale"] for event in lab.events("ack")] == [False]
    assert result.state == "SUCCESS"


def test_a_copy_of_a_held_message_is_not_run(new_lab: Callable[..., Lab]) -> None:
    """A broker with a visibility timeout delivers again and again; the task runs once, at its ETA."""
    lab = new_lab("redis-kombu")
    app = lab.app()
    lab.worker(app)
    result = app.send_task("add", (2, 3), countdown=3 * 3600)
    lab.clock.advance(4 * 3600)
    copies = [event for event in lab.events("deliver") if event.data["redelivered"]]
    assert len(copies) >= 2
    assert lab.ran(result.id) == [3 * 3600]


def test_tasks_sent_twice_under_one_id_run_twice(lab: Lab) -> None:
    """Only a redelivered message is a copy; the same id in two messages is the caller's wish."""
    app = lab.app()
    lab.worker(app)
    for _ in range(2):
        app.send_task("add", (1, 1), task_id="same", countdown=5)
    lab.clock.advance(10)
    assert lab.ran("same") == [5, 5]


def test_a_worker_connects_again_with_growing_pauses(lab: Lab) -> None:
    """At once, then after 2, 4, 6 seconds; held tasks come back with the connection."""
    app = lab.app()
    lab.worker(app)
    result = app.send_task("add", (1, 1), countdown=100)
    lab.clock.settle()
    before = len(lab.attempts())
    inproc.refuse(lab.name, True)
    inproc.drop(lab.name)
    lab.clock.advance(13)
    assert lab.attempts()[before:] == [0, 2, 6, 12]
    inproc.refuse(lab.name, False)
    lab.clock.advance(200)
    assert lab.ran(result.id) == [100]


def test_a_warm_stop_returns_what_is_held(lab: Lab) -> None:
    """The next worker runs the task at its original ETA."""
    app = lab.app()
    first = lab.worker(app, hostname="first")
    result = app.send_task("add", (1, 1), countdown=100)
    lab.clock.advance(50)
    first.stop()
    lab.clock.advance(10)
    lab.worker(app, hostname="second")
    lab.clock.advance(100)
    assert [(at, data["worker"]) for at, kind, data in lab.seen if kind == "started"] == [(100, "second")]
    assert result.state == "SUCCESS"


def test_a_busy_worker_lets_the_world_go_on(lab: Lab) -> None:
    """While one worker sleeps in a task, another one takes the next."""
    app = lab.app()
    app.task(name="sleep", acks_late=True)(lab.clock.sleep)
    for name in ("a", "b"):
        lab.worker(app, hostname=name, prefetch=1)
    long = app.send_task("sleep", (10,))
    later = [app.send_task("add", (1, 1), countdown=seconds) for seconds in (0, 3, 6, 12)]
    lab.clock.advance(20)
    assert lab.ran(long.id) == [0]
    assert [lab.ran(result.id) for result in later] == [[0], [3], [6], [12]]
    assert {data["worker"] for _, kind, data in lab.seen if kind == "ended"} == {"a", "b"}


# -- expiry ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "revoked_at"),
    [({"expires": -1}, 0), ({"expires": 5, "countdown": 10}, 10)],
    ids=["on arrival", "while held"],
)
def test_an_expired_task_is_revoked(lab: Lab, options: dict[str, Any], revoked_at: float) -> None:
    """It is acknowledged and stored as REVOKED; it does not run, and nobody is called."""
    app = lab.app()
    lab.worker(app)
    link = app.signature("add", (1,))
    result = app.send_task("add", (1, 1), link=link, link_error=link, **options)
    with pytest.raises(TaskRevokedError, match="expired"):
        result.get(timeout=60)
    assert isinstance(result.get(propagate=False), TaskRevokedError)
    assert [at for at, kind, _ in lab.seen if kind == "revoked"] == [revoked_at]
    assert settled(lab) == ["acked"]
    assert (result.state, lab.ran(result.id), len(lab.published())) == ("REVOKED", [], 1)


def test_a_task_expires_behind_another(lab: Lab) -> None:
    """What counts is the moment of the start."""
    app = lab.app()
    app.task(name="sleep")(lab.clock.sleep)
    lab.worker(app)
    app.send_task("sleep", (10,))
    late = app.send_task("add", (1, 1), expires=5)
    in_time = app.send_task("add", (1, 1), expires=10)
    lab.clock.advance(20)
    assert (late.state, in_time.state) == ("REVOKED", "SUCCESS")


def test_ttl_lets_the_broker_drop_what_nobody_fetches(lab: Lab) -> None:
    """Without a worker the message expires in its queue, and its state stays PENDING."""
    app = lab.app()
    result = app.send_task("add", (1, 1), expires=5)
    lab.clock.advance(6)
    lab.worker(app)
    lab.clock.advance(60)
    assert (result.state, lab.seen[-1][1]) == ("PENDING", "ready")


# -- settlement -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("late", [False, True])
def test_the_acknowledgement_is_early_or_late(lab: Lab, late: bool) -> None:
    """An early message is gone while its task runs, a late one is not."""
    app = lab.app()
    during: list[list[str]] = []
    app.task(name="look", acks_late=late)(lambda: during.append(settled(lab)))
    lab.worker(app)
    app.send_task("look").get(timeout=1)
    lab.clock.settle()
    assert (during, settled(lab)) == ([[] if late else ["acked"]], ["acked"])


@pytest.mark.parametrize(
    ("attributes", "error", "fate", "state"),
    [
        ({}, ValueError("no"), "acked", "FAILURE"),
        ({"acks_on_failure_or_timeout": False}, ValueError("no"), "rejected", "FAILURE"),
        ({}, Ignore(), "acked", "PENDING"),
        ({}, Reject("broken"), "rejected", "PENDING"),
        ({}, SystemExit(3), "acked", "FAILURE"),
    ],
    ids=["fails", "fails, unacknowledged", "ignores", "rejects", "exits"],
)
def test_a_late_task_decides_its_messages_fate(
    lab: Lab, attributes: dict[str, Any], error: BaseException, fate: str, state: str
) -> None:
    """Failure, Ignore and Reject settle a late message, each in its way; the worker lives on."""
    app = lab.app(task_acks_late=True)

    def end() -> None:
        raise error

    app.task(name="end", **attributes)(end)
    lab.worker(app)
    result = app.send_task("end")
    lab.clock.settle()
    assert (settled(lab), result.state) == ([fate], state)
    assert app.send_task("add", (1, 1)).get(timeout=1) == 2


def test_a_requeued_message_is_run_again(lab: Lab) -> None:
    """Reject(requeue=True) gives the message back, and it is no copy."""
    app = lab.app(task_acks_late=True)
    calls: list[int] = []

    def twice() -> str:
        calls.append(1)
        if len(calls) == 1:
            raise Reject(requeue=True)
        return "done"

    app.task(name="twice")(twice)
    lab.worker(app)
    assert app.send_task("twice").get(timeout=1) == "done"
    lab.clock.settle()
    assert settled(lab) == ["requeued", "acked"]


def changed(case: Mapping[str, Any]) -> tuple[bytes, dict[str, Any], dict[str, Any]]:
    """Answer (body, headers, labels) of a case of the vectors."""
    headers = {**GOOD["headers"], **case.get("set", {})}
    for name in case.get("remove", ()):
        headers.pop(name)
    text = case.get("body", GOOD["body"])
    body = base64.b64decode(case["body_base64"]) if "body_base64" in case else text.encode()
    labels = {name: case.get(name, GOOD[name]) for name in ("content_type", "content_encoding")}
    return body, headers, labels


@pytest.mark.parametrize("case", MESSAGES["cases"], ids=lambda case: case["name"])
def test_every_message_of_the_vectors_is_settled_as_it_says(
    lab: Lab, case: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Good or bad, the message is settled once, and the next one is executed."""
    app = lab.app()
    app.task(name=GOOD["headers"]["task"])(lambda x, y: x + y)
    lab.worker(app)
    body, headers, labels = changed(case)
    with caplog.at_level(logging.ERROR, logger="celeriac.reference"):
        lab.inject(body, headers, **labels)
        lab.clock.settle()
    [fate] = settled(lab)
    assert fate in case["settled"]
    ran = bool(lab.ran(headers.get("id", "")))
    state = app.AsyncResult(GOOD["headers"]["id"]).state
    if case["executed"] is not None:
        assert ran is case["executed"]
        assert [record.levelname for record in caplog.records] == (
            [] if ran or state == "REVOKED" else ["ERROR"]
        )
    if case["state"] != "any":
        assert state == (case["state"] or "PENDING")
    assert app.send_task("add", (1, 1)).get(timeout=1) == 2


@pytest.mark.parametrize(
    ("part", "value"),
    [("callbacks", "add"), ("callbacks", [5]), ("errbacks", [{"args": []}]), ("chain", {"task": "add"})],
)
def test_malformed_links_are_refused(lab: Lab, part: str, value: Any) -> None:
    """What cannot be called later is rejected now."""
    app = lab.app()
    lab.worker(app)
    lab.inject(json.dumps([[1, 1], {}, {part: value}]), GOOD["headers"])
    lab.clock.settle()
    assert settled(lab) == ["rejected"]


def test_pickle_is_decoded_only_where_it_is_accepted(new_lab: Callable[..., Lab]) -> None:
    """accept_content decides, by name or content type."""
    for accept, states in ((["json"], "PENDING"), (["json", "pickle"], "SUCCESS")):
        lab = new_lab()
        app = lab.app(accept_content=accept)
        lab.worker(app)
        result = app.send_task("add", (1, 1), serializer="pickle")
        lab.clock.settle()
        assert result.state == states


# -- results and state ----------------------------------------------------------------------------------


@pytest.fixture(params=["memory", "rpc"])
def results(request: pytest.FixtureRequest, lab: Lab) -> App:
    """An application for each result back end that works in virtual time."""
    return lab.app("rpc://" if request.param == "rpc" else None)  # type: ignore[no-any-return]


def test_every_state_is_seen_in_order(lab: Lab, results: App) -> None:
    """on_message gets each record of its own task, the final one included."""

    def progress(task: Any, steps: int) -> str:
        for step in range(steps):
            task.update_state("PROGRESS", {"progress": step})
        return "done"

    results.task(name="progress", bind=True)(progress)
    lab.worker(results)
    other = results.send_task("add", (1, 1))
    result = results.send_task("progress", (3,))
    bodies: list[Mapping[str, Any]] = []
    assert result.get(timeout=1, on_message=bodies.append) == "done"
    assert [(body["status"], body["result"]) for body in bodies] == [
        *(("PROGRESS", {"progress": step}) for step in range(3)),
        ("SUCCESS", "done"),
    ]
    assert {body["task_id"] for body in bodies} == {result.id}
    assert other.get(timeout=1) == 2


def test_waiting_ends_with_the_timeout(lab: Lab, results: App) -> None:
    """Exactly when it should, and the task goes on."""
    lab.worker(results)
    result = results.send_task("add", (1, 1), countdown=10)
    with pytest.raises(ResultTimeout, match="no result after 3"):
        result.get(timeout=3)
    assert lab.clock.monotonic() == 3
    with pytest.raises(ResultTimeout):
        result.get(timeout=0)
    assert (result.state, result.get(timeout=8)) == ("PENDING", 2)


def test_failures_keep_type_arguments_and_traceback(lab: Lab, results: App) -> None:
    """An exception is raised again at the caller; what is not JSON travels as its repr."""

    class OddError(Exception):
        pass

    def fail(kind: str) -> None:
        raise {"value": ValueError("no", 3), "odd": OddError({1})}[kind]

    results.task(name="fail")(fail)
    lab.worker(results)
    value, odd = (results.send_task("fail", (kind,)) for kind in ("value", "odd"))
    with pytest.raises(ValueError, match=r"\('no', 3\)"):
        value.get(timeout=1)
    assert "in fail" in (value.traceback or "")
    error = odd.get(timeout=1, propagate=False)
    assert (type(error).__name__, error.args) == ("OddError", ("{1}",))


@pytest.mark.parametrize("call", [None, True, False])
@pytest.mark.parametrize("attribute", [None, True, False])
@pytest.mark.parametrize("setting", [False, True])
def test_ignoring_results_is_decided_by_call_then_task_then_setting(
    lab: Lab, call: bool | None, attribute: bool | None, setting: bool
) -> None:
    """Whoever is nearest to the call decides, for success and for failure."""
    app = lab.app(task_ignore_result=setting)
    app.task(name="div", ignore_result=attribute)(lambda x: 1 / x)
    lab.worker(app)
    ignored = next(choice for choice in (call, attribute, setting) if choice is not None)
    good, bad = (app.send_task("div", (x,), ignore_result=call) for x in (1, 0))
    lab.clock.settle()
    states = app.AsyncResult(good.id).state, app.AsyncResult(bad.id).state
    assert states == (("PENDING", "PENDING") if ignored else ("SUCCESS", "FAILURE"))


def test_a_result_that_cannot_be_encoded_is_a_failure(lab: Lab) -> None:
    """The caller learns why there is no value."""
    app = lab.app()
    app.task(name="odd")(lambda: {1, 2})
    lab.worker(app)
    error = app.send_task("odd").get(timeout=1, propagate=False)
    assert type(error).__name__ == "EncodeError"


def test_success_is_never_overwritten(lab: Lab) -> None:
    """A second run of a task that has succeeded leaves the record alone."""
    app = lab.app()
    values = iter([1, 2])
    app.task(name="next")(lambda: next(values))
    lab.worker(app)
    for _ in range(2):
        app.send_task("next", task_id="one")
    lab.clock.settle()
    assert app.AsyncResult("one").get(timeout=1) == 1


def test_a_task_is_retried_under_its_id_until_it_succeeds(lab: Lab, results: App) -> None:
    """Each attempt has one more in retries, the same headers and links, and RETRY is visible in between."""
    seen: list[tuple[float, int, Any]] = []

    def flaky(task: Any) -> int:
        seen.append((lab.clock.monotonic(), task.request.retries, task.request.headers.get("trace")))
        if task.request.retries < 2:
            task.retry(countdown=30, exc=ValueError("not yet"))
        return int(task.request.retries)

    results.task(name="flaky", bind=True)(flaky)
    lab.worker(results)
    result = results.send_task("flaky", headers={"trace": "t"}, link=results.signature("add", (10,)))
    bodies: list[Mapping[str, Any]] = []
    assert result.get(timeout=100, on_message=bodies.append) == 2
    assert seen == [(0, 0, "t"), (30, 1, "t"), (60, 2, "t")]
    assert [body["status"] for body in bodies] == ["RETRY", "RETRY", "SUCCESS"]
    assert bodies[0]["result"]["exc_type"] == "ValueError"
    lab.clock.settle()
    assert len(lab.published()) == 4


def test_retries_end_with_the_error(lab: Lab) -> None:
    """max_retries bounds them, and expires stays absolute."""
    app = lab.app()

    def never(task: Any) -> None:
        task.retry(countdown=10, exc=KeyError("gone"))

    app.task(name="never", bind=True, max_retries=2)(never)
    lab.worker(app)
    bounded = app.send_task("never")
    expiring = app.send_task("never", expires=15)
    with pytest.raises(KeyError, match="gone"):
        bounded.get(timeout=100)
    assert len(lab.ran(bounded.id)) == 3
    assert (expiring.state, len(lab.ran(expiring.id))) == ("REVOKED", 2)


def test_a_task_sees_its_own_call(lab: Lab) -> None:
    """The request carries the ids, the options and the caller's headers; a direct call has none of them."""
    app = lab.app()
    seen: list[Any] = []
    look = app.task(name="look", bind=True)(lambda task: seen.append(task.request))
    lab.worker(app, hostname="w")
    result = look.apply_async(headers={"trace": "t"}, priority=7, time_limit=9, countdown=1)
    result.get(timeout=5)
    look()
    request, direct = seen
    assert (request.id, request.root_id, request.parent_id, request.retries) == (
        result.id,
        result.id,
        None,
        0,
    )
    assert (request.headers, request.hostname, request.timelimit) == ({"trace": "t"}, "w", (9, None))
    assert request.delivery_info == {
        "exchange": "",
        "routing_key": "celery",
        "priority": 7,
        "redelivered": False,
    }
    assert (direct.id, direct.called_directly) == (None, True)


# -- links ----------------------------------------------------------------------------------------------


def test_callbacks_get_the_result_in_order_with_parent_and_root(lab: Lab, results: App) -> None:
    """The result is prepended, immutable ones are left alone, nested ones follow, options apply."""
    add = results.tasks["add"]
    lab.worker(results)
    nested = add.s(100).set(countdown=60).link(add.s(1000))
    result = add.apply_async((2, 2), link=[nested, add.si(5, 5)])
    assert result.get(timeout=1) == 4
    first, second = result.children
    assert (first.get(timeout=61), second.get(timeout=1)) == (104, 10)
    lab.clock.settle()
    messages = lab.published()
    parents = [message.headers["parent_id"] for message in messages]
    assert parents == [None, result.id, result.id, first.id]
    assert {message.headers["root_id"] for message in messages} == {result.id}
    assert json.loads(messages[3].body)[0] == [104, 1000]


def test_a_child_call_knows_its_parent(lab: Lab) -> None:
    """Calls from within a task carry its id and its root, and it lists them as children."""
    app = lab.app()
    app.task(name="child")(lambda: app.send_task("add", (1, 1)).id)
    lab.worker(app)
    result = app.send_task("child")
    child = result.get(timeout=1)
    assert [handle.id for handle in result.children] == [child]
    headers = lab.published()[1].headers
    assert (headers["parent_id"], headers["root_id"]) == (result.id, result.id)


def test_errbacks_are_called_here_or_sent_by_their_shape(lab: Lab) -> None:
    """New-style ones get (request, exception, traceback) at once, the others a message with the failed id."""
    app = lab.app()
    told: list[Any] = []

    def boom() -> None:
        raise ValueError("no")

    app.task(name="boom")(boom)
    app.task(name="new")(lambda request, exc, traceback: told.append((request.id, repr(exc), traceback)))
    app.task(name="old")(told.append)
    app.task(name="bound", bind=True)(lambda task, failed: told.append(failed))
    lab.worker(app)
    errbacks = [app.signature(name) for name in ("new", "old", "bound", "stranger")]
    result = app.send_task("boom", link_error=errbacks)
    assert isinstance(result.get(timeout=1, propagate=False), ValueError)
    lab.clock.settle()
    (failed, error, traceback), *others = told
    assert (failed, error, others) == (result.id, "ValueError('no')", [result.id, result.id])
    assert "in boom" in traceback
    sent = lab.published()[1:]
    assert [message.headers["task"] for message in sent] == ["old", "bound", "stranger"]
    assert {message.headers["parent_id"] for message in sent} == {result.id}


def test_a_broken_errback_does_not_silence_the_next(lab: Lab) -> None:
    """Its error is logged, and the failure stays what it was."""
    app = lab.app()
    told: list[str] = []

    def boom(*_: Any) -> None:
        raise ValueError("no")

    app.task(name="boom")(boom)
    app.task(name="fine")(lambda request, *_: told.append(request.id))
    lab.worker(app)
    result = app.send_task("boom", link_error=[app.signature("boom"), app.signature("fine")])
    lab.clock.settle()
    assert (told, result.state) == ([result.id], "FAILURE")


def test_a_chain_goes_on_with_each_result(lab: Lab) -> None:
    """The rest of a chain travels with the message, last task first."""
    app = lab.app()
    add = app.tasks["add"]
    lab.worker(app)
    add.apply_async((1, 1), chain=[add.s(100).set(task_id="last"), add.s(10)])
    lab.clock.settle()
    assert app.AsyncResult("last").get(timeout=1) == 112


def test_observers_hear_the_life_of_a_task(lab: Lab) -> None:
    """ready, received, started, ended, stopped, each with the worker's name."""
    app = lab.app()
    heard: list[tuple[str, Mapping[str, Any]]] = []
    worker = Worker(app, hostname="w", observer=lambda kind, data: heard.append((kind, data)))
    worker.start()
    result = app.send_task("add", (1, 1))
    result.get(timeout=1)
    worker.stop()
    assert [kind for kind, _ in heard] == ["ready", "received", "started", "ended", "stopped"]
    assert {data["worker"] for _, data in heard} == {"w"}
    assert (heard[3][1]["state"], heard[3][1]["value"]) == ("SUCCESS", 2)
