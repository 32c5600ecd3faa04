"""What reports of runs say of the chapter Brokers and time, by what the broker does; as the suite has written it."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

__all__ = ["CANCELLED", "CLOSED", "HELD", "REDELIVERED", "results"]

MODULE = "test_brokers_and_time.py"
TEXT = (
    "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: 1800000 ms. "
    "This timeout value can be configured, see consumers doc guide to learn more"
)


def entry(name: str, verdict: str, *notes: tuple[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Answer what the report says of a requirement with one check."""
    told = [{"name": kind, "value": dict(value)} for kind, value in notes]
    check = {"id": f"{MODULE}::{name}", "verdict": verdict, "duration_s": 9.1, "reason": "", "notes": told}
    return {"level": "MUST", "role": "broker", "verdict": verdict, "checks": [check]}


def lease(queue: str, ending: str, after: float, text: str | None) -> tuple[str, Mapping[str, Any]]:
    """Answer the note on a delivery that was held for too long."""
    return "lease", {
        "queue": queue,
        "timeout_s": 1800.0,
        "ended_after_s": after,
        "ending": ending,
        "text": text,
    }


def life(
    countdown: float, delivered: list[float], executed: list[float], *codes: int
) -> tuple[str, Mapping[str, Any]]:
    """Answer the note on what became of a task."""
    return "life", {
        "countdown_s": countdown,
        "delivered_after_s": delivered,
        "executed_after_s": executed,
        "workers_ended": list(codes),
    }


Entries = Mapping[str, dict[str, Any]]

#: A classic queue's channel is closed, and the worker ends with it.
CLOSED: Entries = {
    "TIM-001": entry(
        "test_overdue_channel_is_closed_in_time", "pass", lease("classic", "channel-close", 1812.0, TEXT)
    ),
    "TIM-007": entry(
        "test_task_beyond_consumer_timeout_runs_once", "pass", life(2760.0, [0.1, 1813.2], [2760.4], 1)
    ),
    "TIM-009": entry("test_worker_survives_a_closed_channel", "known-failure"),
    "BAS-001": entry("test_another_chapter", "not-run"),
}
#: A classic queue has no timeout.
HELD: Entries = {
    "TIM-017": entry(
        "test_without_a_default_timeout_nothing_is_taken_back", "pass", life(10_800.0, [0.0], [10_800.7])
    )
}
#: A quorum queue cancels the consumer.
CANCELLED: Entries = {
    "TIM-019": entry(
        "test_quorum_queue_cancels_the_consumer", "pass", lease("quorum", "consumer-cancel", 1801.2, None)
    )
}
#: A sweep on Redis.
REDELIVERED: Entries = {
    "TIM-012": entry("test_waiting_workers_sweep[1]", "pass", life(7200.0, [0.0, 3614.5], [7207.7, 7207.7]))
}


def results(
    requirements: Entries,
    *,
    flavour: str = "rabbitmq",
    version: str | None = "3.10.8",
    clock: str = "travel",
    withdrawn: str | None = None,
    later: float = 0.0,
) -> dict[str, Any]:
    """Answer a ``results.json``.

    Args:
        requirements: what it says of each.
        flavour: of the broker.
        version: of the broker; None where there was none.
        clock: that was used.
        withdrawn: why the clock could not be moved.
        later: seconds by which deliveries ended later than in the sample.
    """
    entries = deepcopy(dict(requirements))
    notes = [note for one in entries.values() for check in one["checks"] for note in check["notes"]]
    for note in notes:
        if note["name"] == "lease":
            note["value"]["ended_after_s"] += later
    return {
        "suite": {"version": "0.1.0"},
        "adapter": {"name": "celery"},
        "implementation": {"name": "Celery", "version": "5.5.3"},
        "broker": {"flavour": flavour, "from": "container", "version": version},
        "clock": clock,
        "clock_withdrawn": withdrawn,
        "duration_s": 255.975,
        "simulated_s": 96_010.05 if clock == "travel" else None,
        "counts": {},
        "requirements": entries,
    }
