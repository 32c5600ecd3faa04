"""The machine's alarm: something is raised in a block of code when its time is over (MSG-041, MSG-042).

A process has one alarm, and Python answers it in the main thread.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable
from types import FrameType, TracebackType
from typing import Any, Self

__all__ = ["Alarm"]

#: The least number of seconds that can be set; 0 switches the alarm off.
_SOON = 1e-6


class Alarm:
    """A block of code with limits: each raises its error in the block, once, unless the block has ended.

    Args:
        limits: seconds from the beginning of the block, and the error.
    """

    def __init__(self, limits: Iterable[tuple[float, BaseException]]) -> None:
        self._ahead = sorted(limits, key=lambda limit: limit[0])
        self._began = 0.0
        self._before: Any = None

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        self._before = signal.signal(signal.SIGALRM, self._ring)
        self._set()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._before)

    def _set(self) -> None:
        if self._ahead:
            left = self._began + self._ahead[0][0] - time.monotonic()
            signal.setitimer(signal.ITIMER_REAL, max(_SOON, left))

    def _ring(self, _number: int, _frame: FrameType | None) -> None:
        _, error = self._ahead.pop(0)
        self._set()
        raise error
