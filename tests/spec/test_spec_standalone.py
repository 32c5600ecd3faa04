"""The vectors need nothing of this project: this module imports none of it."""

from __future__ import annotations

import base64
import bz2
import json
import lzma
import zlib
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

VECTORS = Path(__file__).resolve().parents[2] / "spec" / "vectors"


def load(name: str) -> Any:
    """Answer the content of a vector file."""
    return json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))


def test_a_stranger_can_run_the_retry_schedules() -> None:
    """Plain JSON and six lines of arithmetic are enough to use the retry vectors."""
    content = load("retry-schedules")
    for case in content["cases"]:
        policy = case["effective"]
        start, step, top = policy["interval_start"], policy["interval_step"], policy["interval_max"]
        count = content["horizon"] if policy["max_retries"] is None else policy["max_retries"]
        assert case["waits"] == pytest.approx([min(start + n * step, top) for n in range(count)], abs=1e-9)


def test_a_stranger_can_name_the_redis_lists() -> None:
    """The list of a message follows from queue, priority, steps and separator in one line."""
    for case in load("redis-priority-keys")["cases"]:
        step = max(step for step in case["steps"] if step <= (case["priority"] or 0))
        key = case["queue"] + (f"{case['sep']}{step}" if step else "")
        assert (case["key"], bytes.fromhex(case["key_hex"])) == (key, key.encode())


def test_a_stranger_can_route() -> None:
    """Of option, attribute and route the first that says something decides, key by key."""
    for case in load("routing-precedence")["cases"]:
        route = case.get("route", {})
        layers = [
            case.get("option", {}),
            case.get("attribute", {}),
            {"queue": route} if isinstance(route, str) else route,
        ]
        names = ("queue", "exchange", "routing_key")
        said = {name: next((layer[name] for layer in layers if layer.get(name)), None) for name in names}
        queue, exchange, key = (said[name] for name in names)
        place = {"queue": queue or "default"}
        alone = [{name: said[name]} for name in ("exchange", "routing_key") if said[name]]
        address = [{"exchange": exchange, "routing_key": key}]
        assert case["expected"] == (address if exchange and key else [place, *alone]), case["name"]


#: What undoes the compressions that come with Python.
DECOMPRESSORS: dict[str | None, Callable[[bytes], bytes]] = {
    None: bytes,
    "application/x-gzip": zlib.decompress,
    "application/x-bz2": bz2.decompress,
    "application/x-lzma": lzma.decompress,
}


def test_a_stranger_can_read_the_raw_messages() -> None:
    """Base64, a decompressor and JSON are enough to read most samples, on AMQP and on Redis."""
    read = 0
    for case in load("raw-messages")["cases"]:
        label = case["headers"].get("compression")
        if "sent_by" in case or case["content_type"] != "application/json" or label not in DECOMPRESSORS:
            continue
        body = base64.b64decode(case["body_base64"])
        args, kwargs, _ = json.loads(DECOMPRESSORS[label](body))
        assert base64.b64decode(json.loads(case["envelope"])["body"]) == body
        if "typed_json" not in case.get("needs", ()):
            assert [args, kwargs] == [case["reads"]["args"], case["reads"]["kwargs"]], case["name"]
        read += 1
    assert read >= 25


def test_a_stranger_can_follow_the_precedence_of_encodings() -> None:
    """Of option, attribute and setting the first that is given decides."""
    for name, fallback in (("serializer", "json"), ("compression", None)):
        for case in load(f"{name}-precedence")["cases"]:
            given = (case.get(place) for place in ("option", "attribute", "setting"))
            assert case["expected"] == next((one for one in given if one), fallback)


def test_a_stranger_can_convert_moments() -> None:
    """A countdown in seconds is added to the moment of the call, and wins over an eta unless it is 0."""
    content = load("eta-expires")
    now = datetime.fromisoformat(content["now"])
    for case in content["cases"]:
        countdown = case["options"].get("countdown")
        if countdown and not case.get("refused"):
            assert datetime.fromisoformat(case["eta"]) == now + timedelta(seconds=countdown), case["name"]


def test_a_stranger_can_tell_codecs_by_their_labels() -> None:
    """A sample of each compression that comes with Python is undone by what its label names."""
    content = load("codec-labels")
    for case in content["cases"]:
        if case["kind"] == "compression" and case["header"] in DECOMPRESSORS:
            plain = DECOMPRESSORS[case["header"]](base64.b64decode(case["sample"]))
            assert json.loads(plain) == content["value"]


def test_a_stranger_can_change_the_base_message() -> None:
    """Each sample of a message is the base with some headers set, some removed, and perhaps another body."""
    content = load("messages")
    for case in content["cases"]:
        headers = {**content["base"]["headers"], **case.get("set", {})}
        for name in case.get("remove", ()):
            del headers[name]
        body = base64.b64decode(case["body_base64"]) if "body_base64" in case else case.get("body")
        assert headers or "needs" in case or case["executed"] is not True
        assert isinstance(content["base"]["body"] if body is None else body, str | bytes)


def test_a_stranger_can_read_results() -> None:
    """A record says by its status whether there is a value, an error, or nothing yet."""
    for case in load("results")["cases"]:
        record, outcome = case["record"], case["outcome"]
        kind = {"SUCCESS": "value", "FAILURE": "error", "REVOKED": "error"}.get(record["status"], "waiting")
        assert set(outcome) == {kind}, case["name"]
        assert kind != "value" or outcome["value"] == record["result"]
