"""Workers of the reference in this process, as parties of a scenario's virtual clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from celeriac.adapters.probes import Reporter
from celeriac.adapters.reference.application import application, register, reporter
from celeriac.adapters.worker_pool import unknown_worker
from celeriac.conformance.adapter import Answer, Broken, Event, Ok, Raised, Scenario, WorkerSpec
from celeriac.reference import App, Worker

__all__ = ["VirtualWorkers"]

_START = 60.0  # virtual seconds a worker has to consume

#: What a process would exit with.
_EXIT_CODES = {"warm": 0, "cold": 0, "kill": -9}


@dataclass(frozen=True, slots=True)
class _Running:
    app: App
    worker: Worker
    report: Reporter

    def stop(self, how: Literal["warm", "cold", "kill"]) -> int:
        self.worker.stop(how)
        self.app.close()
        code = _EXIT_CODES[how]
        self.report("stopped", exit_code=code)
        return code


class VirtualWorkers:
    """Starts and stops workers by name.

    Args:
        scenario: names the clock.
        emit: gets their events.
    """

    def __init__(self, scenario: Scenario, emit: Callable[[Event], None]) -> None:
        self._scenario = scenario
        self._emit = emit
        self._workers: dict[str, _Running] = {}

    def start(self, spec: WorkerSpec) -> Answer:
        """Start a worker and answer once it consumes."""
        if spec.name in self._workers:
            return Broken(f"a worker named {spec.name!r} is already there")
        app = application(self._scenario, broker_url=spec.broker_url, settings=spec.settings)
        report = reporter(app, spec.name, self._emit)
        register(app, self._scenario, report)

        def heard(kind: str, data: Mapping[str, Any]) -> None:
            if kind == "stopped" and spec.name in self._workers:  # by itself: nobody has asked it to
                del self._workers[spec.name]
                report("stopped", exit_code=data["exit_code"])

        worker = Worker(app, spec.queues, hostname=spec.name, observer=heard)
        self._workers[spec.name] = _Running(app, worker, report)
        worker.start()
        if not app.clock.wait_for(lambda: worker.connected, _START):
            return Raised("timeout", "worker", f"does not consume after {_START:g} virtual seconds", "none")
        report("ready")
        return Ok()

    def stop(self, name: str, how: Literal["warm", "cold", "kill"]) -> Answer:
        """Stop a worker; a killed one lets go of its connection without a word."""
        if name not in self._workers:
            return unknown_worker(name, self._workers)
        return Ok({"exit_code": self._workers.pop(name).stop(how)})

    def close(self) -> None:
        """Stop all workers."""
        while self._workers:
            self._workers.popitem()[1].stop("warm")
