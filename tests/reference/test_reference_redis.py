"""The reference over a real Redis: envelope, results, and a worker whose connections are cut."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import redis

from celeriac.conformance.history import History
from celeriac.conformance.tap import Tap
from celeriac.reference import App, Worker
from celeriac.reference.clock import MovableClock
from celeriac.reference.worker.consumer import Consumer
from celeriac.spec import validator

DEADLINE = 20.0


@pytest.fixture(scope="module")
def url(node_url: Callable[[str], str]) -> str:
    """A Redis of the test run's own."""
    return node_url("redis")


@pytest.fixture
def client(url: str) -> Iterator[Any]:
    """A client that looks behind the scenes."""
    with redis.Redis.from_url(url) as client:
        yield client


@pytest.fixture
def app(url: str) -> Iterator[App]:
    """An application with a queue of its own."""
    with App("live", url, url, task_default_queue=f"q-{uuid4()}") as app:
        app.task(name="add")(lambda x, y: x + y)
        yield app


@contextmanager
def at_work(app: App) -> Iterator[Worker]:
    """Let a worker run until the end of the block."""
    ready = threading.Event()
    worker = Worker(app, observer=lambda kind, _: ready.set() if kind == "ready" else None)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        assert ready.wait(DEADLINE)
        yield worker
    finally:
        worker.request_stop()
        thread.join()


def test_the_envelope_is_the_published_one(app: App, client: Any) -> None:
    """A message in a list is valid against the schema, and priorities choose the list."""
    app.send_task("add", (1, 2), expires=60)
    app.send_task("add", (1, 2), priority=7)
    name = app.conf.task_default_queue
    first = json.loads(client.lindex(name, 0))
    validator("redis-envelope").validate(first)
    assert json.loads(base64.b64decode(first["body"]))[0] == [1, 2]
    assert client.llen(f"{name}\x06\x166") == 1


def test_results_are_kept_and_published(app: App, client: Any) -> None:
    """The record is under its key for result_expires seconds, and every state reaches the caller."""

    def progress(task: Any) -> str:
        for step in range(3):
            task.update_state("PROGRESS", step)
        return "done"

    app.task(name="progress", bind=True)(progress)
    with at_work(app):
        bodies: list[Any] = []
        result = app.send_task("progress")
        assert result.get(DEADLINE, on_message=bodies.append) == "done"
    assert [body["status"] for body in bodies] == ["PROGRESS"] * 3 + ["SUCCESS"]
    key = f"celery-task-meta-{result.id}"
    validator("result").validate(json.loads(client.get(key)))
    assert 0 < client.ttl(key) <= 86_400


def test_another_process_reads_the_key(app: App, url: str) -> None:
    """Who did not call the task gets its result, state and failure from the key."""
    with at_work(app), App("other", url, url) as other:
        done = app.send_task("add", (1, 2))
        failed = app.send_task("add", (1, None))
        assert done.get(DEADLINE) == 3
        assert isinstance(failed.get(DEADLINE, propagate=False), TypeError)
        assert other.AsyncResult(done.id).get(DEADLINE) == 3
        assert other.AsyncResult(failed.id).state == "FAILURE"
        assert other.AsyncResult("nobody").state == "PENDING"


@pytest.mark.parametrize("waits_before", [False, True])
def test_a_record_that_nobody_publishes_is_read(app: App, client: Any, waits_before: bool) -> None:
    """Whoever called a task gets a record that a worker has stored without a word, whenever the wait began."""
    result = app.send_task("nobody.runs.this")
    record = {"task_id": result.id, "status": "SUCCESS", "result": 4, "traceback": None, "children": []}
    seen: list[Any] = []
    waiter = threading.Thread(target=lambda: seen.append(result.get(DEADLINE)))
    if waits_before:
        waiter.start()
    client.set(f"celery-task-meta-{result.id}", json.dumps(record))
    if not waits_before:
        waiter.start()
    waiter.join()
    assert seen == [4]


def test_success_stays(app: App) -> None:
    """A failing second run leaves the record of the first alone."""
    with at_work(app):
        assert app.send_task("add", (1, 2), task_id="sticky").get(DEADLINE) == 3
        app.send_task("add", (1, None), task_id="sticky")
        assert app.send_task("add", (2, 2)).get(DEADLINE) == 4
    assert app.AsyncResult("sticky").state == "SUCCESS"


def test_what_is_no_message_is_dropped(app: App, client: Any) -> None:
    """Any element of the list may be garbage; the worker goes on."""
    envelope = {"body": "!", "headers": {}, "properties": {"delivery_tag": "t", "body_encoding": "base64"}}
    with at_work(app):
        for element in ("", "garbage", "[]", "{}", "null", json.dumps(envelope)):
            client.lpush(app.conf.task_default_queue, element)
        assert app.send_task("add", (1, 1)).get(DEADLINE) == 2
    assert client.llen(app.conf.task_default_queue) == 0


def test_a_worker_survives_the_loss_of_its_connections(app: App, url: str, client: Any) -> None:
    """What it held is given back when it connects again, and runs once."""
    target = urlsplit(url)
    assert target.hostname is not None
    assert target.port is not None
    started: list[str] = []
    tap = Tap(target.hostname, target.port, "redis", History())
    with App("behind", f"redis://127.0.0.1:{tap.start()}/0", url) as behind:
        behind.conf.update({"task_default_queue": app.conf.task_default_queue})
        behind.task(name="add")(lambda x, y: x + y)
        events = {kind: threading.Event() for kind in ("received", "lost")}
        behind.observers += [
            lambda kind, data: started.append(data["task_id"]) if kind == "started" else None,
            lambda kind, _: events[kind].set() if kind in events else None,
        ]
        with at_work(behind):
            held = app.send_task("add", (1, 1), countdown=1)
            assert events["received"].wait(DEADLINE)
            assert client.hlen("unacked") == 1
            tap.drop()
            assert events["lost"].wait(DEADLINE)
            assert held.get(DEADLINE) == 2
            assert app.send_task("add", (2, 2)).get(DEADLINE) == 4
    tap.close()
    assert started.count(held.id) == 1
    assert client.hlen("unacked") == 0


def received(consumer: Consumer) -> Any:
    """Answer the next message that a consumer gets, in fewer waits than kombu needs before it looks by itself."""
    waits = (consumer.receive(DEADLINE / 4) for _ in range(4))
    ((message, error),) = next(filter(None, waits), [(None, None)])
    assert error is None
    return message


def test_a_worker_looks_for_overdue_messages_every_hundred_seconds(url: str) -> None:
    """What was held for too long comes again when a hundred seconds have passed, and not before.

    In a database of its own: a worker that another test killed while it looked keeps everybody else from looking.
    """
    clock = MovableClock()
    with App("live", f"{url.removesuffix('/0')}/1", task_default_queue=f"q-{uuid4()}", clock=clock) as app:
        consumer = Consumer(app, (app.conf.task_default_queue,), 0)
        consumer.connect()
        app.send_task("add", (1, 2))
        held = received(consumer)
        assert consumer.receive() == []  # after the first wait in vain kombu looks, too
        with redis.Redis.from_url(app.broker_url) as behind:
            behind.zadd("unacked_index", {held.delivery_tag: 0})
        assert consumer.receive() == []
        clock.advance(100)
        assert received(consumer).delivery_tag == held.delivery_tag
        consumer.close()
