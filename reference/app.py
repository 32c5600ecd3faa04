"""An application: a broker, a result back end, settings and tasks; and the path of a call through all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, overload
from uuid import uuid4

from kombu import Connection

from celeriac.reference import codecs
from celeriac.reference import result as handles
from celeriac.reference.clock import Clock, WallClock
from celeriac.reference.connections import Pool, open_connection
from celeriac.reference.context import Context, current_worker_context
from celeriac.reference.errors import NotRegistered
from celeriac.reference.message import TaskMessage, build
from celeriac.reference.options import FALLBACKS, check_options, choose
from celeriac.reference.publishing import NEVER_AGAIN, Publisher
from celeriac.reference.results import open_backend
from celeriac.reference.results.base import make_record
from celeriac.reference.retry import RetryPolicy, merge
from celeriac.reference.routing import QueueTable, Route, configured_route, resolve
from celeriac.reference.settings import Settings
from celeriac.reference.signature import Signature
from celeriac.reference.task import Task

__all__ = ["App"]

Observer = Callable[[str, Mapping[str, Any]], None]


class App:
    """An application.

    Args:
        name: for people.
        broker: ``amqp://``, ``redis://`` or ``inproc://NAME``.
        backend: ``rpc://``, ``redis://``, ``memory://NAME``, or None for no results.
        clock: time as an input; the machine's own by default.
        settings: under their Celery names; see ``settings.DEFAULTS``.

    Raises:
        TypeError: a setting is unknown.
        ValueError: there is no back end of that kind.
    """

    def __init__(
        self,
        name: str = "app",
        broker: str = "amqp://guest:guest@127.0.0.1:5672//",
        backend: str | None = None,
        clock: Clock | None = None,
        **settings: Any,
    ) -> None:
        self.name = name
        self.broker_url = broker
        self.clock: Clock = clock or WallClock()
        self.conf = Settings(settings)
        self.tasks: dict[str, Task] = {}
        self.observers: list[Observer] = []
        self.queues = QueueTable(self.conf)
        self.pool = Pool(broker, self.conf, self.clock)
        self.backend = open_backend(backend, broker, self.conf, self.clock, self.pool)
        self._publisher = Publisher(self.pool, self.clock)
        self.reply_to = self.backend.reply_to if self.backend else str(uuid4())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; the application may be used again."""
        if self.backend is not None:
            self.backend.close()
        self.pool.close()

    def connection(self) -> Connection:
        """Answer a connection of the caller's own, not connected yet."""
        return open_connection(self.broker_url, self.conf)

    @overload
    def task(self, function: Callable[..., Any]) -> Task: ...
    @overload
    def task(self, **attributes: Any) -> Callable[[Callable[..., Any]], Task]: ...
    def task(
        self, function: Callable[..., Any] | None = None, **attributes: Any
    ) -> Task | Callable[[Callable[..., Any]], Task]:
        """Register a function as a task, as ``@app.task`` or ``@app.task(name=..., ...)``.

        Raises:
            TypeError: an attribute is unknown.
        """

        def register(body: Callable[..., Any]) -> Task:
            name = attributes.pop("name", None) or f"{body.__module__}.{body.__name__}"
            task = self.tasks[name] = Task(self, body, name, attributes)
            return task

        return register if function is None else register(function)

    def task_named(self, name: str) -> Task:
        """Answer the registered task of that name (MSG-023).

        Raises:
            NotRegistered: there is none.
        """
        try:
            return self.tasks[name]
        except KeyError:
            raise NotRegistered(name) from None

    def send_task(
        self,
        name: str,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> handles.AsyncResult:
        """Call a task that need not be registered here (BAS-006); arguments are not checked against it."""
        return self.call(name, args, kwargs, options)

    def signature(
        self,
        name: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        immutable: bool = False,
        **options: Any,
    ) -> Signature:
        """Answer a signature of a task that need not be registered here (BAS-007)."""
        return Signature(name, tuple(args), dict(kwargs or {}), options, immutable, self)

    def AsyncResult(self, task_id: str) -> handles.AsyncResult:  # noqa: N802 - the name that Celery's users know
        """Answer the handle on the task with that id."""
        return handles.AsyncResult(task_id, self)

    def call(
        self,
        name: str,
        args: Sequence[Any] | None,
        kwargs: Mapping[str, Any] | None,
        options: Mapping[str, Any],
        check: bool = False,
    ) -> handles.AsyncResult:
        """Publish one message; all forms of calling end here (BAS-008).

        Args:
            name: of the task.
            args: list or tuple, anything empty for none (BAS-010, BAS-012).
            kwargs: mapping, anything empty for none.
            options: execution options.
            check: refuse arguments that the registered function cannot take.

        Raises:
            TypeError: see ``Task.apply_async``.
        """
        positional, named = _arguments(args, kwargs)
        if check:
            self.task_named(name).check_arguments(positional, named)
        given = check_options(options)
        resolved = self._resolve(name, given, positional, named)
        message = self._message(name, positional, named, resolved)
        route = resolve(self.queues, *(resolved.get(key) for key in ("queue", "exchange", "routing_key")))
        self._publish(message, route, self._policy(resolved), resolved)
        parent = current_worker_context()
        if parent is not None and message.task_id != parent.id:
            parent.children.append(message.task_id)
        return handles.AsyncResult(message.task_id, self, ignored=resolved["ignore_result"])

    def store(self, context: Context, state: str, result: Any, traceback: str | None = None) -> None:
        """Store a state of a running task, unless its results are ignored (RES-006 to RES-009, RES-029, RES-030).

        Raises:
            kombu.exceptions.EncodeError: ``result`` cannot be encoded.
        """
        if self.backend is None or context.id is None or self._ignores(context, state):
            return
        record = make_record(
            context,
            state,
            result,
            now=self.clock.now(),
            traceback=traceback,
            extended=self.conf.result_extended,
        )
        self.backend.store(record, context)

    def tell(self, kind: str, **data: Any) -> None:
        """Tell the observers what a worker of this application does."""
        for observer in self.observers:
            observer(kind, data)

    def _ignores(self, context: Context, state: str) -> bool:
        if not context.ignore_result:
            return False
        task = self.tasks.get(context.task)
        attribute = task.attributes.store_errors_even_if_ignored if task else None
        keep_errors = choose((attribute, self.conf.task_store_errors_even_if_ignored))
        return not (keep_errors and state == "FAILURE")

    def _resolve(
        self, name: str, given: Mapping[str, Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Answer the options with every fallback filled in: option, attribute, route, setting, default.

        The order is that of ROU-016 and ROU-017, ADV-011 to ADV-013, and BAS-019: null is not given.
        """
        task = self.tasks.get(name)
        route = check_options(configured_route(self.conf.task_routes, (name, args, kwargs, given)))
        resolved = dict(given)
        for option, (attribute, setting) in FALLBACKS.items():
            candidates = (
                given.get(option),
                getattr(task.attributes, attribute) if task and attribute else None,
                route.get(option),
                getattr(self.conf, setting) if setting else None,
            )
            resolved[option] = choose(candidates, _DEFAULTS.get(option))
        return check_options(resolved)

    def _message(
        self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], resolved: dict[str, Any]
    ) -> TaskMessage:
        codecs.check_names(resolved["serializer"], resolved.get("compression"))
        parent = current_worker_context()
        if parent is not None:
            resolved.setdefault("parent_id", parent.id)
            resolved.setdefault("root_id", parent.root_id)
        task_id = resolved.get("task_id") or str(uuid4())
        now = self.clock.now()
        return build(name, args, kwargs, resolved, task_id=task_id, reply_to=self.reply_to, now=now)

    def _policy(self, resolved: Mapping[str, Any]) -> RetryPolicy:
        policy = merge(resolved.get("retry_policy"), self.conf.task_publish_retry_policy)
        return policy if resolved["retry"] else NEVER_AGAIN

    def _publish(
        self, message: TaskMessage, route: Route, policy: RetryPolicy, resolved: Mapping[str, Any]
    ) -> None:
        producer = resolved.get("producer") or resolved.get("publisher")
        own = resolved.get("connection") or (producer.connection if producer is not None else None)
        backend = None if resolved["ignore_result"] else self.backend

        def prepare(channel: Any) -> None:
            if backend is not None:
                for task_id in (message.task_id, *_ids(resolved.get("chain"))):
                    backend.prepare(channel, task_id)

        errors = backend.errors if backend is not None else ()
        self._publisher.publish(message, route, policy, prepare=prepare, also=errors, connection=own)


#: Options that always have a value.
_DEFAULTS: Mapping[str, Any] = {
    "serializer": "json",
    "priority": 0,
    "ignore_result": False,
    "delivery_mode": 2,
    "retry": True,
}


def _ids(signatures: Any) -> list[str]:
    """Answer the ids that the rest of a chain has been given by its caller."""
    steps = (each for each in signatures or () if isinstance(each, Signature))
    return [each.options["task_id"] for each in steps if "task_id" in each.options]


def _arguments(args: Any, kwargs: Any) -> tuple[Sequence[Any], Mapping[str, Any]]:
    positional = args or ()
    named = kwargs or {}
    if not isinstance(positional, list | tuple):
        raise TypeError(f"task args must be a list or tuple, got {type(args).__name__}")
    if not isinstance(named, Mapping):
        raise TypeError(f"task keyword arguments must be a mapping, got {type(kwargs).__name__}")
    return positional, named
