"""The contract between the harness and the driver of one implementation.

The harness owns the broker, the clock and the history; an adapter owns only the calls into one
implementation.  Every request gets exactly one of four answers:

=============== ====================================================== ====================================
``Ok``          done; ``value`` is what the implementation returned     judged
``Raised``      the implementation signalled an error to its caller     judged
``Unsupported`` the implementation has no such thing                    not applicable if the claim denies it,
                                                                        else a fail
``Broken``      the adapter itself failed                               error, never a fail
=============== ====================================================== ====================================

Probe tasks (``PROBES``) are a fixed set that every adapter registers, so that no code travels.  A probe that
runs reports itself through ``Adapter.emit``.
The probe codecs (``probe_codecs.py``) are registered in the same way, where the claim has ``custom_serializer`` and
``custom_compression``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

__all__ = [
    "COMPOSITIONS",
    "PROBES",
    "SHARED",
    "Adapter",
    "Answer",
    "Broken",
    "Call",
    "Composition",
    "ErrorClass",
    "Event",
    "ExchangeRef",
    "Ok",
    "OnMessage",
    "QueueRef",
    "Raised",
    "Router",
    "Scenario",
    "Shared",
    "Signature",
    "Unsupported",
    "WorkerSpec",
]

#: Name of a probe task -> what it does, with its signature as the caller sees it.
PROBES: Mapping[str, str] = {
    "celeriac.add": "add(x, y): return x + y",
    "celeriac.echo": "echo(*args, **kwargs): return [list of args, kwargs] as received",
    "celeriac.fail": "fail(message): raise ValueError(message)",
    "celeriac.sleep": "sleep(seconds): occupy the worker for that long, return seconds",
    "celeriac.progress": "progress(steps): update_state('PROGRESS', {'progress': i}) for each of steps; return 'done'",
    "celeriac.hello": "hello(a, b): sleep 1 s, update_state('PROGRESS', {'progress': 50}), the same with 90, sleep "
    "1 s, return 'hello world: ' and a + b",
    "celeriac.retry": "retry(times, countdown=0, fail=None, limit=None): ask to be retried `times` times, at most "
    "`limit` times or, without a limit, `times`; then return the number of retries, or raise ValueError(fail) if there "
    "is one",
    "celeriac.ignore": "ignore(): raise Ignore",
    "celeriac.reject": "reject(requeue): raise Reject(requeue=requeue)",
    "celeriac.child": "child(x, y): apply_async celeriac.add(x, y), return the child's id",
    "celeriac.context": "context(): return the request metadata the worker sees (id, root_id, parent_id, retries, "
    "eta, expires, headers, delivery_info, reply_to, correlation_id)",
    "celeriac.handler": "handler(request, exc, traceback, *args): errback; emits an `errback` event, returns None",
}


#: How several tasks are called as one.
Composition = Literal["group", "chain", "pipe"]
COMPOSITIONS: tuple[Composition, ...] = get_args(Composition)

#: What of the caller's own several calls share.
Shared = Literal["publisher", "producer", "producer-as-publisher", "connection"]
SHARED: tuple[Shared, ...] = get_args(Shared)


@dataclass(frozen=True, slots=True)
class Signature:
    """A task invocation to be used as link or link_error; the adapter turns it into the native form."""

    task: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    immutable: bool = False


@dataclass(frozen=True, slots=True)
class ErrorClass:
    """A portable name for an exception class (``retry_errors``): connection, timeout, operational or value."""

    name: Literal["connection", "timeout", "operational", "value"]


@dataclass(frozen=True, slots=True)
class ExchangeRef:
    """An exchange to be handed over as the implementation's own kind of object (option ``exchange``)."""

    name: str
    type: str = "direct"


@dataclass(frozen=True, slots=True)
class QueueRef:
    """A queue to be handed over as an object (option ``queue``, setting ``task_queues``).

    Attributes:
        name: its name.
        exchange: what it is bound to, None for nothing.
        routing_key: of the binding.
        arguments: with which it is declared, such as ``{"x-queue-type": "quorum"}``.
    """

    name: str
    exchange: ExchangeRef | None = None
    routing_key: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Router:
    """A function to stand in ``task_routes``: given the name of a task it answers ``answers[name]``, else null."""

    answers: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ok:
    """Done; ``value`` is what the implementation returned."""

    value: Any = None


