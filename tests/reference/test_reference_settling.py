"""The worker in virtual time: how messages are settled, good ones and bad ones."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from celeriac.reference.errors import Ignore, Reject
from celeriac.spec import vectors

Lab = Any


MESSAGES = vectors("messages")
GOOD = MESSAGES["base"]


@pytest.mark.parametrize("late", [False, True])
def test_the_acknowledgement_is_early_or_late(lab: Lab, late: bool) -> None:
    """An early message is gone while its task runs, a late one is not."""
    app = lab.app()
    during: list[list[str]] = []
    app.task(name="look", acks_late=late)(lambda: during.append(lab.settled()))
    lab.worker(app)
    app.send_task("look").get(timeout=1)
    lab.clock.settle()
    assert (during, lab.settled()) == ([[] if late else ["acked"]], ["acked"])


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
    assert (lab.settled(), result.state) == ([fate], state)
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
    assert lab.settled() == ["requeued", "acked"]


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
    [fate] = lab.settled()
    assert fate in case["settled"]
    task_id = headers.get("id", GOOD["headers"]["id"])  # version 1 has it in the body
    ran = bool(lab.ran(task_id))
    state = app.AsyncResult(task_id).state
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
    assert lab.settled() == ["rejected"]


def test_pickle_is_decoded_only_where_it_is_accepted(new_lab: Callable[..., Lab]) -> None:
    """accept_content decides, by name or content type."""
    for accept, states in ((["json"], "PENDING"), (["json", "pickle"], "SUCCESS")):
        lab = new_lab()
        app = lab.app(accept_content=accept)
        lab.worker(app)
        result = app.send_task("add", (1, 1), serializer="pickle")
        lab.clock.settle()
        assert result.state == states
