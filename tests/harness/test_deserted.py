"""Waiting where every worker has ended: what is over, what is not, and that nobody slow is given up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from celeriac.conformance.claim import Claim
from celeriac.conformance.history import BY_WORKERS, History
from celeriac.conformance.wall_stage import WallStage
from celeriac.conformance.world import World

CLAIM = Claim("scripted", "scripted", ("worker",), ("amqp",), ("wall",), (), {})

#: A moment, and the kind of record that comes then, with its fields.
Act = tuple[float, str, dict[str, Any]]


class Script:
    """A stage on which a script plays: its clock goes from one second to the next and looks each time."""

    kind, patience, grace = "wall", WallStage.patience, WallStage.grace
    nothing_follows = WallStage.nothing_follows

    def __init__(self, acts: Sequence[Act], *workers: str) -> None:
        self.clock = self
        self.history = History()
        self._workers = set(workers)
        self._acts = sorted(acts, key=lambda act: act[0])
        self._now = 0.0

    def now(self) -> float:
        return self._now

    def wait_for(self, predicate: Callable[[], bool], timeout: float) -> bool:
        while not predicate():
            self._now += 1
            if self._now > timeout:
                return False
            while self._acts and self._acts[0][0] <= self._now:
                at, kind, data = self._acts.pop(0)
                self.history.add(kind, at, "probe", **data)
        return True


def wait(script: Script, *kinds: str) -> tuple[str | None, float]:
    """Answer the kind of what came, and when the wait was over."""
    record = World(cast("Any", script), CLAIM).wait(*kinds, task_id="t")
    return record.kind if record else None, script.now()


def test_slow_worker_has_all_the_patience_there_is() -> None:
    """What a living worker does in the last second of the patience is seen, also beside one that has ended."""
    acts: list[Act] = [
        (1.0, "stopped", {"worker": "first"}),
        (WallStage.patience, "ended", {"worker": "second", "task_id": "t"}),
    ]

    assert wait(Script(acts, "first", "second"), "ended") == ("ended", WallStage.patience)


def test_nobody_waits_for_the_dead() -> None:
    """Once all workers have ended, and what they did last had time to be noted, the wait is over."""
    stopped: list[Act] = [(1.0, "stopped", {"worker": "first"}), (3.0, "stopped", {"worker": "second"})]

    found, over = wait(Script(stopped, "first", "second"), "ended", "stored")

    assert found is None
    assert 3 + (WallStage.grace or 0) < over < WallStage.patience / 2


def test_last_act_of_a_worker_may_be_noted_after_its_end() -> None:
    """Two observers write one history: an acknowledgement that is noted just after the end of its worker counts."""
    acts: list[Act] = [(1.0, "stopped", {"worker": "first"}), (2.0, "acked", {"task_id": "t"})]

    assert wait(Script(acts, "first"), "acked") == ("acked", 2.0)


@pytest.mark.parametrize("kinds", [("published",), ("ended", "delivered"), ("expired",)])
def test_what_others_cause_is_waited_for(kinds: tuple[str, ...]) -> None:
    """A producer and a broker may act for as long as ever, whoever has ended."""
    acts: list[Act] = [(1.0, "stopped", {"worker": "first"}), (15.0, kinds[-1], {"task_id": "t"})]

    assert wait(Script(acts, "first"), *kinds) == (kinds[-1], 15.0)


def test_without_a_worker_nothing_is_over() -> None:
    """Where the harness stores results in a worker's place, there is no worker that could have ended."""
    acts: list[Act] = [(15.0, "stored", {"task_id": "t"})]

    assert wait(Script(acts), "stored") == ("stored", 15.0)


@pytest.mark.parametrize("kind", sorted(BY_WORKERS))
def test_where_time_is_free_nobody_is_in_a_hurry(kind: str) -> None:
    """A stage without a grace waits for all its patience."""
    script = Script([(1.0, "stopped", {"worker": "first"})], "first")
    script.grace = None

    assert wait(script, kind) == (None, WallStage.patience + 1)
