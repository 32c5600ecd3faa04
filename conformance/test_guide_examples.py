"""The guide's own examples, from Basics to Expiration: each plays a code block or a line of the cheat sheet.

``test_guide_examples_sending.py`` has the rest.  The two modules belong to no chapter, because an example shows several
at once; each check names the requirements that it can fail, and a failure says which example it was.

Names of tasks are those of the probe tasks: ``celeriac.add`` is the guide's own, ``celeriac.echo`` stands for a task
with any arguments, ``celeriac.handler`` for its errback, ``celeriac.hello`` for its long-running task.  What an example
takes for granted (a worker, a broker that is down) is arranged here.  The blocks that do not run as they are, and why,
are in the specification's ``guide-examples.json``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from celeriac.conformance import oracles
from celeriac.conformance.adapter import Ok, Signature
from celeriac.conformance.checks import check
from celeriac.conformance.decoding import body_of, moment
from celeriac.conformance.examples import (
    LIFE,
    Run,
    example,
    executed,
    play,
    require_done,
    require_end,
    require_message,
    value_of,
    with_worker,
)

if TYPE_CHECKING:
    from celeriac.conformance.calls import Called
    from celeriac.conformance.history import Record
    from celeriac.conformance.world import World

#: Arguments of the guide's placeholder call.
ARGS, KWARGS = ("arg1", "arg2"), {"kwarg1": "x", "kwarg2": "y"}


def now(world: World) -> datetime:
    """Answer the present moment as a caller would write it."""
    return datetime.fromtimestamp(world.now(), UTC)


def require_sum(world: World, requirement: str, header: str, called: Called, seconds: float) -> None:
    """Require a moment so many seconds after the call in a header of its message."""
    earliest, latest = called.before + seconds, called.after + seconds
    why = f"the moment of the call plus {seconds} s"
    world.judge(requirement, oracles.moment_within(world.published(called), header, earliest, latest, why))


def require_moment(world: World, requirement: str, header: str, called: Called, given: datetime) -> None:
    """Require this very moment in a header of a call's message."""
    at, why = given.timestamp(), "the instant that was given"
    world.judge(requirement, oracles.moment_within(world.published(called), header, at, at, why))


def require_wait(world: World, requirement: str, run: Run) -> None:
    """Require that the task of a call is started once the moment in its ``eta`` header has come."""
    at = moment(world.published(run.called).headers["eta"]) or 0.0
    world.judge(requirement, oracles.not_before(world.history, run.called.id, at))


# -- Basics: the quick cheat sheet


@check("BAS-002", *LIFE, modes=("delay",))
@example("basics", 1)
def test_delay_with_an_argument_and_a_keyword(world: World) -> None:
    """Calling Tasks, Basics, cheat sheet, line 1: star arguments are sent away and executed."""
    with_worker(world)
    run = play(world, "celeriac.echo", ("arg",), {"kwarg": "value"}, mode="delay")
    require_end(world, run, [["arg"], {"kwarg": "value"}])


@check("BAS-001", *LIFE)
@example("basics", 2)
def test_apply_async_with_an_argument_and_a_keyword(world: World) -> None:
    """Calling Tasks, Basics, cheat sheet, line 2: the same with a tuple and a mapping."""
    with_worker(world)
    run = play(world, "celeriac.echo", ("arg",), {"kwarg": "value"})
    require_end(world, run, [["arg"], {"kwarg": "value"}])


@check("ETA-001", "BAS-001")
@example("basics", 3)
def test_countdown_of_ten_seconds(world: World) -> None:
    """Calling Tasks, Basics, cheat sheet, line 3: a call with nothing but a countdown is due in ten seconds."""
    world.begin()
    called = world.call("celeriac.echo", (), countdown=10)
    require_sum(world, "ETA-001", "eta", called, 10)


@check("ETA-002")
@example("basics", 4)
def test_eta_in_ten_seconds(world: World) -> None:
    """Calling Tasks, Basics, cheat sheet, line 4: an eta of now plus ten seconds is that moment."""
    world.begin()
    eta = now(world) + timedelta(seconds=10)
    require_moment(world, "ETA-002", "eta", world.call("celeriac.echo", (), eta=eta), eta)


