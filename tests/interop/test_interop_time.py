"""Moments mean the same on both sides: countdown, eta, expires."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from celeriac.conformance.adapter import Ok, Raised

#: Seconds: soon, and yet later than a worker that does not wait would start.
SOON = 0.25


@pytest.mark.feature("eta")
def test_countdown_is_waited_for(crossing: Any) -> None:
    """A task with a countdown is not started before the countdown is over."""
    before = time.time()

    task_id = crossing.send("celeriac.add", 1, 2, countdown=SOON)

    assert crossing.value(task_id) == 3
    assert crossing.wait("started", task_id=task_id).at >= before + SOON


@pytest.mark.feature("eta")
@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=5, minutes=30))], ids=["utc", "india"])
def test_eta_is_the_same_moment(crossing: Any, zone: timezone) -> None:
    """An ETA is waited for, and the worker reads the moment that the caller meant, wherever that lives."""
    eta = datetime.now(zone) + timedelta(seconds=SOON)

    task_id = crossing.send("celeriac.context", eta=eta)

    assert datetime.fromisoformat(crossing.value(task_id)["eta"]) == eta
    assert crossing.wait("started", task_id=task_id).at >= eta.timestamp()


@pytest.mark.feature("eta")
def test_past_eta_does_not_wait(crossing: Any) -> None:
    """An ETA that has passed is no reason not to run."""
    task_id = crossing.send("celeriac.add", 1, 2, eta=datetime.now(UTC) - timedelta(hours=1))

    assert crossing.value(task_id) == 3


@pytest.mark.feature("expires")
@pytest.mark.parametrize("unit", ["seconds", "moment"])
def test_expired_task_is_revoked(crossing: Any, unit: str) -> None:
    """A task that has expired is not executed, and its caller is told that it was revoked."""
    expires = -10 if unit == "seconds" else datetime.now(UTC) - timedelta(seconds=10)

    task_id = crossing.send("celeriac.add", 1, 1, expires=expires)

    answer = crossing.get(task_id)
    assert isinstance(answer, Raised)
    assert (answer.category, answer.text) == ("revoked", "expired")
    assert answer.type.endswith(".TaskRevokedError")
    assert crossing.state(task_id) == "REVOKED"
    crossing.settle()
    assert crossing.about(task_id) == []


@pytest.mark.feature("expires")
def test_revocation_carries_the_name_that_everybody_knows(crossing: Any) -> None:
    """The record of a revoked task names Celery's exception, so that any client raises its own class for it."""
    task_id = crossing.send("celeriac.add", 1, 1, expires=-10)

    answer = crossing.get(task_id, propagate=False, on_message=True)

    assert isinstance(answer, Ok)
    assert answer.value["value"] == {"exc_type": "TaskRevokedError", "exc_message": "expired"}
    records = [body["result"] for body in answer.value["messages"] if body["task_id"] == task_id]
    modules = [record["exc_module"] for record in records if "exc_module" in record]
    assert modules == ([] if crossing.deviates("decoded-record") else ["celery.exceptions"])


@pytest.mark.feature("expires")
def test_task_that_expires_before_its_eta_is_revoked(crossing: Any) -> None:
    """A task that a worker holds for its ETA is revoked when it expires before."""
    task_id = crossing.send("celeriac.add", 1, 1, countdown=2 * SOON, expires=SOON)

    answer = crossing.get(task_id)
    assert isinstance(answer, Raised)
    assert (answer.category, answer.text) == ("revoked", "expired")
    crossing.settle()
    assert crossing.about(task_id) == []


@pytest.mark.feature("expires")
def test_task_that_has_not_expired_is_executed(crossing: Any) -> None:
    """An expiry that lies ahead does not hinder, and the worker reads the moment that the caller meant."""
    expires = datetime.now(UTC) + timedelta(hours=1)

    context = crossing.value(crossing.send("celeriac.context", expires=expires))

    assert datetime.fromisoformat(context["expires"]) == expires
