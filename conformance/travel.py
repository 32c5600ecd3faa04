"""Time travel: the clock of real processes, moved by the harness.

Theory of operation
-------------------
``libfaketime`` is preloaded into the broker and into every process of the implementation.  It adds an offset to
whatever they read from the system's clocks; the offset stands in one file that all of them read each time.  The
harness, which nothing is preloaded into, adds the same offset to its own stamps, under the lock that it holds while it
writes the file.  So everybody has one clock, and that clock only ever goes forward: Erlang dies of one that goes back.

A moved clock wakes nobody: a process that sleeps in ``poll`` for ten minutes sleeps on.  Therefore time is moved in
*steps*, and after each step everybody is *woken*: clients and brokers of AMQP by a heartbeat that the tap slips in
(it also keeps both ends from taking a jump for a dead peer), clients of Redis by ending their blocking commands.  Then
the harness waits until the world is *still*: the broker has answered, there was no new record for a moment, and no
client that has not looked at its clock (``tap.pulse``).  A client that cannot be woken is not waited for again, unless
it catches up.

One thing cannot be moved, and stands still instead: ``libfaketime`` 0.9.10 lets CLOCK_MONOTONIC begin in 1970, and does
not know ``sem_clockwait``, with which CPython since 3.11 waits for a lock that has a timeout.  In a preloaded process
``Event.wait(timeout)``, ``Queue.get(timeout=...)`` and ``Lock.acquire(timeout=...)`` therefore end by what they wait
for, but never by their timeout, moved or not.  ``time.sleep`` and waits for sockets are not touched by that.

How long the steps are follows from how long nothing has happened: a twentieth of that.  So what is due in seconds is
seen to a tenth of a second, and half an hour passes in a few seconds.  Whatever happens starts the count anew.
"""

from __future__ import annotations

import glob
import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from celeriac.conformance import embedded
from celeriac.conformance.leftovers import private_folder, remove_folder

__all__ = ["ControlFile", "TravelClock", "library", "step"]

#: Where packages put the library, by preference: the one for programs with several threads.
PLACES = (
    "/usr/lib/*/faketime/libfaketimeMT.so.1",
    "/usr/lib*/faketime/libfaketimeMT.so.1",
    "/usr/local/lib/faketime/libfaketimeMT.so.1",
)
#: The same for the dynamic linker, whatever the architecture.
PACKAGED = "/usr/$LIB/faketime/libfaketimeMT.so.1"
#: Names another place.
VARIABLE = "CELERIAC_FAKETIME"
FILE = "offset"

#: Seconds of a step: the shortest, the longest, and once so much has passed in vain, far from the end, the farthest.
SHORTEST, LONGEST = 0.05, 10.5
#: The farthest is shorter than two heartbeat intervals, a minute each: who looks at the clock in the middle of a step,
#: before a heartbeat has come, must not take the other end for dead.
FAR, FARTHEST = 7200.0, 90.0
#: The longest where no client is connected, who could miss anything.
ALONE = 3600.0
GROWTH = 0.05

#: Real seconds without a record before time is moved at all, and between two steps.
CALM, LULL = 0.3, 0.008
#: Real seconds that somebody may take to notice, and between two looks.
PATIENCE, LOOK = 2.0, 0.002


def library() -> Path | None:
    """Answer where ``libfaketime`` is on this machine, None where it is not."""
    if named := os.environ.get(VARIABLE):
        return Path(named) if Path(named).is_file() else None
    return next((Path(found) for place in PLACES for found in sorted(glob.glob(place))), None)  # noqa: PTH207 - absolute


def step(idle: float, left: float, alone: bool = False) -> float:
    """Answer by how many seconds the clock is moved next.

    Args:
        idle: seconds that it has been moved since something happened.
        left: seconds that are left to wait.
        alone: whether the broker has no client.
    """
    longest = ALONE if alone else FARTHEST if idle >= FAR and left > FAR / 8 else LONGEST
    return min(max(SHORTEST, GROWTH * idle), longest, left)