@dataclass(frozen=True, slots=True)
class Raised:
    """The implementation signalled an error to its caller.

    Attributes:
        category: connection, timeout, encode, decode, content-refused, unknown-task, revoked, rejected, retry,
            bad-argument or other.
        type: the native type, for example ``kombu.exceptions.OperationalError``.
        text: the native message.
        effect: whether the effect of the request happened: none, maybe, done.
        cause: the native type of the error that caused it, if there is one.
    """

    category: str
    type: str
    text: str
    effect: Literal["none", "maybe", "done"] = "maybe"
    cause: str | None = None


@dataclass(frozen=True, slots=True)
class Unsupported:
    """The implementation has no such thing; ``feature`` is a name from the claim, ``reason`` a sentence."""

    feature: str
    reason: str


@dataclass(frozen=True, slots=True)
class Broken:
    """The adapter failed; ``detail`` is for its author (a traceback, the bytes it could not parse)."""

    detail: str


#: Whether a wait is given a function for the bodies of results, and whether that function raises.
OnMessage = bool | Literal["raise"]

Answer = Ok | Raised | Unsupported | Broken


@dataclass(frozen=True, slots=True)
class Scenario:
    """What an adapter needs to know before it may be asked anything.

    Attributes:
        id: unique in the run.
        broker_url: what the producer connects to: ``amqp://``, ``redis://`` or ``inproc://NAME``.
        backend_url: ``rpc://``, ``redis://...`` or None for no result back end.
        queue: the default queue of the scenario (``task_default_queue``).
        settings: further settings under their Celery names; never contains the above.  Inside ``task_routes`` a
            function is a ``Router``.
        task_attributes: probe name -> task attributes, e.g. ``{"celeriac.add": {"serializer": "yaml"}}``.
        fresh: the implementation must start from nothing (a new process where it keeps process-wide state).
        clock: the virtual clock for in-process adapters, None on wall time.
    """

    id: str
    broker_url: str
    backend_url: str | None
    queue: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    task_attributes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    fresh: bool = False
    clock: Any = None


