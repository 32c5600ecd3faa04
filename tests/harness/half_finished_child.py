"""An adapter process at one of its half-finished stages, spoken by hand; the last one is a finished beginning."""

from __future__ import annotations

import json
import sys
from typing import Any

HELLO = {"protocol": 1, "implementation": "half", "version": "0"}

#: Stage -> operation -> the answers to it; an operation that is not there is `unsupported`.
STAGES: dict[str, dict[str, list[dict[str, Any]]]] = {
    "silent": {"hello": []},
    "nameless": {"hello": [{"ok": {"protocol": 1}}]},
    "of_the_future": {"hello": [{"ok": {**HELLO, "protocol": 2}}]},
    "refusing": {"hello": [{"unsupported": {"feature": "hello", "reason": "who asks?"}}]},
    "twice": {"hello": [{"ok": HELLO}, {"ok": HELLO}]},
    "modest": {"hello": [{"ok": {**HELLO, "roles": ["worker"]}}]},
    "no_begin": {"hello": [{"ok": HELLO}]},
    "no_end": {
        "hello": [{"ok": HELLO}],
        "begin": [{"ok": None}],
        "end": [{"broken": {"detail": "no way out"}}],
    },
    "no_call": {"hello": [{"ok": HELLO}], "begin": [{"ok": None}], "end": [{"ok": None}]},
}


def main(stage: str) -> None:
    """Serve requests until the input ends."""
    if stage == "chatty":
        sys.stdout.write("npm notice: a new version is there\n")
    if stage == "dead":
        sys.exit("no such module: client")
    for line in sys.stdin:
        request = json.loads(line)
        operation = request["op"]
        answers = STAGES.get(stage, STAGES["no_call"])
        known = {"hello", "begin", "end", "call", "start_worker", "stop_worker", "get_result", "state"}
        if stage == "dying" and operation not in known:
            sys.exit(f"unknown operation {operation}")
        unsupported = [{"unsupported": {"feature": "producer", "reason": "not there yet"}}]
        for answer in answers.get(operation, unsupported):
            sys.stdout.write(json.dumps({"id": request["id"], **answer}) + "\n")
        sys.stdout.flush()


main(sys.argv[1])
