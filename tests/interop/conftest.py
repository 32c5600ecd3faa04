"""A producer of one implementation and a worker of another, on one broker: every pair, on every broker.

Each test names its feature, and the run ends with a table (``table.py``).  Where an implementation knowingly does
otherwise, a test asks ``crossing.deviates(...)`` and asserts what happens instead: the day on which it is mended is
noticed.
"""

from __future__ import annotations

import itertools
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from celeriac.conformance.adapter import Adapter, Answer, Call, Event, Ok, Scenario, Signature, WorkerSpec
from tests.interop.table import BROKERS, DEVIATION, DEVIATIONS, FEATURE, PAIRS, Table

#: Seconds after which something that must happen has not happened.
PATIENCE = 20.0

SETTINGS = {"accept_content": ["json", "yaml", "msgpack", "pickle"], "result_accept_content": ["json"]}


class Workplace:
    """A worker of one implementation on one broker, and what it reports.

    Attributes:
        worker: name of the implementation.
        broker: flavour of the broker.
        scenario: what all its producers share with it.
    """

    def __init__(self, worker: str, broker: str, url: str, adapter: Adapter) -> None:
        self.worker, self.broker = worker, broker
        self.events: list[Event] = []
        self._changed = threading.Condition()
        self._adapter = adapter
        adapter.emit = self._heard
        name = f"interop-{uuid.uuid4()}"
        backend = "rpc://" if url.startswith("amqp") else url
        self.scenario = Scenario(name, url, backend, name, settings=SETTINGS)

    def open(self) -> None:
        """Start the worker."""
        assert (answer := self._adapter.begin(self.scenario)) == Ok(), answer
        spec = WorkerSpec("w1", self.scenario.broker_url, (self.scenario.queue,))
        assert (answer := self._adapter.start_worker(spec)) == Ok(), answer

    def stop(self) -> Answer:
        """Let the worker end by itself."""
        return self._adapter.stop_worker("w1", "warm")

    def close(self) -> None:
        """End it, whatever it does."""
        self._adapter.close()

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

    def _heard(self, event: Event) -> None:
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()

    def _like(self, kind: str, fields: Mapping[str, Any]) -> list[Event]:
        return [e for e in self.events if e.kind == kind and fields.items() <= dict(e.data).items()]


class Crossing:
    """Calls that cross from one implementation to another.

    Attributes:
        producer: name of the implementation that calls and waits for results.
        worker: name of the one that executes.
        broker: flavour of the broker.
        scenario: what both share.
        noted: the deviations that the present test has met.
    """

    _numbers = itertools.count(1000, 10)

    def __init__(self, producer: str, calling: Adapter, place: Workplace) -> None:
        self.producer, self.worker, self.broker = producer, place.worker, place.broker
        self.scenario = place.scenario
        self.wait, self.heard, self.about = place.wait, place.heard, place.about
        self.noted: set[str] = set()
        self._calling = calling
        assert (answer := calling.begin(self.scenario)) == Ok(), answer

    def close(self) -> None:
        """End the producer's part."""
        assert (answer := self._calling.end()) == Ok(), answer

    def deviates(self, name: str) -> bool:
        """Answer whether this pair on this broker does otherwise in this respect."""
        known = DEVIATIONS[name]
        here = self.producer in known.producer and self.worker in known.worker and self.broker in known.broker
        if here:
            self.noted.add(name)
        return here

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

    def compose(self, kind: Any, *tasks: Signature) -> tuple[str, list[str]]:
        """Let the producer call several tasks as one, and answer the id of the whole and those of the tasks."""
        answer = self._calling.compose(kind, tasks, {})
        assert isinstance(answer, Ok), answer
        return str(answer.value["id"]), list(answer.value["task_ids"])

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

    def settle(self) -> None:
        """Return once the worker, which runs one task at a time, has done and reported all that was sent before."""
        task_id = self.send("celeriac.add", 0, 0)
        assert self.value(task_id) == 0
        self.wait("ended", task_id=task_id)


@pytest.fixture(scope="session")
def workplace(
    node_url: Callable[[str], str], make_adapter: Callable[[str], Adapter]
) -> Iterator[Callable[[str, str], Workplace]]:
    """Answer a function that answers the one worker of an implementation on a broker, which survives everything."""
    places: dict[tuple[str, str], Workplace] = {}

    def workplace(worker: str, broker: str) -> Workplace:
        if (worker, broker) not in places:
            place = Workplace(worker, broker, node_url(broker), make_adapter(worker))
            places[worker, broker] = place
            place.open()
        return places[worker, broker]

    yield workplace
    with ThreadPoolExecutor() as stopping:
        endings = dict(zip(places, stopping.map(Workplace.stop, places.values()), strict=True))
    for place in places.values():
        place.close()
    assert endings == dict.fromkeys(places, Ok({"exit_code": 0}))


@pytest.fixture(scope="session")
def caller(make_adapter: Callable[[str], Adapter]) -> Iterator[Callable[[str], Adapter]]:
    """Answer a function that answers the one producer of an implementation, which lives through all its scenarios."""
    callers: dict[str, Adapter] = {}

    def caller(name: str) -> Adapter:
        if name not in callers:
            callers[name] = make_adapter(name)
            callers[name].emit = lambda event: None
        return callers[name]

    yield caller
    for adapter in callers.values():
        adapter.close()


@pytest.fixture(
    scope="session",
    params=[(producer, worker, broker) for broker in BROKERS for producer, worker in PAIRS],
    ids=lambda param: "{}-to-{}-on-{}".format(*param),
)
def pair(
    request: pytest.FixtureRequest,
    workplace: Callable[[str, str], Workplace],
    caller: Callable[[str], Adapter],
) -> Iterator[Crossing]:
    """Answer a producer whose calls go to a running worker."""
    producer, worker, broker = request.param
    crossing = Crossing(producer, caller(producer), workplace(worker, broker))
    yield crossing
    crossing.close()


@pytest.fixture
def crossing(pair: Crossing, record_property: Callable[[str, object], None]) -> Iterator[Crossing]:
    """Answer the pair, and note for the table in what it deviates."""
    pair.noted.clear()
    yield pair
    for name in sorted(pair.noted):
        record_property(DEVIATION, name)


def pytest_configure(config: pytest.Config) -> None:
    """Let tests name their feature."""
    config.addinivalue_line("markers", f"{FEATURE}(name): the line of the table that a test belongs to")


def pytest_itemcollected(item: pytest.Item) -> None:
    """Tell the reports of a test which cell of the table it is about."""
    callspec = getattr(item, "callspec", None)
    if callspec and "pair" in callspec.params:
        marker = item.get_closest_marker(FEATURE)
        assert marker is not None, f"{item.nodeid} needs @pytest.mark.{FEATURE}(...)"
        item.user_properties.append(
            (FEATURE, (marker.args[0].format(**callspec.params), *callspec.params["pair"]))
        )


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the table."""
    table = Table()
    for kind in ("passed", "failed", "error", "skipped", ""):
        for report in terminalreporter.stats.get(kind, ()):
            table.note(report)
    for number, line in enumerate(table.lines()):
        if number == 0:
            terminalreporter.section("interoperability")
        terminalreporter.write_line(line)
