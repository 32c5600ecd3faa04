"""Saboteurs among connections: which of them a call uses, and for how long."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from unittest import mock

from celeriac.reference import settings
from celeriac.reference.app import App
from celeriac.reference.connections import Pool
from celeriac.reference.publishing import Publisher
from celeriac.reference.task import Task
from tests.saboteurs.exchanges import recalled, without
from tests.saboteurs.variants import Change, Saboteur

__all__ = ["SABOTEURS"]

_publish = Publisher.publish
_give_back = Pool._give_back


def ignoring(option: str) -> Change:
    """Answer the exchange that takes calls for calls without an option."""

    def changed(app: App, options: dict[str, Any]) -> Mapping[str, Any]:
        return without(options, option)

    return recalled(changed)


def _in_pairs() -> Change:
    """Answer the exchange that sends each second message of a caller's connection before the one before it."""
    held: list[tuple[Any, dict[str, Any]]] = []

    def publish(self: Publisher, *args: Any, **kwargs: Any) -> None:
        if kwargs.get("connection") is None:
            _publish(self, *args, **kwargs)
        elif held:
            _publish(self, *args, **kwargs)
            earlier, named = held.pop()
            _publish(self, *earlier, **named)
        else:
            held.append((args, kwargs))

    return mock.patch.object(Publisher, "publish", publish)


def _no_publisher(self: Task, connection: Any) -> Any:
    raise AttributeError(f"{self.name!r} object has no attribute 'get_publisher'")


def kept_at(limit: int | None) -> Change:
    """Answer the exchange that keeps connections for later calls when the limit has a value that means none."""

    def give_back(self: Pool, connection: Any) -> None:
        if self._settings.broker_pool_limit == limit and connection.connected:
            self._lent -= 1
            self._idle.append(connection)
        else:
            _give_back(self, connection)

    return mock.patch.object(Pool, "_give_back", give_back)


def _left_open() -> Change:
    """Answer the exchange that forgets connections, without a pool, but does not close them."""
    forgotten: list[Any] = []

    def give_back(self: Pool, connection: Any) -> None:
        if self._settings.broker_pool_limit:
            _give_back(self, connection)
        else:
            forgotten.append(connection)

    return mock.patch.object(Pool, "_give_back", give_back)


USED_AGAIN = "a connection that is used again cannot have been closed"

SABOTEURS = (
    Saboteur(
        "publisher_ignored",
        "a call with a publisher comes over a connection of the pool",
        (ignoring("publisher"),),
        "CON-001",
    ),
    Saboteur(
        "publisher_in_pairs",
        "of two calls over one publisher the second is sent first",
        (_in_pairs(),),
        "CON-002",
    ),
    Saboteur(
        "no_publisher",
        "tasks make no publishers",
        (mock.patch.object(Task, "get_publisher", _no_publisher),),
        "CON-003",
        seen="Celery 5.5.3",
    ),
    Saboteur(
        "producer_ignored",
        "a call with a producer comes over a connection of the pool",
        (ignoring("producer"),),
        "CON-004",
    ),
    Saboteur(
        "connection_ignored",
        "a call with a connection comes over one of the pool",
        (ignoring("connection"),),
        "CON-005",
    ),
    Saboteur(
        "a_connection_per_call",
        "by default no connection is kept for the next call",
        (mock.patch.dict(settings.DEFAULTS, broker_pool_limit=None),),
        "CON-006",
    ),
    Saboteur(
        "null_is_some_limit",
        "a pool without a limit keeps connections when the limit is null",
        (kept_at(None),),
        "CON-007",
        also=("CON-008",),
        because=USED_AGAIN,
    ),
    Saboteur(
        "zero_is_some_limit",
        "a pool without a limit keeps connections when the limit is 0",
        (kept_at(0),),
        "CON-007",
        also=("CON-008",),
        because=USED_AGAIN,
    ),
    Saboteur(
        "left_open",
        "connections that are not kept are not closed either",
        (_left_open(),),
        "CON-008",
    ),
)
