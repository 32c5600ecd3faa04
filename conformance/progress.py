"""What a run waits for, shown while it takes long.

Whoever waits says so, and waits may be nested: a check, in it a record that must come, in it an answer of the adapter::

    with waiting("waiting for 'closed' (channel)", limit=3661.0, now=stage.now):
        ...

A ``Ticker`` looks every second.  What has taken a few seconds is shown on a terminal in one line, which is rewritten
and cleaned away at the end; in a log, which cannot be rewritten, as a line every half minute::

      test_silent_before_the_timeout, 14 s: waiting for 'closed' (channel), 12 s, clock moved by 1740 of 3661 s
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TextIO

__all__ = ["Pace", "Ticker", "describe", "waiting"]


class waiting:  # noqa: N801 - reads as what it does: with waiting(...)
    """Say what the main thread waits for until the end of the block; other threads wait unheard.

    Args:
        what: as a line shows it.
        limit: seconds of the clock that it may take at the most.
        now: answers the clock's epoch seconds, where the clock can be moved.
    """

    __slots__ = ("_depth", "limit", "now", "since", "started", "what")

    def __init__(
        self, what: str, *, limit: float | None = None, now: Callable[[], float] | None = None
    ) -> None:
        self.what = what
        self.limit = limit
        self.now = now

    def __enter__(self) -> Self:
        self._depth = -1
        if threading.current_thread() is threading.main_thread():
            self.since = time.monotonic()
            self.started = self.now() if self.now else 0.0
            self._depth = len(_waits)
            _waits.append(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._depth < 0:
            return
        del _waits[self._depth :]  # with what an interruption at a bad moment may have left above
        if not _waits and _ticker is not None:
            _ticker.clear()


_waits: list[waiting] = []
_ticker: Ticker | None = None


def describe(waits: Sequence[waiting], at: float) -> str:
    """Answer a line about nested waits at the ``time.monotonic()`` moment ``at``: the first, and the last in it."""
    first, last = waits[0], waits[-1]
    if first is last:
        return f"  {_told(first, at)}"
    return f"  {first.what}, {at - first.since:.0f} s: {_told(last, at)}"


def _told(wait: waiting, at: float) -> str:
    wall = at - wait.since
    passed = wait.now() - wait.started if wait.now else wall
    limit = "" if wait.limit is None else f" of {wait.limit:.0f}"
    if passed - wall > 1:
        return f"{wait.what}, {wall:.0f} s, clock moved by {passed:.0f}{limit} s"
    return f"{wait.what}, {wall:.0f}{limit} s"


@dataclass(frozen=True, slots=True)
class Pace:
    """When something is shown, in seconds.

    Attributes:
        patience: how long something may take unheard.
        interval: between two lines.
    """

    patience: float
    interval: float


#: Where a line can be rewritten, and where not.
ON_A_TERMINAL = Pace(patience=3.0, interval=1.0)
IN_A_LOG = Pace(patience=30.0, interval=30.0)


class Ticker:
    """Shows what is waited for; while it runs, ``waiting`` cleans its line away.

    Args:
        stream: where to; closed by ``stop``.
        clock: seconds, as those of ``time.monotonic``.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._rewrites = stream.isatty()
        self.pace = ON_A_TERMINAL if self._rewrites else IN_A_LOG
        self._shown_at = float("-inf")
        self._shown = 0  # characters on the terminal's line
        self._lock = threading.RLock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Look every second from now on."""
        global _ticker  # noqa: PLW0603 - there is one terminal
        _ticker = self
        self._thread.start()

    def stop(self) -> None:
        """Look no more; may be called twice."""
        global _ticker  # noqa: PLW0603
        if _ticker is self:
            _ticker = None
        if not self._stopped.is_set():
            self._stopped.set()
            self._thread.join()
            self.clear()
            self._stream.close()

    def tick(self) -> None:
        """Show what is waited for, if it takes long and was not shown just now."""
        with self._lock:
            at = self._clock()
            waits = tuple(_waits)
            is_due = at - self._shown_at >= self.pace.interval
            if waits and is_due and at - waits[0].since >= self.pace.patience:
                self._shown_at = at
                self._show(describe(waits, at))

    def clear(self) -> None:
        """Clean the terminal's line away, if there is one."""
        with self._lock:
            if self._shown:
                self._write(f"\r{' ' * self._shown}\r")
                self._shown = 0

    def _show(self, line: str) -> None:
        if not self._rewrites:
            self._write(f"{line}\n")
            return
        room = shutil.get_terminal_size().columns - 1
        text = line if len(line) <= room else f"  ...{line[5 - room :]}"  # how far it is stands at the end
        self._write(f"\r{text.ljust(self._shown)}")
        self._shown = len(text)

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()

    def _run(self) -> None:
        while not self._stopped.wait(1.0):
            self.tick()
