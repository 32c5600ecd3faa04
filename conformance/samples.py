"""The sample messages of the specification, as the harness sends them, and what a worker has made of one.

``vectors/messages.json`` has messages as changes of a base, ``vectors/raw-messages.json`` has them byte by byte.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from celeriac.conformance.messages import WireMessage
from celeriac.spec import vectors

if TYPE_CHECKING:
    from celeriac.conformance.history import Record
    from celeriac.conformance.world import World

__all__ = [
    "judge_all",
    "judge_places",
    "message_of",
    "raw_message_of",
    "raw_samples",
    "samples",
    "until_done",
]

Case = Mapping[str, Any]


def samples(requirement: str | None = None) -> list[Case]:
    """Answer the sample messages of a requirement, or all."""
    cases = vectors("messages")["cases"]
    return [case for case in cases if requirement is None or requirement in case["requirements"]]


def raw_samples(world: World) -> list[Case]:
    """Answer the messages byte by byte that come by this link and that the implementation claims to read."""
    cases = vectors("raw-messages")["cases"]
    here = [case for case in cases if world.link in case.get("links", (world.link,))]
    return [case for case in here if all(map(world.has, case.get("needs", ())))]


def message_of(world: World, case: Case) -> WireMessage:
    """Answer a sample message, under an id of its own in headers and body."""
    base = vectors("messages")["base"]
    fresh = world.message()
    headers = {**base["headers"], "id": fresh.task_id, "root_id": fresh.task_id, **case.get("set", {})}
    headers = {name: value for name, value in headers.items() if name not in case.get("remove", ())}
    text = str(case.get("body", base["body"])).replace(base["headers"]["id"], fresh.task_id)
    body = base64.b64decode(case["body_base64"]) if "body_base64" in case else text.encode()
    return WireMessage(
        str(headers.get("id", fresh.task_id)),
        headers,
        fresh.properties,
        body,
        case.get("content_type", base["content_type"]),
        case.get("content_encoding", base["content_encoding"]),
    )


def raw_message_of(world: World, case: Case) -> WireMessage:
    """Answer a sample as it stands, but with no time to live, and the harness's own queue where one is for replies."""
    properties = {name: value for name, value in case["properties"].items() if name != "expiration"}
    replies = {"reply_to": world.stage.reply_queue} if "reply_to" in properties else {}
    return WireMessage(
        case["reads"]["id"],
        case["headers"],
        {**properties, **replies},
        base64.b64decode(case["body_base64"]),
        case["content_type"],
        case["content_encoding"],
        case["envelope"].encode() if "envelope" in case else None,
    )


def until_done(world: World, worker: str, kinds: Sequence[str], task_id: str) -> None:
    """Wait for one of these records of a task, or for the end of the worker."""
    world.until(
        lambda: bool(world.history.of(*kinds, task_id=task_id) or world.history.of("stopped", worker=worker))
    )


def judge_all(world: World, requirement: str, cases: Sequence[Case]) -> None:
    """Require that a worker does with every sample what the sample says, once."""
    _judge_each(
        world, requirement, cases, _misdeeds, "is delivered once, executed as it says, and settled once"
    )


def judge_places(world: World, requirement: str, cases: Sequence[Case]) -> None:
    """Require that a worker that goes on after a sample does not keep it."""
    _judge_each(world, requirement, cases, _kept, "is settled, unless it ends the worker")


def _judge_each(
    world: World,
    requirement: str,
    cases: Sequence[Case],
    look: Callable[[World, Case, WireMessage, Sequence[Record]], Iterator[str]],
    sentence: str,
) -> None:
    """Play one sample after the other to one worker.

    After an end, a loop or a place that is lost, which would show in all that follows, the next sample has a
    scenario of its own.
    """
    wrong, worker = {}, _begin(world)
    for case in cases:
        played = _play(world, worker, case)
        if problem := "; ".join(look(world, case, *played)):
            wrong[case["name"]] = problem
        if problem or world.history.of("stopped", "requeued"):
            worker = _begin(world)
    told = ". ".join(f"{name!r}: {problem}" for name, problem in wrong.items())
    world.require(requirement, not wrong, f"each of {len(cases)} samples {sentence}", told)


def _begin(world: World) -> str:
    world.begin()
    return world.worker()


def _play(world: World, worker: str, case: Case) -> tuple[WireMessage, Sequence[Record]]:
    """Send a sample, and another message to prove that its time has come; answer it with the executions meanwhile."""
    mark, message = world.history.end, message_of(world, case)
    world.inject(message)
    after = world.send("celeriac.add", (3, 3)).task_id
    expected = bool(_expected(world, case))

    def starts() -> list[Record]:
        return [r for r in world.history.of("started") if r.seq >= mark and r.task_id != after]

    def over() -> bool:
        return bool(world.history.of("stopped", worker=worker) or world.history.of("requeued"))

    world.until(lambda: over() or bool(world.history.of("ended", task_id=after)))
    world.until(lambda: over() or bool(_settled(world, message) and len(starts()) >= expected), world.tick)
    return message, starts()


def _misdeeds(world: World, case: Case, message: WireMessage, starts: Sequence[Record]) -> Iterator[str]:
    executed = _expected(world, case)
    counts = {
        "delivered": (len(world.history.of("delivered", task_id=message.task_id)), (1,)),
        "settled": (len(_settled(world, message)), (1,)),
        "executed": (len(starts), (0, 1) if executed is None else (int(executed),)),
    }
    yield from (f"{what} {count} times" for what, (count, lawful) in counts.items() if count not in lawful)
    if stopped := world.history.of("stopped"):
        yield f"the worker stopped with exit code {stopped[0].exit_code}"


def _kept(world: World, _: Case, message: WireMessage, __: Sequence[Record]) -> Iterator[str]:
    # whether it may go back to the queue is for others to decide; there it takes nobody's place
    gone = world.history.of("stopped") or world.history.of("requeued", task_id=message.task_id)
    if not gone and not _settled(world, message):
        deliveries = len(world.history.of("delivered", task_id=message.task_id))
        yield f"delivered {deliveries} times and never settled"


def _expected(world: World, case: Case) -> bool | None:
    """Answer whether a sample is executed; None where a worker may refuse it, for one without what it needs."""
    needed = all(map(world.has, case.get("needs", ())))
    expected: bool | None = case["executed"] if needed else None
    return expected


def _settled(world: World, message: WireMessage) -> list[Record]:
    automatic = world.history.of("delivered", task_id=message.task_id, no_ack=True)
    return [*automatic, *world.history.of("acked", "rejected", task_id=message.task_id)]
