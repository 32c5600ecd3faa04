"""The guide's own examples: which one a check plays, and what a whole call must come to.

An example shows everybody at once: somebody calls, a worker executes, somebody waits.  When it does not end as the
guide shows, the fault is looked for where the call has been, station by station, and the first requirement that is
seen broken is the one that fails.  A message or a record that is malformed decides nothing here: the chapters MSG and
RES have checks of their own for that, and blaming whoever stumbles over it would be wrong.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from celeriac.conformance import oracles
from celeriac.conformance.adapter import Ok, Raised
from celeriac.conformance.decoding import body_of, task_of
from celeriac.conformance.verdicts import NotApplicable, Violation
from celeriac.spec import validator
from celeriac.spec.model import GUIDE_SECTIONS

if TYPE_CHECKING:
    from celeriac.conformance.calls import Called
    from celeriac.conformance.history import Record
    from celeriac.conformance.world import World

__all__ = [
    "LIFE",
    "Run",
    "example",
    "executed",
    "play",
    "require_done",
    "require_end",
    "require_handles",
    "require_message",
    "require_readable",
    "value_of",
    "with_worker",
]

#: The stations of a call that ends well: published, as JSON, executed with its arguments, stored, answered.
LIFE = ("BAS-001", "SER-001", "MSG-019", "RES-011", "ONM-007")

#: States after which nothing more is stored of a task.
FINAL = frozenset({"SUCCESS", "FAILURE", "REVOKED"})

#: What may not be as it should -> who says so.
DECIDED_BY = {
    "message": "the chapter MSG",
    "record": "RES-010",
    "handle": "BAS-008",
    "result": "ONM-007 and RES-026",
}

Check = TypeVar("Check", bound=Callable[..., None])


def example(section: str, *numbers: int) -> Callable[[Check], Check]:
    """Mark a check as one of an example of the guide, and say which one whenever it fails.

    Args:
        section: a slug of ``GUIDE_SECTIONS``.
        numbers: of the example in its section, from 1; several when blocks belong together.  See
            ``guide-examples.json`` in the specification.

    Raises:
        KeyError: there is no such section.
    """
    word = "example" if len(numbers) == 1 else "examples"
    place = f"Calling Tasks, {GUIDE_SECTIONS[section]}, {word} {', '.join(map(str, numbers))}"

    def mark(function: Check) -> Check:
        @functools.wraps(function)
        def placed(*args: Any, **kwargs: Any) -> None:
            try:
                function(*args, **kwargs)
            except Violation as violation:
                raise Violation(violation.requirement, violation.judgement.about(place)) from violation

        return placed  # type: ignore[return-value]

    return mark


@dataclass(frozen=True, slots=True)
class Run:
    """A call that was made and waited for."""

    task: str
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    options: Mapping[str, Any]
    called: Called
    answer: Ok | Raised


def with_worker(world: World) -> None:
    """Begin a scenario with a worker, which every example of the guide takes for granted."""
    world.begin()
    world.worker()


def play(
    world: World,
    task: str = "celeriac.add",
    args: Sequence[Any] = (2, 2),
    kwargs: Mapping[str, Any] | None = None,
    *,
    mode: Any = "apply_async",
    on_message: bool = False,
    propagate: bool = True,
    **options: Any,
) -> Run:
    """Call a task and wait for its result, as the guide's examples do; a worker is running."""
    called = world.call(task, args, kwargs, mode=mode, **options)
    answer = world.get(called, on_message=on_message, propagate=propagate)
    return Run(task, args, kwargs or {}, options, called, answer)


def require_end(world: World, run: Run, value: Any) -> Record:
    """Require that a call came to its end with this value, station by station; answer its message's record."""
    record = require_done(world, run, value)
    world.judge("ONM-007", oracles.equal(value, value_of(run.answer), "the answered value", record))
    return record


def require_done(world: World, run: Run, value: Any) -> Record:
    """Require the stations of a call up to where its value is stored; answer its message's record."""
    record = require_message(world, run)
    executed(world, run.called.id, run.args, run.kwargs)
    _require_stored(world, run.called.id, value)
    return record


