"""The task message, continued: messages that another implementation wrote, byte by byte."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from celeriac.conformance import oracles
from celeriac.conformance.checks import check
from celeriac.conformance.messages import WireMessage
from celeriac.conformance.wire_values import from_json
from celeriac.spec import vectors

if TYPE_CHECKING:
    from celeriac.conformance.world import World

#: Every serializer that a sample may be written in.
SERIALIZERS = ("json", "yaml", "msgpack", "pickle")


def samples(world: World) -> Sequence[Mapping[str, Any]]:
    """Answer the samples that the implementation claims to read."""
    return [case for case in vectors("raw-messages")["cases"] if all(map(world.has, case.get("needs", ())))]


def message_of(world: World, case: Mapping[str, Any]) -> WireMessage:
    """Answer a sample as it stands, but with the harness's own reply queue, and with no time to live."""
    properties = {name: value for name, value in case["properties"].items() if name != "expiration"}
    return WireMessage(
        case["reads"]["id"],
        case["headers"],
        {**properties, "reply_to": world.stage.reply_queue},
        base64.b64decode(case["body_base64"]),
        case["content_type"],
        case["content_encoding"],
        case["envelope"].encode(),
    )


@check("MSG-038")
def test_samples_are_executed_as_they_were_meant(world: World) -> None:
    """Every message of another implementation that the worker claims to read runs with its arguments."""
    world.begin()
    accepted = [name for name in SERIALIZERS if name == "json" or world.has(f"serializer:{name}")]
    world.worker(accept_content=accepted)
    cases = samples(world)
    for case in cases:
        world.inject(message_of(world, case))
    for case in cases:
        reads = case["reads"]
        record = world.expect("started", task_id=reads["id"])
        expected = (reads["task"], from_json(reads["args"]), from_json(reads["kwargs"]))
        seen = (record.task, list(record.args), dict(record.kwargs))
        world.judge("MSG-038", oracles.equal(expected, seen, f"{case['name']}: what is executed", record))
