"""Sending over a network that fails: attempts, waits, errors, connections."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import amqp
import kombu
import pytest
from kombu.exceptions import LimitExceeded

from celeriac.reference import App
from celeriac.reference.broker import inproc
from celeriac.reference.clock import VirtualClock
from celeriac.reference.errors import OperationalError

Lab = Any


@pytest.mark.parametrize(
    ("options", "settings", "times"),
    [
        ({}, {}, [0, 0, 0.2, 0.4]),
        ({"retry": False}, {}, [0]),
        ({}, {"task_publish_retry": False}, [0]),
        ({"retry": True}, {"task_publish_retry": False}, [0, 0, 0.2, 0.4]),
        ({"retry_policy": {"max_retries": 1, "interval_start": 3, "interval_max": 9}}, {}, [0, 3]),
        (
            {"retry_policy": {"max_retries": 1}},
            {"task_publish_retry_policy": {"interval_start": 0.1}},
            [0, 0.1],
        ),
        ({"retry_policy": {"retry_errors": (TimeoutError,)}}, {}, [0]),
        ({"retry_policy": {"retry_errors": (ConnectionError,)}}, {}, [0, 0, 0.2, 0.4]),
    ],
    ids=str,
)
@pytest.mark.parametrize("backend", ["memory://schedule", "rpc://"])
def test_attempts_are_made_by_the_schedule(
    lab: Lab, backend: str, options: dict[str, Any], settings: dict[str, Any], times: list[float]
) -> None:
    """A dead broker sees one connection attempt for each attempt of the policy, whatever the back end."""
    app = lab.app(backend, **settings)
    inproc.refuse(lab.name, True)
    with pytest.raises(OperationalError) as caught:
        app.send_task("add", (1, 2), **options)
    assert lab.attempts() == times
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


def test_a_broker_that_comes_back_gets_the_message_once(lab: Lab) -> None:
    """Retries end with the first success, and the moments are those of the call."""
    app = lab.app()
    inproc.refuse(lab.name, True)

    def relent(attempt: inproc.Attempt) -> None:
        inproc.refuse(lab.name, len(inproc.attempts(lab.name)) < 30)

    inproc.on_attempt(lab.name, relent)
    policy = {"max_retries": None, "interval_step": 10, "interval_max": 60}
    result = app.send_task("add", (1, 2), countdown=5, retry_policy=policy)
    message, *others = lab.published()
    assert not others
    assert message.headers["id"] == result.id
    assert message.headers["eta"] == "2030-01-01T00:00:05+00:00"
    assert lab.attempts()[-1] > 600


@pytest.mark.parametrize("retry", [True, False])
def test_a_connection_that_was_closed_meanwhile_is_replaced(lab: Lab, retry: bool) -> None:
    """An idle connection that the broker has cut costs no message, with or without retry."""
    app = lab.app()
    app.send_task("add", (1, 2))
    inproc.drop(lab.name)
    app.send_task("add", (3, 4), retry=retry)
    assert len(lab.published()) == 2
    assert lab.attempts() == [0, 0]


def test_a_connection_that_dies_under_the_publish_is_noticed(lab: Lab) -> None:
    """Without the broker's confirm the call tries again, over another connection."""
    app = lab.app()
    app.send_task("add", (1, 2))

    def cut(event: Any) -> None:
        if event.kind == "publish" and len(lab.events("publish")) == 2:
            inproc.drop(lab.name)

    lab.broker.events.subscribe(cut)
    app.send_task("add", (3, 4))
    assert len(lab.attempts()) == 2
    assert [message.body for message in lab.published()][1:] == [lab.published()[1].body] * 2


def test_a_policy_does_not_outlive_its_call(lab: Lab) -> None:
    """The next call starts from the settings again."""
    app = lab.app()
    inproc.refuse(lab.name, True)
    for policy in ({"max_retries": 0}, {}):
        with pytest.raises(OperationalError):
            app.send_task("add", (1, 2), retry_policy=policy)
    assert lab.attempts() == [0, 0, 0, 0.2, 0.4]
    inproc.refuse(lab.name, False)
    app.send_task("add", (1, 2))
    assert len(lab.published()) == 1


def test_an_error_of_the_request_itself_is_not_retried(lab: Lab) -> None:
    """An exchange that does not exist is told by the call that names it, and the next call works."""
    app = lab.app()
    with pytest.raises(amqp.exceptions.NotFound):
        app.send_task("add", (1, 2), exchange="nowhere", routing_key="k")
    app.send_task("add", (1, 2))
    assert lab.attempts() == [0, 0]
    assert [event.data["queues"] for event in lab.events("publish")][-1]


def test_queues_are_declared_once_per_connection(lab: Lab) -> None:
    """The second call to a queue only publishes."""
    app = lab.app()
    for _ in range(3):
        app.send_task("add", (1, 2), queue="q")
    assert [event.data["queue"] for event in lab.events("queue.declare")] == ["q"]
    assert [event.data["exchange"] for event in lab.events("exchange.declare")] == ["q"]
    assert [message.routing_key for message in lab.published()] == ["q"] * 3


