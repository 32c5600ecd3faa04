"""The retry policy: its schedule, its layers and what it refuses."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kombu.exceptions import OperationalError

from celeriac.reference.retry import DEFAULT_POLICY, RetryPolicy, merge, waits
from celeriac.spec import vectors

VECTORS = vectors("retry-schedules")
PORTABLE = {
    "connection": ConnectionError,
    "timeout": TimeoutError,
    "operational": OperationalError,
    "value": ValueError,
}


def native(policy: dict[str, Any] | None) -> dict[str, Any] | None:
    """Turn the portable names of a vector into classes."""
    if policy is None or not policy.get("retry_errors"):
        return policy
    return {**policy, "retry_errors": tuple(PORTABLE[tagged["v"]] for tagged in policy["retry_errors"])}


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: case["name"])
def test_every_schedule_of_the_vectors_is_kept(case: dict[str, Any]) -> None:
    """The waits are those of the published vectors, to the nanosecond."""
    policy = merge(native(case.get("option")), native(case.get("setting")))
    schedule = list(itertools.islice(waits(policy), VECTORS["horizon"]))
    expected = case["waits"]
    assert schedule == pytest.approx(expected[: VECTORS["horizon"]], abs=1e-9)


@given(
    st.none() | st.integers(0, 30),
    *(st.floats(0, 100) for _ in range(3)),
)
@settings(derandomize=True, database=None)
def test_no_wait_exceeds_the_maximum_and_none_is_shorter_than_the_one_before(
    retries: int | None, start: float, step: float, most: float
) -> None:
    """Whatever the policy, waits grow up to interval_max and there is one for each retry."""
    schedule = list(itertools.islice(waits(RetryPolicy(retries, start, step, most)), 40))
    assert len(schedule) == (40 if retries is None else retries)
    assert schedule == sorted(schedule)
    assert all(0 <= wait <= most for wait in schedule)


def test_the_option_wins_key_by_key_over_the_setting_and_the_setting_over_the_default() -> None:
    """A layer replaces only the keys it names."""
    policy = merge({"max_retries": 9}, {"max_retries": 1, "interval_start": 5})
    assert policy == RetryPolicy(9, 5, DEFAULT_POLICY["interval_step"], DEFAULT_POLICY["interval_max"])


@pytest.mark.parametrize(
    ("policy", "error", "named"),
    [
        ({"max_retry": 3}, TypeError, "did you mean max_retries"),
        ({"max_retries": "3"}, TypeError, "max_retries"),
        ({"max_retries": True}, TypeError, "max_retries"),
        ({"max_retries": -1}, ValueError, "max_retries"),
        ({"interval_step": None}, TypeError, "interval_step"),
        ({"interval_start": -0.1}, ValueError, "interval_start"),
        ({"interval_max": float("inf")}, ValueError, "interval_max"),
        ({"retry_errors": ValueError}, TypeError, "retry_errors"),
        ({"retry_errors": ["ValueError"]}, TypeError, "retry_errors"),
        ([("max_retries", 3)], TypeError, "mapping"),
    ],
)
def test_a_bad_policy_is_refused_by_name(policy: Any, error: type[Exception], named: str) -> None:
    """The error names the key that is wrong."""
    with pytest.raises(error, match=named):
        merge(policy)


def test_an_error_is_wanted_when_it_or_its_cause_is_of_a_listed_class() -> None:
    """The failure is an OperationalError caused by the transport's error, and both can be listed."""
    failure = OperationalError("refused")
    failure.__cause__ = ConnectionRefusedError(111)
    wants = {listed: merge({"retry_errors": (listed,)}).wants(failure) for listed in PORTABLE.values()}
    assert wants == {ConnectionError: True, TimeoutError: False, OperationalError: True, ValueError: False}
