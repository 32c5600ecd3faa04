"""What the tests of time travel share."""

from __future__ import annotations

import os

import pytest

from celeriac.conformance.travel import VARIABLE, library


@pytest.fixture
def faketime() -> None:
    """Need libfaketime; where it is missing, skip loudly, and fail under CI=true."""
    if library() is None:
        reason = f"libfaketime is not installed (Debian: apt-get install libfaketime) or in {VARIABLE}"
        if os.environ.get("CI") == "true":
            pytest.fail(f"time travel is required under CI=true: {reason}")
        pytest.skip(f"NOT TESTED, no time travel: {reason}")
