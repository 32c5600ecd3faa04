"""Any adapter can be served over a pair of pipes."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from celeriac.conformance.adapter import Adapter, Answer, Call, Event, Ok, Raised, Scenario, Unsupported
from celeriac.conformance.process import ProcessAdapter, serve
from celeriac.conformance.verdicts import HarnessError
from celeriac.conformance.wire_values import Opaque

CHATTY = Path(__file__).with_name("chatty_child.py")
SCENARIO = Scenario("s1", "amqp://127.0.0.1:1//", None, "q")


class Scripted(Adapter):
    """Answers what it was given, or raises it."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.calls: list[Any] = []
        self.closed = 0

    def hello(self) -> Mapping[str, Any]:
        """Introduce itself."""
        return {"implementation": "scripted"}

    def call(self, call: Call) -> Answer:
        """Answer or raise what it was given."""
        self.calls.append(call)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer  # type: ignore[no-any-return]

    def close(self) -> None:
        """Count."""
        self.closed += 1


def _serve(adapter: Adapter, *lines: bytes) -> list[dict[str, Any]]:
    output = io.BytesIO()
    serve(adapter, io.BytesIO(b"".join(line + b"\n" for line in lines)), output)
    return [json.loads(line) for line in output.getvalue().splitlines()]


def _call(answer: Any) -> dict[str, Any]:
    request = {"id": 5, "op": "call", "body": {"task": "celeriac.add", "args": [2, 2]}}
    (message,) = _serve(Scripted(answer), json.dumps(request).encode())
    assert message.pop("id") == 5
    return message


def test_answers_travel_as_what_they_are() -> None:
    """Each of the answers has its own key on the wire."""
    raised = Raised("encode", "EncodeError", "no", "none", "TypeError")

    assert _call(Ok({"task_id": "t"})) == {"ok": {"task_id": "t"}}
    assert _call(Unsupported("yaml", "no yaml")) == {"unsupported": {"feature": "yaml", "reason": "no yaml"}}
    assert _call(raised) == {
        "raised": {
            "category": "encode",
            "type": "EncodeError",
            "text": "no",
            "effect": "none",
            "cause": "TypeError",
        }
    }


def test_exception_of_the_adapter_is_broken_with_its_traceback() -> None:
    """An exception that escapes an adapter is the adapter's fault, and shows where it happened."""
    detail = _call(KeyError("oops"))["broken"]["detail"]

    assert "KeyError: 'oops'" in detail
    assert "Traceback" in detail


def test_adapter_that_knows_why_says_so_in_one_line() -> None:
    """A ``HarnessError`` of the adapter travels as its text, without a traceback."""
    assert _call(HarnessError("install it first")) == {"broken": {"detail": "install it first"}}


def test_hello_tells_the_version_of_the_protocol() -> None:
    """An adapter need not know of versions: who serves it answers for it, and says which one it speaks."""
    request = {"id": 1, "op": "hello", "body": {"protocol": 7}}

    (message,) = _serve(Scripted(None), json.dumps(request).encode())

    assert message == {"id": 1, "ok": {"protocol": 1, "implementation": "scripted"}}


def test_answer_of_another_type_is_broken() -> None:
    """A method that forgets to answer is named."""
    assert "'call' answered None" in _call(None)["broken"]["detail"]


def test_answer_that_is_too_long_is_broken() -> None:
    """An answer beyond the limit of a line is replaced by the reason."""
    assert "at most 16777216" in _call(Ok("x" * 17_000_000))["broken"]["detail"]


def test_request_nobody_can_read_is_answered() -> None:
    """Nonsense is answered as broken, an unknown operation as unsupported, and serving goes on."""
    adapter = Scripted(Ok())

    messages = _serve(
        adapter,
        b"nonsense",
        b'{"id": 1, "op": "dance", "body": {}}',
        b'{"id": 2, "op": "call", "body": {"colour": "red"}}',
        b'{"id": 3, "op": "call", "body": []}',
        b'{"id": 4, "op": "call", "body": {"task": "t"}}',
        b'{"id": 5, "op": "stop_worker", "body": {"who": "w"}}',
    )

    assert [(m["id"], next(k for k in m if k != "id")) for m in messages] == [
        (None, "broken"),
        (1, "unsupported"),
        (2, "broken"),
        (3, "broken"),
        (4, "ok"),
        (5, "broken"),
    ]
    assert adapter.calls == [Call("t")]
    assert adapter.closed == 1


def test_chatter_on_standard_output_is_no_message() -> None:
    """Whatever an implementation prints, from any thread or child, goes to standard error."""
    adapter = ProcessAdapter([sys.executable, str(CHATTY)])
    events: list[Event] = []
    adapter.emit = events.append
    try:
        assert adapter.hello()["implementation"] == "chatty"
        assert adapter.begin(SCENARIO) == Ok()
        assert adapter.call(Call("t", mode="direct")) == Ok({"value": ("t", b"\xff")})
    finally:
        adapter.close()

    assert len(events) == 200
    by_worker = [event.data["attempt"] for event in events if event.data["worker"] == "w2"]
    assert by_worker == list(range(50))
    (argument,) = events[0].data["args"]
    assert isinstance(argument, Opaque)
