"""Every vector file says what a few lines of independent arithmetic say."""

from __future__ import annotations

import base64
import bz2
import importlib
import itertools
import json
import lzma
import pickle
import zlib
from collections import ChainMap
from collections.abc import Callable
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest

from celeriac import spec
from celeriac.conformance.wire_values import from_json

UNSET = object()


@pytest.mark.parametrize("name", spec.vector_names())
def test_a_vector_file_fits_its_schema(name: str) -> None:
    """Each file is valid, its cases are named once, and the requirements it names exist."""
    content = spec.vectors(name)
    spec.validator(f"vectors-{name}").validate(content)
    names = [(case.get("kind"), case["name"]) for case in content["cases"] if "name" in case]
    assert len(names) == len(set(names))
    named = {identity for case in content["cases"] for identity in case.get("requirements", ())}
    assert named <= set(spec.load().requirements)


# -- precedence


@pytest.mark.parametrize(("what", "fallback"), [("serializer", "json"), ("compression", None)])
def test_precedence_is_the_first_that_is_given(what: str, fallback: str | None) -> None:
    """The codec of each case is the first of option, attribute and setting that is neither missing nor null."""
    for case in spec.vectors(f"{what}-precedence")["cases"]:
        given = [case[key] for key in ("option", "attribute", "setting") if case.get(key) is not None]
        assert case["expected"] == [*given, fallback][0], case


@pytest.mark.parametrize("what", ["serializer", "compression"])
def test_precedence_covers_every_combination(what: str) -> None:
    """Each source takes each value, unset and null included, in every combination."""
    cases = spec.vectors(f"{what}-precedence")["cases"]
    found = [tuple(case.get(key, UNSET) for key in ("setting", "attribute", "option")) for case in cases]
    values = {value for combination in found for value in combination}
    assert {UNSET, None} < values
    assert len(found) == len(set(found)) == len(values) ** 3


# -- retry schedules

SCHEDULES = spec.vectors("retry-schedules")
DEFAULTS = {key: value["default"] for key, value in spec.schema("retry-policy")["properties"].items()}
EXACT = Fraction(1, 10**9)


def schedule(policy: dict[str, Any], horizon: int) -> list[Fraction]:
    """Answer the waits of a policy by adding up steps, in exact arithmetic."""
    wait, step, cap = (Fraction(str(policy[f"interval_{part}"])) for part in ("start", "step", "max"))
    waits = []
    for _ in range(horizon if policy["max_retries"] is None else policy["max_retries"]):
        waits.append(min(wait, cap))
        wait += step
    return waits


@pytest.mark.parametrize("case", SCHEDULES["cases"], ids=lambda case: case["name"])
def test_a_retry_schedule_is_what_the_policy_says(case: dict[str, Any]) -> None:
    """Policies merge key by key, waits grow to the cap, and attempts are one more than retries."""
    policy = dict(ChainMap(case.get("option", {}), case.get("setting", {}), DEFAULTS))
    assert case["effective"] == policy
    waits = schedule(policy, SCHEDULES["horizon"])
    assert len(case["waits"]) == len(waits)
    assert all(abs(Fraction(str(a)) - b) < EXACT for a, b in zip(case["waits"], waits, strict=True))
    if policy["max_retries"] is None:
        assert case["attempts"] is case["total"] is None
    else:
        assert case["attempts"] == policy["max_retries"] + 1
        assert abs(Fraction(str(case["total"])) - sum(waits)) < EXACT


def test_the_retry_schedules_are_many_and_different() -> None:
    """There are at least 25 policies, and the default one waits 0, 0.2 and 0.2 seconds."""
    cases = {case["name"]: case for case in SCHEDULES["cases"]}
    assert len({json.dumps(case["effective"]) for case in cases.values()}) >= 25
    assert (cases["nothing given"]["waits"], cases["nothing given"]["total"]) == ([0, 0.2, 0.2], 0.4)


# -- eta and expires

TIMES = spec.vectors("eta-expires")


def moment(value: Any) -> datetime:
    """Answer the moment that an option denotes at the moment of the call."""
    if isinstance(value, dict):
        return datetime.fromisoformat(value["v"])
    return datetime.fromisoformat(TIMES["now"]) + timedelta(seconds=value)


