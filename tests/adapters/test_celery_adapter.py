"""What is Celery's alone: its processes, its version, its deaths."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from celeriac.adapters.celery.adapter import CeleryAdapter
from celeriac.adapters.celery.application import accepts_pickle
from celeriac.conformance.adapter import Broken, Ok, Raised
from celeriac.conformance.process import ProcessAdapter
from celeriac.conformance.verdicts import HarnessError


@pytest.fixture(params=["celery-amqp", "celery-redis"])
def celery_stage(request: pytest.FixtureRequest, open_stage: Callable[[str], Any]) -> Iterator[Any]:
    """Answer a stage of the Celery adapter that the test may spoil."""
    stage = open_stage(request.param)
    yield stage
    stage.adapter.close()


def test_worker_that_dies_by_itself_is_reported(celery_stage: Any) -> None:
    """A message that kills Celery's worker is answered by ``stopped`` with the exit code and its last words."""
    celery_stage.begin()
    celery_stage.worker()

    celery_stage.task_id("celeriac.add", 1, 1, headers={"eta": ""})

    stopped = celery_stage.wait("stopped", worker="w1")
    assert stopped.data["exit_code"] == 1
    assert "tzinfo" in stopped.data["log"]
    assert celery_stage.adapter.end() == Ok()


@pytest.mark.parametrize("celery_stage", ["celery-redis"], indirect=True)
def test_worker_dies_with_its_driver(celery_stage: Any) -> None:
    """A driver that is killed takes its workers along, without anybody telling them."""
    celery_stage.begin()
    celery_stage.worker()
    driver = celery_stage.adapter._conversation._child._process.pid
    (server,) = _children(driver)
    (worker,) = _children(server)
    watch = os.pidfd_open(worker)
    try:
        os.kill(driver, signal.SIGKILL)
        gone, _, _ = select.select([watch], [], [], 20)
    finally:
        os.close(watch)

    assert gone
    assert isinstance(celery_stage.adapter.state("t"), Broken)


def _children(process: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


@pytest.mark.parametrize("celery_stage", ["celery-redis"], indirect=True)
def test_native_types_are_celerys(celery_stage: Any) -> None:
    """What Celery raises is named as Celery names it."""
    celery_stage.begin()

    unknown = celery_stage.call("celeriac.unheard_of")
    late = celery_stage.adapter.get_result("nobody", timeout=0.1)

    assert isinstance(unknown, Raised)
    assert unknown.type == "celery.exceptions.NotRegistered"
    assert isinstance(late, Raised)
    assert late.type == "celery.exceptions.TimeoutError"


@pytest.mark.parametrize("celery_stage", ["celery-redis"], indirect=True)
def test_environment_of_the_caller_is_forgotten(celery_stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables by which Celery is configured elsewhere do not reach it: the scenario's broker is used."""
    monkeypatch.setenv("CELERY_BROKER_URL", "amqp://nobody@127.0.0.1:1//")
    celery_stage.begin()
    celery_stage.worker()

    task_id = celery_stage.task_id("celeriac.add", 1, 1)

    assert celery_stage.get(task_id) == Ok({"value": 2, "messages": []})


def test_hello_names_the_installed_version() -> None:
    """The version is the installed package's."""
    adapter = CeleryAdapter()
    try:
        said = adapter.hello()
    finally:
        adapter.close()

    assert (said["implementation"], said["version"]) == ("Celery", metadata.version("celery"))
    assert said["missing"] == {}


def test_celery_that_is_not_installed_is_one_line() -> None:
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


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, False),
        ({"accept_content": ["json", "yaml"]}, False),
        ({"accept_content": ["json", "pickle"]}, True),
        ({"accept_content": ("application/x-python-serialize",)}, True),
        ({"result_accept_content": ["pickle"]}, True),
        ({"task_serializer": "pickle"}, False),
    ],
)
def test_pickle_is_decoded_only_where_a_setting_accepts_it(settings: Any, expected: bool) -> None:
    """A worker is allowed to decode pickle by its own settings alone."""
    assert accepts_pickle(settings) is expected
