"""The worker in virtual time: who is called when a task has ended."""

from __future__ import annotations

import json
from typing import Any

import pytest

from celeriac.reference import App

Lab = Any


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


def test_a_broken_chain_is_failed_to_its_end(lab: Lab, results: App) -> None:
    """Whoever waits for the last task of a chain gets the error of the one that raised."""

    def boom() -> None:
        raise ValueError("no")

    results.task(name="boom")(boom)
    add = results.tasks["add"]
    lab.worker(results)
    reply_to = results.backend.reply_to if results.backend else None
    rest = [add.s(number).set(task_id=f"later-{number}", reply_to=reply_to) for number in (2, 1)]
    results.send_task("boom", chain=rest)
    for number in (1, 2):
        with pytest.raises(ValueError, match="no"):
            results.AsyncResult(f"later-{number}").get(timeout=1)
    assert len(lab.published()) == 1
