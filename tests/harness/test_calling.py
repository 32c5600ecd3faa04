"""Several calls in one request: what becomes of an adapter's answer, and how the request travels."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from celeriac.conformance.adapter import (
    COMPOSITIONS,
    SHARED,
    Adapter,
    Answer,
    Broken,
    Call,
    Composition,
    Ok,
    Raised,
    Shared,
    Signature,
    Unsupported,
)
from celeriac.conformance.calling import Calling
from celeriac.conformance.calls import Composed, Together
from celeriac.conformance.claim import Claim
from celeriac.conformance.guard import GuardedAdapter
from celeriac.conformance.process import serve
from celeriac.conformance.verdicts import HarnessError, NotApplicable, Violation
from celeriac.conformance.world import World
from celeriac.spec import schema, validator

SIGNATURES = (Signature("celeriac.add", (2, 2)), Signature("celeriac.add", (16,)))
CALLS = (Call("celeriac.add", (2, 2)), Call("celeriac.add", (4, 4), mode="send_task"))
REFUSED = Raised("bad-argument", "TypeError", "no")
WHOLE = {"id": "whole", "task_ids": ["a", "whole"]}


class Scripted(Adapter):
    """Answers what it was made with, and keeps what it was asked."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[Any] = []

    def hello(self) -> Mapping[str, Any]:
        return {"implementation": "scripted"}

    def compose(self, kind: Composition, tasks: Sequence[Signature], options: Mapping[str, Any]) -> Answer:
        self.asked.append((kind, tuple(tasks), dict(options)))
        return self._answer()

    def call_together(self, calls: Sequence[Call], over: Shared) -> Answer:
        self.asked.append((tuple(calls), over))
        return self._answer()

    def close(self) -> None:
        """Have nothing to release."""

    def _answer(self) -> Answer:
        return self.answer() if callable(self.answer) else self.answer  # type: ignore[no-any-return]


class Stage:
    """A stage that passes requests on, and keeps what it is told to log."""

    missing: Mapping[str, str] = {}

    def __init__(self, adapter: Adapter) -> None:
        self.adapter = adapter
        self.logged: list[tuple[str, dict[str, Any]]] = []

    def now(self) -> float:
        return 5.0

    def log(self, kind: str, **data: Any) -> None:
        self.logged.append((kind, data))

    def request(self, operation: str, *arguments: Any) -> Any:
        return getattr(self.adapter, operation)(*arguments)


class Caller(Calling):
    """The calls of a world that is always there."""

    def _require_scenario(self) -> None:
        """Have one."""


def caller(answer: Any, **features: bool) -> Caller:
    """Answer a caller whose adapter gives one answer."""
    claim = Claim("scripted", "Scripted", ("producer",), ("amqp",), ("wall",), (), {}, features)
    return Caller(Stage(Scripted(answer)), claim)  # type: ignore[arg-type]


def compose(caller: Caller) -> Composed:
    """Compose a chain of two."""
    return caller.compose("chain", *SIGNATURES, queue="q")


def call_together(caller: Caller) -> Together:
    """Make two calls over a connection."""
    return caller.call_together(CALLS, "connection")


both = pytest.mark.parametrize("request_calls", [compose, call_together])


def test_composition_has_handles() -> None:
    """A composition is waited for by its own id, and each of its tasks by that task's."""
    made = compose(caller(Ok(WHOLE)))

    assert made.id == "whole"
    assert [call.id for call in made.calls] == ["a", "whole"]
    assert (made.before, made.after) == (5.0, 5.0)


def test_calls_over_a_connection_have_handles() -> None:
    """Calls made together are as good as calls made one by one."""
    made = call_together(caller(Ok({"task_ids": ["a", "b"]})))

    assert [call.id for call in made.calls] == ["a", "b"]


@both
def test_requests_are_in_the_history(request_calls: Callable[[Caller], Together]) -> None:
    """What was asked and what was answered is recorded."""
    asking = caller(Ok(WHOLE))

    request_calls(asking)

    stage: Any = asking.stage
    assert [kind for kind, _ in stage.logged] == ["called", "answered"]
    assert {data["op"] for _, data in stage.logged} == {request_calls.__name__}


@both
def test_refusal_is_found_when_it_matters(request_calls: Callable[[Caller], Together]) -> None:
    """A refused request has no calls, and whoever wants them learns why."""
    made = request_calls(caller(REFUSED))

    assert (made.task_ids, made.answer) == ((), REFUSED)
    with pytest.raises(Violation, match="bad-argument"):
        _ = made.calls


def test_refused_composition_has_no_id() -> None:
    """Waiting for a composition that was refused fails with the refusal."""
    with pytest.raises(Violation, match="bad-argument"):
        _ = compose(caller(REFUSED)).id


@both
@pytest.mark.parametrize(
    "value",
    [
        None,
        "t",
        {},
        {"id": "x"},
        {"id": "x", "task_ids": "ab"},
        {"id": "x", "task_ids": [1, 2]},
        {"id": "x", "task_ids": ["a"]},
    ],
)
def test_malformed_answer_is_an_error(request_calls: Callable[[Caller], Together], value: Any) -> None:
    """An answer without a list of ids is the adapter's fault, never the implementation's."""
    with pytest.raises(HarnessError, match=f"answered '{request_calls.__name__}' with"):
        request_calls(caller(Ok(value)))


def test_composition_without_id_is_an_error() -> None:
    """A composition that nobody can wait for is the adapter's fault."""
    with pytest.raises(HarnessError, match="expected an 'id', a text"):
        compose(caller(Ok({"task_ids": ["a", "b"]})))


