"""Serializers: how a body is encoded, labelled and decoded again."""

from __future__ import annotations

import base64
import json
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from celeriac.conformance import oracles
from celeriac.conformance.checks import check
from celeriac.conformance.decoding import body_of, plain_body
from celeriac.conformance.precedence import judge_rows
from celeriac.spec import vectors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from celeriac.conformance.history import Record
    from celeriac.conformance.messages import WireMessage
    from celeriac.conformance.world import World

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
).filter(lambda value: "__type__" not in str(value))


def content_type(record: Record) -> Any:
    """Answer how a message says that its body is encoded."""
    return record.properties.get("content_type")


@check("SER-001")
def test_json_is_the_default(world: World) -> None:
    """Rows of the table without any serializer are sent as JSON."""
    judge_rows(world, "SER-001", "serializer", "default", content_type)


@check("SER-002")
def test_option_wins(world: World) -> None:
    """Rows of the table with the option are sent with the option's serializer."""
    judge_rows(world, "SER-002", "serializer", "option", content_type)


@check("SER-003")
def test_attribute_wins_over_the_setting(world: World) -> None:
    """Rows of the table without the option are sent with the attribute's serializer."""
    judge_rows(world, "SER-003", "serializer", "attribute", content_type)


@check("SER-004")
def test_setting_decides_last(world: World) -> None:
    """Rows of the table with neither option nor attribute are sent with the setting's serializer."""
    judge_rows(world, "SER-004", "serializer", "setting", content_type)


@check("SER-005")
def test_null_option_is_not_given(world: World) -> None:
    """Rows of the table with a null option are sent with the attribute's serializer."""
    judge_rows(world, "SER-005", "serializer", "null", content_type)


@check("SER-006")
def test_unknown_serializer_is_refused(world: World) -> None:
    """Names that no registry knows raise, near misses of known names among them."""
    world.begin()
    for name in ("unheard-of", "JSON", "application/json"):
        world.require_refusal("SER-006", serializer=name)


@check("SER-007")
def test_arguments_that_cannot_be_encoded_are_refused(world: World) -> None:
    """A set is no JSON: the call raises at once, with the broker reachable or not."""
    world.begin(fresh=True, results=False)
    world.require_refusal("SER-007", task="celeriac.echo", args=({1, 2},), serializer="json")
    world.broker_down()
    world.require_refusal("SER-007", task="celeriac.echo", args=({1, 2},), serializer="json")
    attempts = world.history.of("refused")
    world.require(
        "SER-007", len(attempts) <= 1, "no retry of what cannot succeed", f"{len(attempts)} attempts"
    )


def require_labels(world: World, requirement: str, name: str) -> None:
    """Require both labels of a serializer, and that the body is what they say."""
    world.begin()
    record = world.published(world.call(args=(2, 3), serializer=name))
    case = next(case for case in vectors("codec-labels")["cases"] if case["name"] == name)
    for label in ("content_type", "content_encoding"):
        seen = record.properties.get(label)
        world.judge(requirement, oracles.equal(case[label], seen, label, record))
    body = body_of(record)
    holds = isinstance(body, list | tuple) and list(body[0]) == [2, 3]
    world.require(requirement, holds, f"a body that decodes as {name} to the arguments", f"{body!r}", record)


@check("SER-008")
def test_labels_of_json(world: World) -> None:
    """A JSON body is labelled so."""
    require_labels(world, "SER-008", "json")


@check("SER-009")
def test_labels_of_yaml(world: World) -> None:
    """A YAML body is labelled so."""
    require_labels(world, "SER-009", "yaml")


@check("SER-010")
def test_labels_of_pickle(world: World) -> None:
    """A pickled body is labelled so."""
    require_labels(world, "SER-010", "pickle")


@check("SER-011")
def test_labels_of_msgpack(world: World) -> None:
    """A msgpack body is labelled so."""
    require_labels(world, "SER-011", "msgpack")


@check("SER-012")
def test_keys_are_texts(world: World) -> None:
    """Numbers as keys arrive as their decimal texts."""
    world.begin()
    record = world.published(world.call("celeriac.echo", ({1: "a", "b": {2: "c"}},), serializer="json"))
    sent = json.loads(plain_body(record))[0]
    world.judge(
        "SER-012", oracles.equal([{"1": "a", "b": {"2": "c"}}], sent, "the arguments on the wire", record)
    )


@check("SER-013")
def test_json_values_reach_the_task_unchanged(world: World) -> None:
    """Nested values of all JSON types are received equal in value and type."""
    world.begin()
    world.worker()

    @world.for_all(
        st.lists(json_values, max_size=4),
        st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), json_values),
    )
    def _(args: list[Any], kwargs: dict[str, Any]) -> None:
        sent = world.send("celeriac.echo", args, kwargs)
        started = world.expect("started", task_id=sent.task_id)
        received = json.dumps([list(started.args), dict(started.kwargs)], sort_keys=True)
        expected = json.dumps([args, kwargs], sort_keys=True)
        world.judge("SER-013", oracles.equal(expected, received, "what the task receives", started))


