"""An adapter process can do what it likes; the harness answers ``Broken`` with evidence and goes on."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from celeriac.conformance.adapter import Broken, Call, Event, Ok, Scenario, Unsupported
from celeriac.conformance.process import ProcessAdapter
from celeriac.conformance.verdicts import HarnessError

CHILD = Path(__file__).with_name("misbehaving_child.py")
SCENARIO = Scenario("s1", "amqp://127.0.0.1:1//", None, "q")
FRESH = Scenario("s2", "amqp://127.0.0.1:1//", None, "q", fresh=True)

#: How the child misbehaves -> what the evidence says.
MISDEEDS = {
    "crash": ("the process ended", "exit code: 7 (by itself)", "boiler exploded"),
    "crash_mid_line": ("in the middle of the line", '{"id": 3, "o', "exit code: 0"),
    "hang": ("no answer within 1 s", "killed"),
    "garbage": ("not a line of JSON", "just kidding"),
    "unknown_id": ("id 99 answers no request",),
    "two_answers": ("one of ok, raised, unsupported, broken",),
    "bad_category": ("unknown category 'sad'", "content-refused"),
    "no_constant": ("NaN is not JSON",),
    "bad_event": ("exploded",),
    "event_of_nobody": ("adapter/event.schema.json at data", "'task_id' is a required property"),
    "wrong_value": (
        "the value of 'state' breaks adapter/state.schema.json",
        "4 is not of type 'string', 'null'",
    ),
    "extra_member": ("Raised has no mood",),
    "chatter": ("not a line of JSON", "connecting..."),
    "huge": ("more than 16777216 bytes",),
}

Start = Callable[..., ProcessAdapter]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start adapters on the scripted child, begin a scenario, and close them at the end."""
    adapters: list[ProcessAdapter] = []

    def start(behaviour: str, deadline: float = 10.0, *, ahead: bool = False) -> ProcessAdapter:
        adapter = ProcessAdapter([sys.executable, str(CHILD), behaviour], deadline=deadline, ahead=ahead)
        adapters.append(adapter)
        assert adapter.begin(SCENARIO) == Ok()
        return adapter

    yield start
    for adapter in adapters:
        adapter.close()


def _pid(adapter: ProcessAdapter) -> int:
    return int(adapter.hello()["version"])


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("misdeed", MISDEEDS)
def test_misdeed_is_broken_with_evidence(start: Start, misdeed: str) -> None:
    """A misdeed breaks the request at hand, says what was seen, and the process is dead."""
    adapter = start(misdeed, deadline=1.0 if misdeed == "hang" else 10.0)
    pid = _pid(adapter)

    answer = adapter.state("t")

    assert isinstance(answer, Broken)
    for words in (*MISDEEDS[misdeed], "misbehaving_child.py", "'state'"):
        assert words in answer.detail
    assert not _lives(pid)


def test_failed_process_is_replaced_at_the_next_begin(start: Start) -> None:
    """After a failure every request repeats the evidence, until the next scenario gets a new process."""
    adapter = start("crash")
    pid = _pid(adapter)
    failure = adapter.state("t")

    assert adapter.call(Call("celeriac.add", (2, 2))) == failure
    with pytest.raises(HarnessError, match="boiler exploded"):
        adapter.hello()
    assert adapter.end() == Ok()
    assert adapter.begin(SCENARIO) == Ok()
    assert _pid(adapter) != pid


def test_second_answer_breaks_the_next_request(start: Start) -> None:
    """An answer given twice is found at the next request, which names the id."""
    adapter = start("twice")

    assert adapter.state("t") == Ok("PENDING")
    answer = adapter.end()

    assert isinstance(answer, Broken)
    assert "answered a second time" in answer.detail


def test_leftovers_of_one_scenario_do_not_reach_the_next(start: Start) -> None:
    """A scenario that begins while an unexplained answer is waiting gets a new process."""
    adapter = start("twice")
    pid = _pid(adapter)
    adapter.state("t")
    assert adapter._conversation is not None
    while adapter._conversation.is_sound():
        threading.Event().wait(0.005)

    assert adapter.begin(SCENARIO) == Ok()
    assert _pid(adapter) != pid


