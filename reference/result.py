"""The caller's handle on a task: its state, and waiting for its result."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from celeriac.reference.results.base import EXCEPTION_STATES, READY_STATES, Backend, exception_of, follow

if TYPE_CHECKING:
    from celeriac.reference.app import App
    from celeriac.reference.clock import Clock

__all__ = ["AsyncResult", "GroupResult"]


class AsyncResult:
    """What is known of the task with this id.

    Args:
        task_id: the id.
        app: whose back end is asked.
        ignored: the call asked for no result to be kept.
        parent: the handle on the task before this one in its chain.
    """

    def __init__(
        self, task_id: str, app: App, ignored: bool = False, parent: AsyncResult | GroupResult | None = None
    ) -> None:
        self.id = task_id
        self.app = app
        self.ignored = ignored
        self.parent = parent
        self._final: Mapping[str, Any] | None = None

    def __repr__(self) -> str:
        return f"<AsyncResult: {self.id}>"

    def get(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        on_message: Callable[[Mapping[str, Any]], None] | None = None,
    ) -> Any:
        """Wait for the task to end and answer what it returned (ONM-001 to ONM-013, RES-003, RES-026).

        Args:
            timeout: seconds to wait, None for as long as it takes.
            propagate: raise the exception of a failed or revoked task instead of answering it (EXP-015).
            on_message: called with each record of this task, in order.

        Raises:
            ResultTimeout: there is no result after ``timeout`` seconds.
            RuntimeError: the application has no result back end.
        """
        if self.ignored:
            return None
        if self._final is None:
            for record in follow(self._backend(), self.id, timeout, self.app.clock):
                if on_message is not None:
                    on_message(record)
                if record["status"] in READY_STATES:
                    self._final = record
        assert self._final is not None
        return self._outcome(self._final, propagate)

    @property
    def clock(self) -> Clock:
        """Answer the clock on which one waits for this task."""
        return self.app.clock

    @property
    def state(self) -> str:
        """Answer the last known state; ``PENDING`` also stands for an id that nobody knows (RES-024, RES-025)."""
        return str(self._latest()["status"])

    status = state

    @property
    def result(self) -> Any:
        """Answer the return value, the exception, or the meta data of the last known state (RES-026)."""
        return self._outcome(self._latest(), propagate=False)

    @property
    def traceback(self) -> str | None:
        """Answer the traceback of a failed task as text."""
        text = self._latest()["traceback"]
        return None if text is None else str(text)

    @property
    def children(self) -> list[AsyncResult | GroupResult]:
        """Answer the handles of the tasks and groups that this one called (LNK-013, RES-028)."""
        return [_child(child, self.app) for child in self._latest().get("children") or ()]

    def ready(self) -> bool:
        """Answer whether the task has ended (ONM-006)."""
        return self.state in READY_STATES

    def successful(self) -> bool:
        """Answer whether the task has returned."""
        return self.state == "SUCCESS"

    def failed(self) -> bool:
        """Answer whether the task has raised."""
        return self.state == "FAILURE"

    def _latest(self) -> Mapping[str, Any]:
        if self._final is not None:
            return self._final
        backend = self._backend()
        backend.receive(self.id, len(backend.records(self.id)), 0)
        records = backend.records(self.id)
        latest = records[-1] if records else {"status": "PENDING", "result": None, "traceback": None}
        if latest["status"] in READY_STATES:
            self._final = latest
        return latest

    @staticmethod
    def _outcome(record: Mapping[str, Any], propagate: bool) -> Any:
        if record["status"] not in EXCEPTION_STATES:
            return record["result"]
        error = exception_of(record)
        if propagate and record["status"] in READY_STATES:
            raise error
        return error

    def _backend(self) -> Backend:
        if self.app.backend is None:
            raise RuntimeError("no result back end is configured; give the app one, e.g. backend='rpc://'")
        return self.app.backend


class GroupResult:
    """What is known of the tasks of a group.

    Args:
        group_id: the id that their messages share.
        results: their handles, in the order of the signatures.
        parent: the handle on the task before the group in its chain.
    """

    def __init__(
        self,
        group_id: str,
        results: Sequence[AsyncResult | GroupResult],
        parent: AsyncResult | GroupResult | None = None,
    ) -> None:
        self.id = group_id
        self.results = list(results)
        self.parent = parent

    def __repr__(self) -> str:
        return f"<GroupResult: {self.id} [{', '.join(each.id for each in self.results)}]>"

    def __len__(self) -> int:
        return len(self.results)

    def __iter__(self) -> Iterator[AsyncResult | GroupResult]:
        return iter(self.results)

    def __getitem__(self, index: int) -> AsyncResult | GroupResult:
        return self.results[index]

    def get(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        on_message: Callable[[Mapping[str, Any]], None] | None = None,
    ) -> list[Any]:
        """Wait for all and answer their values in the order of the signatures (LNK-039 to LNK-041).

        Args:
            timeout: seconds to wait for all of them together, None for as long as it takes.
            propagate: raise the exception of a failed task instead of answering it in its place.
            on_message: called with each record of these tasks.

        Raises:
            ResultTimeout: one has no result after ``timeout`` seconds.
        """
        clock = next((each.clock for each in self.results), None)
        deadline = None if timeout is None or clock is None else clock.monotonic() + timeout
        values = []
        for each in self.results:
            left = None if deadline is None else max(0.0, deadline - each.clock.monotonic())
            values.append(each.get(left, propagate, on_message))
        return values

    join = get

    @property
    def clock(self) -> Clock:
        """Answer the clock on which one waits for the first of them."""
        return self.results[0].clock

    @property
    def children(self) -> list[AsyncResult | GroupResult]:
        """Answer the handles of the members."""
        return list(self.results)

    def ready(self) -> bool:
        """Answer whether all have ended."""
        return all(each.ready() for each in self.results)

    def waiting(self) -> bool:
        """Answer whether one has not ended yet."""
        return not self.ready()

    def successful(self) -> bool:
        """Answer whether all have returned."""
        return all(each.successful() for each in self.results)

    def failed(self) -> bool:
        """Answer whether one has raised."""
        return any(each.failed() for each in self.results)

    def completed_count(self) -> int:
        """Answer how many have returned."""
        return sum(each.successful() for each in self.results)


def _child(data: Any, app: App) -> AsyncResult | GroupResult:
    (identity, _), members = data
    if members is None:
        return AsyncResult(identity, app)
    return GroupResult(identity, [_child(member, app) for member in members])
