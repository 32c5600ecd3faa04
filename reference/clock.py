"""Time as an input.

Theory of operation
-------------------
Nothing in the reference implementation reads the time or sleeps by itself: it asks a ``Clock``.

``WallClock`` is the machine's time.

``MovableClock`` is the machine's time, too, and can be moved ahead of it: for a broker in the middle of real processes.
It runs on by itself, and ``advance`` takes its parties through every due moment on the way.

``VirtualClock`` moves only when it is told to.  Everybody whose behaviour depends on time is a *party*:
the broker (leases, message TTLs), a worker (ETA heap, results to fetch).  A party answers two questions:
``step()``, do whatever can be done at this moment and say whether anything was done, and ``next_due()``,
when will something become possible without outside help.  ``advance(1800)`` repeats

    settle: step every party until none has anything to do
    jump:   set the time to the earliest due moment

up to the target, so nothing ever happens late and two parties never see each other's future.  A party that
waits (a client blocked in ``recv``, a task that sleeps, a publisher between two retries) calls ``sleep`` or
``wait_for``, which is the same loop entered again with that party left out: a busy worker stays busy while
the rest of the world goes on.  There is no thread and no real sleep; two runs give the same history.

Elapsed time is kept in whole microseconds, the resolution of the ``eta`` header, so that advancing by *a* and
then by *b* is advancing by *a + b*.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import Protocol, runtime_checkable

from celeriac.reference.alarm import Alarm

__all__ = ["Clock", "DeadlockError", "Limit", "MovableClock", "Party", "VirtualClock", "WallClock"]

Predicate = Callable[[], bool]

#: Seconds from now, and what is raised then.
Limit = tuple[float, BaseException]

#: Half of the clock's unit, in seconds: sums of floats may miss a moment by less.
RESOLUTION = 5e-7


class DeadlockError(RuntimeError):
    """Somebody waits without a time limit for something that can never happen."""


class Party(Protocol):
    """Somebody whose behaviour depends on the virtual time."""

    def step(self) -> bool:
        """Do everything that can be done now; answer whether anything was done."""

    def next_due(self) -> float | None:
        """Answer the ``monotonic()`` time (seconds) of the next thing to do, or None."""


@runtime_checkable
class Clock(Protocol):
    """What the reference implementation knows about time."""

    def now(self) -> datetime:
        """Answer the current moment, aware, in UTC."""

    def monotonic(self) -> float:
        """Answer the seconds since an arbitrary start; never goes back."""

    def sleep(self, seconds: float) -> None:
        """Return when ``seconds`` have passed."""

    def advance(self, seconds: float) -> None:
        """Move time forward by ``seconds`` if the clock can be moved, else wait for them to pass."""

    def wait_for(self, predicate: Predicate, timeout: float | None = None) -> bool:
        """Return True as soon as ``predicate()`` holds, False when ``timeout`` seconds passed first."""

    def reached(self, due: float) -> bool:
        """Answer whether the ``monotonic()`` time ``due`` has come, to half a microsecond."""

    def limited(self, *limits: Limit) -> AbstractContextManager[object]:
        """Raise in the block whatever comes due before its end, each once.

        On a wall clock wherever the block is, but in the main thread only; on a virtual one while it sleeps, which is
        the only way for it to take time.
        """

    def attach(self, party: Party) -> None:
        """Let ``party`` take part in virtual time; no effect on a wall clock."""

    def detach(self, party: Party) -> None:
        """Stop stepping ``party``."""


class WallClock:
    """The machine's own time."""

    #: Seconds between two looks at a predicate that nobody signals.
    poll_interval = 0.005

    def now(self) -> datetime:
        """Answer the current moment, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Answer the seconds since an arbitrary start."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Return when ``seconds`` have passed."""
        if seconds > 0:
            time.sleep(seconds)

    advance = sleep

    def wait_for(self, predicate: Predicate, timeout: float | None = None) -> bool:
        """Return True as soon as ``predicate()`` holds, False when ``timeout`` seconds passed first."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not predicate():
            if deadline is not None and time.monotonic() >= deadline:
                return False
            time.sleep(self.poll_interval)
        return True

    def reached(self, due: float) -> bool:
        """Answer whether ``due`` has come."""
        return due - self.monotonic() < RESOLUTION

    def limited(self, *limits: Limit) -> AbstractContextManager[object]:
        """Raise in the block, by the machine's alarm, what comes due before its end; only in the main thread."""
        alarmed = limits and threading.current_thread() is threading.main_thread()
        return Alarm(limits) if alarmed else nullcontext()

    def attach(self, party: Party) -> None:
        """Do nothing: on a wall clock every party runs its own loop."""

    def detach(self, party: Party) -> None:
        """Do nothing."""


