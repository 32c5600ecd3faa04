"""A watchdog around an adapter: a request that hangs costs its check an error, never the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from celeriac.conformance.adapter import (
    Adapter,
    Answer,
    Broken,
    Call,
    Composition,
    OnMessage,
    Scenario,
    Shared,
    Signature,
    WorkerSpec,
)
from celeriac.conformance.verdicts import HarnessError
from celeriac.conformance.watchdog import Overdue, deadline

__all__ = ["AroundAdapter", "GuardedAdapter"]


class AroundAdapter(Adapter):
    """An adapter that stands before another: what emits, and what is preloaded, is the inner one.

    Args:
        inner: the adapter.
    """

    def __init__(self, inner: Adapter) -> None:
        self.inner = inner

    def __setattr__(self, name: str, value: Any) -> None:
        """Pass ``emit`` on to the adapter that emits."""
        if name == "emit":
            self.inner.emit = value
        super().__setattr__(name, value)

    def preload(self, variables: Mapping[str, str]) -> Adapter:
        """Answer this one, of an adapter all of whose processes have these variables."""
        self.inner = self.inner.preload(variables)
        return self


class GuardedAdapter(AroundAdapter):
    """An adapter whose every answer comes within a deadline.

    Args:
        adapter: the adapter to guard.
        seconds: how long one answer may take; starting and stopping may take twice as long.
    """

    def __init__(self, adapter: Adapter, seconds: float) -> None:
        super().__init__(adapter)
        self.seconds = seconds
        self._virtual = False

    def hello(self) -> Mapping[str, Any]:
        """Answer what the adapter says of itself.

        Raises:
            HarnessError: it hangs, or its answer names no implementation.
        """
        try:
            with deadline(2 * self.seconds, "hello"):
                identity = self.inner.hello()
        except Overdue as error:
            raise HarnessError(f"{error}; it was here:\n{error.stack}") from None
        if not _names_implementation(identity):
            raise HarnessError(
                f"the adapter answered hello with {identity!r}, expected {{'implementation': text, 'version': text}}"
            )
        return identity

    def begin(self, scenario: Scenario) -> Answer:
        """Start a scenario."""
        self._virtual = scenario.clock is not None
        return self._watched("begin", 2, lambda: self.inner.begin(scenario))

    def end(self) -> Answer:
        """End the scenario."""
        return self._watched("end", 2, self.inner.end)

    def call(self, call: Call) -> Answer:
        """Call a task."""
        return self._watched("call", 1, lambda: self.inner.call(call))

    def compose(self, kind: Composition, tasks: Sequence[Signature], options: Mapping[str, Any]) -> Answer:
        """Call several tasks as one."""
        return self._watched("compose", 1, lambda: self.inner.compose(kind, tasks, options))

    def call_together(self, calls: Sequence[Call], over: Shared) -> Answer:
        """Make several calls over one connection that the caller holds."""
        return self._watched("call_together", 1, lambda: self.inner.call_together(calls, over))

    def start_worker(self, spec: WorkerSpec) -> Answer:
        """Start a worker."""
        return self._watched("start_worker", 2, lambda: self.inner.start_worker(spec))

    def stop_worker(self, name: str, how: Literal["warm", "cold", "kill"] = "warm") -> Answer:
        """Stop a worker."""
        return self._watched("stop_worker", 2, lambda: self.inner.stop_worker(name, how))

    def get_result(
        self, task_id: str, *, timeout: float | None, propagate: bool = True, on_message: OnMessage = False
    ) -> Answer:
        """Wait for a result; seconds of a wall clock come on top of the deadline."""

        def request() -> Answer:
            return self.inner.get_result(task_id, timeout=timeout, propagate=propagate, on_message=on_message)

        extra = 0.0 if self._virtual else timeout or 0.0
        return self._watched("get_result", 1, request, extra)

    def state(self, task_id: str) -> Answer:
        """Answer the state of a task."""
        return self._watched("state", 1, lambda: self.inner.state(task_id))

    def close(self) -> None:
        """Release everything.

        Raises:
            HarnessError: it hangs.
        """
        try:
            with deadline(2 * self.seconds, "close"):
                self.inner.close()
        except Overdue as error:
            raise HarnessError(f"{error}; it was here:\n{error.stack}") from None

    def _watched(
        self, operation: str, factor: int, request: Callable[[], Answer], extra: float = 0.0
    ) -> Answer:
        try:
            with deadline(factor * self.seconds + extra, f"the adapter's {operation}"):
                return request()
        except Overdue as error:
            return Broken(f"{error}; it was here:\n{error.stack}")


def _names_implementation(identity: object) -> bool:
    return isinstance(identity, Mapping) and isinstance(identity.get("implementation"), str)
