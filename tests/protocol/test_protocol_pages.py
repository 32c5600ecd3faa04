"""What is written of the adapter protocol is what the schemas and the harness do."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from celeriac.conformance import envelopes
from celeriac.conformance.wire_values import TAGS
from tests.protocol.page import page

ROOT = Path(__file__).resolve().parents[2]
CHAPTER = (ROOT / "spec" / "adapter-protocol.md").read_text()
SCENARIO: list[tuple[str, dict[str, Any]]] = [
    (line[0], json.loads(line[2:])) for line in CHAPTER.splitlines() if line.startswith(("> {", "< {"))
]


def test_reference_is_generated_from_the_schemas() -> None:
    """The page is what the schemas make: scripts/protocol writes it."""
    assert (ROOT / "docs" / "adapters" / "protocol.md").read_text() == page()


def test_worked_exchange_is_one() -> None:
    """Every line of the worked exchange is a message by its schema, and each request is answered before the next."""
    asked: dict[str, Any] | None = None
    for sign, message in SCENARIO:
        if sign == ">":
            assert asked is None
            envelopes.validate(message, "request")
            assert envelopes.request_from_json(message)[0] == message["op"]
            asked = message
        elif "ev" in message:
            envelopes.validate(message, "event")
        else:
            assert asked is not None
            assert message["id"] == asked["id"]
            envelopes.validate(message, "answer")
            envelopes.validate_value(asked["op"], message)
            asked = None
    assert asked is None


def test_worked_exchange_shows_a_whole_scenario() -> None:
    """The exchange has a producer, a worker, a result, an event of each common kind and a feature that is not there."""
    asked = {message["op"] for sign, message in SCENARIO if sign == ">"}
    seen = {message["ev"] for _, message in SCENARIO if "ev" in message}

    assert asked >= {"hello", "begin", "call", "start_worker", "get_result", "stop_worker", "end"}
    assert seen == {"ready", "started", "ended", "stopped"}
    assert any("unsupported" in message for _, message in SCENARIO)


def test_chapter_names_what_there_is() -> None:
    """The chapter names every operation, every tag, every kind of event and the limits of the code."""
    words = set(re.findall(r"[a-z_]+", CHAPTER))

    assert words >= {
        *envelopes.OPERATIONS,
        *TAGS,
        "ready",
        "started",
        "ended",
        "retried",
        "errback",
        "stopped",
    }
    assert f"version **{envelopes.PROTOCOL}**" in CHAPTER
    assert f"at most {envelopes.LINE_LIMIT // 1024**2} MiB" in CHAPTER
