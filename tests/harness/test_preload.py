"""Variables for all processes of an adapter, such as those by which they follow a clock that is moved."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from celeriac.conformance.adapter import Adapter
from celeriac.conformance.guard import GuardedAdapter
from celeriac.conformance.process import ProcessAdapter

VARIABLE = "CELERIAC_TEST_PRELOAD"


class Outspoken(Adapter):
    """An adapter that tells what is preloaded and in which process it is."""

    def hello(self) -> Mapping[str, Any]:
        return {"implementation": os.environ.get(VARIABLE, "nothing"), "version": str(os.getpid())}

    def close(self) -> None:
        pass


SERVED = [sys.executable, "-m", "celeriac.conformance.serving", f"{Path(__file__)}:{Outspoken.__qualname__}"]


@pytest.mark.parametrize(
    "make", [Outspoken, lambda: ProcessAdapter(SERVED)], ids=["in process", "own process"]
)
@pytest.mark.parametrize("guarded", [False, True])
def test_what_is_preloaded_reaches_a_process_of_its_own(make: Any, guarded: bool) -> None:
    """Whether an adapter lives in this process or not, a preloaded one lives in another with the variables."""
    adapter: Adapter = GuardedAdapter(make(), 20.0) if guarded else make()
    with closing(adapter.preload({VARIABLE: "a clock"})) as preloaded:
        hello = preloaded.hello()
        assert hello["implementation"] == "a clock"
        assert int(hello["version"]) != os.getpid()
        assert isinstance(preloaded, GuardedAdapter) is guarded
    assert VARIABLE not in os.environ


def test_what_a_process_was_started_with_is_kept() -> None:
    """Preloading adds to the variables that an adapter's processes have anyway."""
    adapter = ProcessAdapter(SERVED, env={VARIABLE: "old", "OTHER": "kept"})
    adapter.preload({VARIABLE: "new"})
    assert adapter.env == {VARIABLE: "new", "OTHER": "kept"}
    adapter.close()