@check("BAS-013", "ETA-001", "EXP-001")
@example("basics", 5)
def test_countdown_of_a_minute_that_expires_after_two(world: World) -> None:
    """Calling Tasks, Basics, cheat sheet, line 5: one call has both moments, a minute apart."""
    world.begin()
    require_sum(world, "ETA-001", "eta", world.call("celeriac.echo", (), countdown=60), 60)
    require_sum(world, "EXP-001", "expires", world.call("celeriac.echo", (), expires=120), 120)
    called = world.call("celeriac.echo", (), countdown=60, expires=120)
    for header, seconds in (("eta", 60), ("expires", 120)):
        require_sum(world, "BAS-013", header, called, seconds)
    headers = world.published(called).headers
    eta, expires = moment(headers["eta"]), moment(headers["expires"])
    apart = None if eta is None or expires is None else round(expires - eta, 3)
    world.judge("BAS-013", oracles.equal(60.0, apart, "the seconds between eta and expires"))


@check("EXP-002")
@example("basics", 6)
def test_expires_in_two_days(world: World) -> None:
    """Calling Tasks, Basics, cheat sheet, line 6: an expiry of now plus two days is that moment."""
    world.begin()
    expires = now(world) + timedelta(days=2)
    called = world.call("celeriac.echo", (), expires=expires)
    require_moment(world, "EXP-002", "expires", called, expires)


# -- Example


@check("BAS-002", *LIFE, modes=("delay",))
@example("example", 1)
def test_delay_looks_like_a_function(world: World) -> None:
    """Calling Tasks, Example, block 1: delay with two arguments and two keywords."""
    with_worker(world)
    require_end(world, play(world, "celeriac.echo", ARGS, KWARGS, mode="delay"), [list(ARGS), KWARGS])


@check("BAS-001", *LIFE)
@example("example", 2)
def test_apply_async_spelled_out(world: World) -> None:
    """Calling Tasks, Example, block 2: the same call with a list of arguments and a mapping of keywords."""
    with_worker(world)
    require_end(world, play(world, "celeriac.echo", list(ARGS), KWARGS), [list(ARGS), KWARGS])


@check("BAS-004", *LIFE, modes=("direct",))
@example("example", 3)
def test_add_returns_the_sum(world: World) -> None:
    """Calling Tasks, Example, block 3: the task add returns the sum of two arguments, here and in a worker."""
    with_worker(world)
    answer = world.call("celeriac.add", (2, 2), mode="direct").answer
    world.judge("BAS-004", oracles.equal(4, value_of(answer), "the value of a direct call"))
    require_end(world, play(world), 4)


@check("BAS-007", *LIFE, modes=("signature",))
@example("example", 4)
def test_signature_is_called(world: World) -> None:
    """Calling Tasks, Example, block 4: a signature with arguments and keywords is called like a task."""
    with_worker(world)
    keywords = {"kwarg1": "x", "kwargs2": "y"}
    require_end(world, play(world, "celeriac.echo", ARGS, keywords, mode="signature"), [list(ARGS), keywords])


# -- Linking


def linked(world: World, run: Run, key: str) -> list[tuple[str, list[Any]]]:
    """Answer the names and arguments of the signatures in the body of a call."""
    found = body_of(world.published(run.called))[2].get(key)
    if not isinstance(found, list | tuple):
        return [(f"not a list: {found!r}", [])]
    return [(each["task"], list(each["args"])) for each in found]


def followers(world: World, run: Run, count: int) -> list[Record]:
    """Answer the messages that a worker has published for other tasks, waiting until there are ``count``."""

    def published() -> list[Record]:
        messages = [r for r in world.history.of("published") if "task" in r.headers]
        return [record for record in messages if record.task_id != run.called.id]

    world.until(lambda: len(published()) >= count)
    return published()