#: Values that JSON lacks, each with the name of its type on the wire.
TYPED: Sequence[tuple[str, Any]] = (
    ("datetime", datetime(2030, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)),
    ("decimal", Decimal("12.340")),
    ("uuid", uuid.UUID("12345678-1234-5678-1234-567812345678")),
    ("bytes", b"plain"),
    ("base64", b"\xff\x00\x80"),
)


@check("SER-014")
def test_types_beyond_json_are_marked(world: World) -> None:
    """A datetime, a decimal, a UUID and bytes are mappings that name their type."""
    world.begin()
    for name, value in TYPED:
        record = world.published(world.call("celeriac.echo", (value,), serializer="json"))
        sent = json.loads(plain_body(record))[0][0]
        holds = isinstance(sent, dict) and set(sent) == {"__type__", "__value__"} and sent["__type__"] == name
        expected = f"{value!r} as a mapping of __type__ {name!r} and __value__"
        world.require("SER-014", holds, expected, f"{sent!r}", record)


#: The same values as Celery's callers write them.
MARKED: Sequence[tuple[Any, Any]] = (
    ({"__type__": "datetime", "__value__": "2030-05-06T07:08:09.123456+00:00"}, TYPED[0][1]),
    ({"__type__": "decimal", "__value__": "12.340"}, TYPED[1][1]),
    ({"__type__": "uuid", "__value__": {"hex": "12345678123456781234567812345678"}}, TYPED[2][1]),
    ({"__type__": "bytes", "__value__": "plain"}, TYPED[3][1]),
    ({"__type__": "base64", "__value__": "/wCA"}, TYPED[4][1]),
)


@check("SER-015")
def test_marked_types_reach_the_task_as_such(world: World) -> None:
    """The marks of Celery's callers are turned into values of their types."""
    world.begin()
    world.worker()
    for marked, value in MARKED:
        sent = world.send("celeriac.echo", (marked,))
        started = world.expect("started", task_id=sent.task_id)
        world.judge(
            "SER-015", oracles.equal(value, next(iter(started.args), None), "what the task receives", started)
        )


def encoded(world: World, name: str) -> WireMessage:
    """Answer a message for celeriac.add(2, 2) in an encoding, taken from the vectors."""
    case = next(case for case in vectors("codec-labels")["cases"] if case["name"] == name)
    return world.message().with_body(
        base64.b64decode(case["sample"]),
        content_type=case["content_type"],
        content_encoding=case["content_encoding"],
    )


def foreign(world: World) -> list[str]:
    """Answer the serializers besides JSON that the implementation has."""
    return [name for name in ("yaml", "msgpack", "pickle") if world.has(f"serializer:{name}")]


@check("SER-016")
def test_each_message_is_decoded_by_its_own_labels(world: World) -> None:
    """A worker whose own serializer is another reads each of several encodings."""
    names = foreign(world)
    world.begin(
        settings={"accept_content": ["json", *names], "task_serializer": names[0] if names else "json"}
    )
    world.worker()
    for name in ("json", *names):
        message = encoded(world, name)
        world.inject(message)
        started = world.expect("started", task_id=message.task_id)
        world.judge(
            "SER-016", oracles.equal([2, 2], list(started.args), f"the arguments read from {name}", started)
        )


def refuse(world: World, name: str) -> str:
    """Let a worker with default settings receive an encoding besides JSON, then an ordinary task."""
    message = encoded(world, name)
    world.inject(message)
    after = world.send("celeriac.add", (3, 3))
    world.expect("ended", task_id=after.task_id)
    return message.task_id


@check("SER-017")
def test_only_json_is_accepted_by_default(world: World) -> None:
    """Bodies in YAML, msgpack and pickle are not executed by a worker without accept_content."""
    world.begin()
    world.worker()
    for name in ("yaml", "msgpack", "pickle"):
        task_id = refuse(world, name)
        world.judge("SER-017", oracles.never_started(world.history, task_id))


@check("SER-018")
def test_accepted_content_is_executed(world: World) -> None:
    """Encodings that accept_content names are executed."""
    names = foreign(world)
    world.begin(settings={"accept_content": ["json", *names]})
    world.worker()
    for name in ("json", *names):
        message = encoded(world, name)
        world.inject(message)
        world.expect("ended", task_id=message.task_id)
        world.judge("SER-018", oracles.executed(world.history, message.task_id))


@check("SER-019")
def test_unaccepted_content_is_rejected_for_good(world: World) -> None:
    """A message that is not accepted leaves the queue by a rejection (on Redis, by its removal)."""
    world.begin(settings={"accept_content": ["json"]})
    world.worker()
    ways = ("rejected",) if world.link == "amqp" else ("acked", "rejected")
    for name in ("yaml", "msgpack", "pickle"):
        task_id = refuse(world, name)
        world.wait("acked", "rejected", "requeued", task_id=task_id)
        world.judge("SER-019", oracles.settled(world.history, task_id, ways))
