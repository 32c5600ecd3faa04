"""Message sending retry when the connection is lost in the middle: what is sent again, how often, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import pytest

from celeriac.conformance import oracles
from celeriac.conformance.checks import check
from celeriac.conformance.fates import Fate, fate_of

if TYPE_CHECKING:
    from celeriac.conformance.tap import Cut
    from celeriac.conformance.world import World

#: Attempts follow each other at once: what is judged here is how many there are.
QUICK = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}

#: A wait that differs from the default, from none, and from the time that a connection takes.
WAIT = 0.5


def call_with_losses(
    world: World, when: Literal["before", "after"], times: int | None = 1, **options: Any
) -> tuple[Fate, Cut]:
    """Call a task whose connection is lost while it publishes, so many times or each time."""
    world.begin(fresh=True, results=False)
    cut = world.cut_next_publish(when, times)
    return fate_of(world, **options), cut


@check("RTY-021")
def test_loss_in_the_middle_of_a_message_is_bridged(world: World) -> None:
    """A call whose connection is cut in the middle of the message succeeds and publishes one message."""
    fate, _ = call_with_losses(world, "before", retry=True, retry_policy=QUICK)
    holds = fate.succeeded and fate.arrived() and len(fate.messages) == 1
    world.require("RTY-021", holds, "the call succeeds and publishes one message", f"{fate}", *fate.messages)


@check("RTY-021")
def test_loss_at_any_point_is_bridged(world: World) -> None:
    """Cut before or after each frame of connecting and publishing, a call succeeds; twice only where it cannot know."""
    world.begin(fresh=True, results=False)
    census = world.count_frames()
    world.published(world.call())
    for place in world.sample(census.places()):
        world.begin(fresh=True, results=False)
        world.cut_at(place)
        fate = fate_of(world, retry=True, retry_policy=QUICK)
        holds = fate.succeeded and fate.arrived() and len(fate.messages) <= most(fate)
        expected = f"cut {place}, the call succeeds and publishes {most(fate)} at the most"
        world.require("RTY-021", holds, expected, f"{fate}", *fate.losses, *fate.messages)


def most(fate: Fate) -> int:
    """Answer how many messages are lawful: one, and another if the first was taken before a connection was lost."""
    messages, losses = fate.messages, fate.losses
    return 2 if messages and losses and losses[-1].seq > messages[0].seq else 1


@check("RTY-022")
@pytest.mark.parametrize("retries", [0, 2])
def test_every_loss_counts_as_an_attempt(world: World, retries: int) -> None:
    """Cut in the middle of each message, a call sends max_retries + 1 times, raises and has published nothing."""
    policy = {**QUICK, "max_retries": retries}
    fate, cut = call_with_losses(world, "before", None, retry=True, retry_policy=policy)
    holds = not fate.succeeded and cut.fired == retries + 1 and not fate.messages
    expected = f"the call raises after {retries + 1} attempts to send, and its message was lost"
    observed = f"after {cut.fired} attempts to send {fate}"
    world.require("RTY-022", holds, expected, observed, *fate.losses, *fate.messages)


@check("RTY-023")
def test_copies_are_few_and_the_same(world: World) -> None:
    """Without any confirmation a call publishes no more than max_retries + 1 copies, all under its one id."""
    policy = {**QUICK, "max_retries": 2}
    fate, _ = call_with_losses(world, "after", None, retry=True, retry_policy=policy)
    ids = {record.task_id for record in fate.messages} | {fate.called.task_id} - {None}
    holds = len(fate.messages) <= 3 and len(ids) <= 1
    expected = "at most 3 messages, all with one id"
    world.require("RTY-023", holds, expected, f"{fate}, under {len(ids)} ids", *fate.messages)


@check("RTY-024")
@pytest.mark.parametrize("when", ["before", "after"])
def test_retry_off_sends_at_most_once(world: World, when: Literal["before", "after"]) -> None:
    """With retry off a message that was cut off, or whose confirmation was, is not sent again."""
    fate, cut = call_with_losses(world, when, None, retry=False)
    world.advance(world.tick / 2)
    holds = cut.fired <= 1 and len(fate.messages) <= 1
    observed = f"after {cut.fired} attempts to send {fate}"
    world.require("RTY-024", holds, "the message is sent once at the most", observed, *fate.messages)


@check("RTY-025")
def test_wait_after_a_loss_is_that_of_the_policy(world: World) -> None:
    """Cut in the middle of each message, a call waits between its attempts as the policy says."""
    policy = {"max_retries": 1, "interval_start": WAIT, "interval_step": 0, "interval_max": WAIT}
    runs = []
    for _ in range(world.stage.repeats):
        fate, _ = call_with_losses(world, "before", None, retry=True, retry_policy=policy)
        runs.append(loss_and_next_attempt(world, fate))
    judgement = oracles.attempts(runs, (WAIT,), early=0.005, lateness=world.stage.jitter)
    world.judge("RTY-025", judgement)


def loss_and_next_attempt(world: World, fate: Fate) -> list[float]:
    """Answer when the connection was first lost, and when the next one was made, if ever."""
    lost = fate.losses[:1]
    following = [record for record in world.history.of("connected") if lost and record.seq > lost[0].seq]
    return [record.at for record in (*lost, *following[:1])]
