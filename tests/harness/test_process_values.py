"""Values and messages cross the process boundary unchanged."""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, date, datetime, timedelta, timezone
from datetime import time as time_of_day
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celeriac.conformance import envelopes
from celeriac.conformance.adapter import (
    Broken,
    Call,
    ErrorClass,
    Event,
    ExchangeRef,
    Ok,
    QueueRef,
    Raised,
    Router,
    Scenario,
    Signature,
    Unsupported,
    WorkerSpec,
)
from celeriac.conformance.wire_values import TAGS, Opaque, UntaggableError, from_json, to_json
from celeriac.spec import schema, validator

PROFILE = settings(derandomize=True, database=None, deadline=None, max_examples=150)

_zones = st.sampled_from([None, UTC, timezone(timedelta(hours=5, minutes=45)), timezone(-timedelta(hours=9))])
_hashable = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.complex_numbers(allow_nan=False),
    st.text(),
    st.binary(),
    st.datetimes(timezones=_zones),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.decimals(allow_nan=False),
    st.uuids(),
    st.builds(ErrorClass, st.sampled_from(["connection", "timeout", "operational", "value"])),
)


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text(max_size=3) | st.just("$"), inner, max_size=3),
        st.dictionaries(_hashable, inner, max_size=3),
        st.builds(
            Signature,
            st.text(),
            st.lists(inner, max_size=2).map(tuple),
            st.dictionaries(st.text(), inner, max_size=2),
            st.dictionaries(st.text(), inner, max_size=2),
            st.booleans(),
        ),
    )


values = st.recursive(_hashable | st.sets(_hashable, max_size=3), _nested, max_leaves=8)


def _travel(message: dict[str, Any]) -> dict[str, Any]:
    return envelopes.parse(envelopes.line(message).rstrip(b"\n"))


@PROFILE
@given(values)
def test_value_survives_the_journey(value: Any) -> None:
    """Every taggable value arrives equal and of the same type, through real JSON."""
    arrived = from_json(json.loads(json.dumps(to_json(value), allow_nan=False)))

    assert arrived == value
    assert repr(arrived) == repr(value) or isinstance(
        value, set | frozenset | dict | list | tuple | Signature
    )


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        (b"\xff", {"$": "bytes", "v": "/w=="}),
        (datetime(2026, 1, 2, 3, 4, tzinfo=UTC), {"$": "datetime", "v": "2026-01-02T03:04:00+00:00"}),
        (datetime(2026, 1, 2, 3, 4), {"$": "datetime", "v": "2026-01-02T03:04:00"}),
        (date(2026, 1, 2), {"$": "date", "v": "2026-01-02"}),
        (time_of_day(3, 4), {"$": "time", "v": "03:04:00"}),
        (timedelta(days=1, seconds=2), {"$": "timedelta", "v": [1, 2, 0]}),
        (Decimal("1.10"), {"$": "decimal", "v": "1.10"}),
        (UUID(int=1), {"$": "uuid", "v": "00000000-0000-0000-0000-000000000001"}),
        (math.inf, {"$": "float", "v": "inf"}),
        (1 + 2j, {"$": "complex", "v": [1.0, 2.0]}),
        ((1, 2), {"$": "tuple", "v": [1, 2]}),
        ({"$": 1}, {"$": "map", "v": [["$", 1]]}),
        ({1: "a"}, {"$": "map", "v": [[1, "a"]]}),
        (ErrorClass("timeout"), {"$": "error", "v": "timeout"}),
        (ExchangeRef("e", "topic"), {"$": "exchange", "v": {"name": "e", "type": "topic"}}),
        (QueueRef("q"), {"$": "queue", "v": {"name": "q", "exchange": None, "routing_key": ""}}),
        (
            QueueRef("q", ExchangeRef("e"), "k"),
            {
                "$": "queue",
                "v": {
                    "name": "q",
                    "exchange": {"$": "exchange", "v": {"name": "e", "type": "direct"}},
                    "routing_key": "k",
                },
            },
        ),
        (
            QueueRef("q", arguments={"x-queue-type": "quorum", "x-consumer-timeout": 600_000}),
            {
                "$": "queue",
                "v": {
                    "name": "q",
                    "exchange": None,
                    "routing_key": "",
                    "arguments": {"x-queue-type": "quorum", "x-consumer-timeout": 600_000},
                },
            },
        ),
        (Router({"t": "q"}), {"$": "router", "v": {"t": "q"}}),
        (
            Signature("t", (1,)),
            {
                "$": "signature",
                "v": {
                    "task": "t",
                    "args": {"$": "tuple", "v": [1]},
                    "kwargs": {},
                    "options": {},
                    "immutable": False,
                },
            },
        ),
    ],
)
def test_wire_form_is_as_documented(value: Any, wire: Any) -> None:
    """Other languages can rely on the form of each tag."""
    assert to_json(value) == wire
    assert from_json(wire) == value


