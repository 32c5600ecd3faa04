"""The worker in virtual time: when tasks run, when they have expired, and what observers hear."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from celeriac.reference import Worker
from celeriac.reference.broker import inproc
from celeriac.reference.errors import TaskRevokedError

Lab = Any


# -- when tasks run ------------------------------------------------------------------------------------


@pytest.mark.parametrize("countdown", [0.05, 1, 59.5, 86_400])
def test_a_task_starts_at_its_eta_and_once(lab: Lab, countdown: float) -> None:
    """On a clock without noise the start is the ETA itself."""
    app = lab.app()
    lab.worker(app)
    result = app.send_task("add", (2, 3), countdown=countdown)
    assert result.get(timeout=countdown + 1) == 5
    lab.clock.advance(86_400)
    assert lab.ran(result.id) == [pytest.approx(countdown, abs=2e-6)]


def test_held_tasks_do_not_keep_others_from_running(lab: Lab) -> None:
    """The prefetch limit grows by the number of held tasks, and shrinks again."""
    app = lab.app()
    lab.worker(app, prefetch=1)
    held = [app.send_task("add", (1, 1), countdown=600) for _ in range(5)]
    assert app.send_task("add", (1, 2)).get(timeout=1) == 3
    lab.clock.advance(601)
    assert [len(lab.ran(result.id)) for result in held] == [1] * 5
    limits = [event.data["prefetch"] for event in lab.events("qos")]
    assert (max(limits), limits[-1]) == (6, 1)


def test_a_countdown_beyond_the_consumer_timeout_runs_once_at_its_eta(lab: Lab) -> None:
    """The guide's scenario: 40 minutes against the default of 30; the worker comes back by itself."""
    app = lab.app()
    worker = lab.worker(app)
    result = app.send_task("add", (2, 3), countdown=2400)
    other = app.send_task("add", (1, 1), countdown=2000)
    lab.clock.advance(3000)
    closes = [event for event in lab.events("channel.close") if event.data["code"] == 406]
    assert len(closes) == 1
    assert (lab.ran(result.id), lab.ran(other.id)) == ([2400], [2000])
    assert worker.connected


def test_a_late_task_beyond_the_consumer_timeout_runs_once(lab: Lab) -> None:
    """The copy that the broker delivers after the channel was closed is settled without another run."""
    app = lab.app(task_acks_late=True)
    app.task(name="long")(lambda: lab.clock.sleep(2400))
    lab.worker(app)
    result = app.send_task("long")
    lab.clock.advance(10_000)
    assert lab.ran(result.id) == [0]
    assert [event.data["stale"] for event in lab.events("ack")] == [False]
    assert result.state == "SUCCESS"


def test_a_copy_of_a_held_message_is_not_run(new_lab: Callable[..., Lab]) -> None:
    """A broker with a visibility timeout delivers again and again; the task runs once, at its ETA."""
    lab = new_lab("redis-kombu")
    app = lab.app()
    lab.worker(app)
    result = app.send_task("add", (2, 3), countdown=3 * 3600)
    lab.clock.advance(4 * 3600)
    copies = [event for event in lab.events("deliver") if event.data["redelivered"]]
    assert len(copies) >= 2
    assert lab.ran(result.id) == [3 * 3600]


def test_tasks_sent_twice_under_one_id_run_twice(lab: Lab) -> None:
    """Only a redelivered message is a copy; the same id in two messages is the caller's wish."""
    app = lab.app()
    lab.worker(app)
    for _ in range(2):
        app.send_task("add", (1, 1), task_id="same", countdown=5)
    lab.clock.advance(10)
    assert lab.ran("same") == [5, 5]


def test_a_worker_connects_again_with_growing_pauses(lab: Lab) -> None:
    """At once, then after 2, 4, 6 seconds; held tasks come back with the connection."""
    app = lab.app()
    lab.worker(app)
    result = app.send_task("add", (1, 1), countdown=100)
    lab.clock.settle()
    before = len(lab.attempts())
    inproc.refuse(lab.name, True)
    inproc.drop(lab.name)
    lab.clock.advance(13)
    assert lab.attempts()[before:] == [0, 2, 6, 12]
    inproc.refuse(lab.name, False)
    lab.clock.advance(200)
    assert lab.ran(result.id) == [100]


