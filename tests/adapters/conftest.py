"""Brokers, adapters and stages for the tests of the adapters."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from celeriac.adapters.celery.adapter import CeleryAdapter
from celeriac.adapters.reference.adapter import ReferenceAdapter
from celeriac.conformance.adapter import Adapter, Answer, Call, Event, Ok, Scenario, WorkerSpec
from celeriac.reference.broker import inproc
from celeriac.reference.broker.broker import Broker
from celeriac.reference.clock import Clock, VirtualClock, WallClock

#: Name of a stage -> the adapter and the broker.
STAGES = {
    "celery-amqp": (CeleryAdapter, "embedded"),
    "celery-redis": (CeleryAdapter, "redis"),
    "reference-virtual": (ReferenceAdapter, "inproc"),
    "reference-amqp": (ReferenceAdapter, "embedded"),
    "reference-redis": (ReferenceAdapter, "redis"),
}

DEAD = "amqp://guest:guest@127.0.0.1:1//"


class Stage:
    """An adapter, a scenario, and the events that came of it."""

    def __init__(self, adapter: Adapter, broker_url: str, clock: Clock | None = None) -> None:
        self.adapter = adapter
        self.broker_url = broker_url
        self.clock = clock or WallClock()
        self.virtual = clock is not None
        self.backend_url: str | None = broker_url if broker_url.startswith("redis") else "rpc://"
        self.events: list[Event] = []
        adapter.emit = self.events.append

    def begin(self, **fields: Any) -> None:
        name = f"q-{uuid.uuid4()}"
        clock = self.clock if self.virtual else None
        self.scenario = Scenario(name, self.broker_url, self.backend_url, name, clock=clock, **fields)
        answer = self.adapter.begin(self.scenario)
        assert answer == Ok(), answer

    def lose_broker(self) -> None:
        """Let this stage's broker be one that refuses connections, and do without results."""
        self.backend_url = None
        scheme, _, name = self.broker_url.partition("://")
        if scheme == "inproc":
            inproc.refuse(name, True)
        self.broker_url = {"inproc": self.broker_url, "redis": "redis://127.0.0.1:1/0"}.get(scheme, DEAD)

    def worker(self, name: str = "w1") -> None:
        spec = WorkerSpec(name, self.scenario.broker_url, (self.scenario.queue,))
        answer = self.adapter.start_worker(spec)
        assert answer == Ok(), answer

    def call(self, task: str = "celeriac.add", *args: Any, **options: Any) -> Answer:
        mode = options.pop("mode", "apply_async")
        return self.adapter.call(Call(task, args, {}, mode, options))

    def task_id(self, task: str = "celeriac.add", *args: Any, **options: Any) -> str:
        answer = self.call(task, *args, **options)
        assert isinstance(answer, Ok), answer
        return str(answer.value["task_id"])

    def get(self, task_id: str, **how: Any) -> Answer:
        return self.adapter.get_result(task_id, timeout=10, **how)

    def wait(self, kind: str, **fields: Any) -> Event:
        """Answer the first event like this, waiting for it at most 20 seconds."""

        def found() -> list[Event]:
            like = [event for event in tuple(self.events) if event.kind == kind]
            return [event for event in like if fields.items() <= dict(event.data).items()]

        self.clock.wait_for(lambda: bool(found()), 20)
        assert found(), f"no {kind} with {fields}; seen: {self.events}"
        return found()[0]


@pytest.fixture(scope="session")
def open_stage(node_url: Callable[[str], str]) -> Iterator[Callable[[str], Stage]]:
    """Answer a function that opens a stage by its name; all are closed at the end of the session."""
    numbers = itertools.count(1)
    opened: list[Stage] = []
    names: list[str] = []

    def open_stage(name: str) -> Stage:
        adapter, flavour = STAGES[name]
        if flavour == "inproc":
            clock = VirtualClock()
            names.append(f"adapters-{next(numbers)}")
            stage = Stage(adapter(), inproc.listen(names[-1], Broker(clock, "rabbit-3.10")), clock)
        else:
            stage = Stage(adapter(), node_url(flavour))
        opened.append(stage)
        return stage

    yield open_stage
    for stage in opened:
        stage.adapter.close()
    for name in names:
        inproc.unlisten(name)


@pytest.fixture(scope="module", params=STAGES)
def running(request: pytest.FixtureRequest, open_stage: Callable[[str], Stage]) -> Iterator[Stage]:
    """Answer a stage with a running worker, for tests that do not spoil it."""
    stage = open_stage(request.param)
    stage.begin(settings={"accept_content": ["json", "pickle"]})
    stage.worker()
    yield stage
    stage.adapter.close()


@pytest.fixture(params=["celery-amqp", "reference-virtual", "reference-redis"])
def stage(request: pytest.FixtureRequest, open_stage: Callable[[str], Stage]) -> Iterator[Stage]:
    """Answer a stage that the test may spoil; the choice has both adapters, both links and both clocks."""
    stage = open_stage(request.param)
    yield stage
    stage.adapter.close()