@both
def test_broken_answer_is_an_error(request_calls: Callable[[Caller], Together]) -> None:
    """What the adapter breaks is an error with its words."""
    with pytest.raises(HarnessError, match="line 7"):
        request_calls(caller(Broken("line 7")))


@both
def test_answer_of_no_kind_is_an_error(request_calls: Callable[[Caller], Together]) -> None:
    """An answer that is none of the four is an error."""
    with pytest.raises(HarnessError, match="expected Ok, Raised, Unsupported or Broken"):
        request_calls(caller("of course"))


@pytest.mark.parametrize(
    ("features", "verdict"), [({"chain": True}, Violation), ({"chain": False}, NotApplicable)]
)
def test_missing_feature_is_judged_by_the_claim(features: Any, verdict: Any) -> None:
    """What the claim promises and the adapter lacks fails; what the claim denies applies to nobody."""
    with pytest.raises(verdict):
        compose(caller(Unsupported("chain", "no chains"), **features))


@pytest.mark.parametrize("kind", COMPOSITIONS)
def test_adapter_composes_nothing_by_itself(kind: Composition) -> None:
    """An adapter that does not override a composition says that it has no such thing."""
    assert Adapter().compose(kind, SIGNATURES, {}) == Unsupported(kind, f"this adapter has no {kind}")


@pytest.mark.parametrize("over", SHARED)
def test_adapter_shares_nothing_by_itself(over: Shared) -> None:
    """An adapter that does not override calls over one connection says so, by one feature."""
    answer = Adapter().call_together(CALLS, over)

    assert isinstance(answer, Unsupported)
    assert answer.feature == "publisher"


def hang() -> Answer:
    """Never answer."""
    while True:
        pass


@pytest.mark.parametrize("operation", ["compose", "call_together"])
def test_request_that_hangs_is_broken(operation: str) -> None:
    """The watchdog ends such a request like any other, and passes on what comes in time."""
    arguments: Any = ("chain", SIGNATURES, {}) if operation == "compose" else (CALLS, "producer")

    prompt = getattr(GuardedAdapter(Scripted(Ok(WHOLE)), 5.0), operation)(*arguments)
    late = getattr(GuardedAdapter(Scripted(hang), 0.05), operation)(*arguments)

    assert prompt == Ok(WHOLE)
    assert isinstance(late, Broken)
    assert f"the adapter's {operation}" in late.detail


def served(adapter: Adapter, operation: str, body: Any) -> dict[str, Any]:
    """Answer what an adapter behind pipes answers to one request."""
    line = json.dumps({"id": 1, "op": operation, "body": body}).encode() + b"\n"
    output = io.BytesIO()
    serve(adapter, io.BytesIO(line), output)
    answer: dict[str, Any] = json.loads(output.getvalue())
    return answer


SIGNATURE = {"$": "signature", "v": {"task": "celeriac.add", "args": [16]}}


def test_composition_crosses_the_pipes() -> None:
    """A request written by hand arrives as signatures and options."""
    adapter = Scripted(Ok(WHOLE))

    answer = served(adapter, "compose", {"kind": "group", "tasks": [SIGNATURE], "options": {"queue": "q"}})

    assert answer["ok"] == WHOLE
    assert adapter.asked == [("group", (Signature("celeriac.add", [16]),), {"queue": "q"})]  # type: ignore[arg-type]


def test_calls_cross_the_pipes() -> None:
    """Calls travel in the form in which a single call travels."""
    adapter = Scripted(Ok({"task_ids": ["a"]}))

    answer = served(
        adapter, "call_together", {"calls": [{"task": "celeriac.add", "args": [1]}], "over": "publisher"}
    )

    assert answer["ok"] == {"task_ids": ["a"]}
    assert adapter.asked == [((Call("celeriac.add", [1]),), "publisher")]


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("compose", {"kind": "group"}),
        ("compose", {"kind": "group", "tasks": [SIGNATURE], "options": {}, "colour": "red"}),
        ("call_together", {"over": "publisher"}),
        ("call_together", {"calls": "celeriac.add", "over": "publisher"}),
        ("call_together", {"calls": ["celeriac.add"], "over": "publisher"}),
        ("call_together", {"calls": [{"task": "t", "colour": "red"}], "over": "publisher"}),
    ],
)
def test_malformed_request_is_broken_and_refused_by_the_schema(operation: str, body: Any) -> None:
    """What does not fit is answered as broken, and the schema of requests says the same."""
    adapter = Scripted(Ok(WHOLE))

    assert "broken" in served(adapter, operation, body)
    assert adapter.asked == []
    assert not validator("adapter-request").is_valid({"id": 1, "op": operation, "body": body})


def test_schema_names_what_the_contract_names() -> None:
    """Kinds of composition and what calls can share are the same in the schema and in the contract."""
    kinds, shared = (
        schema(f"adapter-{operation}")["$defs"]["body"]["properties"][name]["enum"]
        for operation, name in (("compose", "kind"), ("call_together", "over"))
    )
    assert (tuple(kinds), tuple(shared)) == (COMPOSITIONS, SHARED)


def test_nobody_waits_for_what_no_back_end_would_store() -> None:
    """A check that waits for a stored result does not apply to a claim without a result back end."""
    claim = Claim("x", "x", ("worker",), ("amqp",), ("wall",), (), {"class": "a:B"}, {"results": []})
    world = World(Stage(Scripted(Ok())), claim)  # type: ignore[arg-type]
    with pytest.raises(NotApplicable, match="no result back end"):
        world.wait("stored", task_id="x")
