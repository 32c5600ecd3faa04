"""The contract, spoken to Celery; thin, so that what is judged is Celery."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib import metadata, util
from typing import Any

import celery
import kombu.pools
from kombu import compression

from celeriac.adapters.calling import Caller, CallingAdapter
from celeriac.adapters.celery.application import application, forget_environment
from celeriac.adapters.celery.variants import VARIANTS
from celeriac.adapters.fork_server import ForkServer
from celeriac.adapters.probes import Reporter
from celeriac.adapters.worker_pool import WorkerPool
from celeriac.conformance.adapter import Answer, Event, Ok, Scenario

__all__ = ["CeleryDriver"]

#: Feature of the claim -> the module without which Celery lacks it.
EXTRAS: Mapping[str, str] = {
    "serializer:yaml": "yaml",
    "serializer:msgpack": "msgpack",
    "compression:brotli": "brotli",
    "result:redis": "redis",
}

ZSTD = "application/zstd"


class CeleryDriver(CallingAdapter):
    """Celery as producer, worker, result consumer and local caller.

    Args:
        variant: alone, or with a package that changes a part of it; a name of ``VARIANTS``.
    """

    def __init__(self, variant: str = "celery") -> None:
        forget_environment()
        self._app: celery.Celery | None = None
        self._variant = VARIANTS[variant]
        worker = [sys.executable, "-m", "celeriac.adapters.celery.worker", variant]
        self._server = ForkServer(worker, self._variant.environment)

    def hello(self) -> Mapping[str, Any]:
        """Answer Celery's version, and the features whose packages are not installed."""
        missing = {
            feature: f"the package {module!r} is not installed"
            for feature, module in EXTRAS.items()
            if util.find_spec(module) is None
        }
        if ZSTD not in compression.encoders():
            missing["compression:zstd"] = "kombu has found none of the packages that its version knows"
        version = metadata.version("celery")
        return {"implementation": self._variant.title, "version": version, "missing": missing}

    def begin(self, scenario: Scenario) -> Answer:
        """Make the scenario's app."""
        app = self._app = application(scenario, Reporter("producer", time.time, _unheard), self._variant)
        canvas = {"group": lambda tasks: celery.group(tasks, app=app), "chain": celery.chain}
        self._caller = Caller(app, app.tasks.__getitem__, canvas)
        self._workers = WorkerPool(self._server, scenario, self.emit)
        return Ok()

    def end(self) -> Answer:
        """Kill the scenario's workers and drop its connections."""
        if self._app is not None:
            self._workers.close()
            self._caller.forget()  # a handle that is collected later would connect again to say that it is
            _drop_connections(self._app)
            self._app.close()
            self._app = None
        return Ok()

    def close(self) -> None:
        """End the scenario that is still running, if one is, and the server of its workers."""
        super().close()
        self._server.close()


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
