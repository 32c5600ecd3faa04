"""What is due next: a heap of lower bounds that is corrected when somebody looks.

A timer belongs to something that can compute its own due moment at any time (the head of a queue, the oldest
delivery of a channel).  ``arm`` only makes sure that the heap has an entry no later than that moment; an
entry that turns out too early is put back where it belongs.  So settling a delivery never touches the heap,
and the due moment that is answered is nevertheless exact.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["TOLERANCE", "Timer", "Timers"]

#: Seconds by which a due moment counts as reached: half a microsecond, the clock's resolution being one.
TOLERANCE = 5e-7


@dataclass(eq=False, slots=True)
class Timer:
    """Something that becomes due.

    Attributes:
        due: answers ``monotonic()`` seconds, or None when there is nothing to wait for.
        fire: called when the moment is reached; must change what ``due`` answers.
        armed: the earliest entry in the heap, None without one.
    """

    due: Callable[[], float | None]
    fire: Callable[[], None]
    armed: float | None = None


class Timers:
    """All timers of a broker; equal moments fire in the order in which they were armed."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._armed = 0

    def arm(self, timer: Timer) -> None:
        """See to it that ``timer`` fires at its due moment."""
        due = timer.due()
        if due is not None and (timer.armed is None or due < timer.armed):
            timer.armed = due
            self._armed += 1
            heapq.heappush(self._heap, (due, self._armed, timer))

    def next_due(self) -> float | None:
        """Answer the earliest due moment, ``monotonic()`` seconds, or None."""
        while self._heap:
            entry, _, timer = self._heap[0]
            due = timer.due() if timer.armed == entry else None
            if due is not None and due <= entry:
                return entry
            heapq.heappop(self._heap)
            if timer.armed == entry:
                timer.armed = None
                self.arm(timer)
        return None

    def fire(self, now: float) -> bool:
        """Fire everything due at ``now``, in order; answer whether anything was."""
        fired = False
        while (due := self.next_due()) is not None and due - now < TOLERANCE:
            _, _, timer = heapq.heappop(self._heap)
            timer.armed = None
            timer.fire()
            self.arm(timer)
            fired = True
        return fired
