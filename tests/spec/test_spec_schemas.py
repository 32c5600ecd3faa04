"""Every schema is valid JSON Schema 2020-12, accepts what it should and refuses what it should not."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from celeriac import spec

MOMENT = {"$": "datetime", "v": "2030-01-01T00:00:00+01:00"}
LINK = {"$": "signature", "v": {"task": "celeriac.add", "args": {"$": "tuple", "v": [16]}, "kwargs": {}}}
SIGNATURE: dict[str, Any] = {
    "task": "t",
    "args": [1],
    "kwargs": {},
    "options": {},
    "subtask_type": None,
    "immutable": False,
}
RAW = spec.vectors("raw-messages")["cases"][0]
KEY = {
    "requirements": ["ADV-004"],
    "queue": "q",
    "priority": 0,
    "steps": [0],
    "sep": "-",
    "key": "q",
    "key_hex": "71",
}
COVERAGE = {
    "spec": {"version": "1"},
    "total": {"normative": 1, "checkable": 1, "checked": 1, "saboteur_backed": 0},
    "levels": {},
    "chapters": {},
    "requirements": {},
    "gaps": [],
}
EXAMPLE = {
    "section": "basics",
    "number": 1,
    "form": "line",
    "shows": "a call",
    "checks": ["test_guide_examples.py::test_it"],
}
LOSS = {"outcome": "lost", "note": "the link was not called"}
PAIR = {
    "broker": "redis",
    "producer": "a",
    "worker": "b",
    "features": {"link": LOSS, "args": {"outcome": "works"}},
}
CROSSED = {
    "suite": {"version": "1"},
    "versions": {"a": "1"},
    "left_out": {"c": "it is not built"},
    "pairs": [PAIR],
}
#: What was recorded for the site, and what the site says to programs; each schema has an example.
RECORDED = ("implementations", "kill-matrix", "flakes", "requirements", "profile-matrix")
KILLS, FLAKES = (spec.schema(name)["examples"][0] for name in ("kill-matrix", "flakes"))
DECIDED = {"says": "It calls.", "decided_by": ["BAS-001"]}
UNDECIDED = {"says": "Be careful.", "decided_by": None, "reason": "It is advice."}
ROUTE = {"name": "n", "requirements": ["ROU-001"], "expected": [{"queue": "default"}]}
BASE = spec.vectors("messages")["base"]
HEADERS = BASE["headers"]
EMBED = {"callbacks": [SIGNATURE], "errbacks": None, "chain": None, "chord": None}
MESSAGE = {
    "headers": HEADERS,
    "properties": {**BASE["properties"], "content_type": "application/json", "content_encoding": "utf-8"},
    "body": [[2, 2], {}, EMBED],
}
ENVELOPE = {
    "body": "W1tdXQ==",
    "content-encoding": "utf-8",
    "content-type": "application/json",
    "headers": HEADERS,
    "properties": {
        "correlation_id": "1",
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": "celery"},
        "delivery_tag": "2",
        "body_encoding": "base64",
        "priority": 0,
    },
}
RESULT = {"task_id": "1", "status": "SUCCESS", "result": 4, "traceback": None, "children": []}
CLAIM = {
    "name": "rusty",
    "roles": ["producer"],
    "links": ["amqp"],
    "clocks": ["wall"],
    "modes": ["send_task"],
    "driver": {"command": ["./rusty"]},
    "features": {"serializers": ["json"], "link": True},
}
PROFILE = {"verdict": "failed", "passed": 1, "judged": 2, "deviating": ["ETA-001"], "unclaimed": []}
REPORT: dict[str, Any] = {
    "suite": {"version": "1"},
    "spec": {"version": "1.0"},
    "adapter": {"name": "rusty"},
    "implementation": {"name": "Rusty", "version": "1"},
    "broker": {"flavour": "rabbitmq", "from": "process", "version": "3.10.8"},
    "clock": "wall",
    "started": "2030-01-01T00:00:00+00:00",
    "duration_s": 1.5,
    "counts": {"pass": 1},
    "profiles": dict.fromkeys(
        ("producer", "worker", "results", "scheduling", "workflow", "reliability"), PROFILE
    ),
    "requirements": {
        "ETA-004": {
            "level": "MUST",
            "role": "worker",
            "verdict": "pass",
            "checks": [{"id": "test_eta", "verdict": "pass", "duration_s": 1.0, "reason": ""}],
        }
    },
}

MATRIX: dict[str, Any] = {
    "runs": [
        {"flavour": "redis", "image": "redis:8", "adapter": "celery", "why_not": "there is no such image"}
    ],
    "versions": [
        {
            "flavour": "rabbitmq",
            "version": "3.8.9",
            "takes_back": [
                {
                    "queue": "classic",
                    "timeout_s": None,
                    "held_s": 9.5,
                    "ending": None,
                    "after_s": [],
                    "texts": [],
                }
            ],
            "own": {"argument": "not-applicable", "policy": "pass"},
        }
    ],
    "promises": [{"says": "It rains", "verdict": "holds", "kept_by": ["3.8.9 classic"], "broken_by": []}],
}


def without(value: dict[str, Any], *keys: str) -> dict[str, Any]:
    """Answer a mapping without some of its keys."""
    return {key: item for key, item in value.items() if key not in keys}


#: Schema -> instances that it accepts.
GOOD: dict[str, list[Any]] = {
    "coverage": [COVERAGE],
    "interop": [CROSSED],
    **{name: spec.schema(name)["examples"] for name in RECORDED},
    "guide-examples": [
        {"about": "x", "examples": spec.guide_examples()},
        {"about": "x", "examples": [{**EXAMPLE, "not_run": "why", "finding": "what"}]},
    ],
    "execution-options": [
        {},
        {"countdown": 1.5, "eta": MOMENT, "expires": 60, "retry": False, "retry_policy": {"max_retries": None}},
        {"serializer": "yaml", "compression": None, "queue": "priority.high", "priority": 255, "link": [LINK]},
        {"exchange": "ex", "routing_key": "a.b", "ignore_result": True, "expires": MOMENT, "link_error": LINK},
    ],
    "guide": [
        spec.guide(),
        {"about": "x", "sections": [{"section": "basics", "claims": [DECIDED, UNDECIDED]}], "beyond": []},
    ],
    "retry-policy": [
        {},
        {"max_retries": 3, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.2, "retry_errors": None},
        {"retry_errors": [{"$": "error", "v": "timeout"}]},
    ],
    "signature": [SIGNATURE],
    "task-message": [MESSAGE],
    "redis-envelope": [ENVELOPE],
    "result": [
        RESULT,
        {**RESULT, "status": "REVOKED", "result": {"exc_type": "TaskRevokedError", "exc_message": ["expired"]}},
        {**RESULT, "status": "PROGRESS", "result": {"progress": 50}},
        {**RESULT, "status": "RETRY", "result": None},
        {**RESULT, "status": "RETRY", "result": {"exc_type": "ValueError", "exc_message": ["not yet"]}},
    ],
    "settings": [{}, {"task_serializer": "yaml", "accept_content": ["yaml"], "something_else": 1}],
    "claim": [CLAIM, {**CLAIM, "driver": {"class": "rusty.adapter:Rusty"}}],
    "expectations": [
        {},
        {"known_failure": [{"requirement": "ETA-004", "reason": "It is early.", "kind": "bug"}]},
        {"known_failure": [{"check": "test_eta", "reason": "It is early.", "when": {"broker": ["redis", "valkey"]}}]},
    ],
    "report": [REPORT],
    "journal": spec.schema("journal")["examples"],
    "matrix": [MATRIX, {"runs": [], "versions": [], "promises": []}],
}  # fmt: skip

#: Schema -> instances that it refuses.
BAD: dict[str, list[Any]] = {
    "execution-options": [
        {"countdown": "10"},
        {"countdown": -1},
        {"eta": "2030-01-01T00:00:00+00:00"},
        {"eta": {"$": "datetime", "v": "2030-01-01T00:00:00"}},
        {"expires": 315360001},
        {"priority": 256},
        {"priority": -1},
        {"priority": 1.5},
        {"queue": ""},
        {"queue": "amq.gen"},
        {"serializer": "xml"},
        {"compression": "deflate"},
        {"ignore_result": "yes"},
        {"retry_policy": {"max_retrys": 1}},
        {"link": "celeriac.add"},
        {"publisher": "anything"},
        {"countdwon": 10},
    ],
    "guide": [
        {"about": "x", "sections": [{"section": "basics", "claims": [claim]}], "beyond": []}
        for claim in (
            {"says": "It calls."},
            {**DECIDED, "decided_by": []},
            {**DECIDED, "decided_by": ["BAS-1"]},
            {**DECIDED, "reason": "It is advice."},
            {**UNDECIDED, "reason": ""},
            without(UNDECIDED, "reason"),
        )
    ],
    "retry-policy": [
        {"max_retries": -1},
        {"max_retries": "3"},
        {"max_retries": 1.5},
        {"interval_start": -0.1},
        {"interval_step": None},
        {"interval_max": "1"},
        {"retry_errors": []},
        {"retry_errors": [{"$": "error", "v": "weather"}]},
        {"unknown": 1},
        None,
    ],
    "signature": [without(SIGNATURE, key) for key in SIGNATURE] + [{**SIGNATURE, "args": None}],
    "task-message": [
        *[{**MESSAGE, "headers": without(HEADERS, key)} for key in HEADERS],
        *[
            {**MESSAGE, "headers": {**HEADERS, **change}}
            for change in (
                {"id": ""},
                {"eta": ""},
                {"eta": 0},
                {"expires": "soon"},
                {"retries": "x"},
                {"timelimit": None},
                {"timelimit": [None]},
                {"ignore_result": "yes"},
                {"compression": None},
            )
        ],
        {**MESSAGE, "properties": {**MESSAGE["properties"], "expiration": 60000}},
        {**MESSAGE, "properties": without(MESSAGE["properties"], "content_type")},
        {**MESSAGE, "body": [[], {}]},
        {**MESSAGE, "body": [[], {}, EMBED, None]},
        {**MESSAGE, "body": [None, {}, EMBED]},
        {**MESSAGE, "body": [[], {}, {**EMBED, "extra": None}]},
        {**MESSAGE, "body": [[], {}, without(EMBED, "chord")]},
        {**MESSAGE, "body": [[], {}, {**EMBED, "callbacks": ["celeriac.add"]}]},
    ],
    "redis-envelope": [
        *[without(ENVELOPE, key) for key in ENVELOPE],
        {**ENVELOPE, "properties": without(ENVELOPE["properties"], "delivery_tag")},
        {**ENVELOPE, "properties": without(ENVELOPE["properties"], "delivery_info")},
        {**ENVELOPE, "body": "[[], {}, {}]"},
        {**ENVELOPE, "properties": {**ENVELOPE["properties"], "body_encoding": "hex"}},
    ],
    "result": [
        *[without(RESULT, key) for key in RESULT],
        {**RESULT, "status": "FAILURE", "result": "it broke"},
        {**RESULT, "status": "REVOKED", "result": {"exc_message": ["expired"]}},
        {**RESULT, "status": "RETRY", "result": "not yet"},
    ],
    "settings": [{"task_publish_retry": "no"}, {"result_expires": -1}, {"task_publish_retry_policy": {"wait": 1}}],
    "claim": [
        *[without(CLAIM, key) for key in ("name", "roles", "links", "clocks", "driver")],
        {**CLAIM, "roles": ["broker"]},
        {**CLAIM, "links": []},
        {**CLAIM, "clocks": ["sundial"]},
        {**CLAIM, "modes": ["shout"]},
        {**CLAIM, "driver": {"class": "rusty"}},
        {**CLAIM, "driver": {"class": "a:B", "command": ["b"]}},
        {**CLAIM, "features": {"serializers": "json"}},
        {**CLAIM, "features": {"link": "yes"}},
        {**CLAIM, "rolls": []},
    ],
    "expectations": [
        {"known_failure": [entry]}
        for entry in (
            {"requirement": "ETA-004"},
            {"requirement": "ETA-004", "reason": " "},
            {"reason": "Of what?"},
            {"requirement": "ETA-004", "check": "test_eta", "reason": "Which?"},
            {"requirement": "ETA-4", "reason": "It is early."},
            {"requirement": "ETA-004", "reason": "It is early.", "kind": "weather"},
            {"requirement": "ETA-004", "reason": "It is early.", "when": {"moon": "full"}},
            {"requirement": "ETA-004", "reason": "It is early.", "expires": "tomorrow"},
        )
    ],
    "matrix": [
        *[without(MATRIX, key) for key in MATRIX],
        {**MATRIX, "runs": [{**MATRIX["runs"][0], "why_not": None}]},
        {**MATRIX, "versions": [{**MATRIX["versions"][0], "own": {"policy": "pass"}}]},
        {**MATRIX, "promises": [{**MATRIX["promises"][0], "verdict": "maybe"}]},
    ],
    "journal": [
        {"record": "header"},
        {**spec.schema("journal")["examples"][0], "record": "check"},
        {**spec.schema("journal")["examples"][1], "verdict": "ok"},
        {**spec.schema("journal")["examples"][1], "password": "it"},
    ],
    "report": [
        *[without(REPORT, key) for key in REPORT],
        {**REPORT, "clock": "sundial"},
        {**REPORT, "counts": {"passed": 1}},
        {**REPORT, "profiles": {**REPORT["profiles"], "worker": {**PROFILE, "verdict": "98 %"}}},
        {**REPORT, "profiles": {"producer": PROFILE}},
        {**REPORT, "requirements": {"ETA-4": {}}},
        {**REPORT, "requirements": {"ETA-004": {"level": "MUST", "role": "worker", "verdict": "ok", "checks": []}}},
    ],
    "vectors-serializer-precedence": [{"about": "x", "cases": [{"option": "json"}]}, {"about": "x", "cases": []}],
    "vectors-compression-precedence": [{"about": "x", "cases": [{"option": "gzip", "expected": "gzip"}]}],
    "vectors-retry-schedules": [{"about": "x", "cases": [{"name": "no horizon"}]}],
    "vectors-eta-expires": [
        {"about": "x", "now": "2030-01-01T00:00:00Z", "cases": [{"name": "n", "requirements": ["A"], "options": {}}]}
    ],
    "vectors-messages": [{"about": "x", "cases": [{"name": "no base"}]}],
    "vectors-results": [
        {"about": "x", "cases": [{"name": "n", "requirements": ["RES-026"], "record": RESULT}]},
        {"about": "x", "cases": [{"name": "n", "requirements": ["RES-026"], "record": {}, "outcome": {"value": 4}}]},
    ],
    "vectors-raw-messages": [
        {"about": "x", "cases": [{**RAW, "headers": {}}]},
        {"about": "x", "cases": [{**RAW, "reads": {"task": "t", "id": "1", "args": [{"$": "set"}], "kwargs": {}}}]},
    ],
    "vectors-redis-priority-keys": [
        {"about": "x", "cases": [{**KEY, "priority": 256}]},
        {"about": "x", "cases": [{**KEY, "key_hex": "7"}]},
    ],
    "vectors-routing-precedence": [
        {"about": "x", "cases": [{**ROUTE, "option": {}}]},
        {"about": "x", "cases": [{**ROUTE, "expected": []}]},
    ],
    "implementations": [{"rows": [{"adapter": "mine"}]}, {"rows": [], "percent": 98}],
    "kill-matrix": [{**KILLS, "date": "today"}, {**KILLS, "saboteurs": {"it": True}}, {**KILLS, "oddities": {"": 1}}],
    "flakes": [{**FLAKES, "runs": 0}, {**FLAKES, "disagreements": [1]}, {**FLAKES, "verdicts": {"pass": 0}}],
    "requirements": [{"spec": {"version": "1"}, "requirements": []}, {"requirements": [{"id": "ETA-004"}]}],
    "profile-matrix": [{"profiles": {}, "rows": []}, {"profiles": {"worker": "it"}, "rows": [{}]}],
    "interop": [
        {**CROSSED, "pairs": [{**PAIR, "broker": "sqs"}]},
        {**CROSSED, "pairs": [{**PAIR, "features": {"link": {"outcome": "lost"}}}]},
        {**CROSSED, "pairs": [{**PAIR, "features": {"telepathy": LOSS}}]},
    ],
    "coverage": [{**COVERAGE, "total": {}}, {**COVERAGE, "gaps": [{"about": "BAS-001"}]}],
    "guide-examples": [
        {"about": "x", "examples": []},
        {"about": "x", "examples": [{**EXAMPLE, "number": 0}]},
        {"about": "x", "examples": [{**EXAMPLE, "form": "ruby"}]},
        {"about": "x", "examples": [{**EXAMPLE, "checks": []}]},
        {"about": "x", "examples": [{**EXAMPLE, "not_run": ""}]},
    ],
    "vectors-codec-labels": [{"about": "x", "value": [], "cases": [{"kind": "serializer", "name": "json"}]}],
}  # fmt: skip

GOOD |= {f"vectors-{name}": [spec.vectors(name)] for name in spec.vector_names()}


@pytest.mark.parametrize("name", spec.schema_names())
def test_a_schema_is_valid_2020_12(name: str) -> None:
    """Each schema says which draft it follows, follows it, and has the URN of its name."""
    schema = spec.schema(name)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"urn:celeriac:schema:{name}"
    assert schema["title"]
    Draft202012Validator.check_schema(schema)


def test_every_schema_has_instances_on_both_sides() -> None:
    """No schema of the specification is without an instance that it accepts and one that it refuses."""
    names = {name for name in spec.schema_names() if not name.startswith("adapter-")}
    assert set(GOOD) == set(BAD) == names


@pytest.mark.parametrize("name", sorted(GOOD))
def test_a_schema_accepts_what_is_right(name: str) -> None:
    """Every right instance is valid."""
    for instance in GOOD[name]:
        spec.validator(name).validate(instance)


@pytest.mark.parametrize("name", sorted(BAD))
def test_a_schema_refuses_what_is_wrong(name: str) -> None:
    """Every wrong instance is invalid."""
    for instance in BAD[name]:
        assert not spec.validator(name).is_valid(instance), instance


@pytest.mark.parametrize("name", [name for name in spec.schema_names() if not name.startswith("adapter-")])
def test_examples_in_a_schema_are_valid(name: str) -> None:
    """Every example that a schema shows is one that it accepts."""
    schema = spec.schema(name)
    for example in schema.get("examples", ()):
        spec.validator(name).validate(example)
