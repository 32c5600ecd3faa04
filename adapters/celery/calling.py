"""The contract, spoken to Celery.

Nothing here works around Celery: arguments and settings go in as they came, errors come out as they are.
"""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import metadata, util
from typing import Any, Literal

import celery
import kombu.pools
from celery.result import AsyncResult

from celeriac.adapters.categories import CALLING, RESULTS, raised
from celeriac.adapters.celery.application import application, forget_environment
from celeriac.adapters.native import native
from celeriac.adapters.probes import Reporter
from celeriac.adapters.worker_process import WorkerProcess
from celeriac.conformance.adapter import (
    Adapter,
    Answer,
    Broken,
    Call,
    Event,
    Ok,
    Raised,
    Scenario,
    Signature,
    WorkerSpec,
)

__all__ = ["CeleryDriver"]

#: Feature of the claim -> the module without which Celery lacks it.
EXTRAS: Mapping[str, str] = {
    "serializer:yaml": "yaml",
    "serializer:msgpack": "msgpack",
    "compression:brotli": "brotli",
    "compression:zstd": "zstandard",
    "result:redis": "redis",
}

_START = 25.0  # seconds a worker has to consume
_STOP = 15.0  # seconds a worker has to stop


class CeleryDriver(Adapter):
    """Celery as producer, worker, result consumer and local caller."""

    def __init__(self) -> None:
        forget_environment()
        self._app: celery.Celery | None = None
        self._scenario: Scenario | None = None
        self._results: dict[str, AsyncResult] = {}
        self._workers: dict[str, WorkerProcess] = {}

    def hello(self) -> Mapping[str, Any]:
        """Answer Celery's version, and the features whose packages are not installed."""
        missing = {
            feature: f"the package {module!r} is not installed"
            for feature, module in EXTRAS.items()
            if util.find_spec(module) is None
        }
        version = metadata.version("celery")
        libraries = {name: metadata.version(name) for name in ("kombu", "amqp")}
        return {"implementation": "Celery", "version": version, "missing": missing, "libraries": libraries}

    def begin(self, scenario: Scenario) -> Answer:
        """Make the scenario's app."""
        self._scenario = scenario
        self._app = application(scenario, Reporter("producer", time.time, _unheard))
        return Ok()

    def end(self) -> Answer:
        """Stop the scenario's workers and drop its connections."""
        for worker in self._workers.values():
            worker.stop("kill", _STOP)
        self._workers.clear()
        self._results.clear()
        if self._app is not None:
            self._drop_connections(self._app)
            self._app.close()
            self._app = None
        return Ok()

    def call(self, call: Call) -> Answer:
        """Call a task in the form that ``call.mode`` names."""
        app = self._current()
        options = native(dict(call.options), self._signature)
        return _answer(lambda: self._call(app, call, options), CALLING)

    def start_worker(self, spec: WorkerSpec) -> Answer:
        """Start a Celery worker in a process of its own."""
        assert self._scenario is not None
        if spec.name in self._workers:
            return Broken(f"a worker named {spec.name!r} is already there")
        command = [sys.executable, "-m", "celeriac.adapters.celery.worker"]
        worker = WorkerProcess(command, self._scenario, spec, self.emit)
        self._workers[spec.name] = worker
        return worker.wait_ready(_START)

    def stop_worker(self, name: str, how: Literal["warm", "cold", "kill"] = "warm") -> Answer:
        """Stop a worker with SIGTERM, SIGQUIT or SIGKILL."""
        if name not in self._workers:
            return Broken(f"there is no worker {name!r}; there are: {', '.join(self._workers) or 'none'}")
        return self._workers.pop(name).stop(how, _STOP)

    def get_result(
        self, task_id: str, *, timeout: float | None, propagate: bool = True, on_message: bool = False
    ) -> Answer:
        """Wait with ``AsyncResult.get``."""
        result = self._result(task_id)
        messages: list[Any] = []

        def seen(body: Any) -> None:
            messages.append(_plain(copy.copy(body)))

        def get() -> dict[str, Any]:
            callback = seen if on_message else None
            value = result.get(timeout=timeout, propagate=propagate, on_message=callback)
            return {"value": _plain(value), "messages": messages}

        return _answer(get, RESULTS)

    def state(self, task_id: str) -> Answer:
        """Answer ``AsyncResult.state``."""
        return _answer(lambda: self._result(task_id).state, RESULTS)

    def close(self) -> None:
        """End the scenario that is still running, if one is."""
        self.end()

    def _current(self) -> celery.Celery:
        assert self._app is not None, "no scenario has begun"
        return self._app

    def _result(self, task_id: str) -> AsyncResult:
        return self._results.get(task_id) or self._current().AsyncResult(task_id)

    def _signature(self, wanted: Signature) -> Any:
        return self._current().signature(
            wanted.task,
            args=tuple(wanted.args),
            kwargs=dict(wanted.kwargs),
            options=native(dict(wanted.options), self._signature),
            immutable=wanted.immutable,
        )

    def _call(self, app: celery.Celery, call: Call, options: dict[str, Any]) -> dict[str, Any]:
        if call.mode == "direct":
            return {"value": app.tasks[call.task](*call.args, **call.kwargs)}
        result = self._send(app, call, options)
        self._results[result.id] = result
        return {"task_id": result.id}

    def _send(self, app: celery.Celery, call: Call, options: dict[str, Any]) -> AsyncResult:
        if call.mode == "send_task":
            return app.send_task(call.task, call.args, call.kwargs, **options)
        task = app.tasks[call.task]
        if call.mode == "delay":
            return task.delay(*call.args, **call.kwargs)
        if call.mode == "signature":
            return task.signature(call.args, call.kwargs, **options).apply_async()
        return task.apply_async(call.args, call.kwargs, **options)

    @staticmethod
    def _drop_connections(app: celery.Celery) -> None:
        kombu.pools.reset()
        backend = app.backend
        if hasattr(backend, "result_consumer"):
            with suppress(
                Exception
            ):  # one that has not started, or has lost its connection, cannot be stopped
                backend.result_consumer.stop()
        if hasattr(backend, "client"):
            backend.client.connection_pool.disconnect()


def _answer(action: Callable[[], Any], categories: Mapping[str, str]) -> Ok | Raised:
    try:
        return Ok(action())
    except Exception as error:  # noqa: BLE001 - whatever Celery raises is what the harness wants to know
        return raised(error, categories)


def _plain(value: Any) -> Any:
    """Exceptions, which a failed task leaves as its result, as the pair the contract names."""
    if isinstance(value, BaseException):
        return {"exc_type": type(value).__name__, "exc_message": str(value)}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _unheard(event: Event) -> None:
    """Drop an event: a producer runs no tasks."""
