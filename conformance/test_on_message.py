"""On message: what a caller hears while it waits, and when the wait ends.

The results are the harness's own, so that no worker's mistake turns the check of a caller red.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from celeriac.conformance import oracles
from celeriac.conformance.adapter import Ok, Raised
from celeriac.conformance.checks import check

if TYPE_CHECKING:
    from celeriac.conformance.calls import Called
    from celeriac.conformance.world import World

#: Who is needed: somebody calls, and somebody waits.
ROLES = ("producer", "result-consumer")

ERROR = {"exc_type": "ValueError", "exc_message": ["a reason"], "exc_module": "builtins"}
REVOKED = {"exc_type": "TaskRevokedError", "exc_message": ["expired"], "exc_module": "celery.exceptions"}

#: One state: its name and its result.
State = tuple[str, Any]


def store_later(world: World, called: Called, *states: State, ticks: float = 0.5) -> None:
    """Let states be stored, one after the other, while somebody waits."""

    def store() -> None:
        for status, result in states:
            world.store(called, status, result)

    world.published(called)
    world.after(world.tick * ticks, store)


def call(world: World, *states: State) -> Called:
    """Begin and call a task that nobody executes, of which these states are stored in half a tick."""
    world.begin()
    called = world.call()
    store_later(world, called, *states)
    return called


def bodies(world: World, requirement: str, called: Called, *, propagate: bool = True) -> list[dict[str, Any]]:
    """Wait for the result, and answer the bodies that ``on_message`` was called with."""
    answer = world.get(called, propagate=propagate, on_message=True)
    holds = isinstance(answer, Ok) and "messages" in answer.value
    world.require(requirement, holds, "an answer, and the bodies that came before", f"{answer}")
    assert isinstance(answer, Ok)
    return [dict(body) for body in answer.value["messages"]]


def own(messages: list[dict[str, Any]], called: Called) -> list[dict[str, Any]]:
    """Answer the bodies of the awaited task; whether there may be others is for ONM-004 to say."""
    return [body for body in messages if body.get("task_id") in {called.id, None}]


def require_value(world: World, requirement: str, answer: Ok | Raised, expected: Any) -> None:
    """Require that a wait has answered this value."""
    seen = answer.value.get("value", "absent") if isinstance(answer, Ok) else answer
    world.judge(requirement, oracles.equal(expected, seen, "the answered value"))


def is_error(value: Any) -> bool:
    """Answer whether a value is the exception that ``ERROR`` describes, as data."""
    return (
        isinstance(value, Mapping)
        and value.get("exc_type") == "ValueError"
        and "a reason" in str(value.get("exc_message"))
    )


# -- bodies


@check("ONM-001", roles=ROLES)
def test_every_state_is_heard_in_order(world: World) -> None:
    """A start, three steps of progress and the end are heard as they were stored, each once."""
    progress = [("PROGRESS", {"progress": step}) for step in range(3)]
    states = [("STARTED", {"pid": 42}), *progress, ("SUCCESS", 4)]
    called = call(world, *states)
    heard = own(bodies(world, "ONM-001", called), called)
    seen = [(body.get("status"), body.get("result")) for body in heard]
    world.judge("ONM-001", oracles.equal(states, seen, "the states that on_message heard"))


@check("ONM-002", roles=ROLES)
def test_body_has_the_members_of_the_record(world: World) -> None:
    """Id, status, result, traceback and children of a state of the task's own are those that were stored."""
    world.begin()
    called = world.call()
    children = [[["5d2c8a54-0c8f-4c5a-9a5b-8f2d6a4f9b01", None], None]]
    expected = {"task_id": called.id, "status": "HALFWAY", "result": {"seats": [1, None]}}
    stored: dict[str, Any] = {"traceback": "a text", "children": children}
    world.published(called)
    world.after(world.tick / 4, lambda: world.store(called, "HALFWAY", expected["result"], **stored))
    store_later(world, called, ("SUCCESS", 4))
    heard = own(bodies(world, "ONM-002", called), called)
    seen = [{name: body.get(name, "absent") for name in (*expected, *stored)} for body in heard[:1]]
    world.judge("ONM-002", oracles.equal([{**expected, **stored}], seen, "the first body"))


@check("ONM-003", roles=ROLES)
def test_body_of_a_failure_says_why(world: World) -> None:
    """The last body of a failed task names the exception and its text."""
    called = call(world, ("FAILURE", ERROR))
    heard = own(bodies(world, "ONM-003", called, propagate=False), called)
    seen = [(body.get("status"), body.get("result")) for body in heard]
    holds = bool(seen) and seen[-1][0] == "FAILURE" and is_error(seen[-1][1])
    world.require("ONM-003", holds, "a last body with a ValueError that says 'a reason'", f"{seen}")


