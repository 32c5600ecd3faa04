"""The Celery adapter against the real Celery and real brokers."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from celeriac.adapters.celery.adapter import CeleryAdapter
from celeriac.conformance.adapter import (
    Adapter,
    Answer,
    Broken,
    Call,
    ErrorClass,
    Ok,
    Raised,
    Scenario,
    Signature,
    WorkerSpec,
)
from celeriac.conformance.process import ProcessAdapter
from celeriac.conformance.verdicts import HarnessError

BROKERS = [("embedded", None), ("redis", "process")]
DEAD = "amqp://guest:guest@127.0.0.1:1//"

pytestmark = pytest.mark.parametrize(
    "broker_url", BROKERS, ids=["amqp", "redis"], indirect=True, scope="module"
)


def _scenario(url: str, **fields: Any) -> Scenario:
    name = f"q-{uuid.uuid4()}"
    backend = url if url.startswith("redis") else "rpc://"
    return Scenario(name, url, backend, name, **fields)


class Stage:
    """A Celery producer and a Celery worker that share a scenario."""

    def __init__(self, adapter: Adapter, events: Any, scenario: Scenario) -> None:
        self.adapter = adapter
        self.events = events
        self.scenario = scenario
        assert adapter.begin(scenario) == Ok()

    def worker(self, name: str = "w1") -> None:
        spec = WorkerSpec(name, self.scenario.broker_url, (self.scenario.queue,))
        assert self.adapter.start_worker(spec) == Ok()

    def call(self, task: str = "celeriac.add", *args: Any, **options: Any) -> Answer:
        mode = options.pop("mode", "apply_async")
        return self.adapter.call(Call(task, args, {}, mode, options))

    def task_id(self, task: str = "celeriac.add", *args: Any, **options: Any) -> str:
        answer = self.call(task, *args, **options)
        assert isinstance(answer, Ok), answer
        return str(answer.value["task_id"])

    def get(self, task_id: str, **how: Any) -> Answer:
        return self.adapter.get_result(task_id, timeout=10, **how)


@pytest.fixture
def adapter() -> Iterator[CeleryAdapter]:
    """Answer a Celery adapter that the test may spoil."""
    adapter = CeleryAdapter()
    yield adapter
    adapter.close()


@pytest.fixture(scope="module")
def running(listen: Callable[..., Any], broker_url: str) -> Iterator[Stage]:
    """Answer a stage with a running worker that accepts pickle, too; shared by tests that do not spoil it."""
    adapter = CeleryAdapter()
    settings = {"accept_content": ["json", "pickle"]}
    stage = Stage(adapter, listen(adapter), _scenario(broker_url, settings=settings))
    stage.worker()
    yield stage
    adapter.close()


def test_task_is_executed_and_its_result_comes_back(running: Stage) -> None:
    """``add(2, 2)`` is 4, and the worker reports the execution."""
    task_id = running.task_id("celeriac.add", 2, 2)

    assert running.get(task_id) == Ok({"value": 4, "messages": []})
    started = running.events.wait("started", task_id=task_id)
    ended = running.events.wait("ended", task_id=task_id)
    assert started.data["worker"] == "w1"
    assert (started.data["task"], started.data["args"], started.data["attempt"]) == (
        "celeriac.add",
        (2, 2),
        0,
    )
    assert (ended.data["state"], ended.data["value"]) == ("SUCCESS", 4)
    assert running.adapter.state(task_id) == Ok("SUCCESS")


def test_countdown_is_waited_for(running: Stage) -> None:
    """A task with a countdown does not start before it is over."""
    before = time.time()

    task_id = running.task_id("celeriac.add", 1, 1, countdown=1)

    assert running.events.wait("started", task_id=task_id).at >= before + 1


def test_expired_task_is_revoked(running: Stage) -> None:
    """A task that has expired is not started, and its caller learns that it was revoked."""
    task_id = running.task_id("celeriac.add", 1, 1, expires=-10)

    answer = running.get(task_id)

    assert isinstance(answer, Raised)
    assert (answer.category, answer.text) == ("revoked", "expired")


@pytest.mark.parametrize("mode", ["apply_async", "delay", "send_task", "signature"])
def test_forms_of_the_api_send_the_task(running: Stage, mode: str) -> None:
    """Each form of the calling API that sends is driven."""
    assert running.get(running.task_id("celeriac.add", 20, 3, mode=mode)) == Ok({"value": 23, "messages": []})


def test_direct_call_runs_here(running: Stage) -> None:
    """The mode ``direct`` answers the function's value, and no worker reports anything."""
    assert running.call("celeriac.add", 20, 3, mode="direct") == Ok({"value": 23})


