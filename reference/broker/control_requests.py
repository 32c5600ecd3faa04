"""What may be asked of a running broker, and the answers, without sockets; ``docs/broker.md`` shows the lines.

Theory of operation
-------------------
``REQUESTS`` is the whole protocol: the name of each request, its fields, and the function that answers it.  A request
is one JSON object, ``{"op": NAME, FIELD: VALUE, ...}``; its answer is ``{"ok": {...}}``, or ``{"error": KIND,
"text": SENTENCE}`` with one of the kinds

* ``request``: it cannot be understood; the sentence says what would be.
* ``timeout``: what was waited for did not come.
* ``token``: this client has not shown that it may ask.

An ``id`` in a request comes back in its answer.  ``now``, ``at`` and everything else that names a moment are seconds
since the Unix epoch on the broker's clock; ``timeout`` is the machine's seconds.  ``seq`` is a place in the record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, NamedTuple

from celeriac.reference.broker.control_fields import (
    Field,
    Fields,
    Refused,
    checked,
    is_count,
    is_number,
    is_object,
    is_text,
    is_texts,
)
from celeriac.reference.broker.events import EVENT_KINDS, Event
from celeriac.reference.broker.faults import FaultRule
from celeriac.reference.broker.lease import LeasePolicy
from celeriac.reference.broker.readable import readable, to_json
from celeriac.reference.broker.tcp import BrokerServer
from celeriac.reference.clock import MovableClock
from celeriac.reference.suggest import unknown

__all__ = ["PROTOCOL", "REQUESTS", "LeaseState", "QueueState", "answer"]

#: Version of the protocol; a client that knows another one should stop.
PROTOCOL = 1

#: The longest that a ``wait`` may be told to wait, in seconds: nobody can see that its client has gone.
LONGEST_WAIT = 600

Answer = dict[str, Any]


class QueueState(NamedTuple):
    """A queue: how many messages are ready and held, how many consumers it has, how it was declared."""

    name: str
    ready: int
    unacked: int
    consumers: int
    durable: bool
    exclusive: bool
    arguments: Mapping[str, Any]


class LeaseState(NamedTuple):
    """A delivery in somebody's hands.

    Attributes:
        session: id of the holder's connection in the record.
        peer: its address.
        tag: the delivery tag.
        consumer: the consumer's tag, None for basic.get.
        message: the message's id in the record.
        since: when it was taken, epoch seconds.
        due: when it will be taken away, None for never.
        stale: it was taken away behind the holder's back.
    """

    session: int
    peer: str
    channel: int
    queue: str
    tag: int
    consumer: str | None
    message: int
    since: float
    due: float | None
    stale: bool


@dataclass(frozen=True, slots=True)
class Request:
    """A request: its fields, and what answers it."""

    answer: Callable[[BrokerServer, Fields], Awaitable[Answer]]
    fields: Mapping[str, Field]


async def answer(server: BrokerServer, request: Mapping[str, Any]) -> Answer:
    """Do what a request asks, and answer it.

    Raises:
        Refused: it cannot be done, or has not come to pass.
    """
    op = request.get("op")
    if not isinstance(op, str) or op not in REQUESTS:
        raise Refused("request", unknown("op", op, REQUESTS))
    wanted = REQUESTS[op]
    return await wanted.answer(server, checked(op, wanted.fields, request))


async def _hello(server: BrokerServer, _: Fields) -> Answer:
    from importlib.metadata import version

    dialect = server.broker.dialect
    return {
        "protocol": PROTOCOL,
        "celeriac": version("celeriac"),
        "url": server.url,
        "dialect": dialect.name,
        "leases": {"classic": _policy(dialect.classic), "quorum": _policy(dialect.quorum)},
    }


def _policy(policy: LeasePolicy | None) -> Answer | None:
    if policy is None:
        return None
    return {
        "timeout_ms": policy.timeout_ms,
        "interval_ms": policy.interval_ms,
        "check": policy.check.value,
        "action": policy.action.value,
    }


async def _now(server: BrokerServer, _: Fields) -> Answer:
    clock, events = server.broker.clock, server.broker.events
    moved = clock.moved if isinstance(clock, MovableClock) else 0.0
    return {"now": clock.now().timestamp(), "moved": moved, "next": len(events)}


async def _advance(server: BrokerServer, fields: Fields) -> Answer:
    first = len(server.broker.events)
    try:
        server.advance(fields["seconds"])
    except (TypeError, ValueError) as error:
        raise Refused("request", str(error)) from error
    return {**await _now(server, fields), "since": first}


async def _wait(server: BrokerServer, fields: Fields) -> Answer:
    kind, where, since = fields["kind"], fields["where"], fields["since"]
    _check_where(kind, where)
    events = server.broker.events
    found: asyncio.Future[Event] = asyncio.get_running_loop().create_future()

    def look(event: Event) -> None:
        wanted = event.kind == kind and event.seq >= since
        if wanted and not found.done() and _has({**event.data, "session": event.session}, where):
            found.set_result(event)

    for event in islice(events, since, None):
        look(event)
    stop = events.subscribe(look)
    try:
        async with asyncio.timeout(fields["timeout"]):
            return {"event": readable(await found)}
    except TimeoutError:
        raise Refused("timeout", _not_seen(events, fields)) from None
    finally:
        stop()


def _not_seen(events: list[Event], fields: Fields) -> str:
    like = [event for event in events if event.kind == fields["kind"]]
    where = f" with {to_json(fields['where'])}" if fields["where"] else ""
    seen = f"the last of {len(like)} is {to_json(readable(like[-1]))}" if like else "there is none at all"
    return (
        f"no {fields['kind']}{where} from seq {fields['since']} on within {fields['timeout']} s; {seen}; "
        f"the next event will be seq {len(events)}"
    )


def _has(value: Any, wanted: Any) -> bool:
    """Say whether ``value`` is ``wanted``, or an object that has at least what ``wanted`` has."""
    if isinstance(wanted, Mapping) and isinstance(value, Mapping):
        return all(name in value and _has(value[name], inner) for name, inner in wanted.items())
    return bool(value == wanted)


def _check_where(kind: str, where: Mapping[str, Any]) -> None:
    if kind not in EVENT_KINDS:
        raise Refused("request", unknown("kind of event", kind, EVENT_KINDS))
    known = ("session", *EVENT_KINDS[kind])
    for name in where:
        if name not in known:
            raise Refused("request", unknown(f"field of {kind}", name, known))


async def _events(server: BrokerServer, fields: Fields) -> Answer:
    kinds, since = set(fields["kinds"]), fields["since"]
    for kind in kinds:
        _check_where(kind, {})
    rows: list[Answer] = []
    for event in islice(server.broker.events, since, None):
        if len(rows) == fields["limit"]:
            return {"events": rows, "next": event.seq, "more": True}
        if not kinds or event.kind in kinds:
            rows.append(readable(event))
    return {"events": rows, "next": len(server.broker.events), "more": False}


async def _queues(server: BrokerServer, _: Fields) -> Answer:
    rows = [
        QueueState(
            queue.name,
            len(queue.backlog),
            queue.unacked,
            len(queue.consumers),
            queue.durable,
            queue.owner is not None,
            queue.arguments,
        )
        for queue in server.broker.queues.values()
    ]
    return {"queues": [row._asdict() for row in rows]}


async def _leases(server: BrokerServer, _: Fields) -> Answer:
    broker = server.broker
    epoch = broker.clock.now().timestamp() - broker.clock.monotonic()

    def moment(due: float | None) -> float | None:
        return None if due is None else round(epoch + due, 6)

    rows = [
        LeaseState(
            session.id,
            session.peer,
            channel.number,
            delivery.queue.name,
            delivery.tag,
            delivery.consumer.tag if delivery.consumer else None,
            delivery.item.message.id,
            round(epoch + delivery.taken_at, 6),
            moment(broker.lease_due(channel, delivery)),
            delivery.stale,
        )
        for session in broker.sessions.values()
        for channel in session.channels.values()
        for delivery in channel.unacked.values()
    ]
    return {"leases": [row._asdict() for row in rows]}


async def _faults(server: BrokerServer, _: Fields) -> Answer:
    return {"faults": [asdict(rule) for rule in server.broker.faults.rules]}


async def _add_fault(server: BrokerServer, fields: Fields) -> Answer:
    try:
        rule = FaultRule(**fields)
    except ValueError as error:
        raise Refused("request", str(error)) from error
    _check_where(rule.point, rule.where)
    server.broker.faults.rules.append(rule)
    return asdict(rule)


async def _clear_faults(server: BrokerServer, fields: Fields) -> Answer:
    cleared = await _faults(server, fields)
    server.broker.faults.clear()
    return cleared


def _is_wait(value: Any) -> bool:
    return is_number(value) and 0 <= value <= LONGEST_WAIT


def _is_page(value: Any) -> bool:
    return is_count(value) and 1 <= value <= 10_000


def _is_times(value: Any) -> bool:
    return value is None or is_count(value)


_KIND = Field("a kind of event, such as channel.close", is_text)
_KINDS = Field("a list of kinds of events, empty for all", is_texts, [])
_SINCE = Field("a seq, a whole number from 0 on", is_count, 0)
_TIMEOUT = Field(f"a number of the machine's seconds from 0 to {LONGEST_WAIT}", _is_wait, 10)
_LIMIT = Field("a number of events from 1 to 10000", _is_page, 1000)
_WHERE = Field("an object of fields that an event must have", is_object, {})

_FAULT = {
    "point": Field("a fault point, such as publish, deliver, confirm, or any kind of event", is_text),
    "action": Field("one of drop, nack, duplicate and cut", is_text),
    "after": Field("a number of occasions to let pass", is_count, 0),
    "times": Field("a number of firings, or null for always", _is_times, 1),
    "where": _WHERE,
}

#: Every request; the first one on a connection has to be ``hello``.
REQUESTS: Mapping[str, Request] = {
    "hello": Request(_hello, {"token": Field("the token that the broker printed", is_text, "")}),
    "now": Request(_now, {}),
    "advance": Request(_advance, {"seconds": Field("a number of seconds", is_number)}),
    "wait": Request(_wait, {"kind": _KIND, "where": _WHERE, "since": _SINCE, "timeout": _TIMEOUT}),
    "events": Request(_events, {"since": _SINCE, "kinds": _KINDS, "limit": _LIMIT}),
    "queues": Request(_queues, {}),
    "leases": Request(_leases, {}),
    "faults": Request(_faults, {}),
    "add_fault": Request(_add_fault, _FAULT),
    "clear_faults": Request(_clear_faults, {}),
}
