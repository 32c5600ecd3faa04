"""The history: the ordered record of everything observed in one scenario.

Whoever the broker is, a check sees the same records.  They come from four observers:

* ``broker``: the embedded broker's own event record (virtual time),
* ``tap``: the wire tap between implementation and broker, which decodes AMQP 0-9-1 and RESP,
* ``probe``: a worker or a probe task that reports itself,
* ``harness``: the requests made to the adapter and its answers.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["BY_WORKERS", "KINDS", "History", "Record"]

#: Every kind of record and the fields it carries (``connection`` is an int, unique per run).
KINDS: Mapping[str, str] = {
    "connected": "connection, peer: a transport connection was accepted",
    "refused": "a connection attempt was turned away",
    "disconnected": "connection: the transport connection ended",
    "declared": "connection, entity (queue|exchange), name, arguments, durable, type",
    "bound": "connection, queue, exchange, routing_key",
    "published": "connection, exchange, routing_key, queue (the list on Redis, else None), task_id, headers, "
    "properties, body (bytes), mandatory",
    "delivered": "connection, queue, task_id, redelivered, delivery_tag, no_ack",
    "acked": "connection, task_id, delivery_tag",
    "rejected": "connection, task_id, delivery_tag: thrown away or dead-lettered",
    "requeued": "task_id, queue: a delivery went back to the queue (nack, reject, lost channel, expired lease)",
    "expired": "task_id, queue: the broker dropped the message at its TTL",
    "cancelled": "connection, consumer_tag: the broker cancelled a consumer",
    "closed": "connection, scope (channel|connection), by (broker|client), code, text",
    "stored": "task_id, state, result, record (the whole decoded map), expires_in (seconds, None when unknown)",
    "announced": "task_id, state, record: a result record was published to whoever waits for it (Redis)",
    "called": "op, task, task_id (None until known), call",
    "answered": "op, task_id, answer",
    "ready": "worker",
    "started": "worker, task_id, task, args, kwargs, attempt",
    "ended": "worker, task_id, task, state, value, attempt",
    "retried": "worker, task_id, task, attempt",
    "errback": "worker, task_id (of the failed task), exc_type, exc_message, has_traceback, args",
    "stopped": "worker, exit_code",
}

#: The kinds that need a worker: when all workers have ended, none follows, but for what observers are still to note.
BY_WORKERS = frozenset(
    ("acked", "rejected", "requeued", "stored", "announced", "started", "ended", "retried", "errback")
)


@dataclass(frozen=True, slots=True)
class Record:
    """One observation.

    Attributes:
        seq: position in the run, strictly increasing.
        at: seconds since the Unix epoch on the observer's clock.
        kind: one of ``KINDS``.
        observer: broker, tap, probe or harness.
        data: the fields that ``KINDS`` names for the kind.
    """

    seq: int
    at: float
    kind: str
    observer: str
    data: Mapping[str, Any] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        """Read a field of ``data`` as an attribute."""
        try:
            return self.data[name]
        except KeyError:
            message = f"a {self.kind!r} record has no {name!r}; it has {', '.join(sorted(self.data))}"
            raise AttributeError(message) from None


class History:
    """An append-only log of records, or a view of one from some moment on.

    Attributes:
        slack: seconds by which two stamps of different observers may disagree (0 on a virtual clock).
    """

    def __init__(self, slack: float = 0.0) -> None:
        self.slack = slack
        self._records: list[Record] = []
        self._first = 0
        self._lock = threading.Lock()
        self._watchers: list[Callable[[Record], None]] = []

    def add(self, kind: str, at: float, observer: str, **data: Any) -> Record:
        """Append a record; thread-safe.

        Raises:
            ValueError: ``kind`` is not one of ``KINDS``.
        """
        if kind not in KINDS:
            message = f"unknown kind of record {kind!r}; known: {', '.join(KINDS)}"
            raise ValueError(message)
        with self._lock:
            record = Record(len(self._records), at, kind, observer, data)
            self._records.append(record)
        for watcher in tuple(self._watchers):
            watcher(record)
        return record

    def since(self, seq: int) -> History:
        """Answer a live view that holds the records from position ``seq`` of the run on."""
        view = History(self.slack)
        view._records, view._lock, view._first = self._records, self._lock, seq
        view._watchers = self._watchers
        return view

    def when(self, kind: str, count: int, action: Callable[[], None]) -> None:
        """Do something, once, when ``count`` further records of a kind are there; whoever adds the last does it."""
        numbers = itertools.count(1)

        def watch(record: Record) -> None:
            if record.kind == kind and next(numbers) == count:
                self._watchers.remove(watch)
                action()

        self._watchers.append(watch)

    @property
    def end(self) -> int:
        """Answer the position in the run that the next record will have."""
        return len(self._records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records[self._first :])

    def __len__(self) -> int:
        return len(self._records) - self._first

    def of(self, *kinds: str, **fields: Any) -> list[Record]:
        """Answer the records of these kinds whose data has these values, in order."""
        return [record for record in self if record.kind in kinds and _matches(record, fields)]

    def first(self, *kinds: str, **fields: Any) -> Record | None:
        """Answer the first record of these kinds with these values, or None."""
        return next(iter(self.of(*kinds, **fields)), None)

    def is_over(self, kinds: Collection[str], workers: Collection[str], before: float) -> bool:
        """Answer whether none of these records can follow, because each of ``workers`` has ended before that moment.

        Where there never was a worker, nothing is over: whoever else causes such records has yet to begin.
        """
        gone = {record.worker for record in self.of("stopped") if record.at < before}
        return bool(workers) and BY_WORKERS.issuperset(kinds) and gone.issuperset(workers)

    def task(self, task_id: str) -> list[Record]:
        """Answer everything that is known of one task, in order."""
        return [record for record in self if record.data.get("task_id") == task_id]

    def having(self, predicate: Callable[[Record], bool]) -> list[Record]:
        """Answer the records for which ``predicate`` holds, in order."""
        return [record for record in self if predicate(record)]


def _matches(record: Record, fields: Mapping[str, Any]) -> bool:
    return all(record.data.get(name) == value for name, value in fields.items())
