"""The steps from nothing to a complete adapter, in the order in which an author meets them.

A step returns what it has seen, or raises ``Missing``: what is missing next, in words, and what would be there if it
were not.  What the claim does not promise is skipped.  A step judges the adapter and never the implementation: a
message that breaks the protocol was sent, and the suite will say more of it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from celeriac.conformance.adapter import (
    Answer,
    Event,
    Ok,
    Raised,
)
from celeriac.conformance.decoding import body_of
from celeriac.conformance.doctor_talk import Missing
from celeriac.conformance.doctor_values import sending_mode, values
from celeriac.conformance.messages import WireMessage, redis_envelope, task_message
from celeriac.conformance.verdicts import Violation
from celeriac.spec import validator

if TYPE_CHECKING:
    from celeriac.conformance.calls import Called
    from celeriac.conformance.claim import Claim
    from celeriac.conformance.history import Record
    from celeriac.conformance.world import World

T = TypeVar("T")

__all__ = ["STEPS", "WANTED", "Step", "plainly"]

#: Seconds within which what has been answered must have happened.
SOON = 10.0

TASK_ID = "5f4ba0a0-33b1-4e2c-a0f6-9a5e6c1d7e11"

#: What satisfies each request that a step makes.
WANTED: Mapping[str, Answer] = {
    "hello": Ok({"protocol": 1, "implementation": "my client", "version": "0.1", "missing": {}}),
    "begin": Ok(),
    "end": Ok(),
    "call": Ok({"task_id": TASK_ID}),
    "start_worker": Ok(),
    "stop_worker": Ok({"exit_code": 0}),
    "get_result": Ok({"value": 4, "messages": []}),
    "state": Ok("SUCCESS"),
}


@dataclass(frozen=True, slots=True)
class Step:
    """One step that plays in scenarios.

    Attributes:
        name: a word.
        roles: what the claim has to name; other claims skip it.
        take: plays it and answers what was seen; lines after the first are remarks.
    """

    name: str
    roles: tuple[str, ...]
    take: Callable[[World, Claim], str]


def plainly(violation: Violation, operation: str) -> str:
    """Answer in plain words what a violation says of a request."""
    judgement = violation.judgement
    if not judgement.observed.startswith("unsupported: "):
        return f"Expected: {judgement.expected}.\nObserved: {judgement.observed}."
    said = judgement.observed.removeprefix("unsupported: ")
    return (
        f"`{operation}` was answered unsupported ({said}), and adapter.toml does not say so: "
        "let it work, or say there that there is no such thing."
    )


def _promised(request: Callable[[], T], operation: str, **more: Any) -> T:
    """Make a request that the claim promises to work; ``more`` is what else should be there."""
    try:
        return request()
    except Violation as error:
        raise Missing(plainly(error, operation), operation, **more) from None


# -- a scenario -----------------------------------------------------------------------------------------


def scenario(world: World, claim: Claim) -> str:
    """Begin a scenario and end it."""
    world.begin(results=False)
    world.end()
    return "a scenario begins and ends"


# -- a message ------------------------------------------------------------------------------------------


def publish(world: World, claim: Claim) -> str:
    """Call a task and look for its message, first on the wire and then in the queue."""
    world.begin(results=False)
    called = _called(world, claim)
    record = _published(world, called)
    arrived = world.until(lambda: bool(world.stage.waiting().get(world.queue)), timeout=SOON)
    if not arrived:
        raise Missing(
            f"The message went to {_place(record)}, and the queue {world.queue!r} is empty. A call without options "
            "goes to the queue that `begin` has named: declare it and publish to the default exchange, with its name "
            "as the routing key (Redis: push to the list of that name).",
            "call",
            wanted=_lines(world, _message_of(called)),
        )
    return "\n".join(
        [f"a message of {len(record.body)} bytes in the queue of the scenario", *_remarks(record)]
    )


def _called(world: World, claim: Claim) -> Called:
    wanted = _lines(world, task_message("celeriac.add", (2, 2), reply_to="", task_id=TASK_ID))
    called = _promised(partial(world.call, mode=sending_mode(claim)), "call", wanted=wanted)
    if isinstance(called.answer, Raised):
        text = f"The call was refused, with {called.answer.type}: {called.answer.text}"
        raise Missing(text, "call", wanted=wanted)
    return called


def _published(world: World, called: Called) -> Record:
    record = world.wait("published", task_id=called.task_id, timeout=SOON)
    if record is not None:
        return record
    others = world.history.of("published")
    if others:
        seen = f"{_place(others[-1])}, with the id {others[-1].task_id!r}"
        text = (
            f"The call was answered with the id {called.task_id!r}; the message that was seen went to {seen}."
        )
    elif world.history.of("connected"):
        text = "The call was answered and the broker was connected to, but no message was published."
    else:
        text = "The call was answered, but nobody has connected to the broker_url that `begin` has named."
    text += f" A message of the call has to be on the wire within {SOON:g} s."
    raise Missing(text, "call", wanted=_lines(world, _message_of(called)))


def _message_of(called: Called) -> WireMessage:
    """Answer the message that the call could have sent."""
    return task_message("celeriac.add", (2, 2), reply_to="", task_id=called.task_id)


def _lines(world: World, message: WireMessage) -> list[str]:
    """Answer a message in the queue of the scenario as a reader sees it."""
    if world.link == "redis":
        return [f"in the list {world.queue}:", redis_envelope(message, world.queue).decode()]
    labels = {"content_type": message.content_type, "content_encoding": message.content_encoding}
    properties = {name: value for name, value in message.properties.items() if value != ""}
    return [
        f"in the queue {world.queue}:",
        f"properties {json.dumps({**labels, **properties})}",
        f"headers {json.dumps(message.headers)}",
        f"body {message.body.decode()}",
    ]


def _place(record: Record) -> str:
    if record.queue is not None:
        return f"the list {record.queue!r}"
    return f"the exchange {record.exchange!r} with the routing key {record.routing_key!r}"


def _remarks(record: Record) -> list[str]:
    """Say what of the message breaks the schema of task messages: the suite will judge it."""
    try:
        body = body_of(record)
    except Exception as error:  # noqa: BLE001 - a body can be anything
        return [f"its body cannot be read: {type(error).__name__}: {error}"[:200]]
    whole = {"headers": record.headers, "properties": record.properties, "body": body}
    errors = list(validator("task-message").iter_errors(_plain(whole)))
    named = [
        f"{'.'.join(map(str, error.absolute_path)) or 'message'}: {error.message}"[:120] for error in errors
    ]
    more = [f"... and {len(named) - 3} more"] if len(named) > 3 else []
    return (
        ["it is no valid task message, which the suite will say more of:", *named[:3], *more] if named else []
    )


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return {key: _plain(item) for key, item in value.items()} if isinstance(value, Mapping) else value


# -- an execution ---------------------------------------------------------------------------------------


def execute(world: World, claim: Claim) -> str:
    """Start a worker, let it execute a message of the harness's own, stop it."""
    world.begin(results=False)
    worker = _promised(world.worker, "start_worker", events=[_event("ready", {"worker": "worker-1"})])
    about: dict[str, Any] = {"worker": worker}
    if world.wait("ready", worker=worker, timeout=SOON) is None:
        text = f"`start_worker` was answered, but no event says that {worker} is ready."
        raise Missing(text, "start_worker", events=[_event("ready", about)])
    sent = world.send()
    about |= {"task_id": sent.task_id, "task": "celeriac.add", "args": [2, 2], "kwargs": {}, "attempt": 0}
    started, ended = _event("started", about), _event("ended", {**about, "state": "SUCCESS", "value": 4})

    def missing(text: str, *events: Event) -> Missing:
        given = _lines(world, sent.message)
        return Missing(f"{text}{_end_of(world, worker)}", "start_worker", events=events, given=given)

    if _happened(world, "started", worker, sent.task_id) is None:
        raise missing(
            "A message is in the queue, and no event says that its task has started.", started, ended
        )
    record = _happened(world, "ended", worker, sent.task_id)
    if record is None:
        raise missing("The task has started, and no event says that it has ended.", ended)
    seen = record.data.get("state"), record.data.get("value")
    if seen != ("SUCCESS", 4):
        raise missing(f"The task should have ended with SUCCESS and 4, and has ended with {seen}.", ended)
    world.stop(worker)
    return "a worker is ready, executes a message and stops"


