"""The reference adapter.

With a virtual clock in the scenario everything is in this process, and the workers are parties of that clock.
Without one the producer and the result consumer are in this process, and each worker is the reference's own worker
command in a process of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import metadata, util
from typing import Any

from celeriac.adapters.calling import Caller, CallingAdapter
from celeriac.adapters.fork_server import ForkServer
from celeriac.adapters.probes import Reporter
from celeriac.adapters.reference.application import application, register
from celeriac.adapters.reference.virtual_workers import VirtualWorkers
from celeriac.adapters.worker_pool import WorkerPool
from celeriac.conformance.adapter import Answer, Event, Ok, Scenario
from celeriac.reference import App, chain, group

__all__ = ["ReferenceAdapter"]

#: Feature of the claim -> the modules of which one has to be there.
EXTRAS: Mapping[str, tuple[str, ...]] = {
    "serializer:yaml": ("yaml",),
    "serializer:msgpack": ("msgpack",),
    "compression:brotli": ("brotli",),
    "compression:zstd": ("zstandard", "backports.zstd", "compression.zstd"),
}


class ReferenceAdapter(CallingAdapter):
    """The reference as producer, worker, result consumer and local caller."""

    def __init__(self) -> None:
        self._app: App | None = None
        self._server = ForkServer([sys.executable, "-m", "celeriac.adapters.reference.worker"])

    def hello(self) -> Mapping[str, Any]:
        """Answer the version of Celeriac, and the features whose packages are not installed."""
        missing = {
            feature: f"none of the packages {', '.join(modules)} is installed"
            for feature, modules in EXTRAS.items()
            if not any(map(_is_there, modules))
        }
        version = metadata.version("celeriac")
        return {"implementation": "Celeriac reference", "version": version, "missing": missing}

    def begin(self, scenario: Scenario) -> Answer:
        """Make the scenario's application."""
        app = self._app = application(scenario)
        register(app, scenario, Reporter("producer", lambda: app.clock.now().timestamp(), _unheard))
        self._caller = Caller(app, app.task_named, {"group": group, "chain": chain})
        if scenario.clock is not None:
            self._workers = VirtualWorkers(scenario, self.emit)
        else:
            self._workers = WorkerPool(self._server, scenario, self.emit)
        return Ok()

    def end(self) -> Answer:
        """Stop the scenario's workers and close its connections."""
        if self._app is not None:
            self._workers.close()
            self._app.close()
            self._app = None
        return Ok()

    def close(self) -> None:
        """End the scenario that is still running, if one is, and the server of its workers."""
        super().close()
        self._server.close()


def _is_there(module: str) -> bool:
    try:
        return util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _unheard(event: Event) -> None:
    """Drop an event: a producer runs no tasks."""