def test_values_outside_json_reach_celery(running: Stage) -> None:
    """Arguments cross the process boundary as what they are, and so do reports."""
    value = (b"\xff", {1: None}, {2})

    task_id = running.task_id("celeriac.echo", value, serializer="pickle")

    assert running.events.wait("started", task_id=task_id).data["args"] == (value,)


def test_links_are_celery_signatures(running: Stage) -> None:
    """A link gets the parent's result; a link_error is told of the failure."""
    parent = running.task_id("celeriac.add", 1, 2, link=Signature("celeriac.add", (40,)))
    failed = running.task_id("celeriac.fail", "no", link_error=[Signature("celeriac.handler")])

    running.events.wait("ended", task="celeriac.add", value=43)
    errback = running.events.wait("errback", task_id=failed)
    assert (errback.data["exc_type"], errback.data["exc_message"]) == ("ValueError", "no")
    assert errback.data["has_traceback"] is True
    assert running.get(parent) == Ok({"value": 3, "messages": []})


def test_failure_is_raised_or_described(running: Stage) -> None:
    """A failed task raises its error at its caller, or is described when the caller does not propagate."""
    task_id = running.task_id("celeriac.fail", "boom")

    assert running.get(task_id) == Raised("other", "ValueError", "boom", "maybe", None)
    described = {"exc_type": "ValueError", "exc_message": "boom"}
    assert running.get(task_id, propagate=False) == Ok({"value": described, "messages": []})
    assert running.events.wait("ended", task_id=task_id).data["state"] == "FAILURE"


def test_progress_is_seen_by_the_caller(running: Stage) -> None:
    """``on_message`` sees each state, in order."""
    task_id = running.task_id("celeriac.progress", 2)

    answer = running.get(task_id, on_message=True)

    assert isinstance(answer, Ok)
    bodies = [body for body in answer.value["messages"] if body["task_id"] == task_id]
    assert [body["status"] for body in bodies] == ["PROGRESS", "PROGRESS", "SUCCESS"]
    assert answer.value["value"] == "done"


def test_retry_and_refusals_are_reported(running: Stage) -> None:
    """A probe that is retried, ignored or rejected says so."""
    retried = running.task_id("celeriac.retry", 1)
    ignored = running.task_id("celeriac.ignore")
    rejected = running.task_id("celeriac.reject", False)

    assert running.events.wait("retried", task_id=retried).data["attempt"] == 0
    assert running.events.wait("ended", task_id=retried).data["attempt"] == 1
    assert running.events.wait("ended", task_id=ignored).data["state"] == "IGNORED"
    assert running.events.wait("ended", task_id=rejected).data["state"] == "REJECTED"


@pytest.mark.parametrize(
    ("task", "args", "options", "category", "native"),
    [
        ("celeriac.add", (1,), {}, "bad-argument", "TypeError"),
        ("celeriac.unheard_of", (), {}, "unknown-task", "celery.exceptions.NotRegistered"),
        ("celeriac.add", (1, {2}), {}, "encode", "kombu.exceptions.EncodeError"),
        ("celeriac.add", (1, 2), {"serializer": "?"}, "encode", "kombu.exceptions.SerializerNotInstalled"),
        ("celeriac.add", (1, 2), {"countdown": "x"}, "bad-argument", "TypeError"),
    ],
)
def test_errors_of_the_caller_have_a_category(
    running: Stage, task: str, args: tuple[Any, ...], options: dict[str, Any], category: str, native: str
) -> None:
    """What Celery raises arrives with its native type and the harness's category, and nothing was sent."""
    answer = running.call(task, *args, **options)

    assert isinstance(answer, Raised)
    assert (answer.category, answer.type, answer.effect) == (category, native, "none")


