"""Serializers, continued: registered ones, the danger of decoding, and the values that each of them carries."""

from __future__ import annotations

import base64
import json
import os
import pickle
import tempfile
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from celeriac.conformance import oracles
from celeriac.conformance.checks import check
from celeriac.conformance.decoding import body_of, plain_body
from celeriac.conformance.probe_codecs import SERIALIZER, dump, load
from celeriac.spec import vectors

if TYPE_CHECKING:
    from celeriac.conformance.history import Record
    from celeriac.conformance.messages import WireMessage
    from celeriac.conformance.world import World

EMBED = dict.fromkeys(("callbacks", "errbacks", "chain", "chord"))


# -- registered serializers


@check("SER-020")
def test_registered_serializer_is_used(world: World) -> None:
    """The name of the probe serializer leads to its body and its labels."""
    world.begin()
    record = world.published(world.call(args=(2, 3), serializer=SERIALIZER.name))
    seen = [record.properties.get(name) for name in ("content_type", "content_encoding")]
    expected = [SERIALIZER.label, SERIALIZER.encoding]
    world.judge("SER-020", oracles.equal(expected, seen, "content type and encoding", record))
    try:
        args = load(plain_body(record))[0]
    except (ValueError, IndexError, TypeError) as error:
        args = error
    world.judge("SER-020", oracles.equal([2, 3], args, "the arguments in the body", record))


def registered(world: World) -> WireMessage:
    """Answer a message for celeriac.add(2, 2) in the encoding of the probe serializer."""
    body = dump([[2, 2], {}, EMBED]).encode()
    return world.message().with_body(
        body, content_type=SERIALIZER.label, content_encoding=SERIALIZER.encoding
    )


@check("SER-021")
def test_registered_serializer_is_read(world: World) -> None:
    """A worker that accepts the probe serializer executes what is encoded by it."""
    world.begin(settings={"accept_content": ["json", SERIALIZER.name]})
    world.worker()
    message = registered(world)
    world.inject(message)
    started = world.expect("started", task_id=message.task_id)
    world.judge("SER-021", oracles.equal([2, 2], list(started.args), "the arguments", started))


def pass_over(world: World, message: WireMessage) -> None:
    """Let a worker without accept_content receive a message, and then execute an ordinary task."""
    world.worker()
    world.inject(message)
    after = world.send("celeriac.add", (3, 3))
    world.expect("ended", task_id=after.task_id)


@check("SER-022")
def test_registered_serializer_needs_consent(world: World) -> None:
    """A worker that has the probe serializer, and does not accept it, leaves its messages alone."""
    world.begin()
    message = registered(world)
    pass_over(world, message)
    world.judge("SER-022", oracles.never_started(world.history, message.task_id))


# -- security


class Deed:
    """Whoever decodes this from pickle makes a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __reduce__(self) -> Any:
        """Answer what a decoder of pickle is told to do."""
        return os.mkdir, (str(self._folder),)


@check("SER-023")
def test_refused_pickle_does_nothing(world: World) -> None:
    """A pickled body that would make a folder when it is decoded makes none, where only JSON is accepted."""
    world.begin(settings={"accept_content": ["json"]})
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "made-by-a-pickle")
        body = pickle.dumps([[Deed(folder)], {}, EMBED])
        labels = {"content_type": "application/x-python-serialize", "content_encoding": "binary"}
        message = world.message("celeriac.echo").with_body(body, **labels)
        pass_over(world, message)
        made = folder.exists()
    expected = "a pickled body of which nothing is decoded"
    world.require("SER-023", not made, expected, "it was decoded: what it says has been done")


# -- what each serializer carries


def sent(world: World, serializer: str, *args: Any) -> tuple[list[Any], Record]:
    """Answer the positional arguments on the wire of a call, decoded, and the record of its message."""
    world.begin()
    record = world.published(world.call("celeriac.echo", args, serializer=serializer))
    return list(body_of(record)[0]), record


def received(world: World, requirement: str, message: WireMessage, expected: Sequence[Any]) -> None:
    """Require the positional arguments that a task is called with, and their types."""
    world.worker()
    world.inject(message)
    started = world.expect("started", task_id=message.task_id)
    seen = list(started.args)
    holds = seen == expected and list(map(type, seen)) == list(map(type, expected))
    world.require(requirement, holds, f"arguments {expected!r}", f"{seen!r}", started)


def require_values(
    world: World, requirement: str, expected: Sequence[Any], seen: list[Any], record: Record
) -> None:
    """Require values and their types."""
    holds = seen == expected and list(map(type, seen)) == list(map(type, expected))
    world.require(requirement, holds, f"{expected!r} in the body", f"{seen!r}", record)


def on_the_wire(world: World, value: Any) -> tuple[Any, Record]:
    """Answer an argument of a JSON message as it stands in the text."""
    world.begin()
    record = world.published(world.call("celeriac.echo", (value,), serializer="json"))
    return json.loads(plain_body(record))[0][0], record


@check("SER-024")
def test_tuples_become_lists(world: World) -> None:
    """Tuples within tuples are lists within lists."""
    seen, record = on_the_wire(world, (1, (2, "a"), {"k": (3,)}))
    world.judge("SER-024", oracles.equal([1, [2, "a"], {"k": [3]}], seen, "the argument", record))


@check("SER-025")
def test_bytes_become_base64(world: World) -> None:
    """All octets come out of the base64 of the marked value."""
    data = bytes(range(256))
    seen, record = on_the_wire(world, data)
    try:
        decoded: Any = base64.b64decode(seen["__value__"], validate=True)
    except (TypeError, KeyError, ValueError) as error:
        decoded = error
    world.judge("SER-025", oracles.equal(data, decoded, "what the base64 stands for", record))


#: A date and a moment, as YAML's own kinds of values.
DATES = [date(2030, 5, 6), datetime(2030, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)]


@check("SER-026")
def test_yaml_carries_dates(world: World) -> None:
    """A date and a datetime come out of the YAML text as such."""
    seen, record = sent(world, "yaml", *DATES)
    require_values(world, "SER-026", DATES, seen, record)


def yaml_message(world: World, args: str) -> WireMessage:
    """Begin with a worker's consent to YAML, and answer a message with these arguments."""
    world.begin(settings={"accept_content": ["json", "yaml"]})
    body = f"- {args}\n- {{}}\n- {{callbacks: null, errbacks: null, chain: null, chord: null}}\n"
    message = world.message("celeriac.echo")
    return message.with_body(body.encode(), content_type="application/x-yaml", content_encoding="utf-8")