@dataclass(frozen=True, slots=True)
class Call:
    """One use of the calling API.

    Attributes:
        task: the task's name, usually a probe.
        mode: which form of the API is used.
        options: execution options under the names of the guide; values are native Python objects,
            ``Signature`` for links, ``ErrorClass`` inside ``retry_errors``, ``ExchangeRef`` and ``QueueRef``.
        signature: called in place of the task, in the mode apply_async, delay or direct; ``args``, ``kwargs`` and
            ``options`` are then those of the call, on top of what the signature stores.
    """

    task: str
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    mode: Literal["apply_async", "delay", "send_task", "signature", "direct"] = "apply_async"
    options: Mapping[str, Any] = field(default_factory=dict)
    signature: Signature | None = None


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """A worker to be started: it consumes ``queues`` with the scenario's settings plus ``settings``.

    Without queues it is started as if nobody had named any.
    """

    name: str
    broker_url: str
    queues: Sequence[str]
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a worker or a probe task reports about itself.

    Attributes:
        kind: ready, started, ended, retried, errback or stopped.
        at: seconds since the Unix epoch on the implementation's clock.
        data: ``worker`` for all; ``task_id``, ``task``, ``args``, ``kwargs``, ``attempt`` for task events;
            ``state`` and ``value`` for ended; ``task_id``, ``exc_type``, ``exc_message``, ``has_traceback`` and
            ``args`` (those after the three) for errback; ``exit_code`` for stopped.
    """

    kind: Literal["ready", "started", "ended", "retried", "errback", "stopped"]
    at: float
    data: Mapping[str, Any]


class Adapter:
    """The driver of one implementation; subclasses override what the implementation can do.

    ``emit`` is set by the harness before the first ``begin``; it may be called from any thread.
    Methods must not raise for the implementation's errors (answer ``Raised``); an exception that escapes is
    taken as ``Broken``.
    """

    emit: Callable[[Event], None]

    def hello(self) -> Mapping[str, Any]:
        """Answer ``{"implementation", "version", "missing": {feature: reason}}`` as found at run time."""
        raise NotImplementedError

    def preload(self, variables: Mapping[str, str]) -> Adapter:
        """Answer an adapter like this one all of whose processes have these variables; nothing runs yet.

        An adapter that works in this process is served by one of its own.
        """
        from celeriac.conformance.process import ProcessAdapter

        place = sys.modules[type(self).__module__].__file__
        served = f"{place}:{type(self).__qualname__}"
        return ProcessAdapter([sys.executable, "-m", "celeriac.conformance.serving", served], env=variables)

    def begin(self, scenario: Scenario) -> Answer:
        """Start a scenario; the previous one has been ended."""
        raise NotImplementedError

    def end(self) -> Answer:
        """End the scenario: drop connections and stop workers that belong to it."""
        raise NotImplementedError

    def call(self, call: Call) -> Answer:
        """Call a task.  ``Ok.value`` is ``{"task_id": id}``, or ``{"value": v}`` in mode direct."""
        return Unsupported("producer", "this adapter has no producer")

    def compose(self, kind: Composition, tasks: Sequence[Signature], options: Mapping[str, Any]) -> Answer:
        """Call several tasks as one.

        ``Ok.value`` is ``{"id": id, "task_ids": [the id of each task, in the order of the signatures]}``; afterwards
        ``get_result(id)`` waits for the whole.

        Args:
            kind: ``group``, the value of which is the list of values in the order of the signatures; ``chain``, the
                value of which is that of the last task; ``pipe``, a chain made by joining signatures with ``|``.
            tasks: the members, in order.
            options: execution options of the whole, as the implementation's ``apply_async`` takes them.
        """
        return Unsupported(kind, f"this adapter has no {kind}")

    def call_together(self, calls: Sequence[Call], over: Shared) -> Answer:
        """Make several calls one after another over one connection that the caller holds.

        ``Ok.value`` is ``{"task_ids": [the id of each call, in order]}``.

        Args:
            calls: in the mode apply_async, send_task or signature.
            over: ``publisher``: a connection taken from the application's pool, a publisher made on it by the first
                call's task (``task.get_publisher(connection)``, used as a context), given as the option ``publisher``;
                ``producer`` and ``producer-as-publisher``: a native producer on a connection of the caller's own,
                given as the option ``producer`` or ``publisher``; ``connection``: such a connection, given as the
                option ``connection``.
        """
        return Unsupported("publisher", "this adapter cannot make calls over a connection of the caller's")

    def start_worker(self, spec: WorkerSpec) -> Answer:
        """Start a worker and answer once it consumes."""
        return Unsupported("worker", "this adapter has no worker")

    def stop_worker(self, name: str, how: Literal["warm", "cold", "kill"] = "warm") -> Answer:
        """Stop a worker; ``Ok.value`` is ``{"exit_code": int | None}``."""
        return Unsupported("worker", "this adapter has no worker")

    def get_result(
        self, task_id: str, *, timeout: float | None, propagate: bool = True, on_message: OnMessage = False
    ) -> Answer:
        """Wait for a result at most ``timeout`` seconds.

        ``Ok.value`` is ``{"value": v, "messages": [bodies seen by on_message]}``; a failed task with
        ``propagate`` is ``Raised``; without it ``value`` is ``{"exc_type", "exc_message"}``.  With ``on_message``
        ``"raise"`` the function that is given to the implementation raises an error with the text
        ``on_message raises`` whenever it is called.
        """
        return Unsupported("result-consumer", "this adapter has no result consumer")

    def state(self, task_id: str) -> Answer:
        """Answer the state of a task as the implementation sees it, ``Ok("PENDING")`` for unknown ids."""
        return Unsupported("result-consumer", "this adapter has no result consumer")

    def close(self) -> None:
        """Release everything; called once, after the last scenario."""