class _Company:
    """The parties that a clock takes along when it is moved."""

    def __init__(self) -> None:
        self._parties: list[Party] = []

    def attach(self, party: Party) -> None:
        """Let ``party`` take part from now on."""
        if party not in self._parties:
            self._parties.append(party)

    def detach(self, party: Party) -> None:
        """Stop stepping ``party``; unknown parties are ignored."""
        if party in self._parties:
            self._parties.remove(party)


class MovableClock(_Company, WallClock):
    """The machine's time, which goes on at its own pace and can be moved ahead.

    While it runs, a party has a loop of its own.  ``advance`` runs the parties on the thread that calls it, which has
    to be the one that owns them; other threads may read the time meanwhile.  ``sleep`` and the timeout of
    ``wait_for`` are the machine's seconds.

    Attributes:
        moved: by how many seconds it is ahead of the machine.
    """

    def __init__(self) -> None:
        super().__init__()
        self.moved = 0.0
        self._held: tuple[datetime, float] | None = None  # the time while it is being moved

    def now(self) -> datetime:
        """Answer the current moment, aware, in UTC."""
        held = self._held
        return held[0] if held else super().now() + timedelta(seconds=self.moved)

    def monotonic(self) -> float:
        """Answer the seconds since an arbitrary start."""
        held = self._held
        return held[1] if held else super().monotonic() + self.moved

    def advance(self, seconds: float) -> None:
        """Move ``seconds`` ahead; what comes due on the way happens in order, each at its moment.

        What raises on the way leaves the clock at that moment.

        Raises:
            ValueError: time cannot go back, or not as far as that.
            DeadlockError: a party says that it is due and does nothing.
        """
        self._check(seconds)
        self._held = now, monotonic = self.now(), self.monotonic()
        ahead = 0.0
        try:
            while (due := self._next_due()) is not None and due <= monotonic + seconds:
                ahead = max(ahead, due - monotonic)
                self._held = now + timedelta(seconds=ahead), monotonic + ahead
                self._step()
            ahead = seconds
            self._held = now + timedelta(seconds=ahead), monotonic + ahead
        finally:
            self.moved += ahead
            self._held = None

    def _check(self, seconds: float) -> None:
        if not seconds >= 0:  # neither negative nor not a number
            raise ValueError(f"time cannot go back ({seconds} s)")
        try:
            self.now() + timedelta(seconds=seconds)
        except OverflowError:
            raise ValueError(f"{seconds} s from now is beyond the year 9999") from None

    def _next_due(self) -> float | None:
        return min((due for party in self._parties if (due := party.next_due()) is not None), default=None)

    def _step(self) -> None:
        progress = False
        for party in tuple(self._parties):
            progress = party.step() or progress
        if not progress:
            names = ", ".join(type(party).__name__ for party in self._parties)
            raise DeadlockError(f"a party is due at {self.now().isoformat()} but has nothing to do: {names}")


