"""Where messages go: queue, exchange, routing key, routes."""

from __future__ import annotations

from typing import Any

import pytest
from kombu import Exchange, Queue

from celeriac.reference.errors import QueueNotFound
from celeriac.reference.routing import QueueTable, configured_route, resolve
from celeriac.reference.settings import Settings

TOPIC = Queue("t", Exchange("e", type="topic"), routing_key="a.#")

#: (what the call says, declared queue, exchange and routing key of the publish)
ROUTES: list[tuple[dict[str, Any], str, str, str]] = [
    ({}, "celery", "", "celery"),
    ({"queue": "q1"}, "q1", "", "q1"),
    ({"queue": ""}, "celery", "", "celery"),
    ({"queue": "q1", "routing_key": "rk"}, "q1", "", "q1"),
    ({"queue": "q1", "exchange": "ex"}, "q1", "", "q1"),
    ({"queue": "q1", "exchange": "ex", "routing_key": "rk"}, "q1", "ex", "rk"),
    ({"exchange": "ex"}, "celery", "", "celery"),
    ({"routing_key": "rk"}, "celery", "", "celery"),
    ({"exchange": "ex", "routing_key": "rk"}, "celery", "ex", "rk"),
    ({"exchange": Exchange("ex"), "routing_key": "rk"}, "celery", "ex", "rk"),
    ({"queue": TOPIC}, "t", "e", "a.#"),
    ({"queue": TOPIC, "routing_key": "a.b"}, "t", "e", "a.b"),
    ({"queue": Queue("bare")}, "bare", "", "bare"),
]


@pytest.mark.parametrize(("call", "declared", "exchange", "key"), ROUTES, ids=str)
def test_a_call_is_routed_by_what_it_says(
    call: dict[str, Any], declared: str, exchange: str, key: str
) -> None:
    """Exchange and key together are an address; otherwise a direct queue is reached by its name."""
    route = resolve(QueueTable(Settings({})), **call)
    assert (route.queue.name, route.exchange, route.routing_key) == (declared, exchange, key)


def test_the_settings_shape_the_queues() -> None:
    """Name, exchange, key and priorities of queues come from the settings."""
    table = QueueTable(
        Settings(
            {
                "task_default_queue": "main",
                "task_default_exchange": "x",
                "task_default_exchange_type": "topic",
                "task_default_routing_key": "k",
                "task_queue_max_priority": 9,
                "task_queues": ["plain", Queue("own", Exchange("o"), routing_key="r")],
            }
        )
    )
    main, other = table.default(), table["other"]
    assert (main.name, main.exchange.name, main.exchange.type, main.routing_key) == (
        "main",
        "x",
        "topic",
        "k",
    )
    assert (other.exchange.name, other.exchange.type, other.max_priority) == ("other", "direct", 9)
    assert (table["plain"].exchange.name, table["own"].routing_key) == ("plain", "r")
    assert table["main"] is main


def test_missing_queues_are_refused_when_they_may_not_be_created() -> None:
    """The error names the nearest queue; the default queue is always there."""
    table = QueueTable(Settings({"task_create_missing_queues": False, "task_queues": ["images"]}))
    assert table.default().name == table["celery"].name == "celery"
    with pytest.raises(QueueNotFound, match="did you mean images"):
        table["image"]


def test_a_worker_without_queues_consumes_what_the_settings_name() -> None:
    """The queues of task_queues are consumed if there are any, else the default queue."""
    assert QueueTable(Settings({})).consumed == ("celery",)
    assert QueueTable(Settings({"task_queues": ["images", TOPIC]})).consumed == ("images", "t")


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        (None, {}),
        ({"feed.import": "feeds"}, {"queue": "feeds"}),
        (
            {"feed.*": {"queue": "glob"}, "feed.import": {"queue": "exact", "priority": 3}},
            {"queue": "exact", "priority": 3},
        ),
        ({"other.*": "x", "feed.*": "glob"}, {"queue": "glob"}),
        ([{"other": "x"}, {"feed.*": "second"}, {"feed.*": "third"}], {"queue": "second"}),
        ([lambda name, *call: {"queue": name}], {"queue": "feed.import"}),
        ([lambda *call: None, {"feed.import": "after"}], {"queue": "after"}),
        (
            lambda name, args, kwargs, options: f"{args[0]}-{kwargs['k']}-{options['priority']}",
            {"queue": "1-2-3"},
        ),
        ({"feed.?mport": "no pattern", "feed.imp*": "pattern"}, {"queue": "pattern"}),
    ],
    ids=str,
)
def test_routes_are_looked_up_by_name_then_by_pattern(routes: Any, expected: dict[str, Any]) -> None:
    """Exact names beat patterns within a table, and tables are asked in order."""
    call = ("feed.import", (1,), {"k": 2}, {"priority": 3})
    assert configured_route(routes, call) == expected


def test_call_beats_task_beats_route(lab: Any) -> None:
    """Each layer fills what the one before leaves open."""
    app = lab.app(task_routes={"*": {"queue": "route", "priority": 1}})
    app.task(name="own", queue="attribute")(lambda: None)
    app.send_task("add", (1, 1))
    app.send_task("own")
    app.send_task("own", queue="call", priority=9)
    messages = [(message.routing_key, message.properties["priority"]) for message in lab.published()]
    assert messages == [("route", 1), ("attribute", 1), ("call", 9)]
