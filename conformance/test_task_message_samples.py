"""The task message, continued: messages that others wrote, byte by byte, and every sample played to its end."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from celeriac.conformance import oracles
from celeriac.conformance.checks import check
from celeriac.conformance.decoding import moment
from celeriac.conformance.samples import (
    judge_all,
    judge_places,
    raw_message_of,
    raw_samples,
    samples,
    until_done,
)
from celeriac.conformance.wire_values import from_json

if TYPE_CHECKING:
    from celeriac.conformance.messages import WireMessage
    from celeriac.conformance.world import World

#: Every serializer that a sample may be written in.
SERIALIZERS = ("json", "yaml", "msgpack", "pickle")


@check("MSG-038")
def test_samples_are_executed_as_they_were_meant(world: World) -> None:
    """Every message of another implementation that the worker claims to read runs with its arguments."""
    world.begin()
    accepted = [name for name in SERIALIZERS if name == "json" or world.has(f"serializer:{name}")]
    worker = world.worker(accept_content=accepted)
    cases = raw_samples(world)
    for case in cases:
        world.inject(raw_message_of(world, case))
    until_done(world, worker, ("ended",), world.send("celeriac.add", (3, 3)).task_id)
    for case in cases:
        reads = case["reads"]
        record = world.expect("started", task_id=reads["id"], timeout=world.tick)
        expected = (reads["task"], from_json(reads["args"]), from_json(reads["kwargs"]))
        seen = (record.task, list(record.args), dict(record.kwargs))
        world.judge("MSG-038", oracles.equal(expected, seen, f"{case['name']}: what is executed", record))


@check("MSG-039")
def test_samples_take_no_place_for_ever(world: World) -> None:
    """No sample is left unsettled by a worker that goes on."""
    judge_places(world, "MSG-039", world.sample(samples()))


@check("MSG-048")
def test_messages_of_clients_in_the_field(world: World) -> None:
    """Each message that a client in the field sends is delivered once, executed as it says, and settled once."""
    judge_all(world, "MSG-048", [case for case in samples() if "sent_by" in case])


# -- version 1 of the protocol


def old_message(world: World, *args: Any, **members: Any) -> WireMessage:
    """Answer a message of version 1 that asks for the arguments to be echoed."""
    message = world.message()
    body = {"task": "celeriac.echo", "id": message.task_id, "args": args, "kwargs": {"k": None}, **members}
    return message.without_headers(*message.headers).with_body(json.dumps(body).encode())


@check("MSG-040")
def test_version_1_is_executed(world: World) -> None:
    """A body that is a mapping runs with its arguments, with headers of version 2 and without."""
    world.begin()
    world.worker()
    plain = old_message(world, 1, [2, None])
    for message in (plain, old_message(world, "a").with_headers(task="celeriac.echo")):
        with_id = message.with_headers(id=message.task_id) if message.headers else message
        world.inject(with_id)
        started = world.expect("started", task_id=message.task_id)
        expected = [json.loads(message.body)[name] for name in ("args", "kwargs")]
        seen = [list(started.args), dict(started.kwargs)]
        world.judge("MSG-040", oracles.equal(expected, seen, "the arguments of the function", started))


@check("MSG-040")
def test_version_1_knows_moments(world: World) -> None:
    """The task sees, as its own, the eta and the expires of a body of version 1."""
    world.begin()
    world.worker()
    moments = {"eta": "2001-01-01T00:00:00.000Z", "expires": "2999-01-01T00:00:00.000Z"}
    message = old_message(world, task="celeriac.context", kwargs={}, **moments)
    world.inject(message)
    ended = world.expect("ended", task_id=message.task_id)
    seen = {name: moment(ended.value[name]) for name in moments}
    expected = {name: moment(text) for name, text in moments.items()}
    world.judge("MSG-040", oracles.equal(expected, seen, "the moments that the task sees", ended))


# -- what is no message


def torn(world: World) -> dict[str, bytes]:
    """Answer elements of a list that are no whole envelopes, by what is wrong with them."""
    good = json.loads(raw_samples(world)[0]["envelope"])
    properties = good["properties"]

    def without(name: str) -> bytes:
        rest = {key: value for key, value in properties.items() if key != name}
        return json.dumps({**good, "properties": rest}).encode()

    return {
        "no JSON": b"not json",
        "a list": b"[]",
        "no properties": json.dumps({key: good[key] for key in good if key != "properties"}).encode(),
        "no delivery tag": without("delivery_tag"),
        "no delivery info": without("delivery_info"),
    }


@check("MSG-046", link="redis")
def test_torn_envelopes_stop_nobody(world: World) -> None:
    """After each element that is no whole envelope the same worker executes the next message."""
    world.begin()
    worker = world.worker()
    for name, envelope in torn(world).items():
        message = world.message()
        world.inject(replace(message, envelope=envelope))
        world.inject(message)
        until_done(world, worker, ("ended",), message.task_id)
        ended = world.history.of("ended", task_id=message.task_id)
        stopped = world.history.of("stopped", worker=worker)
        observed = f"after {name}: {oracles.end_of_worker(stopped)}"
        world.require(
            "MSG-046", bool(ended) and not stopped, f"after {name}: the next task", observed, *stopped
        )