class VirtualClock(_Company):
    """A clock that moves only when told to, and takes every attached party along.

    Args:
        origin: the moment at which the clock starts (aware).
        hop_limit: how many steps in a row may happen at one moment before the clock reports a livelock.
    """

    def __init__(self, origin: datetime = datetime(2030, 1, 1, tzinfo=UTC), hop_limit: int = 100_000) -> None:
        super().__init__()
        self.origin = origin
        self.hop_limit = hop_limit
        self._elapsed = 0  # microseconds
        self._stepping: list[Party] = []
        self._limits: list[
            list[tuple[int, BaseException]]
        ] = []  # of each block that is running, soonest first

    def now(self) -> datetime:
        """Answer the current virtual moment, aware, in UTC, to the microsecond."""
        return self.origin + timedelta(microseconds=self._elapsed)

    def monotonic(self) -> float:
        """Answer the virtual seconds since the origin."""
        return self._elapsed / 1e6

    def reached(self, due: float) -> bool:
        """Answer whether ``due`` has come."""
        return due - self.monotonic() < RESOLUTION

    def sleep(self, seconds: float) -> None:
        """Let ``seconds`` of virtual time pass for everybody, or what is left to the limit of the innermost block."""
        limits = self._limits[-1] if self._limits else []
        if limits and limits[0][0] <= self._elapsed + round(seconds * 1e6):
            due, error = limits.pop(0)
            self._run(lambda: False, max(self._elapsed, due))
            raise error
        self.advance(seconds)

    @contextmanager
    def limited(self, *limits: Limit) -> Iterator[None]:
        """Raise in the block, while it sleeps, what comes due before its end."""
        planned = [(self._elapsed + round(seconds * 1e6), error) for seconds, error in limits]
        self._limits.append(sorted(planned, key=lambda limit: limit[0]))
        try:
            yield
        finally:
            self._limits.pop()

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` of virtual time pass, visiting every due moment in order."""
        if seconds < 0:
            message = f"time cannot go back ({seconds} s)"
            raise ValueError(message)
        self._run(lambda: False, self._elapsed + round(seconds * 1e6))

    def wait_for(self, predicate: Predicate, timeout: float | None = None) -> bool:
        """Run the world until ``predicate()`` holds or ``timeout`` virtual seconds have passed.

        Raises:
            DeadlockError: there is no timeout and nothing can ever happen again.
        """
        target = None if timeout is None else self._elapsed + max(0, round(timeout * 1e6))
        return self._run(predicate, target)

    def settle(self) -> None:
        """Step every party at the present moment until none has anything to do."""
        self._settle(lambda: False)

    def _run(self, predicate: Predicate, target: int | None) -> bool:
        while True:
            if self._settle(predicate):
                return True
            due = self._earliest_due()
            if due is None and target is None:
                message = "deadlock: waiting without a timeout, and nothing can ever happen"
                raise DeadlockError(message)
            if target is not None and (due is None or due > target):
                self._elapsed = max(self._elapsed, target)
                return self._settle(predicate)
            assert due is not None
            if due <= self._elapsed:
                message = f"a party is due at {self.now().isoformat()} but has nothing to do: {self._names()}"
                raise DeadlockError(message)
            self._elapsed = due

    def _settle(self, predicate: Predicate) -> bool:
        for _ in range(self.hop_limit):
            if predicate():
                return True
            if not self._step_once():
                return predicate()
        message = f"livelock: {self.hop_limit} steps at {self.now().isoformat()} among {self._names()}"
        raise DeadlockError(message)

    def _step_once(self) -> bool:
        progress = False
        for party in self._free():
            self._stepping.append(party)
            try:
                progress = party.step() or progress
            finally:
                self._stepping.remove(party)
        return progress

    def _free(self) -> list[Party]:
        return [party for party in self._parties if party not in self._stepping]

    def _names(self) -> str:
        return ", ".join(type(party).__name__ for party in self._free())

    def _earliest_due(self) -> int | None:
        dues = [due for party in self._free() if (due := party.next_due()) is not None]
        return max(self._elapsed, math.ceil(round(min(dues) * 1e9) / 1e3)) if dues else None
