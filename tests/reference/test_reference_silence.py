"""A broker that falls silent in the middle of a call: the caller is told, in time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import pytest

from celeriac.reference.broker import inproc
from celeriac.reference.errors import OperationalError

Lab = Any


@pytest.fixture
def silence(lab: Lab) -> Iterator[dict[str, int]]:
    """Let the broker hear nothing more after so many writes of its clients; ``heard`` counts them."""
    writes = {"allowed": 1_000, "heard": 0}

    def line(number: int) -> inproc.Line:
        def carry(sender: Literal["client", "broker"], data: bytes) -> tuple[bytes, bool]:
            writes["heard"] += sender == "client"
            return (data if writes["heard"] <= writes["allowed"] else b""), False

        return carry

    inproc.tamper(lab.name, line)
    yield writes
    inproc.tamper(lab.name, None)


@pytest.mark.parametrize("backend", ["memory://silence", "rpc://"])
def test_wherever_the_broker_falls_silent_the_caller_is_told(
    lab: Lab, silence: dict[str, int], backend: str
) -> None:
    """After whichever write the broker hears nothing more, the call raises when its time-out is over."""
    lab.app(backend).send_task("add", (1, 2), retry=False)
    writes = silence["heard"]
    assert writes > 5
    for allowed in range(writes):
        app = lab.app(backend, broker_connection_timeout=7)
        silence.update(allowed=allowed, heard=0)
        before = lab.clock.monotonic()
        with pytest.raises(OperationalError) as caught:
            app.send_task("add", (1, 2), retry=False)
        assert isinstance(caught.value.__cause__, TimeoutError), f"silent after write {allowed}"
        assert lab.clock.monotonic() - before == 7


def test_a_goodbye_that_nobody_answers_keeps_no_caller(lab: Lab, silence: dict[str, int]) -> None:
    """When the broker falls silent after it has taken the message, the call returns, although a goodbye was due."""
    lab.app().send_task("add", (1, 2))
    silence.update(allowed=silence["heard"], heard=0)
    before = lab.clock.monotonic()
    lab.app(broker_connection_timeout=7, broker_pool_limit=None).send_task("add", (1, 2))
    assert lab.clock.monotonic() - before <= 2 * 7
    assert len(lab.events("publish")) == 2