def require_message(world: World, run: Run) -> Record:
    """Require one sound message of a call for this task with these arguments, JSON unless the call says otherwise."""
    history, task_id = world.history, run.called.id
    world.wait("published", task_id=task_id)
    messages = [record for record in history.of("published", task_id=task_id) if task_of(record)]
    world.judge("BAS-001", oracles.equal(1, len(messages), "the number of messages", *messages))
    record = messages[0]
    world.judge("BAS-001", oracles.equal(run.task, task_of(record), "the name of the task", record))
    if "serializer" not in run.options:
        label = record.properties.get("content_type")
        world.judge("SER-001", oracles.equal("application/json", label, "the content type", record))
    body = body_of(record)
    _decides_nothing("message", _faults_of_message(world, record, body))
    seen = [list(body[0]), dict(body[1])]
    world.judge("BAS-001", oracles.equal([list(run.args), dict(run.kwargs)], seen, "the arguments", record))
    return record


def executed(world: World, task_id: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Record:
    """Require that a worker has started the task with these arguments."""
    started = world.wait("started", task_id=task_id)
    seen = None if started is None else [list(started.args), dict(started.kwargs)]
    evidence = world.history.task(task_id) if started is None else [started]
    what = "what the function of the task was called with"
    world.judge("MSG-019", oracles.equal([list(args), dict(kwargs)], seen, what, *evidence))
    assert started is not None
    return started


def require_handles(answered: Sequence[str], messages: Sequence[Record]) -> None:
    """End the check without a verdict when the ids that calls have answered are not those of their messages.

    Raises:
        NotApplicable: they are not.
    """
    sent = [record.task_id for record in messages]
    _decides_nothing("handle", [] if list(answered) == sent else [f"answered {answered}, sent {sent}"])


def require_readable(world: World, values: Sequence[tuple[Called, Any]]) -> None:
    """End the check without a verdict when waiting for each of these tasks alone does not answer its value.

    Raises:
        NotApplicable: it does not.
    """
    seen = [(value_of(world.get(called)), value) for called, value in values]
    _decides_nothing(
        "result", [f"{found!r} in place of {value!r}" for found, value in seen if found != value]
    )


def value_of(answer: Ok | Raised) -> Any:
    """Answer the value that a wait has answered, or what it has raised."""
    return answer.value.get("value", "absent") if isinstance(answer, Ok) else answer


def _require_stored(world: World, task_id: str, value: Any) -> None:
    def stored() -> list[Record]:
        return world.history.of("stored", task_id=task_id)

    world.until(lambda: any(record.state in FINAL for record in stored()))
    _decides_nothing("record", [fault for record in stored() for fault in _faults_of_record(record, task_id)])
    seen = [(record.state, record.result) for record in stored() if record.state in FINAL]
    world.judge(
        "RES-011", oracles.equal([("SUCCESS", value)], seen, "the final state that is stored", *stored())
    )


def _decides_nothing(what: str, faults: Sequence[str]) -> None:
    """End the check without a verdict when something has faults that other checks will find.

    Raises:
        NotApplicable: it has.
    """
    if faults:
        message = (
            f"the {what} is not as it should be, for {DECIDED_BY[what]} to decide: {'; '.join(faults[:3])}"
        )
        raise NotApplicable(message)


def _faults_of_message(world: World, record: Record, body: Any) -> list[str]:
    whole = _as_json({"headers": record.headers, "properties": {}, "body": body})
    found = [
        error for error in validator("task-message").iter_errors(whole) if "properties" not in error.path
    ]
    told = [error.message for error in found]
    if record.properties.get("correlation_id") != record.headers.get("id"):
        told.append("the correlation_id is not the id")
    awaited = world.stage.scenario.backend_url == "rpc://" and not record.headers.get("ignore_result")
    if awaited and not _is_read(world, record.properties.get("reply_to")):
        told.append("the reply_to is no queue of the caller's")
    return told


def _is_read(world: World, queue: Any) -> bool:
    """Answer whether somebody has declared a reply queue, or it is one of the broker's own making."""
    built_in = isinstance(queue, str) and queue.startswith("amq.")
    return built_in or world.history.first("declared", entity="queue", name=queue) is not None


def _faults_of_record(record: Record, task_id: str) -> list[str]:
    found = [error.message for error in validator("result").iter_errors(record.record)]
    return found if record.record.get("task_id") == task_id else [*found, "the task_id is another"]


def _as_json(value: Any) -> Any:
    """Answer lists for tuples and plain mappings, as a schema knows them."""
    if isinstance(value, list | tuple):
        return [_as_json(item) for item in value]
    return {key: _as_json(item) for key, item in value.items()} if isinstance(value, Mapping) else value