class ControlFile:
    """The file in which preloaded processes find by how much their clock is ahead."""

    def __init__(self) -> None:
        self.folder = private_folder()
        self.folder.chmod(0o711)  # a server in a container has another user
        self.write(0.0)

    def write(self, seconds: float) -> None:
        """Set the offset; readers see the old text or the new one."""
        fresh = self.folder / "next"
        fresh.write_text(f"+{seconds:.6f}\n", encoding="ascii")
        fresh.chmod(0o644)  # whatever the umask
        fresh.replace(self.folder / FILE)

    def variables(self, folder: str | None = None) -> dict[str, str]:
        """Answer the environment of a process that follows.

        Args:
            folder: where a container sees this folder, and has the library of its own; None for this machine.
        """
        return {
            "LD_PRELOAD": str(library() or PACKAGED) if folder is None else PACKAGED,
            "FAKETIME_TIMESTAMP_FILE": f"{folder or self.folder}/{FILE}",
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_RESET": "1",
        }

    def close(self) -> None:
        """Remove the file."""
        remove_folder(self.folder)


class TravelClock(embedded.WallClock):
    """The machine's time, ahead by what the harness has moved it; it goes on by itself, too.

    Args:
        write: tells the processes that follow by how many seconds they are ahead.
        wake: makes everybody look at the clock, which has just been moved by so many seconds.
        activity: answers a number that changes whenever something happens.
        lagging: answers who has not noticed the last step yet.
        alone: answers whether the broker has no client.

    Attributes:
        moved: seconds by which it is ahead.
    """

    def __init__(
        self,
        write: Callable[[float], None],
        wake: Callable[[float], None],
        activity: Callable[[], int],
        lagging: Callable[[], set[int]],
        alone: Callable[[], bool] = lambda: False,
    ) -> None:
        self.moved = 0.0
        self._alone = alone
        self._write = write
        self._wake = wake
        self._activity = activity
        self._lagging = lagging
        self._mute: set[int] = set()
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """Answer the current moment, aware, in UTC."""
        with self._lock:
            return datetime.now(UTC) + timedelta(seconds=self.moved)

    def monotonic(self) -> float:
        """Answer the seconds since an arbitrary start."""
        with self._lock:
            return time.monotonic() + self.moved

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass for everybody, as fast as they can follow."""
        self.wait_for(lambda: False, seconds)

    sleep = advance

    def wait_for(self, predicate: Callable[[], bool], timeout: float | None = None) -> bool:
        """Return True as soon as ``predicate()`` holds, False when ``timeout`` seconds passed first."""
        end = float("inf") if timeout is None else self.monotonic() + timeout
        idle, seen = 0.0, self._activity()
        if self._still(predicate, CALM, end):
            return True
        while (left := end - self.monotonic()) > 0:
            if (activity := self._activity()) != seen:
                idle, seen = 0.0, activity
            idle += (seconds := step(idle, left, self._alone()))
            self.leap(seconds)
            if self._still(predicate, LULL, end):
                return True
        return predicate()

    def leap(self, seconds: float) -> None:
        """Move the clock in one go."""
        with self._lock:  # nobody may be stamped by the old time once the first process has read the new one
            self._write(self.moved + seconds)
            self.moved += seconds
        self._wake(seconds)

    def _still(self, predicate: Callable[[], bool], calm: float, end: float) -> bool:
        """Wait, in real time, until nothing has happened for a moment and everybody is up to date.

        Answer whether ``predicate()`` came to hold; what goes on and on is not waited for.
        """
        since, seen = time.monotonic(), self._activity()
        latest = since + PATIENCE
        while not predicate():
            now = time.monotonic()
            if (activity := self._activity()) != seen:
                since, seen = now, activity
            lagging = self._lagging()
            self._mute &= lagging  # who has caught up will be waited for again
            late = lagging - self._mute
            if now >= latest:
                self._mute |= late
                return False
            if (now - since >= calm and not late) or self.monotonic() >= end:
                return False
            time.sleep(LOOK)
        return True
