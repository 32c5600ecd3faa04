"""Connection errors: what a caller learns when the broker cannot be reached."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from celeriac.conformance import oracles
from celeriac.conformance.adapter import Ok, Raised
from celeriac.conformance.checks import check
from celeriac.conformance.fates import fate_of

if TYPE_CHECKING:
    from celeriac.conformance.calls import Called
    from celeriac.conformance.world import World

#: One quick retry: the checks here are about errors, not about schedules.
QUICK = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}


def call_in_vain(world: World) -> Called:
    """Call a task while no connection can be made."""
    world.begin(fresh=True, results=False)
    world.broker_down()
    return world.call(retry=True, retry_policy=QUICK)


@check("ERR-001")
def test_unreachable_broker_raises_a_connection_error(world: World) -> None:
    """The call raises, and the error is of the category connection."""
    answer = call_in_vain(world).answer
    holds = isinstance(answer, Raised) and answer.category == "connection"
    world.require("ERR-001", holds, "an error of the category connection", f"{answer}")


@check("ERR-002")
def test_connection_error_names_its_cause(world: World) -> None:
    """The error of the transport is the cause of the error raised."""
    answer = call_in_vain(world).answer
    holds = isinstance(answer, Raised) and bool(answer.cause) and answer.cause != answer.type
    world.require("ERR-002", holds, "an error that names the transport's error as its cause", f"{answer}")


@check("ERR-003")
def test_failed_call_publishes_nothing_ever(world: World) -> None:
    """When the broker is back, the message of the failed call does not appear; that of the next call does."""
    failed = call_in_vain(world)
    expected = "the call raises"
    world.require("ERR-003", isinstance(failed.answer, Raised), expected, f"{failed.answer}")
    world.broker_up()
    world.advance(world.tick)
    later = world.call(retry=True, retry_policy=QUICK)
    if later.task_id is not None:
        world.published(later)
    others = [record for record in world.history.of("published") if record.task_id != later.task_id]
    world.require("ERR-003", not others, "only the later call's message", f"{len(others)} others", *others)


@check("ERR-004")
@pytest.mark.parametrize("retry", [True, False], ids=["retry", "no retry"])
def test_loss_while_publishing_is_noticed(world: World, retry: bool) -> None:
    """A call whose connection is cut before the broker takes the message publishes it again or raises."""
    world.begin(fresh=True, results=False)
    first = world.published(world.call())
    world.cut_next_publish()
    fate = fate_of(world, retry=retry, retry_policy=QUICK)
    expected = "the message is published over another connection, or an error is raised"
    world.require("ERR-004", not fate.succeeded or fate.arrived(), expected, f"{fate}", first)


@check("ERR-005")
def test_producer_recovers_after_an_outage(world: World) -> None:
    """After a failed call, the next one succeeds once the broker is back."""
    failed = call_in_vain(world)
    world.require("ERR-005", isinstance(failed.answer, Raised), "the first call raises", f"{failed.answer}")
    world.broker_up()
    called = world.call(retry=True, retry_policy=QUICK)
    world.require("ERR-005", isinstance(called.answer, Ok), "the next call succeeds", f"{called.answer}")
    world.published(called)


@check("ERR-005")
def test_producer_recovers_after_a_silence(world: World) -> None:
    """When a broker that had fallen silent answers again, the next call publishes exactly one message."""
    begin_with_time_out(world)
    world.published(world.call())
    world.black_hole()
    world.after(2 * longest(world, QUICK["max_retries"]), world.broker_up)
    world.call(retry=True, retry_policy=QUICK)
    world.broker_up()
    fate = fate_of(world, retry=True, retry_policy=QUICK)
    holds = fate.succeeded and fate.arrived() and len(fate.messages) == 1
    world.require("ERR-005", holds, "the call succeeds and publishes one message", f"{fate}", *fate.messages)


@check("ERR-006")
def test_cut_idle_connection_is_replaced(world: World) -> None:
    """With retry, a call after its connection was cut publishes exactly one message."""
    world.begin(fresh=True, results=False)
    world.published(world.call())
    world.drop_connections()
    called = world.call(retry=True)
    world.require("ERR-006", isinstance(called.answer, Ok), "the call succeeds", f"{called.answer}")
    world.published(called)
    messages = world.history.of("published", task_id=called.id)
    world.judge("ERR-006", oracles.equal(1, len(messages), "the number of messages", *messages))


def begin_with_time_out(world: World) -> None:
    """Begin a scenario in which a connection may take a tick."""
    world.begin(fresh=True, results=False, settings={"broker_connection_timeout": world.tick})


def longest(world: World, retries: int) -> float:
    """Answer for how many seconds a call may be blocked by a silent broker: a tick for each of its attempts."""
    return (retries + 1) * world.tick + 2 * world.lateness


def give_up_in_time(world: World, requirement: str, retries: int) -> None:
    """Call a task while the broker is silent; judge that the caller is told, and when.

    Whoever would wait for ever is let go in the end: the broker answers again.
    """
    world.black_hole()
    limit = longest(world, retries)
    world.after(2 * limit, world.broker_up)
    fate = fate_of(world, retry=True, retry_policy={**QUICK, "max_retries": retries})
    holds = fate.failed_to_connect and fate.blocked <= limit
    expected = f"a connection error within {limit:g} s"
    world.require(requirement, holds, expected, f"{fate}", *fate.messages)


@check("ERR-008")
def test_broker_that_never_answers_is_given_up(world: World) -> None:
    """A call to a broker that accepts and never answers raises when its attempts have had their time."""
    begin_with_time_out(world)
    give_up_in_time(world, "ERR-008", retries=1)


@check("ERR-009")
def test_connection_that_has_fallen_silent_is_given_up(world: World) -> None:
    """A call over a connection on which the broker has fallen silent raises when its one attempt has had its time."""
    begin_with_time_out(world)
    world.published(world.call())
    give_up_in_time(world, "ERR-009", retries=0)
