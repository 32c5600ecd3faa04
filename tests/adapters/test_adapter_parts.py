"""What the adapters share: categories of errors, native options and probe tasks."""

from __future__ import annotations

import inspect
import socket
import struct
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import amqp.exceptions
import celery.exceptions
import kombu.exceptions
import pytest
import redis.exceptions

from celeriac.adapters.categories import CALLING, RESULTS, category, raised, type_name
from celeriac.adapters.native import native
from celeriac.adapters.probes import CONTEXT, Native, Reporter, probes
from celeriac.conformance.adapter import (
    PROBES,
    ErrorClass,
    Event,
    ExchangeRef,
    QueueRef,
    Raised,
    Router,
    Signature,
)
from celeriac.conformance.envelopes import CATEGORIES
from celeriac.reference import errors as reference_errors


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConnectionRefusedError(111, "refused"), "connection"),
        (socket.gaierror(8, "who?"), "connection"),
        (TimeoutError("slow"), "timeout"),
        (kombu.exceptions.OperationalError("down"), "connection"),
        (redis.exceptions.ConnectionError("down"), "connection"),
        (redis.exceptions.TimeoutError("slow"), "timeout"),
        (amqp.exceptions.ConnectionForced("bye"), "connection"),
        (amqp.exceptions.RecoverableConnectionError("bye"), "connection"),
        (amqp.exceptions.PreconditionFailed("no"), "rejected"),
        (amqp.exceptions.NotFound("no"), "rejected"),
        (celery.exceptions.TimeoutError("slow"), "timeout"),
        (celery.exceptions.NotRegistered("t"), "unknown-task"),
        (celery.exceptions.TaskRevokedError("expired"), "revoked"),
        (celery.exceptions.QueueNotFound("q"), "bad-argument"),
        (celery.exceptions.Retry("again"), "retry"),
        (celery.exceptions.Reject("no"), "rejected"),
        (reference_errors.ResultTimeout("slow"), "timeout"),
        (reference_errors.NotRegistered("t"), "unknown-task"),
        (reference_errors.TaskRevokedError("expired"), "revoked"),
        (reference_errors.QueueNotFound("q"), "bad-argument"),
        (kombu.exceptions.EncodeError("set"), "encode"),
        (kombu.exceptions.DecodeError("?"), "decode"),
        (kombu.exceptions.SerializerNotInstalled("?"), "encode"),
        (kombu.exceptions.ContentDisallowed("pickle"), "content-refused"),
        (TypeError("arity"), "bad-argument"),
        (OverflowError("inf"), "bad-argument"),
        (struct.error("long"), "bad-argument"),
        (NotImplementedError("no back end"), "other"),
    ],
    ids=lambda value: value if isinstance(value, str) else type_name(type(value)),
)
def test_error_has_the_category_of_its_nearest_known_ancestor(error: Exception, expected: str) -> None:
    """Each error that the libraries raise at a caller falls into its category."""
    assert category(error) == expected


def test_tables_name_categories_of_the_protocol() -> None:
    """No table can produce a category that the protocol does not know."""
    assert set(CALLING.values()) <= set(CATEGORIES)
    assert set(RESULTS.values()) <= set(CATEGORIES)


def test_error_of_a_task_is_no_comment_on_its_caller() -> None:
    """A result that is a ValueError is ``other``; a call that raises one is ``bad-argument``."""
    assert raised(ValueError("x"), RESULTS) == Raised("other", "ValueError", "x", "maybe", None)
    assert category(reference_errors.ResultTimeout("slow"), RESULTS) == "timeout"
    assert category(celery.exceptions.TaskRevokedError("expired"), RESULTS) == "revoked"
    assert raised(ValueError("x"), CALLING) == Raised("bad-argument", "ValueError", "x", "none", None)


def test_cause_is_named() -> None:
    """The native type of the cause is kept, for a retry ends with the error that made it fail."""
    error = kombu.exceptions.OperationalError("refused")
    error.__cause__ = ConnectionRefusedError("refused")

    assert raised(error) == Raised(
        "connection", "kombu.exceptions.OperationalError", "refused", "maybe", "ConnectionRefusedError"
    )


def test_entities_and_routers_become_native() -> None:
    """Exchanges and queues become kombu's, and a router a function of a task's name, whatever else it is given."""
    exchange = native(ExchangeRef("e", "topic"))
    queue = native(QueueRef("q", ExchangeRef("e", "topic"), "a.#"))
    route = native([Router({"t": {"queue": QueueRef("q")}})])[0]

    assert (exchange.name, exchange.type) == ("e", "topic")
    assert (queue.name, queue.exchange, queue.routing_key) == ("q", exchange, "a.#")
    assert native(QueueRef("q")).exchange.name == ""
    assert route("t", (), {}, {}, task=None)["queue"].name == "q"
    assert route("u") is None


def test_options_become_native_at_any_depth() -> None:
    """Error classes and signatures are replaced wherever they stand; everything else is left alone."""
    options = {
        "link": [Signature("t", options={"link": Signature("u")})],
        "retry_policy": {"max_retries": 1, "retry_errors": (ErrorClass("value"), ErrorClass("timeout"))},
        "headers": {"x": 1.5},
    }

    assert native(options, lambda signature: signature.task) == {
        "link": ["t"],
        "retry_policy": {"max_retries": 1, "retry_errors": (ValueError, TimeoutError)},
        "headers": {"x": 1.5},
    }


class _Ignore(Exception):  # noqa: N818 - the name of the instruction
    pass


class _Reject(Exception):  # noqa: N818 - as above
    pass


class _Retry(Exception):  # noqa: N818 - as above
    pass


