"""The driver of aio-celery: serves the contract on standard input and output.

The producer lives in an event loop on a thread of its own, its application set up once for a scenario, as a web
service would keep it; workers are processes.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from importlib import metadata
from typing import Any, Literal

from celeriac.adapters.aio_celery.application import application, settings_lacking
from celeriac.adapters.aio_celery.calling import LACKING, Caller
from celeriac.adapters.categories import CALLING, RESULTS, raised
from celeriac.adapters.fork_server import ForkServer
from celeriac.adapters.probes import Reporter
from celeriac.adapters.worker_pool import WorkerPool
from celeriac.conformance.adapter import (
    Adapter,
    Answer,
    Call,
    Composition,
    Event,
    Ok,
    OnMessage,
    Scenario,
    Signature,
    Unsupported,
    WorkerSpec,
)
from celeriac.conformance.serving import serve

__all__ = ["AioCeleryDriver"]

#: Errors of aio-celery and of the AMQP client below it -> category; the nearest class of an error's ancestry counts.
ERRORS: Mapping[str, str] = {
    "aio_celery.exceptions.TimeoutError": "timeout",
    "aiormq.exceptions.AMQPChannelError": "rejected",
    "aiormq.exceptions.ChannelInvalidStateError": "connection",
    "aiormq.exceptions.DeliveryError": "rejected",
}

_FAREWELL = 5.0  # seconds that connections to a broker which may be gone have to close


class AioCeleryDriver(Adapter):
    """aio-celery as producer, worker, result consumer and local caller."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = ForkServer([sys.executable, "-I", "-m", "celeriac.adapters.aio_celery.worker"])
        self._caller: Caller | None = None
        self._workers: WorkerPool | None = None

    def hello(self) -> Mapping[str, Any]:
        """Answer the version of aio-celery."""
        version = metadata.version("aio-celery")
        return {"protocol": 1, "implementation": "aio-celery", "version": version, "missing": {}}

    def begin(self, scenario: Scenario) -> Answer:
        """Make the scenario's application; it connects when it is first used."""
        self._scenario = scenario
        self._workers = WorkerPool(self._server, scenario, self.emit)
        if unsupported := settings_lacking(scenario, {}):
            return unsupported
        reporter = Reporter("producer", time.time, _unheard)
        self._caller = Caller(application(scenario, reporter, broker_url=scenario.broker_url, settings={}))
        return Ok()

    def end(self) -> Answer:
        """Kill the scenario's workers and drop its connections."""
        if self._workers is not None:
            self._workers.close()
            self._workers = None
        if self._caller is not None:
            with suppress(Exception):  # whatever a connection that is lost says to its end
                self._run(asyncio.wait_for(self._caller.close(), _FAREWELL))
            self._caller = None
        return Ok()

    def call(self, call: Call) -> Answer:
        """Call a task in the form that ``call.mode`` names."""
        if unsupported := _lacking(call.options) or _lacking_in(call.signature):
            return unsupported
        return self._answer(self._caller_now.call(call), CALLING)

    def compose(self, kind: Composition, tasks: Sequence[Signature], options: Mapping[str, Any]) -> Answer:
        """Call several tasks one after another; aio-celery has no other way to call them as one."""
        if kind != "chain":
            return Unsupported(kind, f"aio-celery has no {kind}")
        problems = (_lacking(options), *map(_lacking_in, tasks))
        if unsupported := next(filter(None, problems), None):
            return unsupported
        return self._answer(self._caller_now.chain(tasks, options), CALLING)

    def start_worker(self, spec: WorkerSpec) -> Answer:
        """Start a worker of the scenario."""
        if unsupported := settings_lacking(self._scenario, spec.settings):
            return unsupported
        assert self._workers is not None, "begin first"
        return self._workers.start(spec)

    def stop_worker(self, name: str, how: Literal["warm", "cold", "kill"] = "warm") -> Answer:
        """Stop a worker of the scenario."""
        assert self._workers is not None, "begin first"
        return self._workers.stop(name, how)

    def get_result(
        self, task_id: str, *, timeout: float | None, propagate: bool = True, on_message: OnMessage = False
    ) -> Answer:
        """Wait with ``AsyncResult.get``, which knows of a timeout alone."""
        if on_message:
            return Unsupported("on_message", "AsyncResult.get of aio-celery has no on_message")
        if not propagate:
            return Unsupported("propagate", "AsyncResult.get of aio-celery has no propagate")
        answer = self._answer(self._caller_now.get(task_id, timeout), RESULTS)
        return Ok({"value": answer.value, "messages": []}) if isinstance(answer, Ok) else answer

    def state(self, task_id: str) -> Answer:
        """Answer ``AsyncResult.state``."""
        return self._answer(self._caller_now.state(task_id), RESULTS)

    def close(self) -> None:
        """End the scenario that is still running, if one is, the server of its workers and the event loop."""
        self.end()
        self._server.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    @property
    def _caller_now(self) -> Caller:
        assert self._caller is not None, "begin first"
        return self._caller

    def _answer(self, action: Coroutine[Any, Any, Any], categories: Mapping[str, str]) -> Answer:
        try:
            return Ok(self._run(action))
        except Exception as error:  # noqa: BLE001 - whatever aio-celery raises is what the harness wants to know
            return raised(error, {**categories, **ERRORS})

    def _run(self, action: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(action, self._loop).result()


def _lacking(options: Iterable[str]) -> Unsupported | None:
    """Answer the option that aio-celery does not have, if there is one."""
    missing = next((name for name in options if name in LACKING), None)
    return None if missing is None else Unsupported(missing, f"aio-celery has no option {missing}")


def _lacking_in(signature: Signature | None) -> Unsupported | None:
    """Answer what a signature asks for that aio-celery does not have."""
    if signature is None:
        return None
    if signature.immutable:
        return Unsupported("immutable", "aio-celery has no immutable signatures")
    return _lacking(signature.options)


def _unheard(event: Event) -> None:
    """Drop an event: a producer runs no tasks."""


if __name__ == "__main__":
    serve(AioCeleryDriver())