def test_nan_survives_the_journey() -> None:
    """A float that is no number travels as a tag, for JSON has none."""
    assert math.isnan(from_json(to_json(math.nan)))


def test_value_without_a_form_is_refused_or_opaque() -> None:
    """What cannot travel is refused with the list of tags in a request, and reduced to its repr in an answer."""
    with pytest.raises(UntaggableError, match=r"type range cannot travel.*bytes"):
        to_json([range(2)])
    assert from_json(to_json([range(2)], opaque=True)) == [Opaque("range", "range(0, 2)")]


@pytest.mark.parametrize(
    "wire",
    [
        {"$": "spaceship", "v": 1},
        {"$": "bytes", "v": "not base64!"},
        {"$": "datetime", "v": "tomorrow"},
        {"$": "decimal", "v": "one"},
        {"$": "map", "v": [[[], 1]]},
        {"$": "map", "v": 3},
        {"$": "tuple"},
        {"$": "tuple", "v": [], "w": []},
    ],
)
def test_tag_that_cannot_be_read_is_refused(wire: Any) -> None:
    """An unknown tag or a payload that does not fit is an error that shows the value."""
    with pytest.raises(UntaggableError, match="tagged value"):
        from_json(wire)


REQUESTS = [
    ("hello", {"protocol": 1}),
    ("end", {}),
    (
        "begin",
        {
            "scenario": Scenario(
                "s",
                "redis://127.0.0.1:1",
                "rpc://",
                "q",
                {"task_serializer": "yaml"},
                {"celeriac.add": {}},
                True,
            )
        },
    ),
    ("call", {"call": Call("t", (1, b"x"), {"k": Decimal(1)}, "send_task", {"link": [Signature("u")]})}),
    (
        "compose",
        {"kind": "chain", "tasks": [Signature("t", (2, b"x")), Signature("u")], "options": {"queue": "q"}},
    ),
    ("call_together", {"calls": [Call("t", (1,)), Call("u", mode="send_task")], "over": "publisher"}),
    ("start_worker", {"spec": WorkerSpec("w", "amqp://127.0.0.1:1//", ("q",), {"a": 1})}),
    ("stop_worker", {"name": "w", "how": "kill"}),
    ("get_result", {"task_id": "t", "timeout": None, "propagate": False, "on_message": True}),
    ("get_result", {"task_id": "t", "timeout": 1.5, "propagate": True, "on_message": "raise"}),
    ("state", {"task_id": "t"}),
]


@pytest.mark.parametrize(("operation", "body"), REQUESTS)
def test_request_survives_the_journey(operation: str, body: dict[str, Any]) -> None:
    """Every request arrives as it was made, and is what its schema says."""
    message = _travel(envelopes.request_to_json(7, operation, body))

    assert envelopes.request_from_json(message) == (operation, body)
    validator("adapter-request").validate(message)


def test_there_is_a_request_for_every_operation() -> None:
    """The table above leaves no operation out."""
    assert {operation for operation, _ in REQUESTS} == set(envelopes.OPERATIONS)


