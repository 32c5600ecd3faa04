"""A worker in a process of its own, as its adapter sees it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import IO, Literal

from celeriac.adapters.fork_server import Forked
from celeriac.conformance import envelopes
from celeriac.conformance.adapter import Answer, Broken, Event, Ok, Raised, Scenario, WorkerSpec

__all__ = ["WorkerProcess"]

#: How each way to stop a worker is told to its main process; a kill is for the whole group.
_SIGNALS: Mapping[str, signal.Signals] = {
    "warm": signal.SIGTERM,
    "cold": signal.SIGQUIT,
    "kill": signal.SIGKILL,
}

_TAIL = 16 * 1024  # bytes of standard error that are kept
_LOG = 2000  # characters of it that a report shows


class WorkerProcess:
    """Gives a process its orders, passes its events on and reports its end.

    Args:
        process: a process that waits for its ``worker_child.orders``.
        scenario: the scenario it belongs to.
        spec: what it is to be.
        emit: gets its events, and ``stopped`` when the process has ended, whatever ended it; with ``log``, the end
            of what it wrote to standard error, if nobody asked it to stop.
    """

    def __init__(
        self,
        process: Forked,
        scenario: Scenario,
        spec: WorkerSpec,
        emit: Callable[[Event], None],
    ) -> None:
        self._name = spec.name
        self._emit = emit
        self._tail = bytearray()
        self._known = threading.Event()  # ready or ended
        self._ready = False
        self._asked_to_stop = False
        self._process = process
        streams = ((self._pump, process.stdout), (self._keep_tail, process.stderr))
        self._readers = [threading.Thread(target=run, args=(io,), daemon=True) for run, io in streams]
        self._ending = threading.Thread(target=self._report_end, daemon=True)
        for thread in (*self._readers, self._ending):
            thread.start()
        self._tell(scenario, spec)

    def wait_ready(self, timeout: float) -> Answer:
        """Answer Ok once the worker consumes, Raised when it ended or ``timeout`` seconds passed first."""
        self._known.wait(timeout)
        if self._ready:
            return Ok()
        if not self._process.ended.is_set():
            self.stop("kill", timeout)
            return Raised("timeout", "worker", f"not ready within {timeout:g} s\n{self.log}", "none")
        self._ending.join(timeout)
        code = self._process.exit_code
        return Raised(
            "other", "worker", f"ended with exit code {code} before it consumed\n{self.log}", "none"
        )

    def stop(self, how: Literal["warm", "cold", "kill"], timeout: float) -> Answer:
        """Stop the worker; one that has not ended ``timeout`` seconds later is killed, and the answer is Raised."""
        self._asked_to_stop = True
        self._process.send_signal(_SIGNALS[how])
        self._ending.join(timeout)
        if not self._ending.is_alive():
            return Ok({"exit_code": self._process.exit_code})
        self._process.send_signal(_SIGNALS["kill"])
        self._ending.join(timeout)
        if self._ending.is_alive():
            return Broken(f"worker {self._name!r} (process {self._process.pid}) survives SIGKILL")
        return Raised(
            "timeout", "worker", f"still running {timeout:g} s after a {how} stop\n{self.log}", "done"
        )

    @property
    def log(self) -> str:
        """The end of what the worker wrote to standard error."""
        return bytes(self._tail).decode("utf-8", "replace")[-_LOG:].strip()

    def _tell(self, scenario: Scenario, spec: WorkerSpec) -> None:
        begin = envelopes.request_to_json(1, "begin", {"scenario": scenario})
        start = envelopes.request_to_json(2, "start_worker", {"spec": spec})
        with suppress(BrokenPipeError, ValueError):  # it died early, which another thread finds out
            self._process.stdin.write(envelopes.line(begin) + envelopes.line(start))
            self._process.stdin.flush()

    def _pump(self, stream: IO[bytes]) -> None:
        for line in stream:
            try:
                event = envelopes.event_from_json(envelopes.parse(line))
            except ValueError as error:
                self._tail += f"\n{error}".encode()
                self._process.send_signal(_SIGNALS["kill"])
                return
            self._emit(event)
            if event.kind == "ready":
                self._ready = True
                self._known.set()

    def _keep_tail(self, stream: IO[bytes]) -> None:
        for line in stream:
            self._tail += line
            del self._tail[:-_TAIL]

    def _report_end(self) -> None:
        process = self._process
        process.ended.wait()
        for thread in self._readers:
            thread.join()
        process.close()
        log = {} if self._asked_to_stop else {"log": self.log}
        ended = {"worker": self._name, "exit_code": process.exit_code}
        self._emit(Event("stopped", process.ended_at, {**ended, **log}))
        self._known.set()
