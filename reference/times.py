"""Moments: what callers give, what travels, what workers read.

On the wire a moment is ISO 8601 text with an offset; text without one is UTC (ETA-016, EXP-014).
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

__all__ = ["MalformedMomentError", "after", "given_moment", "milliseconds_left", "moment_text", "wire_moment"]


class MalformedMomentError(ValueError):
    """A header that should hold a moment or null holds something else."""


def after(now: datetime, seconds: float, name: str) -> datetime:
    """Answer ``now`` plus elapsed seconds (ETA-001, ETA-011, EXP-001).

    Raises:
        ValueError: the sum is not a moment; the text names the option ``name``.
    """
    if not math.isfinite(seconds):
        raise ValueError(f"{name} is {seconds!r}, expected a finite number of seconds")
    try:
        return now + timedelta(seconds=seconds)
    except OverflowError:
        raise ValueError(f"{name}={seconds!r} seconds is beyond the calendar") from None


def given_moment(value: datetime | str, name: str) -> datetime:
    """Answer a caller's moment with an offset; without one it is UTC (ETA-019, ETA-020, EXP-007, EXP-017).

    Raises:
        ValueError: ``value`` is text that denotes no moment.
    """
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(f"{name}={value!r} is not an ISO 8601 date and time") from None
    return value if value.tzinfo is not None else value.replace(tzinfo=UTC)


def moment_text(moment: datetime | None) -> str | None:
    """Answer the header text of a moment, offset kept (ETA-002, ETA-003, EXP-002, EXP-003)."""
    return None if moment is None else moment.isoformat()


def milliseconds_left(expires: datetime, now: datetime) -> str:
    """Answer the ``expiration`` property: whole milliseconds, never below 0 (EXP-005, EXP-006)."""
    return str(max(0, (expires - now) // timedelta(milliseconds=1)))


def wire_moment(value: Any, name: str) -> datetime | None:
    """Answer the moment in a header in UTC, None for null (ETA-015, ETA-016, MSG-028, MSG-029).

    Raises:
        MalformedMomentError: the header is neither null nor the text of a moment.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise MalformedMomentError(f"{name} is {value!r}, expected null or ISO 8601 text")
    try:
        return given_moment(value, name).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise MalformedMomentError(f"{name} is {value!r}, expected null or ISO 8601 text") from error
