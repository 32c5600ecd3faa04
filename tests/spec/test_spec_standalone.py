"""The vectors need nothing of this project: this module imports none of it."""

from __future__ import annotations

import json
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
