"""What becomes of a message when a queue lets it die: the headers that tell its story, and cycles."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal

from celeriac.reference.broker.messages import Message, Rewrite
from celeriac.reference.broker.model import Queue
from celeriac.reference.broker.routing import copies

__all__ = ["Reason", "buried", "in_cycle"]

Reason = Literal["rejected", "expired", "maxlen"]


def buried(message: Message, queue: Queue, reason: Reason, now: datetime, *, last_death: bool) -> Message:
    """Answer the message that goes to the queue's dead letter exchange.

    Its ``x-death`` header gets an entry, or a higher count, for this queue and reason, in front; it loses its
    expiration; with a dead letter routing key of the queue's own it loses CC.  ``now`` is in UTC.
    """
    limits = queue.limits
    headers = dict(message.headers)
    deaths = _deaths(headers)
    headers["x-death"] = _with_death(deaths, message, queue.name, reason, now)
    story = {"exchange": message.exchange, "queue": queue.name, "reason": reason}
    if not deaths:
        headers.update({f"x-first-death-{name}": value for name, value in story.items()})
    if last_death:
        headers.update({f"x-last-death-{name}": value for name, value in story.items()})
    key = limits.dead_letter_routing_key
    if key is not None:
        headers.pop("CC", None)
    return Message(
        id=message.id,
        exchange=limits.dead_letter_exchange or "",
        routing_key=message.routing_key if key is None else key,
        properties=message.properties,
        body=message.body,
        rewrite=Rewrite(headers, keep_expiration=False),
        blind_copies=message.blind_copies if key is None else (),
    )


def in_cycle(message: Message, reason: Reason, queue: Queue) -> bool:
    """Say whether putting a dead letter into ``queue`` would go round for ever: no rejection since it was there."""
    if reason == "rejected":
        return False
    round_trip = []
    for death in _deaths(message.headers):
        round_trip.append(death.get("reason"))
        if death.get("queue") == queue.name:
            return "rejected" not in round_trip
    return False


def _deaths(headers: Any) -> list[dict[str, Any]]:
    deaths = headers.get("x-death")
    return [death for death in deaths if isinstance(death, dict)] if isinstance(deaths, list) else []


def _with_death(
    deaths: Iterable[dict[str, Any]], message: Message, queue: str, reason: Reason, now: datetime
) -> list[dict[str, Any]]:
    others, same = [], None
    for death in deaths:
        if same is None and (death.get("queue"), death.get("reason")) == (queue, reason):
            same = death
        else:
            others.append(death)
    if same is not None:
        return [{**same, "count": int(same.get("count", 0)) + 1}, *others]
    return [_death(message, queue, reason, now), *others]


def _death(message: Message, queue: str, reason: Reason, now: datetime) -> dict[str, Any]:
    death: dict[str, Any] = {
        "count": 1,
        "reason": reason,
        "queue": queue,
        "time": now.replace(microsecond=0),
        "exchange": message.exchange,
        "routing-keys": [message.routing_key, *copies(message.headers, "CC")],
    }
    if message.expiration is None:
        return death
    return {**death, "original-expiration": message.expiration}