def require_callbacks(world: World, run: Run, *expected: tuple[str, list[Any]]) -> list[Record]:
    """Require one message for each callback, in order, with the parent's value in front, and its execution."""
    messages = followers(world, run, len(expected))
    what = "the number of messages that follow"
    world.judge("LNK-006", oracles.equal(len(expected), len(messages), what, *messages))
    seen = [(record.headers["task"], list(body_of(record)[0])) for record in messages]
    world.judge(
        "LNK-007", oracles.equal(sorted(expected, key=str), sorted(seen, key=str), "what follows", *messages)
    )
    world.judge("LNK-011", oracles.equal(list(expected), seen, "the order of what follows", *messages))
    for record in messages:
        executed(world, record.task_id, body_of(record)[0], {})
    return messages


@check("LNK-001", "LNK-006", "LNK-007", "LNK-011", *LIFE)
@example("linking-callbacks-errbacks", 1)
def test_link_adds_sixteen(world: World) -> None:
    """Calling Tasks, Linking, block 1: 2 + 2 is followed by + 16, which makes 20."""
    with_worker(world)
    run = play(world, link=Signature("celeriac.add", (16,)))
    seen = linked(world, run, "callbacks")
    world.judge("LNK-001", oracles.equal([("celeriac.add", [16])], seen, "the callbacks in the body"))
    require_end(world, run, 4)
    (callback,) = require_callbacks(world, run, ("celeriac.add", [4, 16]))
    ended = world.expect("ended", task_id=callback.task_id)
    world.judge("MSG-019", oracles.equal(20, ended.value, "the value of the callback", ended))


@check("LNK-019", "LNK-020", "LNK-021", "BAS-001", "SER-001", "MSG-019")
@example("linking-callbacks-errbacks", 2)
def test_error_handler_is_told(world: World) -> None:
    """Calling Tasks, Linking, block 2: the errback is called with a request, an exception and a traceback."""
    with_worker(world)
    run = play(world, "celeriac.fail", ("no",), propagate=False, link_error=Signature("celeriac.handler"))
    require_message(world, run)
    executed(world, run.called.id, ("no",), {})
    world.wait("errback")
    told = world.history.of("errback")
    world.judge("LNK-019", oracles.equal(1, len(told), "the number of calls of the errback", *told))
    record = told[0]
    seen = (record.task_id, record.exc_type, record.exc_message, record.has_traceback)
    expected = (run.called.id, "ValueError", "no", True)
    world.judge("LNK-020", oracles.equal(expected, seen, "id, exception, text and traceback", record))
    world.judge("LNK-021", oracles.equal([], list(record.args), "further arguments", record))


@check("LNK-003", "LNK-026", *LIFE)
@example("linking-callbacks-errbacks", 3)
def test_errback_of_a_success_stays_silent(world: World) -> None:
    """Calling Tasks, Linking, block 3: an errback is given to 2 + 2, which does not need it."""
    with_worker(world)
    run = play(world, link_error=Signature("celeriac.handler"))
    seen = linked(world, run, "errbacks")
    world.judge("LNK-003", oracles.equal([("celeriac.handler", [])], seen, "the errbacks in the body"))
    require_end(world, run, 4)
    require_end(world, play(world, args=(4, 4)), 8)
    calls = world.history.of("errback")
    world.judge("LNK-026", oracles.equal(0, len(calls), "the number of calls of the errback", *calls))


@check("LNK-002", "LNK-006", "LNK-007", "LNK-011", *LIFE)
@example("linking-callbacks-errbacks", 4)
def test_list_of_links(world: World) -> None:
    """Calling Tasks, Linking, block 4: both callbacks of a list get 4, in the order of the list."""
    with_worker(world)
    run = play(world, link=[Signature("celeriac.add", (16,)), Signature("celeriac.echo")])
    expected = [("celeriac.add", [16]), ("celeriac.echo", [])]
    seen = linked(world, run, "callbacks")
    world.judge("LNK-002", oracles.equal(expected, seen, "the callbacks in the body"))
    require_end(world, run, 4)
    require_callbacks(world, run, ("celeriac.add", [4, 16]), ("celeriac.echo", [4]))


# -- On message

#: What the guide's long-running task does: states with their meta data, then its value.
STATES: list[tuple[str, Any]] = [("PROGRESS", {"progress": 50}), ("PROGRESS", {"progress": 90})]
HELLO = "hello world: 2"


