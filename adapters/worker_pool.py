"""The worker processes of one scenario."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from celeriac.adapters.fork_server import ForkServer, ForkServerError
from celeriac.adapters.worker_process import WorkerProcess
from celeriac.conformance.adapter import Answer, Broken, Event, Raised, Scenario, WorkerSpec

__all__ = ["WorkerPool", "unknown_worker"]

_START = 25.0  # seconds a worker has to consume
_STOP = 15.0  # seconds a worker has to stop


class WorkerPool:
    """Starts and stops workers by name.

    Args:
        server: forks their processes.
        scenario: the scenario that the workers belong to.
        emit: gets their events.
    """

    def __init__(
        self,
        server: ForkServer,
        scenario: Scenario,
        emit: Callable[[Event], None],
    ) -> None:
        self._server = server
        self._scenario = scenario
        self._emit = emit
        self._workers: dict[str, WorkerProcess] = {}

    def start(self, spec: WorkerSpec) -> Answer:
        """Start a worker and answer once it consumes."""
        if spec.name in self._workers:
            return Broken(f"a worker named {spec.name!r} is already there")
        try:
            process = self._server.fork()
        except ForkServerError as error:
            return Raised("other", "worker", str(error), "none")
        worker = WorkerProcess(process, self._scenario, spec, self._emit)
        self._workers[spec.name] = worker
        return worker.wait_ready(_START)

    def stop(self, name: str, how: Literal["warm", "cold", "kill"]) -> Answer:
        """Stop a worker."""
        if name not in self._workers:
            return unknown_worker(name, self._workers)
        return self._workers.pop(name).stop(how, _STOP)

    def close(self) -> None:
        """Kill all workers."""
        while self._workers:
            self._workers.popitem()[1].stop("kill", _STOP)


def unknown_worker(name: str, known: Mapping[str, object]) -> Broken:
    """Answer that there is no worker of this name."""
    return Broken(f"there is no worker {name!r}; there are: {', '.join(known) or 'none'}")