@check("SER-027")
def test_worker_reads_dates_of_yaml(world: World) -> None:
    """Timestamps without marks or quotes are a date and a datetime to the task."""
    message = yaml_message(world, "[2030-05-06, 2030-05-06 07:08:09.123456+00:00]")
    received(world, "SER-027", message, DATES)


@check("SER-028")
def test_worker_follows_references_of_yaml(world: World) -> None:
    """A value that stands there once and is referred to twice is received three times."""
    message = yaml_message(world, "[&both [1, {k: v}], *both, {again: *both}]")
    value = [1, {"k": "v"}]
    received(world, "SER-028", message, [value, value, {"again": value}])


OCTETS = b"\xff\x00\x80"


@check("SER-029")
def test_msgpack_carries_bytes(world: World) -> None:
    """Octets that are no text come out of the msgpack body as bytes."""
    seen, record = sent(world, "msgpack", OCTETS)
    require_values(world, "SER-029", [OCTETS], seen, record)


@check("SER-030")
def test_worker_reads_bytes_of_msgpack(world: World) -> None:
    """A binary value of three octets is bytes to the task."""
    world.begin(settings={"accept_content": ["json", "msgpack"]})
    body = b"\x93" + b"\x91\xc4\x03" + OCTETS + b"\x80" + b"\x80"
    labels = {"content_type": "application/x-msgpack", "content_encoding": "binary"}
    received(world, "SER-030", world.message("celeriac.echo").with_body(body, **labels), [OCTETS])


#: Values that only pickle carries as what they are.
BUILT_IN = [(1, (2,)), {3, 4}, 5 + 6j, b"\xff", {7: "seven"}, None]


@check("SER-031")
def test_pickle_carries_built_in_types(world: World) -> None:
    """A tuple, a set, a complex number, bytes and a mapping with a number as key come out of the body as such."""
    seen, record = sent(world, "pickle", *BUILT_IN)
    require_values(world, "SER-031", BUILT_IN, seen, record)


@check("SER-032")
def test_worker_reads_built_in_types_of_pickle(world: World) -> None:
    """A tuple, a set, a complex number, bytes and a mapping with a number as key reach the task as such."""
    world.begin(settings={"accept_content": ["json", "pickle"]})
    body = pickle.dumps([BUILT_IN, {}, EMBED], protocol=2)
    labels = {"content_type": "application/x-python-serialize", "content_encoding": "binary"}
    received(world, "SER-032", world.message("celeriac.echo").with_body(body, **labels), BUILT_IN)


# -- what is accepted


@check("SER-033")
def test_content_types_may_be_named(world: World) -> None:
    """A worker that was given content types executes JSON, and what else it has."""
    names = ["json", *(name for name in ("yaml", "msgpack", "pickle") if world.has(f"serializer:{name}"))]
    cases = [case for case in vectors("codec-labels")["cases"] if case["name"] in names]
    world.begin(settings={"accept_content": [case["content_type"] for case in cases]})
    world.worker()
    for case in cases:
        labels = {name: case[name] for name in ("content_type", "content_encoding")}
        message = world.message().with_body(base64.b64decode(case["sample"]), **labels)
        world.inject(message)
        started = world.expect("started", task_id=message.task_id)
        read = f"the arguments read from {case['content_type']}"
        world.judge("SER-033", oracles.equal([2, 2], list(started.args), read, started))


@check("SER-034", features=("serializer:yaml",))
def test_json_needs_consent_too(world: World) -> None:
    """A worker that was told to accept YAML leaves JSON alone."""
    world.begin(settings={"accept_content": ["yaml"]})
    world.worker()
    sent_json = world.send("celeriac.add", (2, 2))
    case = next(case for case in vectors("codec-labels")["cases"] if case["name"] == "yaml")
    labels = {name: case[name] for name in ("content_type", "content_encoding")}
    after = world.message().with_body(base64.b64decode(case["sample"]), **labels)
    world.inject(after)
    world.expect("ended", task_id=after.task_id)
    world.judge("SER-034", oracles.never_started(world.history, sent_json.task_id))
