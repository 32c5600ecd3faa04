"""The contract, spoken to Celery; thin, so that what is judged is Celery."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib import metadata, util
from typing import Any, Literal

import celery
import kombu.pools

from celeriac.adapters.calling import Caller
from celeriac.adapters.celery.application import application, forget_environment
from celeriac.adapters.probes import Reporter
from celeriac.adapters.worker_pool import WorkerPool
from celeriac.conformance.adapter import Adapter, Answer, Call, Event, Ok, Scenario, WorkerSpec

__all__ = ["CeleryDriver"]

#: Feature of the claim -> the module without which Celery lacks it.
EXTRAS: Mapping[str, str] = {
    "serializer:yaml": "yaml",
    "serializer:msgpack": "msgpack",
    "compression:brotli": "brotli",
    "compression:zstd": "zstandard",
    "result:redis": "redis",
}


class CeleryDriver(Adapter):
    """Celery as producer, worker, result consumer and local caller."""

    def __init__(self) -> None:
        forget_environment()
        self._app: celery.Celery | None = None
        self._caller: Caller
        self._workers: WorkerPool

    def hello(self) -> Mapping[str, Any]:
        """Answer Celery's version, and the features whose packages are not installed."""
        missing = {
            feature: f"the package {module!r} is not installed"
            for feature, module in EXTRAS.items()
            if util.find_spec(module) is None
        }
        return {"implementation": "Celery", "version": metadata.version("celery"), "missing": missing}

    def begin(self, scenario: Scenario) -> Answer:
        """Make the scenario's app."""
        app = self._app = application(scenario, Reporter("producer", time.time, _unheard))
        self._caller = Caller(app, app.tasks.__getitem__)
        self._workers = WorkerPool(_worker_command, scenario, self.emit)
        return Ok()

    def end(self) -> Answer:
        """Kill the scenario's workers and drop its connections."""
        if self._app is not None:
            self._workers.close()
            _drop_connections(self._app)
            self._app.close()
            self._app = None
        return Ok()

    def call(self, call: Call) -> Answer:
        """Call a task in the form that ``call.mode`` names."""
        return self._caller.call(call)

    def start_worker(self, spec: WorkerSpec) -> Answer:
        """Start a Celery worker in a process of its own."""
        return self._workers.start(spec)

    def stop_worker(self, name: str, how: Literal["warm", "cold", "kill"] = "warm") -> Answer:
        """Stop a worker with SIGTERM, SIGQUIT or SIGKILL."""
        return self._workers.stop(name, how)

    def get_result(
        self, task_id: str, *, timeout: float | None, propagate: bool = True, on_message: bool = False
    ) -> Answer:
        """Wait with ``AsyncResult.get``."""
        return self._caller.get_result(task_id, timeout=timeout, propagate=propagate, on_message=on_message)

    def state(self, task_id: str) -> Answer:
        """Answer ``AsyncResult.state``."""
        return self._caller.state(task_id)

    def close(self) -> None:
        """End the scenario that is still running, if one is."""
        self.end()


def _worker_command(spec: WorkerSpec) -> list[str]:
    return [sys.executable, "-m", "celeriac.adapters.celery.worker"]


def _drop_connections(app: celery.Celery) -> None:
    kombu.pools.reset()
    backend = app.backend
    if hasattr(backend, "result_consumer"):
        with suppress(Exception):  # one that has not started, or has lost its connection, cannot be stopped
            backend.result_consumer.stop()
    if hasattr(backend, "client"):
        backend.client.connection_pool.disconnect()


def _unheard(event: Event) -> None:
    """Drop an event: a producer runs no tasks."""
