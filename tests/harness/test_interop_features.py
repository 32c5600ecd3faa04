"""What a worker reports, and what a producer reads, decides whether a feature was lost."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from celeriac.conformance.adapter import Answer, Broken, Call, Event, Ok, Raised
from celeriac.conformance.claim import find_adapter
from celeriac.conformance.interop_features import COUNTDOWN, FEATURES, NOT_EXECUTED, PHASES, Sent
from celeriac.spec import schema

SENT = Sent("id", 100.0, 1000, "last")
NEVER = Raised("timeout", "TimeoutError", "the operation timed out", "maybe")


def started(*args: Any, at: float = 100.0, task_id: str = "id", **kwargs: Any) -> Event:
    """Answer the report of a start."""
    return Event("started", at, {"worker": "w", "task_id": task_id, "args": args, "kwargs": kwargs})


def ended(value: Any = None, task_id: str = "id") -> Event:
    """Answer the report of an end."""
    return Event("ended", 101.0, {"worker": "w", "task_id": task_id, "value": value})


ERRBACK = Event("errback", 101.0, {"worker": "w", "task_id": "id"})
FOLLOWER = started(4, 1000, task_id="follower")

#: A feature, what the worker has reported, and the loss.
REPORTED: Sequence[tuple[str, list[Event], str | None]] = (
    ("args", [started("é", [1, 2.5], 1000)], None),
    ("args", [started("Ã©", [1, 2.5], 1000)], "the arguments arrived changed"),
    ("args", [started("é", [1, 2.5], 1000, task_id="another's")], NOT_EXECUTED),
    ("kwargs", [started(1000, k={"deep": True})], None),
    ("kwargs", [started(1000, {"k": {"deep": True}})], "the arguments arrived changed"),
    ("countdown", [started(3, 1000, at=100.0 + COUNTDOWN)], None),
    ("countdown", [started(3, 1000, at=100.2)], "it ran before its time"),
    ("eta", [started(3, 1000, at=100.0 + COUNTDOWN), started(3, 1000, at=100.2)], "it ran before its time"),
    ("eta", [], NOT_EXECUTED),
    ("expires", [], None),
    ("expires", [started(3, 1000)], "it ran although it had expired"),
    ("link", [ended(4), FOLLOWER], None),
    ("link", [ended(4), started(1000, task_id="follower")], "the link was not called"),
    ("link", [], NOT_EXECUTED),
    ("chain", [ended(4), FOLLOWER], None),
    ("chain", [ended(4)], "the second task was not called"),
    ("errback", [ended(), ERRBACK], None),
    ("errback", [ended()], "the errback was not called"),
    ("errback", [], NOT_EXECUTED),
    ("retries", [started(2)] * 3 + [ended(2)], None),
    ("retries", [started(2)] * 4 + [ended(3)], "runs: 4 instead of 3"),
    ("retries", [started(2)] * 3 + [ended(0)], "the last of 3 runs did not know its retries"),
    ("retries", [], NOT_EXECUTED),
    ("headers", [ended({"headers": {"celeriac": "soup", "id": "id"}})], None),
    ("headers", [ended({"headers": None})], "the task does not see its caller's headers"),
    ("headers", [ended()], "the task does not see its caller's headers"),
    ("headers", [], NOT_EXECUTED),
    ("priority", [started(3, 1000)], None),
    ("compression", [], NOT_EXECUTED),
    ("result", [ended(1003)], None),
    ("awaited", [], NOT_EXECUTED),
)

#: A feature, what the producer was answered, and the loss.
READ: Sequence[tuple[str, Answer, str | None]] = (
    ("result", Ok({"value": 1003}), None),
    ("result", Ok({"value": "1003"}), "the value came back changed"),
    ("result", NEVER, "it never came"),
    ("result", Raised("decode", "DecodeError", "task id: no", "maybe"), "reading it raised DecodeError"),
    ("awaited", NEVER, "it never came"),
    ("failure", Raised("other", "ValueError", "the soup is cold", "maybe"), None),
    (
        "failure",
        Raised("other", "Error", "null", "maybe"),
        "Error was raised, which is not what the task raised",
    ),
    ("failure", Ok({"value": {"exc_type": "ValueError"}}), "the failure came back as a value"),
    ("failure", NEVER, "it never came"),
    ("failure", Broken("x"), "Broken(detail='x')"),
)


@pytest.mark.parametrize(("feature", "events", "loss"), REPORTED)
def test_reports_of_the_worker_decide(feature: str, events: list[Event], loss: str | None) -> None:
    """Each way in which a worker loses a feature has its own words, and what arrives as it was sent is no loss."""
    assert FEATURES[feature].judge(SENT, events) == loss


@pytest.mark.parametrize(("feature", "answer", "loss"), READ)
def test_answers_to_the_producer_decide(feature: str, answer: Answer, loss: str | None) -> None:
    """A result counts as read when it is what the task returned or raised, and a wait in vain is a loss."""
    reading = FEATURES[feature].reading
    assert reading is not None
    assert reading(answer, SENT.number) == loss


@pytest.mark.parametrize("name", FEATURES)
def test_features_ask_for_what_claims_can_deny(name: str) -> None:
    """Every feature is tried in some phase, names what the claim of the reference does not deny, and makes a call."""
    feature = FEATURES[name]
    reference = find_adapter("reference").claim

    assert feature.phase in PHASES
    assert not any(map(reference.denies, (*feature.producer, *feature.worker)))
    assert isinstance(feature.call(1, datetime.now(UTC)), Call | tuple)
    assert feature.heading == name or len(feature.heading) < len(name)


def test_schema_knows_every_feature() -> None:
    """The schema of the report has the features of the table, in the same order."""
    pairs = schema("interop")["properties"]["pairs"]["items"]["properties"]

    assert pairs["features"]["propertyNames"]["enum"] == list(FEATURES)
