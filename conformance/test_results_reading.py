"""Results, continued: what a caller reads, from records that the harness has stored."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from celeriac.conformance import oracles
from celeriac.conformance.adapter import Ok, Raised
from celeriac.conformance.calls import Called
from celeriac.conformance.checks import check
from celeriac.spec import vectors

if TYPE_CHECKING:
    from celeriac.conformance.world import World

CALLER = ("producer", "result-consumer")


@check("RES-024", roles=CALLER)
def test_unknown_state_is_pending(world: World) -> None:
    """A task that nobody has executed is as pending as one that nobody has called."""
    world.begin()
    unknown = Called(str(uuid.uuid4()), Ok(), world.now(), world.now())
    for about, called in (("called", world.call()), ("never called", unknown)):
        world.judge(
            "RES-024", oracles.equal(Ok("PENDING"), world.state(called), f"the state of a task {about}")
        )


@check("RES-025", roles=CALLER)
def test_state_is_the_last_that_was_stored(world: World) -> None:
    """The state follows each record, also back from one of the task's own to a retry."""
    world.begin()
    called = world.call()
    for case in vectors("results")["cases"]:
        if "waiting" in case["outcome"]:
            store(world, called, case["record"])
            require_state(world, called, case["record"]["status"])


def require_state(world: World, called: Called, status: str) -> None:
    """Require that the state of a task becomes this one."""
    world.until(lambda: world.state(called) == Ok(status), timeout=world.tick)
    world.judge("RES-025", oracles.equal(Ok(status), world.state(called), "the state"))


def store(world: World, called: Called, record: Mapping[str, Any]) -> None:
    """Store a sample record as one of this task."""
    members = {name: value for name, value in record.items() if name not in ("task_id", "status", "result")}
    world.store(called, record["status"], record["result"], **members)


@check("RES-026", roles=CALLER)
def test_sample_records_are_read(world: World) -> None:
    """Records with more and with fewer members, values and failures of every kind, are answered as the file says."""
    world.begin()
    cases = [case for case in vectors("results")["cases"] if "waiting" not in case["outcome"]]
    for case in world.sample(cases):
        called = world.call()
        store(world, called, case["record"])
        require_outcome(world, case, world.get(called))


def require_outcome(world: World, case: Mapping[str, Any], answer: Ok | Raised) -> None:
    """Require that a wait has answered or raised what a sample says."""
    outcome = case["outcome"]
    if "value" in outcome:
        seen = answer.value.get("value", "absent") if isinstance(answer, Ok) else answer
        world.judge("RES-026", oracles.equal(outcome["value"], seen, case["name"]))
        return
    error = outcome["error"]
    holds = (
        isinstance(answer, Raised)
        and answer.category != "timeout"
        and answer.type.rpartition(".")[2] == error.get("type", answer.type.rpartition(".")[2])
        and error["text"] in answer.text
    )
    expected = f"{case['name']}: an error {error.get('type', 'of any type')} with the text {error['text']!r}"
    world.require("RES-026", holds, expected, f"{answer}")


@check("RES-027", roles=CALLER)
def test_result_ignored_by_setting_is_null_at_once(world: World) -> None:
    """Nobody executes the task, and still its result is answered."""
    world.begin(settings={"task_ignore_result": True})
    answer = world.get(world.call(), timeout=world.tick)
    value = answer.value.get("value", "absent") if isinstance(answer, Ok) else answer
    world.judge("RES-027", oracles.equal(None, value, "the answered result"))


@check("RES-031", roles=CALLER)
def test_ignored_result_is_not_the_end(world: World) -> None:
    """A caller that has asked in vain, and once more, calls the next task and gets its result."""
    world.begin()
    for _ in range(2):
        world.get(world.call(ignore_result=True), timeout=world.tick)
    called = world.call()
    world.store(called, "SUCCESS", 4)
    answer = world.get(called)
    value = answer.value.get("value", "absent") if isinstance(answer, Ok) else answer
    world.judge("RES-031", oracles.equal(4, value, "the answered result of the next call"))
