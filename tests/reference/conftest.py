"""A small world for the reference: a virtual clock, the embedded broker, an application and its workers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import kombu
import pytest

from celeriac.reference import App, Worker
from celeriac.reference.broker import inproc
from celeriac.reference.broker.broker import Broker
from celeriac.reference.broker.fields import decode_properties
from celeriac.reference.clock import VirtualClock

_numbers = itertools.count(1)


@dataclass
class Published:
    """A message as it reached the broker."""

    exchange: str
    routing_key: str
    headers: Mapping[str, Any]
    properties: Mapping[str, Any]
    body: bytes


@dataclass
class Lab:
    """Everything a test touches."""

    clock: VirtualClock
    broker: Broker
    name: str
    apps: list[App] = field(default_factory=list)
    workers: list[Worker] = field(default_factory=list)
    seen: list[tuple[float, str, Mapping[str, Any]]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"inproc://{self.name}"

    def app(self, backend: str | None = None, **settings: Any) -> App:
        """An application with the task ``add``; results are kept in memory unless said otherwise."""
        app = App(
            "lab", self.url, f"memory://{self.name}" if backend is None else backend, self.clock, **settings
        )
        app.task(name="add")(lambda x, y: x + y)
        app.observers.append(lambda kind, data: self.seen.append((self.clock.monotonic(), kind, data)))
        self.apps.append(app)
        return app

    def worker(self, app: App, **options: Any) -> Worker:
        worker = Worker(app, **options)
        worker.start()
        self.workers.append(worker)
        self.clock.settle()
        return worker

    def attempts(self) -> list[float]:
        """Seconds at which somebody tried to connect, since the first time."""
        times = [attempt.at for attempt in inproc.attempts(self.name)]
        return [round(at - times[0], 6) for at in times]

    def attempts_made(self) -> int:
        return len(inproc.attempts(self.name))

    def events(self, *kinds: str) -> list[Any]:
        return [event for event in self.broker.events if event.kind in kinds]

    def published(self) -> list[Published]:
        """The task messages that reached the broker; results on reply queues are left out."""
        found = []
        for event in self.events("publish"):
            properties = decode_properties(event.data["properties"])
            headers = properties.pop("headers", None) or {}
            if "task" in headers:
                where = event.data["exchange"], event.data["routing_key"]
                found.append(Published(*where, headers, properties, event.data["body"]))
        return found

    def ran(self, task_id: str) -> list[float]:
        """The moments at which a task started."""
        return [at for at, kind, data in self.seen if kind == "started" and data["task_id"] == task_id]

    def settled(self) -> list[str]:
        """How the deliveries of the task queue were settled, in order."""
        kinds = []
        for event in self.events("ack", "reject"):
            requeued = event.kind == "reject" and event.data["requeue"]
            kinds.append("requeued" if requeued else {"ack": "acked", "reject": "rejected"}[event.kind])
        return kinds

    def inject(self, body: bytes | str, headers: Mapping[str, Any], **properties: Any) -> None:
        """Send a message that no application would send."""
        with kombu.Connection(self.url) as connection:
            labels = {"content_type": "application/json", "content_encoding": "utf-8"} | properties
            message = connection.default_channel.prepare_message(
                body, priority=0, headers=dict(headers), properties={"delivery_mode": 2}, **labels
            )
            connection.default_channel.basic_publish_confirm(message, exchange="", routing_key="celery")

    def close(self) -> None:
        for worker in self.workers:
            if worker.connected:
                worker.stop()
        for app in self.apps:
            app.close()


@pytest.fixture
def new_lab() -> Iterator[Callable[..., Lab]]:
    """Make worlds whose broker speaks some dialect."""
    labs: list[Lab] = []

    def new_lab(dialect: str = "rabbit-3.10", **times: Any) -> Lab:
        clock = VirtualClock()
        lab = Lab(clock, Broker(clock, dialect, **times), f"lab{next(_numbers)}")
        inproc.listen(lab.name, lab.broker)
        labs.append(lab)
        return lab

    yield new_lab
    for lab in labs:
        inproc.refuse(lab.name, False)
        lab.close()
        inproc.unlisten(lab.name)


@pytest.fixture
def lab(new_lab: Callable[..., Lab]) -> Lab:
    """A world with RabbitMQ as most people know it."""
    return new_lab()


@pytest.fixture(params=["memory", "rpc"])
def results(request: pytest.FixtureRequest, lab: Lab) -> App:
    """An application for each result back end that works in virtual time."""
    return lab.app("rpc://" if request.param == "rpc" else None)