ANSWERS = [
    Ok(),
    Ok({"task_id": "t", "value": (1, 2)}),
    Raised("connection", "kombu.exceptions.OperationalError", "refused", "none", "ConnectionRefusedError"),
    Raised("other", "ValueError", "x"),
    Unsupported("yaml", "no yaml here"),
    Broken("traceback"),
]


@pytest.mark.parametrize("answer", ANSWERS)
def test_answer_survives_the_journey(answer: Any) -> None:
    """Every answer arrives as it was given, and is what its schema says."""
    message = _travel(envelopes.answer_to_json(7, answer))

    assert envelopes.answer_from_json(message) == answer
    validator("adapter-answer").validate(message)


@PROFILE
@given(values)
def test_event_survives_the_journey(value: Any) -> None:
    """Every event arrives as it was reported, and is what its schema says."""
    event = Event("ended", 12.5, {"worker": "w", "task_id": "t", "value": value})

    message = _travel(envelopes.event_to_json(event))

    assert envelopes.event_from_json(message) == event
    validator("adapter-event").validate(message)


@pytest.mark.parametrize(
    "message",
    [
        {"id": 1},
        {"id": 1, "ok": 1, "broken": {"detail": ""}},
        {"id": 1, "ok": 1, "more": 2},
        {"id": 1, "raised": {"category": "sad", "type": "", "text": ""}},
        {"id": 1, "raised": {"category": "other", "text": ""}},
        {"id": 1, "raised": "no"},
        {"id": 1, "unsupported": {"feature": "x", "reason": "y", "extra": 1}},
        {"id": 1, "broken": {}},
    ],
)
def test_schema_and_reader_refuse_the_same_answers(message: dict[str, Any]) -> None:
    """What is no answer is refused by the schema and by the harness alike."""
    assert not validator("adapter-answer").is_valid(message)
    with pytest.raises(envelopes.ProtocolError):
        envelopes.answer_from_json(message)


def test_schemas_name_what_the_code_knows() -> None:
    """Tags, operations and categories are the same in the schemas and in the code."""
    value, request, answer = (schema(f"adapter-{name}") for name in ("value", "request", "answer"))

    assert value["$defs"]["tagged"]["properties"]["$"]["enum"] == list(TAGS)
    assert request["properties"]["op"]["enum"] == list(envelopes.OPERATIONS)
    assert answer["properties"]["raised"]["properties"]["category"]["enum"] == list(envelopes.CATEGORIES)


EXAMPLES = [
    pytest.param(operation, example, id=operation)
    for operation in envelopes.OPERATIONS
    for example in schema(f"adapter-{operation}")["examples"]
]


@pytest.mark.parametrize(("operation", "example"), EXAMPLES)
def test_example_of_an_exchange_is_one(operation: str, example: dict[str, Any]) -> None:
    """The example that the schema of an operation shows is an exchange by that schema, and the harness reads it."""
    validator(f"adapter-{operation}").validate(example)

    assert envelopes.request_from_json(example["request"])[0] == operation
    envelopes.answer_from_json(example["answer"])
    envelopes.validate_value(operation, example["answer"])


@pytest.mark.parametrize(
    ("kind", "message", "text"),
    [
        (
            "request",
            {"id": 1, "op": "state", "body": {}},
            "the request breaks adapter/request.schema.json at body: ",
        ),
        (
            "answer",
            {"id": "1", "ok": None},
            "the answer breaks adapter/answer.schema.json at id: '1' is not of type",
        ),
        ("event", {"ev": "ready", "at": 1.0, "data": {}}, "at data: 'worker' is a required property"),
    ],
)
def test_message_that_breaks_its_schema_is_told_where(kind: str, message: dict[str, Any], text: str) -> None:
    """A message that breaks its schema is refused with the schema, the place and what stands there."""
    with pytest.raises(envelopes.ProtocolError, match=re.escape(text)):
        envelopes.validate(message, kind)
