"""Saboteurs among those who wait for results: what they hear, when they stop waiting, and what they make of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any
from unittest import mock

from celeriac.reference import result
from celeriac.reference.clock import Clock
from celeriac.reference.errors import RemoteError, ResultTimeout
from celeriac.reference.result import AsyncResult
from celeriac.reference.results.base import READY_STATES, Backend, follow
from celeriac.reference.results.rpc import RpcBackend
from tests.saboteurs.variants import Change, Saboteur

__all__ = ["SABOTEURS"]

Record = Mapping[str, Any]
Hearing = Callable[[Record], None]

_get = AsyncResult.get
_outcome = AsyncResult._outcome
_arrived = RpcBackend._arrived
_state = vars(AsyncResult)["state"].fget


# -- what on_message hears --------------------------------------------------------------------------------


def heard(change: Callable[[Record, Hearing], None]) -> Change:
    """Answer the exchange that stands between each record and ``on_message``."""

    def get(
        self: AsyncResult, timeout: Any = None, propagate: bool = True, on_message: Hearing | None = None
    ) -> Any:
        hearing = on_message and (lambda record: change(record, on_message))
        return _get(self, timeout, propagate, hearing)

    return mock.patch.object(AsyncResult, "get", get)


def _not_the_end(record: Record, hear: Hearing) -> None:
    if record["status"] != "SUCCESS":
        hear(record)


def _the_end_twice(record: Record, hear: Hearing) -> None:
    hear(record)
    if record["status"] == "SUCCESS":
        hear(record)


def _without_children(record: Record, hear: Hearing) -> None:
    hear({name: value for name, value in record.items() if name != "children"})


def _undisturbed(record: Record, hear: Hearing) -> None:
    with suppress(Exception):
        hear(record)


def _no_reason(record: Record, hear: Hearing) -> None:
    hear({**record, "result": None} if record["status"] == "FAILURE" else record)


# -- when the wait ends -----------------------------------------------------------------------------------


def followed(change: Callable[[Iterator[Record], float | None, Clock], Iterator[Record]]) -> Change:
    """Answer the exchange that changes the row of records that a wait sees."""

    def changed(backend: Backend, task_id: str, timeout: float | None, clock: Clock) -> Iterator[Record]:
        return change(follow(backend, task_id, timeout, clock), timeout, clock)

    return mock.patch.object(result, "follow", changed)


def _changes_of_status(records: Iterator[Record], *_: Any) -> Iterator[Record]:
    before = None
    for record in records:
        if record["status"] != before:
            yield record
        before = record["status"]


def _retry_is_failure(records: Iterator[Record], *_: Any) -> Iterator[Record]:
    for record in records:
        if record["status"] == "RETRY":
            yield {**record, "status": "FAILURE"}
            return
        yield record


def _revocation_is_no_end(records: Iterator[Record], timeout: float | None, clock: Clock) -> Iterator[Record]:
    for record in records:
        if record["status"] == "REVOKED":
            clock.sleep(timeout or 0)
            raise ResultTimeout("still waiting")
        yield record


# -- what the wait answers --------------------------------------------------------------------------------


def answered(change: Callable[[Record, bool], Any]) -> Change:
    """Answer the exchange that changes what a wait makes of the final record."""

    def outcome(record: Record, propagate: bool) -> Any:
        return change(record, propagate)

    return mock.patch.object(AsyncResult, "_outcome", staticmethod(outcome))


def _no_nulls(record: Record, propagate: bool) -> Any:
    value = _outcome(record, propagate)
    if record["status"] != "SUCCESS" or not isinstance(value, dict):
        return value
    return {
        key: [one for one in item if one is not None] if isinstance(item, list) else item
        for key, item in value.items()
    }


def _failure_is_a_value(record: Record, propagate: bool) -> Any:
    return _outcome(record, propagate and record["status"] != "FAILURE")


def _failure_is_nothing(record: Record, propagate: bool) -> Any:
    failed = record["status"] == "FAILURE" and not propagate
    return None if failed else _outcome(record, propagate)


def _unknown_is_a_runtime_error(record: Record, propagate: bool) -> Any:
    value = _outcome(record, propagate=False)
    strange = record["status"] == "FAILURE" and isinstance(value, RemoteError)
    if strange and propagate:
        raise RuntimeError(*value.args)
    return _outcome(record, propagate)


def _once_late_always_late(self: AsyncResult, *args: Any, **kwargs: Any) -> Any:
    if "late" in vars(self):
        raise ResultTimeout("this result has timed out")
    try:
        return _get(self, *args, **kwargs)
    except ResultTimeout:
        vars(self)["late"] = True
        raise


def _read_once(self: AsyncResult, *args: Any, **kwargs: Any) -> Any:
    value = _get(self, *args, **kwargs)
    self._final = None
    self._backend().records(self.id).clear()
    return value


# -- what a look at the state says ------------------------------------------------------------------------


def looked(change: Callable[[str], str]) -> Change:
    """Answer the exchange that changes what a caller sees as the state."""

    def state(self: AsyncResult) -> str:
        return change(str(_state(self)))

    return mock.patch.object(AsyncResult, "state", property(state))


def _known_or_pending(state: str) -> str:
    return state if state in {*READY_STATES, "STARTED", "RETRY"} else "PENDING"


#: The members that a record of the chapter has without the setting result_extended.
_USUAL = frozenset(
    {"task_id", "status", "result", "traceback", "children", "date_done", "group_id", "parent_id"}
)


def _usual_only(self: RpcBackend, message: Any) -> None:
    _arrived(self, message)
    for records in self._records.values():
        records[:] = [record for record in records if record.keys() <= _USUAL]


SABOTEURS = (
    Saboteur(
        "status_heard_once",
        "a state is heard only when its status is not that of the one before",
        (followed(_changes_of_status),),
        "ONM-001",
    ),
    Saboteur(
        "end_is_not_heard",
        "the success that ends the wait is not heard",
        (heard(_not_the_end),),
        "ONM-001",
    ),
    Saboteur(
        "end_is_heard_twice",
        "the success that ends the wait is heard twice",
        (heard(_the_end_twice),),
        "ONM-001",
    ),
    Saboteur(
        "children_are_not_heard",
        "what is heard has no children",
        (heard(_without_children),),
        "ONM-002",
    ),
    Saboteur(
        "failure_without_a_reason",
        "what is heard of a failure does not say why",
        (heard(_no_reason),),
        "ONM-003",
        seen="celery-node 0.5.9, whose records do not say it",
    ),
    Saboteur(
        "on_message_fails_unseen",
        "an error that on_message raises is ignored",
        (heard(_undisturbed),),
        "ONM-005",
    ),
    Saboteur(
        "retry_ends_the_wait",
        "a task that asks to be retried has failed",
        (followed(_retry_is_failure),),
        "ONM-006",
        seen="aio-celery 0.22.0, where any state but PENDING ends the wait",
    ),
    Saboteur(
        "revocation_is_no_end",
        "a caller goes on waiting for a task that has been revoked",
        (followed(_revocation_is_no_end),),
        "ONM-006",
        also=("EXP-015", "ONM-013", "RES-026"),
        because="a wait that goes on until it times out does not end with the error for a revoked task",
    ),
    Saboteur(
        "nulls_are_dropped",
        "of the lists in a mapping that a task has returned, the nulls are not answered",
        (answered(_no_nulls),),
        "ONM-007",
    ),
    Saboteur(
        "failure_is_a_value",
        "the exception of a failed task is answered like a return value",
        (answered(_failure_is_a_value),),
        "ONM-008",
        seen="aio-celery 0.22.0, an older celery-node (celery.node#34)",
        also=("LNK-041", "RES-026"),
        because="failures are among the sample records, and a group is waited for task by task",
    ),
    Saboteur(
        "failure_is_nothing",
        "without propagation a failed task is answered with null",
        (answered(_failure_is_nothing),),
        "ONM-009",
    ),
    Saboteur(
        "once_late_always_late",
        "a wait that has timed out is the last one",
        (mock.patch.object(AsyncResult, "get", _once_late_always_late),),
        "ONM-011",
        also=("LNK-040",),
        because="a group that is waited for again waits for its tasks again",
    ),
    Saboteur(
        "read_once",
        "a result can be read once",
        (mock.patch.object(AsyncResult, "get", _read_once),),
        "ONM-012",
        seen="the amqp result back end of Celery before 5.0, which lived in a queue",
        also=("LNK-040",),
        because="a group that is waited for again waits for its tasks again",
    ),
    Saboteur(
        "unknown_is_not_pending",
        "the state of a task of which nothing is stored is UNKNOWN",
        (looked(lambda state: "UNKNOWN" if state == "PENDING" else state),),
        "RES-024",
    ),
    Saboteur(
        "own_states_are_pending",
        "states of the task's own are shown as PENDING",
        (looked(_known_or_pending),),
        "RES-025",
    ),
    Saboteur(
        "unknown_exceptions_look_alike",
        "an exception of a class that the caller lacks is raised as a RuntimeError",
        (answered(_unknown_is_a_runtime_error),),
        "RES-026",
    ),
    Saboteur(
        "usual_members_only",
        "a record with members that the caller does not know is not read",
        (mock.patch.object(RpcBackend, "_arrived", _usual_only),),
        "RES-026",
    ),
)
