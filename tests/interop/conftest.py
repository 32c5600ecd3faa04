"""A producer of one implementation and a worker of the other, on one broker."""

from __future__ import annotations

import itertools
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from celeriac.adapters.celery.adapter import CeleryAdapter
from celeriac.adapters.reference.adapter import ReferenceAdapter
from celeriac.conformance.adapter import Adapter, Answer, Call, Event, Ok, Scenario, WorkerSpec

ADAPTERS: Mapping[str, type[Adapter]] = {"celery": CeleryAdapter, "reference": ReferenceAdapter}
PAIRS = (("celery", "reference"), ("reference", "celery"))
BROKERS = ("embedded", "rabbitmq", "redis")

#: Seconds after which something that must happen has not happened.
PATIENCE = 20.0

SETTINGS = {"accept_content": ["json", "yaml", "msgpack", "pickle"], "result_accept_content": ["json"]}


class Crossing:
    """Calls that cross from one implementation to the other.

    Attributes:
        producer: name of the implementation that calls and waits for results.
        worker: name of the one that executes.
        broker: flavour of the broker.
    """

    def __init__(self, producer: str, worker: str, broker: str, url: str) -> None:
        self.producer, self.worker, self.broker = producer, worker, broker
        self.events: list[Event] = []
        self._changed = threading.Condition()
        self._calling, self._working = ADAPTERS[producer](), ADAPTERS[worker]()
        self._calling.emit = self._working.emit = self._heard
        self._numbers = itertools.count(1000, 10)
        name = f"interop-{uuid.uuid4()}"
        backend = "rpc://" if url.startswith("amqp") else url
        self.scenario = Scenario(name, url, backend, name, settings=SETTINGS)

    def open(self) -> None:
        """Begin the scenario on both sides and start the worker."""
        for adapter in (self._working, self._calling):
            assert (answer := adapter.begin(self.scenario)) == Ok(), answer
        spec = WorkerSpec("w1", self.scenario.broker_url, (self.scenario.queue,))
        assert (answer := self._working.start_worker(spec)) == Ok(), answer

    def stop_worker(self) -> Answer:
        """Let the worker end by itself."""
        return self._working.stop_worker("w1", "warm")

    def close(self) -> None:
        """End both sides."""
        self._calling.close()
        self._working.close()

    def mark(self) -> int:
        """Answer a number that no other test has."""
        return next(self._numbers)

    def call(
        self,
        task: str,
        *args: Any,
        kwargs: Mapping[str, Any] | None = None,
        mode: Any = "apply_async",
        **options: Any,
    ) -> Answer:
        """Let the producer call a task, and answer what it said."""
        return self._calling.call(Call(task, args, kwargs or {}, mode, options))

    def send(self, task: str, *args: Any, **how: Any) -> str:
        """Let the producer call a task, and answer the task's id."""
        answer = self.call(task, *args, **how)
        assert isinstance(answer, Ok), answer
        return str(answer.value["task_id"])

    def get(self, task_id: str, *, timeout: float = PATIENCE, **how: Any) -> Answer:
        """Let the producer wait for a result."""
        return self._calling.get_result(task_id, timeout=timeout, **how)

    def value(self, task_id: str) -> Any:
        """Let the producer wait for a result, and answer what the task returned."""
        answer = self.get(task_id)
        assert isinstance(answer, Ok), (answer, self.about(task_id))
        return answer.value["value"]

    def state(self, task_id: str) -> Any:
        """Answer the state of a task as the producer sees it."""
        answer = self._calling.state(task_id)
        assert isinstance(answer, Ok), answer
        return answer.value

    def wait(self, kind: str, **fields: Any) -> Event:
        """Wait for the first event like this and answer it; one that cannot come any more is not waited for."""

        def decided() -> bool:
            return bool(self._like(kind, fields) or self._like("stopped", {}))

        with self._changed:
            self._changed.wait_for(decided, PATIENCE)
            found = self._like(kind, fields)
        assert found, f"no {kind} with {fields}; the last events: {self.events[-6:]}"
        return found[0]

    def heard(self, kind: str, **fields: Any) -> list[Event]:
        """Answer the events like this that have been heard so far."""
        with self._changed:
            return self._like(kind, fields)

    def about(self, task_id: str) -> list[Event]:
        """Answer what the worker has reported of a task so far."""
        with self._changed:
            return [event for event in self.events if event.data.get("task_id") == task_id]

    def settle(self) -> None:
        """Return once the worker, which runs one task at a time, has done and reported all that was sent before."""
        task_id = self.send("celeriac.add", 0, 0)
        assert self.value(task_id) == 0
        self.wait("ended", task_id=task_id)

    def _heard(self, event: Event) -> None:
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()

    def _like(self, kind: str, fields: Mapping[str, Any]) -> list[Event]:
        return [e for e in self.events if e.kind == kind and fields.items() <= dict(e.data).items()]


@pytest.fixture(
    scope="session",
    params=[(*pair, broker) for broker in BROKERS for pair in PAIRS],
    ids=lambda param: "{}-to-{}-on-{}".format(*param),
)
def crossing(request: pytest.FixtureRequest, node_url: Callable[[str], str]) -> Iterator[Crossing]:
    """Answer a producer and a running worker; the worker survives everything and ends when it is told to."""
    producer, worker, broker = request.param
    crossing = Crossing(producer, worker, broker, node_url(broker))
    try:
        crossing.open()
        yield crossing
        assert crossing.stop_worker() == Ok({"exit_code": 0})
    finally:
        crossing.close()
