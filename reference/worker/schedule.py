"""What a worker holds: requests that wait for their ETA, and requests that are ready."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from datetime import datetime

from celeriac.reference.worker.intake import Request

__all__ = ["Schedule"]


class Schedule:
    """A heap by ETA and a queue of what is ready; nothing in it is acknowledged."""

    def __init__(self) -> None:
        self._heap: list[tuple[datetime, int, Request]] = []
        self._ready: deque[Request] = deque()
        self._numbers = itertools.count()

    @property
    def waiting(self) -> int:
        """Answer how many requests wait for their ETA."""
        return len(self._heap)

    @property
    def has_ready(self) -> bool:
        """Answer whether something can be executed now."""
        return bool(self._ready)

    @property
    def next_eta(self) -> datetime | None:
        """Answer the earliest ETA, None when nothing waits."""
        return self._heap[0][0] if self._heap else None

    def add(self, request: Request) -> None:
        """Hold a request; one without an ETA is ready at once (ETA-013, ETA-017)."""
        if request.eta is None:
            self._ready.append(request)
        else:
            heapq.heappush(self._heap, (request.eta, next(self._numbers), request))

    def release(self, now: datetime) -> bool:
        """Make ready whatever is due, never before its ETA (ETA-004); answer whether something was."""
        found = False
        while self._heap and self._heap[0][0] <= now:
            self._ready.append(heapq.heappop(self._heap)[2])
            found = True
        return found

    def pop_ready(self) -> Request | None:
        """Take out the request that has been ready for longest (ADV-010)."""
        return self._ready.popleft() if self._ready else None

    def find(self, request: Request) -> Request | None:
        """Answer the held request of which ``request`` is a copy (TIM-016)."""
        held = (*self._ready, *(entry[2] for entry in self._heap))
        return next((other for other in held if other.key == request.key), None)

    def clear(self) -> None:
        """Forget everything: the broker has taken the messages back."""
        self._heap.clear()
        self._ready.clear()