def test_no_result_in_time_is_a_timeout(running: Stage) -> None:
    """A wait for a result that does not come ends with Celery's own timeout."""
    answer = running.adapter.get_result(str(uuid.uuid4()), timeout=0.1)

    assert isinstance(answer, Raised)
    assert (answer.category, answer.type) == ("timeout", "celery.exceptions.TimeoutError")


@pytest.mark.parametrize(("how", "code"), [("warm", 0), ("cold", 0), ("kill", -signal.SIGKILL)])
def test_worker_stops_as_told(running: Stage, how: Any, code: int) -> None:
    """Each way to stop a worker is a signal, and its exit code is answered and reported."""
    name = f"w-{how}"
    running.worker(name)

    assert running.adapter.stop_worker(name, how) == Ok({"exit_code": code})
    stopped = running.events.wait("stopped", worker=name)
    assert stopped.data == {"worker": name, "exit_code": code}
    assert isinstance(running.adapter.stop_worker(name), Broken)


def test_worker_that_dies_by_itself_is_reported(
    adapter: CeleryAdapter, listen: Callable[..., Any], broker_url: str
) -> None:
    """A message that kills Celery's worker is answered by ``stopped`` with the exit code and its last words."""
    stage = Stage(adapter, listen(adapter), _scenario(broker_url))
    stage.worker()

    stage.task_id("celeriac.add", 1, 1, headers={"eta": ""})

    stopped = stage.events.wait("stopped", worker="w1")
    assert stopped.data["exit_code"] == 1
    assert "tzinfo" in stopped.data["log"]
    assert adapter.end() == Ok()


def test_dead_broker_is_a_connection_error(adapter: CeleryAdapter, broker_url: str) -> None:
    """A broker that refuses connections makes the call raise, with the cause, when the policy is used up."""
    policy = {"max_retries": 1, "interval_start": 0, "retry_errors": (ErrorClass("timeout"),)}
    call = Call("celeriac.add", (1, 1), options={"retry_policy": policy})
    dead = DEAD if broker_url.startswith("amqp") else "redis://127.0.0.1:1/0"
    assert adapter.begin(Scenario("s", dead, None, "q", fresh=True)) == Ok()

    answer = adapter.call(call)

    assert isinstance(answer, Raised)
    assert (answer.category, answer.type) == ("connection", "kombu.exceptions.OperationalError")
    assert answer.cause in {"ConnectionRefusedError", "redis.exceptions.ConnectionError"}


def test_worker_dies_with_its_driver(
    adapter: CeleryAdapter, listen: Callable[..., Any], broker_url: str
) -> None:
    """A driver that is killed takes its workers along, without anybody telling them."""
    stage = Stage(adapter, listen(adapter), _scenario(broker_url, fresh=True))
    stage.worker()
    assert adapter._conversation is not None
    driver = adapter._conversation._child._process.pid
    (worker,) = (int(pid) for pid in Path(f"/proc/{driver}/task/{driver}/children").read_text().split())
    watch = os.pidfd_open(worker)
    try:
        os.kill(driver, signal.SIGKILL)
        gone, _, _ = select.select([watch], [], [], 20)
    finally:
        os.close(watch)

    assert gone
    assert isinstance(adapter.state("t"), Broken)


def test_hello_names_the_installed_version(adapter: CeleryAdapter, broker_url: str) -> None:
    """The version is the installed package's."""
    said = adapter.hello()

    assert (said["implementation"], said["version"]) == ("Celery", metadata.version("celery"))
    assert said["missing"] == {}


def test_celery_that_is_not_installed_is_one_line(broker_url: str) -> None:
    """Without Celery the adapter says what to install."""
    without = (
        "import sys; sys.modules['celery'] = None; from celeriac.adapters.celery.driver import main; main()"
    )
    adapter = ProcessAdapter([sys.executable, "-c", without])
    try:
        with pytest.raises(HarnessError) as caught:
            adapter.hello()
    finally:
        adapter.close()

    assert str(caught.value) == "Celery is not installed: pip install 'celeriac[celery]'"
