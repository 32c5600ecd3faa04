"""Linking, at its edges: followers that want no result, results that nobody keeps, and chains without an end."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from celeriac.conformance import oracles
from celeriac.conformance.checks import check
from celeriac.conformance.decoding import body_of
from celeriac.conformance.messages import Embed
from celeriac.conformance.messages import wire_signature as sig
from celeriac.conformance.samples import until_done
from celeriac.conformance.verdicts import NotApplicable

if TYPE_CHECKING:
    from celeriac.conformance.history import Record
    from celeriac.conformance.world import World

#: A task that no worker of a check knows.
UNKNOWN = "somebody.elses.task"


def require_follower(
    world: World,
    requirement: str,
    task: str,
    args: list[Any],
    expected: list[Any],
    follower: str = UNKNOWN,
    **fields: Any,
) -> None:
    """Require that one message follows a task, for ``follower`` and with these arguments."""
    world.begin()
    world.worker()
    sent = world.send(task, args, **fields)
    world.expect("ended", task_id=sent.task_id)

    def followers() -> list[Record]:
        return [r for r in world.history.of("published") if r.headers.get("task") == follower]

    world.until(lambda: bool(followers()))
    after = world.send("celeriac.add", (3, 3))
    world.expect("ended", task_id=after.task_id)
    records = followers()
    seen = [list(body_of(record)[0]) for record in records]
    world.judge(requirement, oracles.equal([expected], seen, "the arguments of what follows", *records))


@check("LNK-028")
def test_immutable_errback_gets_its_own_arguments(world: World) -> None:
    """A published errback with an immutable signature is called with that signature's arguments alone."""
    embed = Embed(errbacks=[sig(UNKNOWN, "pre", immutable=True)])
    require_follower(world, "LNK-028", "celeriac.fail", ["no"], ["pre"], embed=embed)


@check("LNK-029")
def test_broken_chain_fails_to_its_end(world: World) -> None:
    """When the first task of three raises, both that would have followed are stored as failed."""
    world.begin()
    ids = [str(uuid.uuid4()) for _ in range(2)]
    reply_to = world.message().properties["reply_to"]
    chain: list[Mapping[str, Any]] = [
        sig("celeriac.add", 1, task_id=task_id, reply_to=reply_to) for task_id in ids
    ]
    world.worker()
    sent = world.send("celeriac.fail", ("no",), embed=Embed(chain=chain))
    world.expect("ended", task_id=sent.task_id)
    for task_id in ids:
        world.wait("stored", task_id=task_id)
        world.judge("LNK-029", oracles.stored(world.history, task_id, "FAILURE"))


@check("LNK-047")
def test_ignored_result_is_passed_on(world: World) -> None:
    """A callback follows a task whose result nobody stores, and gets the result."""
    # what becomes of a callback that the worker does not know is for LNK-006 to decide
    follower = "celeriac.echo"
    embed = Embed(callbacks=[sig(follower, 16)])
    require_follower(
        world, "LNK-047", "celeriac.add", [2, 2], [4, 16], follower, embed=embed, ignore_result=True
    )


#: What may follow a success -> the feature of a claim that promises to follow it up, and the third element of a body.
FOLLOWERS: Mapping[str, tuple[str, Embed]] = {
    "a callback": ("link", Embed(callbacks=[sig(UNKNOWN, 16)])),
    "a chain": ("chain", Embed(chain=[sig(UNKNOWN, 16)])),
    "a chord": ("chord", Embed(chord=sig(UNKNOWN, 16))),
}


@check("LNK-048")
def test_what_cannot_be_followed_is_not_begun(world: World) -> None:
    """A task with a follower of a kind that the claim denies is settled without being executed."""
    denied = {name: embed for name, (feature, embed) in FOLLOWERS.items() if not world.has(feature)}
    if not denied:
        raise NotApplicable("the claim promises all followers, which other requirements decide")
    for name, embed in denied.items():
        world.begin()
        worker = world.worker()
        sent = world.send(embed=embed)
        after = world.send(args=(3, 3))
        until_done(world, worker, ("ended",), after.task_id)
        world.wait("acked", "rejected", "requeued", task_id=sent.task_id, timeout=world.tick)
        judgement = oracles.never_started(world.history, sent.task_id)
        world.judge("LNK-048", judgement.about(f"with {name}"))
        judgement = oracles.settled(world.history, sent.task_id)
        world.judge("LNK-048", judgement.about(f"with {name}"))