@check("ONM-004", roles=ROLES)
def test_other_tasks_are_not_heard(world: World) -> None:
    """Progress of another task of the same caller is not heard."""
    world.begin()
    other, called = world.call(), world.call()
    store_later(world, other, ("PROGRESS", {"progress": 1}), ticks=0.25)
    store_later(world, called, ("PROGRESS", {"progress": 2}), ("SUCCESS", 4))
    heard = bodies(world, "ONM-004", called)
    seen = sorted({str(body.get("task_id")) for body in heard})
    world.judge("ONM-004", oracles.equal([called.id], seen, "the tasks of the bodies"))


@check("ONM-005", roles=ROLES)
def test_error_of_on_message_ends_the_wait(world: World) -> None:
    """A callback that raises at a step of progress ends the wait, and its error reaches the caller."""
    called = call(world, ("PROGRESS", {"progress": 1}), ("SUCCESS", 4))
    answer = world.get(called, on_message="raise")
    holds = isinstance(answer, Raised) and "on_message raises" in answer.text
    world.require("ONM-005", holds, "the error that says 'on_message raises' is raised", f"{answer}")


# -- the end of the wait


@check("ONM-006", roles=ROLES)
def test_wait_goes_on_until_a_final_state(world: World) -> None:
    """A start, a retry and a state of the task's own do not end the wait, a success does."""
    world.begin()
    called = world.call()
    passing = (("STARTED", {"pid": 42}), ("RETRY", ERROR), ("PROGRESS", {"progress": 1}))
    store_later(world, called, *passing, ticks=0.25)
    store_later(world, called, ("SUCCESS", 4))
    require_value(world, "ONM-006", world.get(called), 4)


@check("ONM-006", roles=ROLES)
def test_wait_ends_with_failure_and_revocation(world: World) -> None:
    """A failed and a revoked task end the wait as a success does; how is for ONM-008 and EXP-015 to decide."""
    for status, result in (("FAILURE", ERROR), ("REVOKED", REVOKED)):
        answer = world.get(call(world, (status, result)))
        ended = not (isinstance(answer, Raised) and answer.category == "timeout")
        world.require("ONM-006", ended, f"{status} ends the wait", f"{answer}")


@check("ONM-007", roles=ROLES)
def test_success_is_answered(world: World) -> None:
    """Return values are answered as they were stored, null too."""
    for value in ({"total": [1, None, "a"]}, None):
        require_value(world, "ONM-007", world.get(call(world, ("SUCCESS", value))), value)


@check("ONM-008", roles=ROLES)
def test_failure_is_raised(world: World) -> None:
    """The error has the name and the text of the task's exception."""
    answer = world.get(call(world, ("FAILURE", ERROR)))
    holds = isinstance(answer, Raised) and answer.type.endswith("ValueError") and "a reason" in answer.text
    world.require("ONM-008", holds, "a ValueError that says 'a reason' is raised", f"{answer}")


@check("ONM-009", roles=ROLES)
def test_failure_is_answered_on_request(world: World) -> None:
    """Without propagation the exception is an answer like any other."""
    answer = world.get(call(world, ("FAILURE", ERROR)), propagate=False)
    holds = isinstance(answer, Ok) and is_error(answer.value.get("value"))
    world.require("ONM-009", holds, "a ValueError that says 'a reason' is answered", f"{answer}")


@check("ONM-010", roles=ROLES)
def test_wait_times_out(world: World) -> None:
    """Without a final state the wait ends with a time-out error, not before its time; progress is no end."""
    world.begin()
    called = world.call()
    world.store(called, "PROGRESS", {"progress": 1})
    timeout, start = world.tick / 2, world.now()
    answer = world.get(called, timeout=timeout)
    elapsed = world.now() - start
    late = isinstance(answer, Raised) and answer.category == "timeout"
    world.require("ONM-010", late, "an error of the category timeout", f"{answer}")
    early = elapsed < timeout - world.history.slack
    world.require("ONM-010", not early, f"not before {timeout} s have passed", f"after {elapsed:.3f} s")


@check("ONM-011", roles=ROLES)
def test_late_result_is_answered_by_the_next_wait(world: World) -> None:
    """A wait that has timed out leaves the result to the next."""
    world.begin()
    called = world.call()
    world.get(called, timeout=world.tick / 4)
    store_later(world, called, ("SUCCESS", 4))
    require_value(world, "ONM-011", world.get(called), 4)


@check("ONM-012", roles=ROLES)
def test_stored_result_is_answered_again_and_again(world: World) -> None:
    """A result that is there before anybody waits is answered, twice."""
    world.begin()
    called = world.call()
    world.store(called, "SUCCESS", 4)
    for _ in range(2):
        require_value(world, "ONM-012", world.get(called), 4)


@check("ONM-013", roles=ROLES)
def test_revocation_is_answered_on_request(world: World) -> None:
    """Without propagation the error for a revoked task is an answer like any other."""
    answer = world.get(call(world, ("REVOKED", REVOKED)), propagate=False)
    value = answer.value.get("value") if isinstance(answer, Ok) else None
    holds = isinstance(value, Mapping) and value.get("exc_type") == "TaskRevokedError"
    world.require("ONM-013", holds, "a TaskRevokedError is answered", f"{answer}")
