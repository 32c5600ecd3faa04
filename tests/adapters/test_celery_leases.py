"""A real Celery worker meets the time-outs of every broker at their defaults: only the broker's clock is moved."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from typing import Any

import pytest

from celeriac.adapters.celery.adapter import CeleryAdapter
from celeriac.conformance.adapter import Call, Event, Ok, Scenario, WorkerSpec
from celeriac.reference.broker.control import BrokerProcess

MINUTE = 60
HOUR = 3600

#: Seconds that a worker has to notice something.
PATIENCE = 20.0

SHORT = "PRECONDITION_FAILED - consumer ack timed out on channel 1"
LONG = (
    "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: 1800000 ms. "
    "This timeout value can be configured, see consumers doc guide to learn more"
)
#: Dialect -> its timeout in minutes, and the text of its 406, which ends up in the worker's log.
CLOSING = {"rabbit-3.8": (15, SHORT), "rabbit-3.10": (30, LONG), "rabbit-4.0": (30, LONG)}


class Holder:
    """A broker, and a Celery worker that holds a task with a long countdown.

    Attributes:
        taken: how the worker got its message.
    """

    def __init__(self, adapter: CeleryAdapter, broker: BrokerProcess, hours: float, **settings: Any) -> None:
        self.broker = broker
        self._heard: queue.SimpleQueue[Event] = queue.SimpleQueue()
        adapter.emit = self._heard.put
        assert adapter.begin(Scenario("long", broker.url, None, "long", settings=settings)) == Ok()
        assert adapter.start_worker(WorkerSpec("w1", broker.url, ("long",))) == Ok()
        answer = adapter.call(Call("celeriac.add", (1, 1), options={"countdown": hours * HOUR}))
        assert isinstance(answer, Ok), answer
        self.taken = broker.wait("deliver", queue="long")

    def still_holds_after(self, seconds: float) -> None:
        """Move the broker's clock; nothing happens to the message."""
        since = self.broker.advance(seconds)
        (lease,) = self.broker.leases()
        assert (lease.queue, lease.message, lease.stale) == ("long", self.taken.data["message"], False)
        assert self.broker.events("lease.expired", "requeue", "channel.close", since=since) == []

    def end(self) -> Event:
        """Answer how the worker ended by itself."""
        while (event := self._heard.get(timeout=PATIENCE)).kind != "stopped":
            assert event.kind == "ready"
        return event


@pytest.fixture(scope="module")
def celery() -> Iterator[CeleryAdapter]:
    """Answer an adapter whose workers all tests fork from one process."""
    adapter = CeleryAdapter()
    yield adapter
    adapter.close()


@pytest.fixture(autouse=True)
def _end_scenario(celery: CeleryAdapter) -> Iterator[None]:
    yield
    assert celery.end() == Ok()


@pytest.mark.parametrize("dialect", CLOSING)
def test_worker_dies_of_the_default_timeout(celery: CeleryAdapter, dialect: str) -> None:
    """A countdown of 40 minutes outlives the default: the channel closes, and the worker ends with exit code 1."""
    minutes, text = CLOSING[dialect]
    with BrokerProcess(dialect) as broker:
        holder = Holder(celery, broker, hours=2 / 3)
        holder.still_holds_after((minutes - 1) * MINUTE)
        since = broker.advance(3 * MINUTE)

        closed = broker.wait("channel.close", since=since)
        assert (closed.data["code"], closed.data["by"]) == (406, "broker")
        assert minutes * MINUTE < closed.at - holder.taken.at <= (minutes + 1) * MINUTE
        stopped = holder.end()
        assert stopped.data["exit_code"] == 1
        assert f"PreconditionFailed: (0, 0): (406) {text}" in " ".join(stopped.data["log"].split())
        broker.wait("session.close", since=since)
        assert [(row.name, row.ready, row.unacked) for row in broker.queues()] == [("long", 1, 0)]


def test_classic_queue_of_4_3_has_no_timeout(celery: CeleryAdapter) -> None:
    """RabbitMQ 4.3 leaves what a worker holds from a classic queue alone, be it for a day."""
    with BrokerProcess("rabbit-4.3") as broker:
        Holder(celery, broker, hours=25).still_holds_after(24 * HOUR)


def test_quorum_queue_of_4_3_cancels_and_the_worker_comes_back(celery: CeleryAdapter) -> None:
    """A quorum queue of RabbitMQ 4.3 cancels the consumer after 30 minutes sharp, and the worker connects anew."""
    with BrokerProcess("rabbit-4.3") as broker:
        holder = Holder(celery, broker, hours=2 / 3, task_default_queue_type="quorum")
        holder.still_holds_after(29 * MINUTE)
        since = broker.advance(2 * MINUTE)

        cancelled = broker.wait("consumer.cancel", since=since, queue="long", by="broker")
        assert cancelled.at - holder.taken.at == pytest.approx(30 * MINUTE, abs=1e-3)
        again = broker.wait("deliver", since=cancelled.seq, queue="long", timeout=PATIENCE)
        assert (again.data["message"], again.data["redelivered"]) == (holder.taken.data["message"], True)
        assert again.session != holder.taken.session
        broker.wait("session.close", since=since, session=holder.taken.session)


def test_sweep_of_redis_redelivers_behind_the_worker(celery: CeleryAdapter) -> None:
    """As on Redis, the sweep after the visibility timeout of an hour hands out a copy, and the worker holds both."""
    with BrokerProcess("redis-kombu") as broker:
        holder = Holder(celery, broker, hours=2)
        holder.still_holds_after(59 * MINUTE)
        since = broker.advance(3 * MINUTE)

        swept = broker.wait("lease.expired", since=since)
        assert swept.data["policy"] == "requeue silently"
        assert HOUR <= swept.at - holder.taken.at <= HOUR + 100
        again = broker.wait("deliver", since=since, queue="long")
        assert (again.data["message"], again.data["redelivered"]) == (holder.taken.data["message"], True)
        assert again.session == holder.taken.session
        assert [lease.stale for lease in broker.leases()] == [True, False]
