"""Connection errors: what a caller learns when the broker cannot be reached."""

from __future__ import annotations

from typing import TYPE_CHECKING

from celeriac.conformance import oracles
from celeriac.conformance.adapter import Ok, Raised
from celeriac.conformance.checks import check

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
def test_loss_while_publishing_is_noticed(world: World) -> None:
    """A call whose connection is cut before the broker takes the message publishes it again or raises."""
    world.begin(fresh=True, results=False)
    first = world.published(world.call())
    world.cut_next_publish()
    called = world.call(retry=True, retry_policy=QUICK)
    if isinstance(called.answer, Raised):
        return
    again = world.wait("published", count=2, timeout=world.tick)
    expected = "the message is published over another connection, or an error is raised"
    observed = "the call returned normally and the message is lost"
    world.require("ERR-004", again is not None, expected, observed, first)


@check("ERR-005")
def test_producer_recovers_after_an_outage(world: World) -> None:
    """After a failed call, the next one succeeds once the broker is back."""
    failed = call_in_vain(world)
    world.require("ERR-005", isinstance(failed.answer, Raised), "the first call raises", f"{failed.answer}")
    world.broker_up()
    called = world.call(retry=True, retry_policy=QUICK)
    world.require("ERR-005", isinstance(called.answer, Ok), "the next call succeeds", f"{called.answer}")
    world.published(called)


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
