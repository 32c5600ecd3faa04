"""An adapter process that answers every request, and misbehaves as told when it is asked for a state.

It uses nothing of Celeriac: it is also the proof that the protocol can be spoken by hand.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

LIMIT = 16 * 1024 * 1024


def say(message: dict[str, Any]) -> None:
    """Write one message."""
    sys.stdout.buffer.write(json.dumps(message).encode() + b"\n")
    sys.stdout.buffer.flush()


def crash(request: dict[str, Any]) -> None:
    """Die with a word on standard error."""
    sys.stderr.write("boiler exploded\n")
    os._exit(7)


def crash_mid_line(request: dict[str, Any]) -> None:
    """Die with half an answer written."""
    sys.stdout.buffer.write(b'{"id": 3, "o')
    sys.stdout.buffer.flush()
    os._exit(0)


def hang(request: dict[str, Any]) -> None:
    """Never answer."""
    time.sleep(3600)


def garbage(request: dict[str, Any]) -> None:
    """Write a line that is no message."""
    sys.stdout.buffer.write(b"Segmentation fault (just kidding)\n")
    sys.stdout.buffer.flush()


def twice(request: dict[str, Any]) -> None:
    """Answer, and answer again."""
    say({"id": request["id"], "ok": "PENDING"})
    say({"id": request["id"], "ok": "SUCCESS"})


def unknown_id(request: dict[str, Any]) -> None:
    """Answer a request that was never made."""
    say({"id": 99, "ok": None})


def two_answers(request: dict[str, Any]) -> None:
    """Say yes and no at once."""
    say({"id": request["id"], "ok": None, "broken": {"detail": "?"}})


def bad_category(request: dict[str, Any]) -> None:
    """Signal an error of a kind that does not exist."""
    say({"id": request["id"], "raised": {"category": "sad", "type": "Sad", "text": "sad"}})


def no_constant(request: dict[str, Any]) -> None:
    """Answer with a number that JSON lacks."""
    sys.stdout.buffer.write(b'{"id": %d, "ok": NaN}\n' % request["id"])
    sys.stdout.buffer.flush()


def bad_event(request: dict[str, Any]) -> None:
    """Report an event that does not exist."""
    say({"ev": "exploded", "at": 1.0, "data": {}})


def event_of_nobody(request: dict[str, Any]) -> None:
    """Report the start of a task without saying which."""
    say({"ev": "started", "at": 1.0, "data": {"worker": "w"}})


def wrong_value(request: dict[str, Any]) -> None:
    """Answer a state that is a number."""
    say({"id": request["id"], "ok": 4})


def extra_member(request: dict[str, Any]) -> None:
    """Signal an error with more than the protocol has."""
    error = {"category": "other", "type": "Sad", "text": "sad", "mood": "low"}
    say({"id": request["id"], "raised": error})


def chatter(request: dict[str, Any]) -> None:
    """Print a word for the author between two messages."""
    sys.stdout.buffer.write(b"connecting...\n")
    sys.stdout.buffer.flush()
    say({"id": request["id"], "ok": "PENDING"})


def huge(request: dict[str, Any]) -> None:
    """Write more than a line may hold, without an end."""
    try:
        for _ in range(LIMIT // 65536 + 2):
            sys.stdout.buffer.write(b"x" * 65536)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        os._exit(0)


def big(request: dict[str, Any]) -> None:
    """Answer with a line that is just short enough."""
    say({"id": request["id"], "ok": "x" * (LIMIT - 100)})


def split(request: dict[str, Any]) -> None:
    """Answer an event and an answer, one byte at a time."""
    event = {"ev": "ready", "at": 1.0, "data": {"worker": "wörker"}}
    text = "".join(
        json.dumps(m, ensure_ascii=False) + "\n" for m in (event, {"id": request["id"], "ok": "é"})
    )
    for byte in text.encode():
        sys.stdout.buffer.write(bytes([byte]))
        sys.stdout.buffer.flush()


def deaf(request: dict[str, Any]) -> None:
    """Answer once, then stop reading."""
    say({"id": request["id"], "ok": "PENDING"})
    time.sleep(3600)


def honest(request: dict[str, Any]) -> None:
    """Answer as an adapter should."""
    say({"id": request["id"], "ok": "PENDING"})


def main() -> None:
    """Serve requests until the input ends."""
    for line in sys.stdin.buffer:
        request = json.loads(line)
        if request["op"] == "state":
            globals()[sys.argv[1]](request)
        elif request["op"] == "hello":
            who = {"protocol": 1, "implementation": "scripted", "version": str(os.getpid()), "missing": {}}
            say({"id": request["id"], "ok": who})
        else:
            say({"id": request["id"], "ok": None})


main()