def _event(kind: Any, data: Mapping[str, Any]) -> Event:
    return Event(kind, round(time.time(), 3), dict(data))


def _happened(world: World, kind: str, worker: str, task_id: str) -> Record | None:
    """Wait for a record of a task, or for the end of its worker."""
    here = world.history
    world.until(
        lambda: bool(here.of(kind, task_id=task_id) or here.of("stopped", worker=worker)), timeout=2 * SOON
    )
    return here.first(kind, task_id=task_id)


def _end_of(world: World, worker: str) -> str:
    end = world.history.first("stopped", worker=worker)
    return "" if end is None else f" The worker has ended with exit code {end.data.get('exit_code')}."


# -- a result -------------------------------------------------------------------------------------------


def result(world: World, claim: Claim) -> str:
    """Store a result in a worker's place and let the caller get it."""
    called = _with_result(world, claim)
    got = world.get(called, timeout=SOON)
    value = got.value.get("value") if isinstance(got, Ok) and isinstance(got.value, Mapping) else got
    if value != 4:
        where = world.stage.scenario.backend_url
        raise Missing(f"The result 4 is stored in {where}, and the caller got {value!r}.", "get_result")
    return "the caller gets the value that is stored"


def state(world: World, claim: Claim) -> str:
    """Ask for the state of a task whose result is stored."""
    called = _with_result(world, claim)
    world.until(lambda: world.state(called) == Ok("SUCCESS"), timeout=SOON)
    seen = world.state(called)
    if seen != Ok("SUCCESS"):
        raise Missing(f"A result is stored, and the state of its task is {seen!r}.", "state")
    return "the caller sees the state SUCCESS"


def _with_result(world: World, claim: Claim) -> Called:
    world.begin()
    called = _called(world, claim)
    _published(world, called)
    world.store(called, "SUCCESS", 4)
    return called


CALLER = ("producer", "result-consumer")

STEPS = (
    Step("scenario", (), scenario),
    Step("values", ("producer",), values),
    Step("publish", ("producer",), publish),
    Step("execute", ("worker",), execute),
    Step("result", CALLER, result),
    Step("state", CALLER, state),
)