def test_a_warm_stop_returns_what_is_held(lab: Lab) -> None:
    """The next worker runs the task at its original ETA."""
    app = lab.app()
    first = lab.worker(app, hostname="first")
    result = app.send_task("add", (1, 1), countdown=100)
    lab.clock.advance(50)
    first.stop()
    lab.clock.advance(10)
    lab.worker(app, hostname="second")
    lab.clock.advance(100)
    assert [(at, data["worker"]) for at, kind, data in lab.seen if kind == "started"] == [(100, "second")]
    assert result.state == "SUCCESS"


def test_a_busy_worker_lets_the_world_go_on(lab: Lab) -> None:
    """While one worker sleeps in a task, another one takes the next."""
    app = lab.app()
    app.task(name="sleep", acks_late=True)(lab.clock.sleep)
    for name in ("a", "b"):
        lab.worker(app, hostname=name, prefetch=1)
    long = app.send_task("sleep", (10,))
    later = [app.send_task("add", (1, 1), countdown=seconds) for seconds in (0, 3, 6, 12)]
    lab.clock.advance(20)
    assert lab.ran(long.id) == [0]
    assert [lab.ran(result.id) for result in later] == [[0], [3], [6], [12]]
    assert {data["worker"] for _, kind, data in lab.seen if kind == "ended"} == {"a", "b"}


# -- expiry ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "revoked_at"),
    [({"expires": -1}, 0), ({"expires": 5, "countdown": 10}, 10)],
    ids=["on arrival", "while held"],
)
def test_an_expired_task_is_revoked(lab: Lab, options: dict[str, Any], revoked_at: float) -> None:
    """It is acknowledged and stored as REVOKED; it does not run, and nobody is called."""
    app = lab.app()
    lab.worker(app)
    link = app.signature("add", (1,))
    result = app.send_task("add", (1, 1), link=link, link_error=link, **options)
    with pytest.raises(TaskRevokedError, match="expired"):
        result.get(timeout=60)
    assert isinstance(result.get(propagate=False), TaskRevokedError)
    assert [at for at, kind, _ in lab.seen if kind == "revoked"] == [revoked_at]
    assert lab.settled() == ["acked"]
    assert (result.state, lab.ran(result.id), len(lab.published())) == ("REVOKED", [], 1)


def test_a_task_expires_behind_another(lab: Lab) -> None:
    """What counts is the moment of the start."""
    app = lab.app()
    app.task(name="sleep")(lab.clock.sleep)
    lab.worker(app)
    app.send_task("sleep", (10,))
    late = app.send_task("add", (1, 1), expires=5)
    in_time = app.send_task("add", (1, 1), expires=10)
    lab.clock.advance(20)
    assert (late.state, in_time.state) == ("REVOKED", "SUCCESS")


def test_ttl_lets_the_broker_drop_what_nobody_fetches(lab: Lab) -> None:
    """Without a worker the message expires in its queue, and its state stays PENDING."""
    app = lab.app()
    result = app.send_task("add", (1, 1), expires=5)
    lab.clock.advance(6)
    lab.worker(app)
    lab.clock.advance(60)
    assert (result.state, lab.seen[-1][1]) == ("PENDING", "ready")


def test_observers_hear_the_life_of_a_task(lab: Lab) -> None:
    """ready, received, started, ended, stopped, each with the worker's name."""
    app = lab.app()
    heard: list[tuple[str, Mapping[str, Any]]] = []
    worker = Worker(app, hostname="w", observer=lambda kind, data: heard.append((kind, data)))
    worker.start()
    result = app.send_task("add", (1, 1))
    result.get(timeout=1)
    worker.stop()
    assert [kind for kind, _ in heard] == ["ready", "received", "started", "ended", "stopped"]
    assert {data["worker"] for _, data in heard} == {"w"}
    assert (heard[3][1]["state"], heard[3][1]["value"]) == ("SUCCESS", 2)
