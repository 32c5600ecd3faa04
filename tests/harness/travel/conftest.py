"""What the tests of time travel share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from celeriac.conformance.embedded import WallClock
from celeriac.conformance.history import History
from celeriac.conformance.providers import Node, Provider, Unavailable, find
from celeriac.conformance.travel import VARIABLE, library

#: Seconds after which something that must happen has not happened.
PATIENCE = 20.0


def absent(what: str, reason: str) -> None:
    """Skip loudly because something is missing, and fail under CI=true."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is required under CI=true: {reason}")
    pytest.skip(f"NOT TESTED, no {what}: {reason}")


@pytest.fixture
def faketime() -> None:
    """Need libfaketime."""
    if library() is None:
        absent("libfaketime", f"it is not installed (Debian: apt-get install libfaketime) or in {VARIABLE}")


@pytest.fixture
def redis_provider() -> Iterator[Provider]:
    """A provider whose private Redis runs."""
    with find("redis", "process") as provider:
        try:
            provider.node()
        except Unavailable as error:
            absent("redis", error.reason)
        yield provider


@pytest.fixture
def server(redis_provider: Provider) -> Node:
    """A private Redis."""
    return redis_provider.node()


@pytest.fixture
def history() -> History:
    """An empty history."""
    return History()


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], None]:
    """Wait for something that must happen."""

    def wait(predicate: Callable[[], bool]) -> None:
        assert WallClock().wait_for(predicate, PATIENCE), f"did not happen within {PATIENCE} s"

    return wait
