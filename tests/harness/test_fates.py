"""What is told of a call while something went wrong."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest

from celeriac.conformance.adapter import Ok, Raised
from celeriac.conformance.calls import Called
from celeriac.conformance.fates import Fate, fate_of
from celeriac.conformance.history import History


def world_of(answer: Ok | Raised, *, before: int = 0, during: int = 0) -> Any:
    """Answer a world in which a call publishes so many messages, and loses its connection after each."""
    history = History()

    def publish(count: int) -> None:
        for number in range(count):
            history.add("published", 1.0, "tap", task_id="t", connection=number)
            history.add("disconnected", 1.0, "tap", connection=number)

    def call(**options: Any) -> Called:
        publish(during)
        return Called("t", answer, 10.0, 10.5)

    publish(before)
    return mock.Mock(history=history, call=call, tick=1.0, until=lambda predicate, timeout: predicate())


@pytest.mark.parametrize(
    ("answer", "during", "told"),
    [
        (Ok({"task_id": "t"}), 0, "the call returned normally after 0.50 s, its message was lost"),
        (Ok({"task_id": "t"}), 1, "the call returned normally after 0.50 s, its message was delivered once"),
        (Ok({"task_id": "t"}), 2, "the call returned normally after 0.50 s, its message was delivered twice"),
        (
            Raised("connection", "OperationalError", "reset"),
            3,
            "the call raised OperationalError (reset) after 0.50 s, its message was delivered 3 times",
        ),
    ],
)
def test_a_fate_is_told_in_a_line(answer: Ok | Raised, during: int, told: str) -> None:
    """A fate says how the call ended, how long its caller was blocked, and how often it was delivered."""
    assert str(fate_of(world_of(answer, before=2, during=during))) == told


def test_only_what_came_since_counts() -> None:
    """Messages and losses of before the call are not of its fate."""
    fate = fate_of(world_of(Ok({"task_id": "t"}), before=3, during=1))
    assert [len(fate.messages), len(fate.losses)] == [1, 1]
    assert fate.arrived()
    assert not fate_of(world_of(Ok({"task_id": "t"}), before=3)).arrived()


@pytest.mark.parametrize(
    ("answer", "succeeded", "failed_to_connect"),
    [
        (Ok({"task_id": "t"}), True, False),
        (Raised("connection", "OperationalError", ""), False, True),
        (Raised("bad-argument", "TypeError", ""), False, False),
    ],
)
def test_a_refusal_is_no_connection_error(
    answer: Ok | Raised, succeeded: bool, failed_to_connect: bool
) -> None:
    """A call that raises something else has neither succeeded nor failed to connect."""
    fate: Fate = fate_of(world_of(answer))
    assert (fate.succeeded, fate.failed_to_connect) == (succeeded, failed_to_connect)
