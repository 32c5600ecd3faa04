"""A deadline for code that may never return.

The main thread is interrupted by the interval timer of the operating system.  Where there is none (another
thread, or a system without ``setitimer``), nothing is watched.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
import traceback
from collections.abc import Iterator
from types import FrameType

__all__ = ["Overdue", "deadline"]

#: Seconds after which an interruption that somebody swallowed is repeated.
REPEAT_S = 1.0

#: How many of the innermost stack frames the evidence shows.
FRAMES = 8


class Overdue(BaseException):
    """Something took longer than it may; no ``except Exception`` hides it."""

    def __init__(self, what: str, seconds: float, stack: str) -> None:
        super().__init__(f"{what}: no answer within {seconds:g} s")
        self.stack = stack


@contextlib.contextmanager
def deadline(seconds: float, what: str) -> Iterator[None]:
    """Raise ``Overdue`` inside the block once ``seconds`` have passed; blocks may be nested.

    Args:
        seconds: how long the block may take.
        what: the subject of the error.

    Raises:
        Overdue: the time is up.
    """
    if not _can_interrupt():
        yield
        return

    def ring(signum: int, frame: FrameType | None) -> None:
        raise Overdue(what, seconds, "".join(traceback.format_stack(frame)[-FRAMES:]))

    started = time.monotonic()
    previous = signal.signal(signal.SIGALRM, ring)
    outer, _ = signal.getitimer(signal.ITIMER_REAL)
    signal.setitimer(signal.ITIMER_REAL, min(seconds, outer) if outer else seconds, REPEAT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
        if outer:
            left = outer - (time.monotonic() - started)
            signal.setitimer(signal.ITIMER_REAL, max(0.001, left), REPEAT_S)


def _can_interrupt() -> bool:
    return hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