@dataclass
class Task:
    """A task instance as a probe sees it."""

    retries: int = 0
    called_directly: bool = False
    states: list[Any] = field(default_factory=list)
    child: Any = None

    @property
    def request(self) -> Any:
        return SimpleNamespace(id="t1", retries=self.retries, called_directly=self.called_directly)

    @property
    def app(self) -> Any:
        return SimpleNamespace(tasks={"celeriac.add": self})

    def apply_async(self, args: Any) -> Any:
        self.child = args
        return SimpleNamespace(id="child")

    def update_state(self, state: str, meta: Any) -> None:
        self.states.append((state, meta))

    def retry(self, countdown: float, max_retries: int) -> Exception:
        raise _Retry(countdown, max_retries)


def _run(name: str, *args: Any, task: Task | None = None, **kwargs: Any) -> tuple[Any, list[Event]]:
    events: list[Event] = []
    native = Native(_Ignore, _Reject, _Retry, lambda _: None, lambda: 12.5)
    probe = probes(native, Reporter("w1", native.now, events.append))[name]
    try:
        outcome = probe.function(*([task or Task()] if probe.bind else []), *args, **kwargs)
    except Exception as error:  # noqa: BLE001 - the outcome of the probe
        outcome = error
    return outcome, events


def test_there_is_a_function_for_every_probe() -> None:
    """Exactly the probe tasks of the contract are made."""
    native = Native(_Ignore, _Reject, _Retry, lambda _: None, lambda: 0.0)

    assert set(probes(native, Reporter("w", native.now, lambda _: None))) == set(PROBES)


@pytest.mark.parametrize("name", sorted(set(PROBES) - {"celeriac.handler"}))
def test_probe_has_the_signature_of_the_contract(name: str) -> None:
    """Implementations that check arguments see the arguments that the contract promises."""
    native = Native(_Ignore, _Reject, _Retry, lambda _: None, lambda: 0.0)
    function = probes(native, Reporter("w", native.now, lambda _: None))[name].function
    promised = PROBES[name].partition("(")[2].partition(")")[0]

    _self, *parameters = inspect.getfullargspec(function).args
    _, *described = [str(p).partition(":")[0] for p in inspect.signature(function).parameters.values()]

    assert parameters == [p.partition("=")[0] for p in promised.split(", ") if p and not p.startswith("*")]
    assert described == [p.partition("=")[0] for p in promised.split(", ") if p]


def test_probe_reports_its_start_and_its_end() -> None:
    """A probe that returns reports what it got and what it returned."""
    value, events = _run("celeriac.echo", 1, k=b"x", task=Task(retries=2))

    about = {"worker": "w1", "task_id": "t1", "task": "celeriac.echo", "attempt": 2}
    assert value == [[1], {"k": b"x"}]
    assert events == [
        Event("started", 12.5, {**about, "args": (1,), "kwargs": {"k": b"x"}}),
        Event("ended", 12.5, {**about, "state": "SUCCESS", "value": value}),
    ]


@pytest.mark.parametrize(
    ("name", "args", "state", "error"),
    [
        ("celeriac.fail", ("boom",), "FAILURE", ValueError),
        ("celeriac.ignore", (), "IGNORED", _Ignore),
        ("celeriac.reject", (True,), "REJECTED", _Reject),
    ],
)
def test_probe_reports_how_it_failed(name: str, args: Any, state: str, error: type[Exception]) -> None:
    """A probe that raises reports the state that this means, and the error goes on."""
    outcome, events = _run(name, *args)

    assert isinstance(outcome, error)
    assert [event.data.get("state") for event in events] == [None, state]


def test_probe_that_is_retried_has_not_ended() -> None:
    """A retry is reported as such, until the wanted number has been reached."""
    outcome, events = _run("celeriac.retry", 2, 5, task=Task(retries=1))
    value, last = _run("celeriac.retry", 2, task=Task(retries=2))

    assert isinstance(outcome, _Retry)
    assert outcome.args == (5, 2)
    assert [event.kind for event in events] == ["started", "retried"]
    assert value == 2
    assert [event.kind for event in last] == ["started", "ended"]


def test_probes_use_their_task() -> None:
    """Progress is stored, a child is called, and the context is read, through the task instance."""
    task = Task()

    assert _run("celeriac.progress", 2, task=task)[0] == "done"
    assert task.states == [("PROGRESS", {"progress": 0}), ("PROGRESS", {"progress": 1})]
    assert _run("celeriac.child", 1, 2, task=task)[0] == "child"
    assert task.child == (1, 2)
    assert set(_run("celeriac.context", task=task)[0]) == set(CONTEXT)


def test_long_running_probe_says_how_far_it_is() -> None:
    """The long-running task stores 50 and 90 between its pauses, and greets with the sum."""
    task = Task()

    assert _run("celeriac.hello", 1, 1, task=task)[0] == "hello world: 2"
    assert task.states == [("PROGRESS", {"progress": 50}), ("PROGRESS", {"progress": 90})]


def test_probe_with_wrong_arguments_never_started() -> None:
    """Arguments that the function does not take are its error, and no start is reported."""
    outcome, events = _run("celeriac.add", 1)

    assert isinstance(outcome, TypeError)
    assert events == []


def test_direct_call_reports_nothing() -> None:
    """A probe that is called by hand is not run by a worker."""
    assert _run("celeriac.add", 1, 2, task=Task(called_directly=True)) == (3, [])


def test_handler_reports_the_failure_it_is_told_of() -> None:
    """The errback probe reports the failed task and its error."""
    _, events = _run("celeriac.handler", SimpleNamespace(id="t0"), ValueError("no"), "Traceback", 7)

    assert [event.kind for event in events] == ["errback"]
    assert events[0].data == {
        "worker": "w1",
        "task_id": "t0",
        "exc_type": "ValueError",
        "exc_message": "no",
        "has_traceback": True,
        "args": (7,),
    }
