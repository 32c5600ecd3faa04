"""Saboteurs among those who route: queues and routes of producers, queues and order of workers, priorities."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any
from unittest import mock

from kombu import Exchange, Queue

from celeriac.reference import app, publishing, routing
from celeriac.reference.app import App
from celeriac.reference.options import FALLBACKS
from celeriac.reference.routing import QueueTable, Route
from celeriac.reference.worker.schedule import Schedule
from celeriac.reference.worker.worker import Worker
from tests.saboteurs.exchanges import recalled, without
from tests.saboteurs.variants import Change, Saboteur

__all__ = ["SABOTEURS"]

_resolve = routing.resolve
_resolve_options = App._resolve
_automatic = QueueTable._automatic
_configured_route = routing.configured_route
_lookup = routing._lookup
_worker = Worker.__init__
_send_task = App.send_task
_maybe_declare = publishing.maybe_declare

Table = Mapping[str, Any]


# -- queues -----------------------------------------------------------------------------------------------


def _shared_fanout(self: QueueTable, name: str, default: bool) -> Queue:
    queue = _automatic(self, name, default)
    fanout = Exchange("celeriac.named", type="fanout")
    return queue if default else Queue(name, fanout, max_priority=queue.max_priority)


def _queue_sticks(self: App, options: dict[str, Any]) -> Mapping[str, Any]:
    if options.get("queue") and self.conf.task_create_missing_queues:
        vars(self)["sticky"] = options["queue"]
    plain = not options and "sticky" in vars(self)
    return {"queue": vars(self)["sticky"]} if plain else options


def consuming(choose: Callable[[App, tuple[str, ...]], tuple[str, ...]]) -> Change:
    """Answer the exchange of the queues that a worker consumes."""

    def init(self: Worker, app: App, queues: Any = (), *rest: Any, **named: Any) -> None:
        _worker(self, app, choose(app, tuple(queues)), *rest, **named)

    return mock.patch.object(Worker, "__init__", init)


def _and_what_is_above(_: App, queues: tuple[str, ...]) -> tuple[str, ...]:
    above = tuple(queue.rpartition(".")[0] for queue in queues if "." in queue and len(queues) == 1)
    return (*queues, *above)


def _name_is_the_key(queues: Any, queue: Any = None, exchange: Any = None, routing_key: Any = None) -> Route:
    route = _resolve(queues, queue, exchange, routing_key)
    described = isinstance(queue, Queue) and route.exchange
    return replace(route, routing_key=route.queue.name) if described else route


# -- routes -----------------------------------------------------------------------------------------------


def looked_up(find: Callable[[Table, str], Any]) -> Change:
    """Answer the exchange of how a mapping is searched for the name of a task."""

    def lookup(table: Any, call: Any) -> Any:
        return _lookup(table, call) if callable(table) else find(table, call[0])

    return mock.patch.object(routing, "_lookup", lookup)


def _matching(table: Table, task: str) -> list[str]:
    return [pattern for pattern in table if "*" in pattern and fnmatchcase(task, pattern)]


def _by_beginning(table: Table, task: str) -> Any:
    named = [name for name in table if "*" not in name and task.startswith(name)]
    return next((table[name] for name in (*named, *_matching(table, task))), None)


def _asterisk_at_the_end(table: Table, task: str) -> Any:
    plain = (name for name in _matching(table, task) if name.endswith("*") and name.count("*") == 1)
    return next((table[name] for name in (*[task] * (task in table), *plain)), None)


def _in_order(table: Table, task: str) -> Any:
    return next((route for name, route in table.items() if fnmatchcase(task, name)), None)


def _longest_pattern(table: Table, task: str) -> Any:
    longest = sorted(_matching(table, task), key=len, reverse=True)
    return next((table[name] for name in (*[task] * (task in table), *longest)), None)


def _one_mapping(routes: Any, call: Any) -> Table:
    if not isinstance(routes, list):
        return _configured_route(routes, call)
    mappings = [router for router in routes if isinstance(router, Mapping)]
    merged = {name: route for mapping in reversed(mappings) for name, route in mapping.items()}
    return _configured_route([*(router for router in routes if callable(router)), merged], call)


def _null_is_final(routes: Any, call: Any) -> Table:
    functions = routes if isinstance(routes, list) and callable(routes[0]) else None
    return _configured_route(functions[:1] if functions else routes, call)


def _queue_alone(routes: Any, call: Any) -> Table:
    return without(_configured_route(routes, call), "priority")


def _no_route_by_name(self: App, name: str, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
    with mock.patch.object(app, "configured_route", return_value={}):
        return _send_task(self, name, args, kwargs, **options)


# -- precedence -------------------------------------------------------------------------------------------


def resolved(change: Callable[[App, str, Table, dict[str, Any], Table], dict[str, Any]]) -> Change:
    """Answer the exchange of how options are decided: ``change(app, task, given, decided, route)``."""

    def resolve(self: App, name: str, given: Table, *call: Any) -> dict[str, Any]:
        decided = _resolve_options(self, name, given, *call)
        route = _configured_route(self.conf.task_routes, (name, *call, given))
        return change(self, name, given, decided, route)

    return mock.patch.object(App, "_resolve", resolve)


def _attribute(app: App, task: str, name: str) -> Any:
    return getattr(app.tasks[task].attributes, name) if task in app.tasks else None


def _attribute_first(app: App, task: str, given: Table, decided: dict[str, Any], route: Table) -> Any:
    queue = _attribute(app, task, "queue") or route.get("queue")
    return {**decided, "queue": queue} if queue and given.get("queue") else decided


def _route_first(app: App, task: str, given: Table, decided: dict[str, Any], route: Table) -> Any:
    queue = route.get("queue")
    return {**decided, "queue": queue} if queue and "queue" not in given else decided


def _one_source(app: App, task: str, given: Table, decided: dict[str, Any], route: Table) -> Any:
    attributes = {name: _attribute(app, task, name) for name in ("exchange", "routing_key")}
    whole = any(source.get("exchange") and source.get("routing_key") for source in (given, attributes, route))
    scattered = decided.get("exchange") and decided.get("routing_key") and not whole
    return {**decided, "exchange": None, "routing_key": None} if scattered else decided


def _setting_first(app: App, task: str, given: Table, decided: dict[str, Any], route: Table) -> Any:
    setting = app.conf.task_default_priority
    return {**decided, "priority": setting} if setting is not None and "priority" not in given else decided


def _zero_is_not_given(_: App, options: dict[str, Any]) -> Mapping[str, Any]:
    return without(options, "priority") if options.get("priority") == 0 else options


# -- addresses and priorities -----------------------------------------------------------------------------


def _object_ignored(queues: Any, queue: Any = None, exchange: Any = None, routing_key: Any = None) -> Route:
    return _resolve(queues, queue, None if isinstance(exchange, Exchange) else exchange, routing_key)


def _exchange_for_a_queue(
    queues: Any, queue: Any = None, exchange: Any = None, routing_key: Any = None
) -> Route:
    route = _resolve(queues, queue, exchange, routing_key)
    return route if not exchange or routing_key else replace(route, routing_key=exchange)


def _key_for_a_queue(queues: Any, queue: Any = None, exchange: Any = None, routing_key: Any = None) -> Route:
    route = _resolve(queues, queue, exchange, routing_key)
    return route if exchange or not routing_key else replace(route, routing_key=routing_key.partition(".")[0])


def _declared_plainly(queue: Queue, channel: Any) -> Any:
    plain = queue() if queue.max_priority is not None else queue
    plain.max_priority = None
    return _maybe_declare(plain, channel)


def _lowest_first(self: Schedule) -> Any:
    if not self._ready:
        return None
    request = min(self._ready, key=lambda one: one.message.properties.get("priority") or 0)
    self._ready.remove(request)
    return request


def _latest_of_equals(self: Schedule) -> Any:
    if not self._ready:
        return None
    first = self._ready[0].message.properties.get("priority") or 0
    equals = [one for one in self._ready if first and one.message.properties.get("priority") == first]
    request = equals[-1] if equals else self._ready[0]
    self._ready.remove(request)
    return request


SABOTEURS = (
    Saboteur(
        "named_queues_share_a_fanout",
        "what is sent to one named queue reaches all of them",
        (mock.patch.object(QueueTable, "_automatic", _shared_fanout),),
        "ROU-001",
    ),
    Saboteur(
        "queue_sticks",
        "the queue of a call is the queue of later calls that name none",
        (recalled(_queue_sticks),),
        "ROU-002",
    ),
    Saboteur(
        "first_queue_only",
        "a worker consumes the first of its queues",
        (consuming(lambda _, queues: queues[:1]),),
        "ROU-004",
    ),
    Saboteur(
        "default_queue_by_another_name",
        "a worker without queues consumes the queue celery, whatever the setting says",
        (consuming(lambda _, queues: queues or ("celery",)),),
        "ROU-005",
    ),
    Saboteur(
        "queue_above_consumed",
        "a worker on a queue a.b also consumes the queue a",
        (consuming(_and_what_is_above),),
        "ROU-006",
    ),
    Saboteur(
        "name_is_the_key",
        "a message for a described queue is published with the queue's name as routing key",
        (mock.patch.object(app, "resolve", _name_is_the_key),),
        "ROU-007",
    ),
    Saboteur(
        "names_match_by_their_beginning",
        "a name in task_routes also stands for every task whose name begins with it",
        (looked_up(_by_beginning),),
        "ROU-008",
    ),
    Saboteur(
        "route_without_priority",
        "the priority of a route is ignored",
        (mock.patch.object(app, "configured_route", _queue_alone),),
        "ROU-009",
    ),
    Saboteur(
        "asterisk_only_at_the_end",
        "a pattern is a beginning and an asterisk",
        (looked_up(_asterisk_at_the_end),),
        "ROU-010",
    ),
    Saboteur(
        "routes_in_order",
        "names and patterns of a mapping are tried in order",
        (looked_up(_in_order),),
        "ROU-011",
    ),
    Saboteur(
        "longest_pattern_wins",
        "of several patterns that match the longest decides",
        (looked_up(_longest_pattern),),
        "ROU-012",
    ),
    Saboteur(
        "mappings_are_merged",
        "the mappings of a list are one mapping, in which whole names win",
        (mock.patch.object(app, "configured_route", _one_mapping),),
        "ROU-013",
    ),
    Saboteur(
        "null_of_a_function_is_final",
        "a function that answers null ends the search",
        (mock.patch.object(app, "configured_route", _null_is_final),),
        "ROU-014",
    ),
    Saboteur(
        "no_route_by_name",
        "send_task does not look at task_routes",
        (mock.patch.object(App, "send_task", _no_route_by_name),),
        "ROU-015",
    ),
    Saboteur(
        "attribute_wins_over_option",
        "a queue of the attribute or the route wins over that of the call",
        (resolved(_attribute_first),),
        "ROU-016",
    ),
    Saboteur(
        "route_wins_over_attribute",
        "a route wins over the attribute of the task",
        (resolved(_route_first),),
        "ROU-017",
        also=("BAS-019",),
        because="with an option of null the same two decide",
    ),
    Saboteur(
        "address_from_one_source",
        "exchange and routing key count only when both come from the same place",
        (resolved(_one_source),),
        "ROU-018",
    ),
    Saboteur(
        "missing_queues_created_anyway",
        "the setting task_create_missing_queues is ignored",
        (mock.patch.object(QueueTable, "_create", lambda self, name: self._automatic(name, default=False)),),
        "ROU-019",
    ),
    Saboteur(
        "exchange_taken_for_a_queue",
        "an exchange alone is taken for the name of a queue",
        (mock.patch.object(app, "resolve", _exchange_for_a_queue),),
        "ADV-002",
    ),
    Saboteur(
        "key_taken_for_a_queue",
        "the first word of a routing key alone is taken for the name of a queue",
        (mock.patch.object(app, "resolve", _key_for_a_queue),),
        "ADV-002",
    ),
    Saboteur(
        "exchange_object_ignored",
        "an exchange that is given as an object is ignored",
        (mock.patch.object(app, "resolve", _object_ignored),),
        "ADV-006",
    ),
    Saboteur(
        "declared_without_priorities",
        "a producer declares its queues without x-max-priority",
        (mock.patch.object(publishing, "maybe_declare", _declared_plainly),),
        "ADV-007",
    ),
    Saboteur(
        "lowest_priority_first",
        "of the messages that it has received a worker starts that with the lowest priority",
        (mock.patch.object(Schedule, "pop_ready", _lowest_first),),
        "ADV-008",
    ),
    Saboteur(
        "latest_of_equals_first",
        "of the messages of one priority that it has received a worker starts the latest",
        (mock.patch.object(Schedule, "pop_ready", _latest_of_equals),),
        "ADV-010",
    ),
    Saboteur(
        "priority_of_zero_is_not_given",
        "a priority of 0 in the call counts as not given",
        (recalled(_zero_is_not_given),),
        "ADV-011",
    ),
    Saboteur(
        "priority_setting_wins",
        "task_default_priority wins over the attribute of the task",
        (resolved(_setting_first),),
        "ADV-012",
    ),
    Saboteur(
        "priority_setting_ignored",
        "task_default_priority is ignored",
        (mock.patch.dict(FALLBACKS, priority=("priority", None)),),
        "ADV-013",
        seen="Celery 5.5.3, for send_task (celery#7516)",
    ),
)