@pytest.mark.parametrize(("limit", "connections"), [(10, 1), (1, 1), (None, 3), (0, 3)])
def test_the_pool_keeps_connections_up_to_its_limit(lab: Lab, limit: int | None, connections: int) -> None:
    """Calls in a row share a connection, unless there is no pool."""
    app = lab.app(broker_pool_limit=limit)
    for _ in range(3):
        app.send_task("add", (1, 2))
    assert len(lab.attempts()) == connections


def test_a_full_pool_refuses_or_waits(lab: Lab) -> None:
    """Without blocking a full pool is an error; the loan ends with the block."""
    app = lab.app(broker_pool_limit=1)
    with app.pool.acquire(), pytest.raises(LimitExceeded), app.pool.acquire(block=False):
        pass
    with app.pool.acquire(block=False):
        pass


def test_the_guides_publisher_example_works(lab: Lab) -> None:
    """A connection from the pool and a publisher of the task's serve several calls."""
    app = lab.app()
    add = app.tasks["add"]
    with app.pool.acquire(block=True) as connection, add.get_publisher(connection) as publisher:
        for pair in [(2, 2), (4, 4), (8, 8)]:
            add.apply_async(pair, publisher=publisher)
    assert len(lab.published()) == 3
    assert len(lab.attempts()) == 1


def test_a_connection_of_the_callers_own_is_used_and_left_open(lab: Lab) -> None:
    """The option connection replaces the pool for that call."""
    app = lab.app()
    with kombu.Connection(lab.url) as connection:
        app.send_task("add", (1, 2), connection=connection)
        app.send_task("add", (1, 2), connection=connection)
        assert connection.connected
    assert len(lab.attempts()) == 1


class _Breaker:
    """A server on loopback that accepts connections and resets, or never answers, them."""

    def __init__(self, hang: bool) -> None:
        self._hang = hang
        self._server = socket.create_server(("127.0.0.1", 0))
        self._kept: list[socket.socket] = []
        self._closing = False
        self.accepted = 0
        self.port = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            client, _ = self._server.accept()
            self._kept.append(client)
            if self._closing:
                return
            self.accepted += 1
            if not self._hang:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.close()

    def close(self) -> None:
        self._closing = True
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._thread.join()
        for kept in (*self._kept, self._server):
            kept.close()


@contextmanager
def breaker(hang: bool = False) -> Iterator[_Breaker]:
    """Serve until the end of the block."""
    server = _Breaker(hang)
    try:
        yield server
    finally:
        server.close()


@pytest.mark.parametrize("url", ["amqp://127.0.0.1:{}//", "redis://127.0.0.1:{}/0"])
@pytest.mark.parametrize(("options", "attempts"), [({}, 4), ({"retry": False}, 1)], ids=str)
def test_one_attempt_is_one_connection_on_the_wire(url: str, options: dict[str, Any], attempts: int) -> None:
    """No client library adds attempts of its own; the waits pass on the application's clock."""
    clock = VirtualClock()
    with breaker() as server, App("wire", url.format(server.port), clock=clock) as app:
        with pytest.raises(OperationalError):
            app.send_task("add", (1, 2), **options)
        assert server.accepted == attempts
    assert clock.monotonic() == pytest.approx(0.4 if attempts == 4 else 0)


@pytest.mark.parametrize("url", ["amqp://127.0.0.1:{}//", "redis://127.0.0.1:{}/0"])
def test_a_broker_that_accepts_and_never_answers_is_given_up(url: str) -> None:
    """An attempt takes no longer than broker_connection_timeout, and its error is a time-out."""
    with (
        breaker(hang=True) as server,
        App("hang", url.format(server.port), broker_connection_timeout=0.2) as app,
    ):
        with pytest.raises(OperationalError) as caught:
            app.send_task("add", (1, 2), retry=False)
        assert server.accepted == 1
    assert "Timeout" in type(caught.value.__cause__).__name__


def test_results_do_not_outlive_an_ignored_call(new_lab: Callable[..., Lab]) -> None:
    """A call that wants no result does not declare a reply queue."""
    lab = new_lab()
    result = lab.app("rpc://").send_task("add", (1, 2), ignore_result=True)
    assert [event.data["queue"] for event in lab.events("queue.declare")] == ["celery"]
    assert result.get() is None


def test_a_broker_that_confirms_nothing_is_given_up(lab: Lab) -> None:
    """A confirm is waited for no longer than ``broker_connection_timeout`` in each attempt; then the call raises."""
    app = lab.app(broker_connection_timeout=3.0)
    lab.broker.faults.add("confirm", "drop", times=None)
    policy = {"max_retries": 1, "interval_start": 10, "interval_max": 10}

    with pytest.raises(OperationalError) as caught:
        app.send_task("add", (1, 2), retry_policy=policy)

    assert isinstance(caught.value.__cause__, TimeoutError)
    assert lab.clock.monotonic() == pytest.approx(3 + 10 + 3)
