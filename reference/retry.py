"""When a failed publish is tried again: a policy and the waits it prescribes, without a clock in sight.

The n-th wait is ``min(interval_start + (n - 1) * interval_step, interval_max)`` seconds, and there are
``max_retries + 1`` attempts (RTY-001, RTY-002).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from celeriac.reference.suggest import unknown

__all__ = ["DEFAULT_POLICY", "RetryPolicy", "check_policy", "merge", "waits"]

#: The guide's default policy (RTY-003, RTY-013); intervals in seconds.
DEFAULT_POLICY: Final[Mapping[str, Any]] = {
    "max_retries": 3,
    "interval_start": 0,
    "interval_step": 0.2,
    "interval_max": 0.2,
    "retry_errors": None,
}

_INTERVALS: Final = ("interval_start", "interval_step", "interval_max")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """A complete policy.

    Attributes:
        max_retries: attempts after the first, None for no end.
        interval_start: seconds before the first retry.
        interval_step: seconds added with each further retry.
        interval_max: the longest wait in seconds.
        retry_errors: the classes worth a retry, None for every connection error.
    """

    max_retries: int | None
    interval_start: float
    interval_step: float
    interval_max: float
    retry_errors: tuple[type[BaseException], ...] | None = None

    def wants(self, error: BaseException) -> bool:
        """Answer whether ``error`` or what caused it is of a class worth a retry (RTY-017, RTY-018)."""
        if self.retry_errors is None:
            return True
        return any(isinstance(link, self.retry_errors) for link in _causes(error))


def merge(*layers: Mapping[str, Any] | None) -> RetryPolicy:
    """Answer the policy in which earlier layers win key by key, and the default fills the rest (RTY-012).

    Raises:
        TypeError: a key is unknown or a value is of a wrong type.
        ValueError: a value is out of range.
    """
    effective = dict(DEFAULT_POLICY)
    for layer in reversed(layers):
        if layer is not None:
            check_policy(layer)
            effective.update(layer)
    errors = effective.pop("retry_errors")
    return RetryPolicy(**effective, retry_errors=None if errors is None else tuple(errors))


def waits(policy: RetryPolicy) -> Iterator[float]:
    """Yield the seconds to wait before each retry; ends with the last one, if there is one (RTY-002, RTY-009)."""
    retries = itertools.count() if policy.max_retries is None else range(policy.max_retries)
    for retry in retries:
        yield min(policy.interval_start + retry * policy.interval_step, policy.interval_max)


def check_policy(policy: object) -> None:
    """Refuse what ``retry-policy.schema.json`` refuses (RTY-015).

    Raises:
        TypeError: not a mapping, an unknown key, or a value of a wrong type.
        ValueError: a value out of range.
    """
    if not isinstance(policy, Mapping):
        raise TypeError(f"retry_policy is {policy!r}, expected a mapping")
    for key, value in policy.items():
        if key not in DEFAULT_POLICY:
            raise TypeError(unknown("key of retry_policy", key, DEFAULT_POLICY))
        if key in _INTERVALS:
            _check_interval(key, value)
    _check_max_retries(policy.get("max_retries"))
    _check_errors(policy.get("retry_errors"))


def _check_interval(key: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"retry_policy: {key} is {value!r}, expected a number of seconds")
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"retry_policy: {key} is {value!r}, expected a finite number of at least 0 seconds")


def _check_max_retries(value: object) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"retry_policy: max_retries is {value!r}, expected an integer or None")
    if value < 0:
        raise ValueError(f"retry_policy: max_retries is {value}, expected at least 0 or None")


def _check_errors(value: object) -> None:
    if value is None:
        return
    classes = value if isinstance(value, tuple | list) else (object(),)
    if not all(isinstance(item, type) and issubclass(item, BaseException) for item in classes):
        raise TypeError(f"retry_policy: retry_errors is {value!r}, expected a tuple of exception classes")


def _causes(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        yield link
        seen.add(id(link))
        link = link.__cause__ or link.__context__
