"""Where a message goes: pure decisions over names and kombu's entities."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from kombu import Exchange, Queue

from celeriac.reference.errors import QueueNotFound
from celeriac.reference.settings import Settings
from celeriac.reference.suggest import unknown

__all__ = ["QueueTable", "Route", "configured_route", "resolve"]


#: What a function among the routers is called with: name of the task, arguments, keyword arguments, options.
Call = tuple[str, Any, Any, Mapping[str, Any]]

Router = Mapping[str, Any] | Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Route:
    """What to declare and where to publish.

    Attributes:
        queue: declared with its exchange and binding before the first publish of a connection.
        exchange: name of the exchange, empty for the default one.
        routing_key: over the default exchange, the name of the queue.
    """

    queue: Queue
    exchange: str
    routing_key: str


class QueueTable:
    """The queues of an application: those of ``task_queues``, and others as they are named."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._queues = {queue.name: queue for queue in _entities(settings.task_queues)}
        self._configured = tuple(self._queues)

    @property
    def consumed(self) -> tuple[str, ...]:
        """Answer the names of the queues of a worker that was given none (ROU-005)."""
        return self._configured or (self._settings.task_default_queue,)

    def __getitem__(self, name: str | Queue) -> Queue:
        """Answer the queue of that name (ROU-001).

        Raises:
            QueueNotFound: there is none and ``task_create_missing_queues`` is off.
        """
        if isinstance(name, Queue):
            return name
        if name not in self._queues:
            self._queues[name] = self._create(name)
        return self._queues[name]

    def default(self) -> Queue:
        """Answer the queue of messages that name none (ROU-002)."""
        name = self._settings.task_default_queue
        return self._queues.get(name) or self._queues.setdefault(name, self._automatic(name, default=True))

    def _create(self, name: str) -> Queue:
        if name == self._settings.task_default_queue:
            return self._automatic(name, default=True)
        if not self._settings.task_create_missing_queues:
            raise QueueNotFound(f"{unknown('queue', name, self._queues)} (task_create_missing_queues is off)")
        return self._automatic(name, default=False)

    def _automatic(self, name: str, default: bool) -> Queue:
        settings = self._settings
        exchange = (settings.task_default_exchange if default else None) or name
        key = (settings.task_default_routing_key if default else None) or name
        kind = settings.task_default_exchange_type if default else "direct"
        maximum = settings.task_queue_max_priority
        return Queue(name, Exchange(exchange, type=kind), routing_key=key, max_priority=maximum)


def resolve(
    queues: QueueTable,
    queue: str | Queue | None = None,
    exchange: str | Exchange | None = None,
    routing_key: str | None = None,
) -> Route:
    """Answer the route of a call.

    Exchange and routing key together are an address (ADV-001).  One of them alone is not: a direct queue is then
    reached by its name over the default exchange (ADV-002), a queue of another exchange by that exchange.
    """
    target = queues[queue] if queue else queues.default()
    name = exchange.name if isinstance(exchange, Exchange) else exchange
    if name and routing_key:
        return Route(target, name, routing_key)
    if not target.exchange.name or target.exchange.type == "direct":
        return Route(target, "", target.name)
    return Route(target, target.exchange.name, routing_key or target.routing_key)


def configured_route(routes: Any, call: Call) -> Mapping[str, Any]:
    """Answer what the setting ``task_routes`` says of a call, nothing if it says nothing.

    The first router that has a route decides (ROU-013).  In a mapping a whole name is looked for before patterns
    (ROU-011, ROU-012); a function is asked (ROU-014).
    """
    for router in routes if isinstance(routes, list | tuple) else [routes] if routes else []:
        found = _lookup(router, call)
        if found:
            return {"queue": found} if isinstance(found, str | Queue) else dict(found)
    return {}


def _lookup(table: Router, call: Call) -> Any:
    if callable(table):
        return table(*call)
    task = call[0]
    if task in table:
        return table[task]
    return next(
        (route for pattern, route in table.items() if "*" in pattern and fnmatchcase(task, pattern)), None
    )


def _entities(queues: Any) -> Iterable[Queue]:
    if isinstance(queues, Mapping):
        return [Queue.from_dict(name, **options) for name, options in queues.items()]
    return [
        queue if isinstance(queue, Queue) else Queue(queue, Exchange(queue), queue) for queue in queues or ()
    ]
