"""Routing: which queue a message reaches, who says so, and which queues a worker consumes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celeriac.conformance import oracles, places
from celeriac.conformance.adapter import ExchangeRef, QueueRef, Router
from celeriac.conformance.checks import check

if TYPE_CHECKING:
    from collections.abc import Mapping

    from celeriac.conformance.world import World


@check("ROU-001")
def test_queue_option_names_the_queue(world: World) -> None:
    """The message waits in the named queue, and neither in the default one nor in others that were named before."""
    places.judge_rows(world, "ROU-001")
    world.begin()
    for queue in [places.declare(world, places.new_name(suffix)) for suffix in ("a", "b", "c")]:
        places.require_arrival(world, "ROU-001", world.call(queue=queue), queue)


@check("ROU-002")
def test_default_queue(world: World) -> None:
    """Without a routing option the message waits in the default queue, also after calls that named another."""
    places.judge_rows(world, "ROU-002")
    world.begin()
    elsewhere = places.declare(world, places.new_name("elsewhere"))
    world.published(world.call(queue=elsewhere))
    places.require_arrival(world, "ROU-002", world.call(), world.queue)


@check("ROU-003", roles=("producer", "worker"))
def test_undeclared_queue_keeps_its_messages(world: World) -> None:
    """A message to a queue that nobody has used yet is executed by the first worker that consumes it."""
    world.begin()
    elsewhere = f"{world.queue}.new"
    called = world.call(queue=elsewhere, serializer="json")
    world.published(called)
    world.worker(queues=(elsewhere,))
    world.expect("ended", task_id=called.id)
    world.judge("ROU-003", oracles.executed(world.history, called.id))


@check("ROU-003", link="amqp")
def test_caller_declares_what_nobody_has(world: World) -> None:
    """Before it publishes to a queue that is not there, a caller declares it, lest the broker drops the message."""
    world.begin()
    elsewhere = f"{world.queue}.new"
    record = world.published(world.call(queue=elsewhere))
    declared = [r for r in world.history.of("declared", entity="queue", name=elsewhere) if r.seq < record.seq]
    observed = f"published without a declaration of {elsewhere!r}"
    world.require(
        "ROU-003", bool(declared), "the queue is declared before the message is sent", observed, record
    )


# -- workers ----------------------------------------------------------------------------------------------


@check("ROU-004")
def test_worker_consumes_all_its_queues(world: World) -> None:
    """Messages of each of three queues are executed by the one worker that was given them."""
    world.begin()
    queues = [world.queue, *(places.declare(world, f"{world.queue}.{suffix}") for suffix in ("b", "c"))]
    sent = [world.send(queue=queue) for queue in queues]
    world.worker(queues=queues)
    sent += [world.send(queue=queue) for queue in queues]
    for message in sent:
        world.expect("ended", task_id=message.task_id)
        world.judge("ROU-004", oracles.executed(world.history, message.task_id))


@check("ROU-005")
def test_worker_without_queues_consumes_the_default(world: World) -> None:
    """A worker that is told of no queue executes what waits in the default one."""
    world.begin()
    sent = world.send()
    world.worker(queues=())
    world.expect("ended", task_id=sent.task_id)
    world.judge("ROU-005", oracles.executed(world.history, sent.task_id))


@check("ROU-006")
def test_worker_leaves_other_queues_alone(world: World) -> None:
    """While a worker executes another queue, a message in the default one stays, until its own worker comes."""
    world.begin()
    elsewhere = places.declare(world, f"{world.queue}.elsewhere")
    kept = world.send()
    world.worker(queues=(elsewhere,))
    for _ in range(3):
        world.expect("ended", task_id=world.send(queue=elsewhere).task_id)
    world.judge("ROU-006", oracles.never_started(world.history, kept.task_id))
    world.worker()
    world.expect("ended", task_id=kept.task_id)
    world.judge("ROU-006", oracles.executed(world.history, kept.task_id))


# -- objects ----------------------------------------------------------------------------------------------


@check("ROU-007")
def test_queue_object(world: World) -> None:
    """A queue described by an object is bound as it says, and holds the message."""
    world.begin()
    for kind in ("topic", "direct", None):
        name = places.declare(world, places.new_name("described"))
        exchange = ExchangeRef(f"{name}.exchange", kind) if kind else None
        called = world.call(queue=QueueRef(name, exchange, f"{name}.key" if kind else ""))
        places.require_arrival(world, "ROU-007", called, name)


# -- configured routes ------------------------------------------------------------------------------------

#: The task that the checks call, and another.
TASK, OTHER = "celeriac.add", "celeriac.echo"


def routed(
    world: World, requirement: str, routes: Any, *, mode: Any = "apply_async", task: str = TASK
) -> None:
    """Require that a task is sent to the queue ``a`` with these routes, in which queues are named by letters."""
    names = {letter: places.new_name(letter) for letter in ("a", "b", "c")}
    world.begin(settings={"task_routes": named(routes, names)})
    for queue in names.values():
        places.declare(world, queue)
    places.require_arrival(world, requirement, world.call(task, (2, 2), mode=mode), names["a"])


def named(routes: Any, names: Mapping[str, str]) -> Any:
    """Answer routes with the names of real queues for letters."""
    if isinstance(routes, list):
        return [named(router, names) for router in routes]
    if isinstance(routes, Router):
        return Router(named(routes.answers, names))
    return {pattern: route_to(route, names) for pattern, route in routes.items()}


def route_to(route: Any, names: Mapping[str, str]) -> Any:
    """Answer one route with the name of a real queue."""
    if isinstance(route, dict):
        return {**route, "queue": names[route["queue"]]}
    return names.get(route)


@check("ROU-008")
def test_route_by_name(world: World) -> None:
    """A task goes to the queue beside its name, and no other task does."""
    places.judge_rows(world, "ROU-008")
    routed(world, "ROU-008", {"celeriac.ad": "b", f"{TASK}s": "c", TASK: "a"})


@check("ROU-009")
def test_route_is_a_mapping(world: World) -> None:
    """Queue, priority and address of a route are those of the message."""
    places.judge_rows(world, "ROU-009")
    queue = places.new_name("a")
    world.begin(settings={"task_routes": {TASK: {"queue": queue, "priority": 6}}})
    record = world.published(world.call())
    world.judge("ROU-009", oracles.equal(6, record.properties.get("priority"), "the priority", record))


@check("ROU-010")
def test_patterns(world: World) -> None:
    """An asterisk stands for any characters, anywhere in the name, and the whole name has to match."""
    for routes in (
        {"celeriac.*": "a"},
        {"*": "a"},
        {"*.add": "a"},
        {"cel*c.*d": "a"},
        {"celeriac.a*": "a", "celeriac.*": "b"},
        {"*.ad": "b", "eleriac.*": "c", "celeriac*add": "a"},
    ):
        routed(world, "ROU-010", routes)


@check("ROU-011")
def test_exact_name_before_pattern(world: World) -> None:
    """The name itself decides, before or behind a pattern that matches, too."""
    routed(world, "ROU-011", {"celeriac.*": "b", TASK: "a"})
    routed(world, "ROU-011", {TASK: "a", "celeriac.*": "b"})


@check("ROU-012")
def test_first_pattern_decides(world: World) -> None:
    """Of two patterns that match, the one that stands first decides, however special the other is."""
    routed(world, "ROU-012", {"celeriac.*": "a", "celeriac.a*": "b", "*": "c"})
    routed(world, "ROU-012", {"other.*": "c", "celeriac.a*": "a", "celeriac.*": "b"})


@check("ROU-013")
def test_first_router_decides(world: World) -> None:
    """Of two routers in a list the first that knows the task decides, be it by a pattern only."""
    routed(world, "ROU-013", [{OTHER: "c"}, {TASK: "a"}, {TASK: "b"}])
    routed(world, "ROU-013", [{"celeriac.*": "a"}, {TASK: "b"}])


@check("ROU-014")
def test_function_as_router(world: World) -> None:
    """What a function answers is the route, a text or a mapping; null leaves the task to the next router."""
    for routes in (
        [Router({TASK: "a", OTHER: "b"})],
        [Router({TASK: {"queue": "a"}}), {TASK: "b"}],
        [Router({OTHER: "b"}), {TASK: "a"}],
        [Router({}), Router({TASK: None}), Router({TASK: "a"})],
    ):
        routed(world, "ROU-014", routes)


@check("ROU-015", modes=("send_task",))
def test_routes_of_tasks_called_by_name(world: World) -> None:
    """A task that is called by its name takes its route, known here or not."""
    for task in (TASK, "somebody.elses.task"):
        routed(world, "ROU-015", {"celeriac.*": "a", "somebody.*": "a"}, mode="send_task", task=task)


# -- precedence -------------------------------------------------------------------------------------------


@check("ROU-016")
def test_option_wins(world: World) -> None:
    """The queue of the call wins over attribute and route."""
    places.judge_rows(world, "ROU-016")


@check("ROU-017")
def test_attribute_wins_over_route(world: World) -> None:
    """The queue of the task's attribute wins over its route."""
    places.judge_rows(world, "ROU-017")


@check("ROU-018", link="amqp")
def test_exchange_and_key_are_decided_one_by_one(world: World) -> None:
    """Exchange and key from different places make an address."""
    places.judge_rows(world, "ROU-018")


@check("ROU-019")
def test_unknown_queue_is_refused(world: World) -> None:
    """With task_create_missing_queues off a misspelt queue raises, and the default one is accepted."""
    world.begin(settings={"task_create_missing_queues": False})
    world.require_refusal("ROU-019", queue=places.new_name("misspelt"))
    places.require_arrival(world, "ROU-019", world.call(), world.queue)