@pytest.mark.parametrize("case", TIMES["cases"], ids=lambda case: case["name"])
def test_headers_follow_from_the_options(case: dict[str, Any]) -> None:
    """A countdown beats an eta unless it is 0, expires becomes a moment and the milliseconds that remain."""
    options = case["options"]
    if case.get("refused"):
        assert any(isinstance(value, str | list) for value in options.values())
        return
    start = options.get("countdown") or options.get("eta")
    end = options.get("expires")
    for header, value in (("eta", start), ("expires", end)):
        expected = None if value is None else moment(value)
        assert (case[header] and datetime.fromisoformat(case[header])) == expected
    remaining = None if end is None else moment(end) - moment(0)
    milliseconds = None if remaining is None else str(max(0, remaining // timedelta(milliseconds=1)))
    assert case["expiration"] == milliseconds


# -- codecs

CODECS = spec.vectors("codec-labels")


def library(module: str, function: str) -> Callable[[bytes], Any]:
    """Answer a function of a library that the development extras install."""

    def decode(data: bytes) -> Any:
        return getattr(importlib.import_module(module), function)(data)

    return decode


#: What decodes a sample, chosen by its label, not by its name.
DECODERS: dict[str, Callable[[bytes], Any]] = {
    "application/json": json.loads,
    "application/x-yaml": library("yaml", "safe_load"),
    "application/x-python-serialize": pickle.loads,
    "application/x-msgpack": library("msgpack", "unpackb"),
    "application/x-gzip": zlib.decompress,
    "application/x-bz2": bz2.decompress,
    "application/x-lzma": lambda data: lzma.decompress(data, lzma.FORMAT_XZ),
    "application/x-brotli": library("brotli", "decompress"),
    "application/zstd": library("zstandard", "decompress"),
}


@pytest.mark.parametrize("case", CODECS["cases"], ids=lambda case: f"{case['kind']}-{case['name']}")
def test_a_sample_is_what_its_label_says(case: dict[str, Any]) -> None:
    """The decoder that belongs to the label reads the sample, which starts with the format's first bytes."""
    sample = base64.b64decode(case["sample"], validate=True)
    decoded = DECODERS[case.get("content_type") or case["header"]](sample)
    assert (json.loads(decoded) if case["kind"] == "compression" else decoded) == CODECS["value"]
    assert sample.startswith(bytes.fromhex(case.get("magic", "")))


def test_the_codecs_are_those_of_the_options() -> None:
    """Every serializer and compression that the execution options name has its labels."""
    options = spec.schema("execution-options")["properties"]
    for kind in ("serializer", "compression"):
        named = {case["name"] for case in CODECS["cases"] if case["kind"] == kind}
        assert named == set(options[kind]["anyOf"][0]["enum"])


# -- messages

MESSAGES = spec.vectors("messages")
BAD = (["acked", "rejected"], False, None)
EITHER = (["acked", "rejected"], None, "any")

#: Messages of version 1 that some workers execute, although something is missing.
LENIENT = ("version 1 without an id", "version 1, keyword arguments are null")


def judge_header(headers: dict[str, Any]) -> Any:
    """Answer what becomes of a message because of its headers alone, None when they are fine."""
    if not headers.get("task") or not headers.get("id"):
        return BAD
    if headers["task"] != "celeriac.add":
        return (["rejected"], False, "FAILURE")
    moments = [headers.get("eta"), headers.get("expires")]
    limit = headers.get("timelimit")
    if any(value is not None and not value for value in moments) or (limit and not two(limit)):
        return EITHER
    try:
        end = [datetime.fromisoformat(value) for value in moments if value is not None][-1:]
    except (TypeError, ValueError):
        return BAD
    late = headers.get("expires") is not None and end[0].year < 2030
    return (["acked"], False, "REVOKED") if late else None


def two(value: Any) -> bool:
    """Answer whether a value is a pair."""
    return isinstance(value, list) and len(value) == 2


def judge_body(body: bytes, compression: str | None) -> Any:
    """Answer what becomes of a message because of its body alone, None when it is fine."""
    try:
        plain = zlib.decompress(body) if compression else body
        decoded = json.loads(plain)
    except (ValueError, zlib.error):
        return BAD
    if not isinstance(decoded, list) or len(decoded) != 3:
        return BAD
    args, kwargs, _ = decoded
    return None if isinstance(args, list) and isinstance(kwargs, dict) else (*BAD[:2], "any")


def upgraded(headers: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
    """Answer a message of version 1 as one of version 2, and any other as it is."""
    try:
        old = json.loads(body)
    except ValueError:
        return headers, body
    if not isinstance(old, dict) or not {"args", "kwargs"} & old.keys():
        return headers, body
    parts = [old.get("args", []), old.get("kwargs", {}), {}]
    return {**old, **headers}, json.dumps(parts).encode()


@pytest.mark.parametrize("case", MESSAGES["cases"], ids=lambda case: case["name"])
def test_a_message_has_the_fate_that_the_chapter_gives_it(case: dict[str, Any]) -> None:
    """The outcome follows from the labels, then the headers, then the body; of version 1 both are in the body."""
    base = MESSAGES["base"]
    headers = {k: v for k, v in base["headers"].items() if k not in case.get("remove", ())} | case.get(
        "set", {}
    )
    raw = case.get("body_base64")
    body = base64.b64decode(raw) if raw else case.get("body", base["body"]).encode()
    label = case.get("content_type", base["content_type"])
    headers, body = upgraded(headers, body)
    fate = (
        judge_header(headers) or judge_body(body, headers.get("compression")) or (["acked"], True, "SUCCESS")
    )
    expected = fate if label == "application/json" else (["rejected"], False, None) if label else BAD
    # a worker may read more of version 1 than it has to
    lenient = EITHER if case["name"] in LENIENT else expected
    assert (case["settled"], case["executed"], case["state"]) == lenient


def test_every_malformed_kind_has_a_sample() -> None:
    """Each requirement on malformed messages that can be observed is met by a sample."""
    named = {identity for case in MESSAGES["cases"] for identity in case["requirements"]}
    chapter = next(chapter for chapter in spec.load().chapters if chapter.slug == "task-message")
    ids = [r.id for r in chapter.requirements]
    malformed = chapter.requirements[ids.index("MSG-025") : ids.index("MSG-032")]
    wanted = {r.id for r in malformed if not r.excluded}
    assert wanted <= named


def test_all_combinations_are_counted_by_hand() -> None:
    """Four serializers or three compressions, unset and null, in three places: 216 and 125 cases."""
    counts = [len(spec.vectors(f"{what}-precedence")["cases"]) for what in ("serializer", "compression")]
    assert counts == [len(list(itertools.product(range(n), repeat=3))) for n in (6, 5)] == [216, 125]


# -- results


@pytest.mark.parametrize("case", spec.vectors("results")["cases"], ids=lambda case: case["name"])
def test_an_outcome_follows_from_the_status(case: dict[str, Any]) -> None:
    """SUCCESS is a value, FAILURE and REVOKED are errors, and with every other status the wait goes on."""
    record, outcome = case["record"], case["outcome"]
    match record["status"]:
        case "SUCCESS":
            assert outcome == {"value": record["result"]}
        case "FAILURE" | "REVOKED":
            error, told = outcome["error"], record["result"]
            assert error.get("type", told["exc_type"]) == told["exc_type"]
            assert error["text"] in str(told["exc_message"])
        case _:
            assert outcome == {"waiting": True}


def test_results_of_every_outcome_are_sampled() -> None:
    """There are values, errors with and without a class that anybody has, and states that are not final."""
    outcomes = [next(iter(case["outcome"])) for case in spec.vectors("results")["cases"]]
    assert {kind: outcomes.count(kind) >= 3 for kind in outcomes} == dict.fromkeys(
        ("value", "error", "waiting"), True
    )


# -- routing and priorities

ROUTING = spec.vectors("routing-precedence")["cases"]


def test_the_queue_takes_every_combination() -> None:
    """Option and attribute are missing, null or given, and the route is missing or given: eighteen rows."""
    said = [tuple(_said(case, source) for source in ("option", "attribute", "route")) for case in ROUTING]
    rows = list(itertools.product((UNSET, None, "a"), (UNSET, None, "b"), (UNSET, "c")))
    assert set(rows) <= set(said)
    assert len(ROUTING) == len({case["name"] for case in ROUTING}) > len(rows)


def _said(case: dict[str, Any], source: str) -> Any:
    said = case.get(source, UNSET)
    if isinstance(said, dict):
        return said["queue"] if set(said) == {"queue"} else said.get("exchange", said.get("routing_key"))
    return said


def test_every_priority_step_is_met() -> None:
    """The default lists are met at their first and their last priority, and so are other steps and separators."""
    cases = spec.vectors("redis-priority-keys")["cases"]
    default = [
        case["priority"] for case in cases if (case["steps"], case["sep"]) == ([0, 3, 6, 9], "\x06\x16")
    ]
    assert {None, 0, 2, 3, 5, 6, 8, 9, 255} <= set(default)
    assert len({case["sep"] for case in cases}) > 1
    assert len({tuple(case["steps"]) for case in cases}) > 1


# -- raw messages

RAW = spec.vectors("raw-messages")["cases"]

#: Those that Celery wrote, and those of other clients.
OWN = [case for case in RAW if "sent_by" not in case]
FOREIGN = [case for case in RAW if "sent_by" in case]


def decoded(case: dict[str, Any]) -> Any:
    """Answer the body of a sample by the decoders of its labels."""
    body = base64.b64decode(case["body_base64"], validate=True)
    compression = case["headers"].get("compression")
    return DECODERS[case["content_type"]](DECODERS[compression](body) if compression else body)


@pytest.mark.parametrize("case", OWN, ids=lambda case: case["name"])
def test_a_raw_message_says_what_a_worker_reads(case: dict[str, Any]) -> None:
    """Headers and body of a sample carry the task, the id and the arguments that it names."""
    reads, headers, body = case["reads"], case["headers"], decoded(case)
    assert (headers["task"], headers["id"], case["properties"]["correlation_id"]) == (
        reads["task"],
        reads["id"],
        reads["id"],
    )
    assert [sorted(part) for part in body[2:]] == [["callbacks", "chain", "chord", "errbacks"]]
    if case.get("needs") != ["typed_json"]:
        assert [list(body[0]), body[1]] == [from_json(reads["args"]), from_json(reads["kwargs"])]


@pytest.mark.parametrize("case", OWN, ids=lambda case: case["name"])
def test_an_envelope_holds_the_same_message(case: dict[str, Any]) -> None:
    """The element of the Redis list is valid, and has the body, the labels, the headers and the properties."""
    envelope = json.loads(case["envelope"])
    spec.validator("redis-envelope").validate(envelope)
    properties = envelope["properties"]
    names = ("body", "content-type", "content-encoding", "headers")
    whole = [case[name] for name in ("body_base64", "content_type", "content_encoding", "headers")]
    assert [envelope[name] for name in names] == whole
    assert {name: properties[name] for name in case["properties"]} == case["properties"]
    assert properties["delivery_info"] == {"exchange": "", "routing_key": "celery"}


def test_raw_messages_are_of_every_encoding_and_kind() -> None:
    """Each serializer and each compression has a sample, and so have links, moments, chains and groups."""
    needs = {need for case in OWN for need in case.get("needs", ())}
    named = {f"{case['kind']}:{case['name']}" for case in CODECS["cases"]}
    assert named - {"serializer:json"} <= needs
    parts = {part for case in OWN for part, value in decoded(case)[2].items() if value}
    headers = {
        name for case in OWN for name in ("eta", "expires", "group", "shadow") if case["headers"][name]
    }
    assert parts == {"callbacks", "errbacks", "chain"}
    assert headers == {"eta", "expires", "group", "shadow"}
    assert len({case["reads"]["id"] for case in RAW}) == len(RAW)


@pytest.mark.parametrize("case", FOREIGN, ids=lambda case: case["name"])
def test_a_message_of_another_client_says_what_a_worker_reads(case: dict[str, Any]) -> None:
    """Headers and body, of whichever version, carry the task, the id and the arguments that the sample names."""
    body, reads = decoded(case), case["reads"]
    old = isinstance(body, dict)
    assert ("protocol_one" in case.get("needs", ())) == old
    named = body if old else case["headers"]
    args, kwargs = (body.get("args", []), body["kwargs"]) if old else body[:2]
    assert {"task": named["task"], "id": named["id"], "args": args, "kwargs": kwargs} == reads


@pytest.mark.parametrize(
    "case", [case for case in FOREIGN if "envelope" in case], ids=lambda case: case["name"]
)
def test_an_envelope_of_another_client_holds_the_same_body(case: dict[str, Any]) -> None:
    """The element of the Redis list has the body, as base64 or as it is, and a tag and an address of its own."""
    envelope = json.loads(case["envelope"])
    properties, body = envelope["properties"], envelope["body"].encode()
    plain = base64.b64decode(body) if properties.get("body_encoding") == "base64" else body
    assert plain == base64.b64decode(case["body_base64"])
    assert envelope.get("headers", {}) == case["headers"]
    assert properties["delivery_tag"]
    assert properties["delivery_info"]["routing_key"] == "celery"


def test_a_client_without_redis_has_no_envelope() -> None:
    """Each message has an envelope, unless its client sends over AMQP only."""
    assert [case["name"] for case in RAW if ("envelope" in case) == (case.get("links") == ["amqp"])] == []


def test_clients_of_several_languages_are_sampled() -> None:
    """Both versions of the protocol are met, as at least five clients send them."""
    senders = {case["sent_by"] for case in (*FOREIGN, *MESSAGES["cases"]) if "sent_by" in case}
    needs = {tuple(case.get("needs", ())) for case in FOREIGN}
    assert len(senders) >= 5
    assert needs == {(), ("protocol_one",)}