@check("ONM-001", "ONM-002", "ONM-006", "RES-014", *LIFE)
@example("on-message", 1, 2, 3)
def test_on_message_hears_the_progress(world: World) -> None:
    """Calling Tasks, On message, blocks 1 to 3: the task, the wait that hears of each state, and what it prints."""
    with_worker(world)
    run = play(world, "celeriac.hello", (1, 1), on_message=True, propagate=False)
    require_done(world, run, HELLO)
    # whether a start is stored is for RES-016 to decide
    records = [
        record for record in world.history.of("stored", task_id=run.called.id) if record.state != "STARTED"
    ]
    seen = [(record.state, record.result) for record in records]
    expected = [*STATES, ("SUCCESS", HELLO)]
    world.judge("RES-014", oracles.equal(expected, seen, "the states that are stored", *records))
    ended = value_of(run.answer) not in [meta for _, meta in STATES]
    world.require("ONM-006", ended, "a wait until the task is done", f"{run.answer}")
    require_bodies(world, run)
    world.judge("ONM-007", oracles.equal(HELLO, value_of(run.answer), "the answered value"))


def require_bodies(world: World, run: Run) -> None:
    """Require that ``on_message`` heard each state of the guide's output, with the members of a body there."""
    holds = isinstance(run.answer, Ok) and "messages" in run.answer.value
    world.require("ONM-001", holds, "an answer, and the bodies that came before", f"{run.answer}")
    assert isinstance(run.answer, Ok)
    heard = [body for body in run.answer.value["messages"] if body.get("status") != "STARTED"]
    seen = [(body.get("status"), body.get("result")) for body in heard]
    expected = [*STATES, ("SUCCESS", HELLO)]
    world.judge("ONM-001", oracles.equal(expected, seen, "the states that on_message heard"))
    members: dict[str, Any] = {"task_id": run.called.id, "children": [], "traceback": None}
    for body in heard:
        there = {name: body.get(name, "absent") for name in members}
        world.judge("ONM-002", oracles.equal(members, there, f"the {body['status']} body"))


# -- ETA and countdown


@check("ETA-001", "ETA-004", *LIFE)
@example("eta-and-countdown", 1)
def test_countdown_of_three_seconds(world: World) -> None:
    """Calling Tasks, ETA and Countdown, block 1: the result 4 takes at least three seconds."""
    with_worker(world)
    run = play(world, countdown=3)
    elapsed = world.now() - run.called.before
    require_message(world, run)
    require_sum(world, "ETA-001", "eta", run.called, 3)
    require_wait(world, "ETA-004", run)
    require_end(world, run, 4)
    early = elapsed < 3 - world.history.slack
    world.require("ETA-004", not early, "a result after three seconds", f"after {elapsed:.3f} s")


@check("ETA-002", "ETA-004", "ROU-002")
@example("eta-and-countdown", 2)
def test_eta_of_tomorrow(world: World) -> None:
    """Calling Tasks, ETA and Countdown, block 2: a worker that has the task of tomorrow does not run it today."""
    with_worker(world)
    tomorrow = now(world) + timedelta(days=1)
    called = world.call("celeriac.add", (2, 2), eta=tomorrow)
    require_moment(world, "ETA-002", "eta", called, tomorrow)
    delivery = world.wait("delivered", task_id=called.id)
    world.require("ROU-002", delivery is not None, "a delivery of the message to the worker", "none")
    world.get(world.call("celeriac.add", (4, 4)))
    started = world.history.of("started", task_id=called.id)
    world.require("ETA-004", not started, "no start before tomorrow", "it was started", *started)


# -- Expiration


@check("EXP-001", "EXP-002", *LIFE)
@example("expiration", 1)
def test_expires_in_a_minute_and_in_a_day(world: World) -> None:
    """Calling Tasks, Expiration, block 1: 10 + 10 expires after a minute, or tomorrow; in time it makes 20."""
    with_worker(world)
    minute = play(world, args=(10, 10), expires=60)
    require_sum(world, "EXP-001", "expires", minute.called, 60)
    require_end(world, minute, 20)
    tomorrow = now(world) + timedelta(days=1)
    day = play(world, "celeriac.add", (10, 10), {}, expires=tomorrow)
    require_moment(world, "EXP-002", "expires", day.called, tomorrow)
    require_end(world, day, 20)