def test_split_writes_are_put_together(start: Start) -> None:
    """A line may arrive byte by byte, also within a character; an event before an answer is seen before it."""
    adapter = start("split")
    events: list[Event] = []
    adapter.emit = events.append

    assert adapter.state("t") == Ok("é")
    assert events == [Event("ready", 1.0, {"worker": "wörker"})]


def test_line_just_below_the_limit_is_read(start: Start) -> None:
    """A line of nearly 16 MiB is an answer like any other."""
    answer = start("big").state("t")

    assert isinstance(answer, Ok)
    assert len(answer.value) > 16_000_000


def test_process_that_does_not_read_is_broken(start: Start) -> None:
    """A request that the process does not take within the deadline is broken, however long the request is."""
    adapter = start("deaf", deadline=1.0)
    assert adapter.state("t") == Ok("PENDING")

    answer = adapter.call(Call("celeriac.echo", ("x" * 1_000_000,)))

    assert isinstance(answer, Broken)
    assert "does not read its input" in answer.detail


def test_request_that_cannot_travel_is_broken_and_harms_nothing(start: Start) -> None:
    """A value without a form on the wire breaks its request alone."""
    adapter = start("honest")

    answer = adapter.call(Call("celeriac.echo", (object(),)))
    too_long = adapter.call(Call("celeriac.echo", ("x" * 17_000_000,)))

    assert isinstance(answer, Broken)
    assert "object cannot travel" in answer.detail
    assert isinstance(too_long, Broken)
    assert "at most 16777216" in too_long.detail
    assert adapter.state("t") == Ok("PENDING")


def test_process_serves_many_scenarios_unless_one_wants_a_fresh_one(start: Start) -> None:
    """Scenarios share a process; one that says ``fresh`` gets another."""
    adapter = start("honest")
    first = _pid(adapter)

    adapter.begin(SCENARIO)
    assert _pid(adapter) == first
    adapter.begin(FRESH)
    assert _pid(adapter) != first
    assert not _lives(first)


def test_fresh_process_may_be_started_ahead(start: Start) -> None:
    """After a fresh scenario the next process is there already, and one that nobody needs ends with the adapter."""
    adapter = start("split", ahead=True)
    pids = [_pid(adapter)]
    for _ in range(3):
        assert adapter.begin(FRESH) == Ok()
        pids.append(_pid(adapter))
    assert adapter._next is not None
    waiting = adapter._next._child._process

    adapter.close()

    assert len(set(pids)) == 4
    assert not any(map(_lives, pids))
    assert waiting.returncode == 0


def test_process_that_dies_before_its_turn_is_passed_over(start: Start) -> None:
    """When the process that was started ahead has ended, the next scenario gets another."""
    adapter = start("split", ahead=True)
    assert adapter.begin(FRESH) == Ok()
    assert adapter._next is not None
    adapter._next._child._process.kill()
    while adapter._next.is_sound():
        threading.Event().wait(0.005)

    assert adapter.begin(FRESH) == Ok()
    assert adapter.state("t") == Ok("é")


def test_virtual_time_does_not_cross_a_process_boundary() -> None:
    """A scenario with a virtual clock is unsupported before anything is started."""
    adapter = ProcessAdapter(["/nonexistent"])

    answer = adapter.begin(Scenario("s", "inproc://s", None, "q", clock=object()))

    assert isinstance(answer, Unsupported)
    assert answer.feature == "virtual"


def test_program_that_cannot_be_started_is_named() -> None:
    """A command that does not exist is broken at ``begin`` and an error at ``hello``; both name it."""
    adapter = ProcessAdapter(["/nonexistent/adapter", "--fast"])

    answer = adapter.begin(SCENARIO)

    assert isinstance(answer, Broken)
    assert "/nonexistent/adapter --fast" in answer.detail
    with pytest.raises(HarnessError, match="/nonexistent/adapter"):
        adapter.hello()
    assert isinstance(adapter.state("t"), Broken)


def test_close_lets_the_process_finish(start: Start) -> None:
    """Closing ends the input, which a process takes as its end."""
    adapter = start("honest")
    pid = _pid(adapter)

    adapter.close()
    adapter.close()

    assert not _lives(pid)
