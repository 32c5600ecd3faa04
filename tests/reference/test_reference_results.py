"""The worker and its callers in virtual time: what is stored, and what somebody who waits gets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from celeriac.reference import App
from celeriac.reference.errors import ResultTimeout

Lab = Any


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
