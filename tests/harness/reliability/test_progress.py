"""Progress: what a run waits for is shown while it takes long, and cleaned away afterwards."""

from __future__ import annotations

import io
import os
import pty
import select
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any, cast

import pytest

from celeriac.conformance import progress
from celeriac.conformance.narrator import Narrator
from celeriac.conformance.progress import Ticker, waiting

#: Seconds after which something that must happen has not happened.
PATIENCE = 20.0


class Moments:
    """Two clocks that a test moves: the machine's, and the one that scenarios live on."""

    def __init__(self) -> None:
        self.wall = 1000.0
        self.moved = 0.0

    def monotonic(self) -> float:
        return self.wall

    def now(self) -> float:
        return 1e9 + self.wall + self.moved


class Screen(io.StringIO):
    """A stream that remembers, a terminal or not; what is left to see is its last line."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    def line(self) -> str:
        """Answer what a terminal shows in the line of the cursor."""
        shown: list[str] = []
        for written in self.getvalue().split("\r"):
            shown[: len(written)] = written
        return "".join(shown).rstrip()


@pytest.fixture
def moments(monkeypatch: pytest.MonkeyPatch) -> Moments:
    """Give the clocks, of which the machine's is put into the place of the real one."""
    clocks = Moments()
    monkeypatch.setattr(progress, "time", clocks)
    monkeypatch.setenv("COLUMNS", "120")
    return clocks


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let nothing be waited for but what the test does."""
    monkeypatch.setattr(progress, "_waits", [])
    monkeypatch.setattr(progress, "_ticker", None)
    yield
    assert progress._waits == []


pytestmark = pytest.mark.usefixtures("alone")


def listen(screen: Screen, moments: Moments, monkeypatch: pytest.MonkeyPatch) -> Ticker:
    """Answer a ticker that ticks when the test says so."""
    ticker = Ticker(screen, moments.monotonic)
    monkeypatch.setattr(progress, "_ticker", ticker)
    return ticker


def narrator(verbose: int, file: IO[str]) -> Narrator:
    """Answer a narrator who speaks into a file."""
    made: Any = Narrator.__new__(Narrator)
    made._config = SimpleNamespace(option=SimpleNamespace(verbose=verbose))
    made._reporter = SimpleNamespace(_tw=SimpleNamespace(_file=file))
    return cast("Narrator", made)


def test_a_short_wait_is_not_shown(moments: Moments, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written of what takes no longer than anybody would mind."""
    screen = Screen(terminal=True)
    ticker = listen(screen, moments, monkeypatch)
    with waiting("test_it"):
        moments.wall += 2
        ticker.tick()
    moments.wall += 60
    ticker.tick()
    assert screen.getvalue() == ""


def test_a_terminal_has_one_line(moments: Moments, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal has one line, of check, wait, seconds and limit, which is rewritten and blank in the end."""
    screen = Screen(terminal=True)
    ticker = listen(screen, moments, monkeypatch)
    with waiting("test_it"):
        moments.wall += 2
        with waiting("waiting for 'ended' (task_id)", limit=20.0, now=moments.now):
            moments.wall += 3
            ticker.tick()
            assert screen.line() == "  test_it, 5 s: waiting for 'ended' (task_id), 3 of 20 s"
            moments.wall += 9
            ticker.tick()
            assert screen.line() == "  test_it, 14 s: waiting for 'ended' (task_id), 12 of 20 s"
        moments.wall += 1
        ticker.tick()
        assert screen.line() == "  test_it, 15 s"
    assert screen.line() == ""
    assert "\n" not in screen.getvalue()


def test_a_clock_that_is_moved(moments: Moments, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the clock is moved, the line tells by how much, of how much, beside the seconds of the wall."""
    screen = Screen(terminal=True)
    ticker = listen(screen, moments, monkeypatch)
    with waiting("test_it"), waiting("waiting for 'closed' (channel)", limit=3661.0, now=moments.now):
        moments.wall += 12
        moments.moved += 1728
        ticker.tick()
        assert screen.line() == (
            "  test_it, 12 s: waiting for 'closed' (channel), 12 s, clock moved by 1740 of 3661 s"
        )


def test_a_line_is_cut_at_the_edge(moments: Moments, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that does not fit is cut, because what has wrapped could not be rewritten."""
    monkeypatch.setenv("COLUMNS", "21")
    screen = Screen(terminal=True)
    ticker = listen(screen, moments, monkeypatch)
    with waiting("test_with_a_long_name"):
        moments.wall += 5
        ticker.tick()
        assert screen.line() == "  ..._long_name, 5 s"


def test_a_log_gets_a_line_now_and_then(moments: Moments, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no terminal gets whole lines, one every half minute at the most."""
    screen = Screen(terminal=False)
    ticker = listen(screen, moments, monkeypatch)
    with waiting("starting rabbitmq (process)"):
        for _ in range(70):
            moments.wall += 1
            ticker.tick()
    assert screen.getvalue() == "  starting rabbitmq (process), 30 s\n  starting rabbitmq (process), 60 s\n"


def test_other_threads_wait_unheard() -> None:
    """What is prepared in the background is not what the user waits for."""
    seen: list[int] = []

    def prepare() -> None:
        with waiting("starting redis (process)"):
            seen.append(len(progress._waits))

    thread = threading.Thread(target=prepare)
    thread.start()
    thread.join()
    assert seen == [0]


def test_an_interruption_leaves_nothing_waiting() -> None:
    """A wait that never heard of its end is dropped with the one around it."""
    with waiting("test_it"):
        waiting("interrupted").__enter__()
        assert len(progress._waits) == 2
    assert progress._waits == []


def test_a_ticker_looks_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """A started ticker writes to the terminal it was given, and its end cleans up."""
    monkeypatch.setattr(progress, "ON_A_TERMINAL", progress.Pace(patience=0.0, interval=0.0))
    ours, theirs = pty.openpty()
    ticker = Ticker(os.fdopen(theirs, "w"))
    ticker.start()
    with waiting("test_it"):
        assert b"test_it" in os.read(ours, 1000)
    ticker.stop()
    ticker.stop()
    assert progress._ticker is None
    os.close(ours)


@pytest.mark.parametrize(("verbose", "heard"), [(1, True), (0, True), (-1, False)])
def test_who_is_told(verbose: int, heard: bool, tmp_path: Path) -> None:
    """A run tells of what takes long unless it is to be quiet."""
    with (tmp_path / "out").open("w") as out:
        ticker = narrator(verbose, out).ticker()
        assert (ticker is not None) is heard
        if ticker is not None:
            ticker._stream.close()


def test_nobody_is_told_where_there_is_no_file() -> None:
    """A reporter that writes into memory, as under capture, has no ticker."""
    assert narrator(0, io.StringIO()).ticker() is None


def test_a_run_on_a_terminal_shows_what_it_waits_for(place: Any) -> None:
    """A check that takes long is named on the terminal, though its own output is captured, and leaves no line."""
    ours, theirs = pty.openpty()
    run = place.start("--broker=embedded", "--time=wall", stdout=theirs)
    os.close(theirs)
    run.reach_the_middle().close()
    text = b""
    while b"test_in_the_middle, " not in text:
        assert select.select([ours], [], [], PATIENCE)[0], text
        text += os.read(ours, 4096)
    run.go_on()
    with suppress(OSError):  # how a terminal tells of its end
        while part := os.read(ours, 4096):
            text += part
    os.close(ours)
    run.end()
    lines = text.decode().split("\r\n")
    assert not any("test_in_the_middle, " in line.rpartition("\r")[2] for line in lines)
    assert "ETA  ETA and countdown" in text.decode()
