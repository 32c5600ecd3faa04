"""A deadline interrupts whatever does not answer, and nothing else."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from celeriac.conformance.adapter import Adapter, Answer, Broken, Call, Event, Ok
from celeriac.conformance.guard import GuardedAdapter
from celeriac.conformance.verdicts import HarnessError
from celeriac.conformance.watchdog import Overdue, deadline


def loop() -> Any:
    """Never return, in Python."""
    while True:
        pass


def block() -> Any:
    """Never return, in the operating system."""
    threading.Event().wait()


def swallow() -> Any:
    """Never return, and hide every exception but the last."""
    for last in (False, True):
        try:
            while True:
                pass
        except BaseException:
            if last:
                raise


class Odd(Adapter):
    """An adapter whose methods do what it is made with."""

    def __init__(self, act: Callable[[], Any]) -> None:
        self.act = act

    def hello(self) -> Mapping[str, Any]:
        result: Mapping[str, Any] = self.act()
        return result

    def call(self, call: Call) -> Answer:
        answer: Answer = self.act()
        return answer

    def close(self) -> None:
        self.act()


@pytest.mark.parametrize("hang", [loop, block, swallow])
def test_hanging_request_is_broken(hang: Callable[[], Any]) -> None:
    """A request that never ends is answered Broken, with the place where it was."""
    answer = GuardedAdapter(Odd(hang), 0.05).call(Call("celeriac.add"))
    assert isinstance(answer, Broken)
    assert "the adapter's call: no answer within 0.05 s" in answer.detail
    assert hang.__name__ in answer.detail
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_hanging_hello_and_close() -> None:
    """A hello or close that never ends is an error of the harness."""
    for ask in (GuardedAdapter(Odd(loop), 0.02).hello, GuardedAdapter(Odd(loop), 0.02).close):
        with pytest.raises(HarnessError, match=r"no answer within 0\.04 s"):
            ask()


@pytest.mark.parametrize("identity", [None, {}, {"implementation": 5}, "celery"])
def test_nonsense_hello(identity: Any) -> None:
    """A hello that names no implementation is an error that says what was expected."""
    with pytest.raises(HarnessError, match=r"expected \{'implementation': text"):
        GuardedAdapter(Odd(lambda: identity), 5).hello()


def test_answers_and_errors_pass_through() -> None:
    """A request in time is answered as the adapter answers it, exceptions included."""
    assert GuardedAdapter(Odd(lambda: Ok(5)), 5).call(Call("celeriac.add")) == Ok(5)
    with pytest.raises(ZeroDivisionError):
        GuardedAdapter(Odd(lambda: 1 // 0), 5).call(Call("celeriac.add"))


def test_emit_reaches_the_adapter() -> None:
    """What the harness sets as emit is what the adapter emits through."""
    inner, seen = Odd(loop), list[Event]()
    GuardedAdapter(inner, 5).emit = seen.append
    inner.emit(Event("ready", 0.0, {"worker": "w"}))
    assert [event.kind for event in seen] == ["ready"]


def test_nested_deadlines() -> None:
    """An inner deadline leaves the outer one running."""

    def nested() -> None:
        with pytest.raises(Overdue, match="inner"), deadline(0.02, "inner"):
            loop()
        loop()

    with pytest.raises(Overdue, match="outer"), deadline(0.1, "outer"):
        nested()


def test_outer_deadline_that_passed_meanwhile() -> None:
    """An outer deadline that ends within a longer inner one still interrupts."""
    with pytest.raises(Overdue), deadline(0.05, "outer"), deadline(3600, "inner"):
        loop()
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_other_threads_are_not_watched() -> None:
    """In another thread the block simply runs."""
    seen = list[str]()

    def work() -> None:
        with deadline(0.001, "thread"):
            threading.Event().wait(0.01)
            seen.append("done")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == ["done"]
