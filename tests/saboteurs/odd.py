"""Oddities: the reference in ways that the specification allows, and that nobody may be marked down for."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from unittest import mock

from kombu import compression as compression_schemes
from kombu.utils.json import JSONEncoder

from celeriac.reference import app, codecs, message, routing, settings, times
from celeriac.reference.app import App
from celeriac.reference.codecs import Encoded
from celeriac.reference.message import TaskMessage
from celeriac.reference.options import OPTIONS
from celeriac.reference.result import GroupResult
from celeriac.reference.routing import Route
from celeriac.reference.worker import intake
from celeriac.reference.worker.intake import Refusal
from celeriac.reference.worker.worker import Worker
from tests.saboteurs.exchanges import rebuilt, recalled, without
from tests.saboteurs.variants import Oddity

__all__ = ["ODDITIES"]

_encode = codecs.encode
_get_group = GroupResult.get
_moments = message.moments
_resolve = routing.resolve
_resolve_options = App._resolve
_wire_moment = times.wire_moment
_timelimit = intake._timelimit
_begin = Worker._begin
_refuse = Worker._refuse
_check_number = OPTIONS["countdown"]

INDIA = timezone(timedelta(hours=5, minutes=30))


def _other_order(built: TaskMessage, options: Mapping[str, Any]) -> TaskMessage:
    turned = dict(reversed(built.headers.items()))
    extra = {"x-client": "odd", "x-flags": [1, None, True], "x-context": {"a": {"b": 2}}}
    return replace(
        built, headers={**extra, **turned, "lang": "cobol", "origin": "", "argsrepr": "", "kwargsrepr": "..."}
    )


def _zulu(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _indian(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(INDIA).isoformat(sep=" ", timespec="microseconds")


def _naive_stays_naive(built: TaskMessage, options: Mapping[str, Any]) -> TaskMessage:
    given = {
        name: options.get(name)
        for name in ("eta", "expires")
        if not (name == "eta" and options.get("countdown"))
    }
    naive = {
        name: moment.isoformat()
        for name, moment in given.items()
        if isinstance(moment, datetime) and moment.tzinfo is None
    }
    return replace(built, headers={**built.headers, **naive})


def _zero_is_now(options: Mapping[str, Any], now: datetime) -> Any:
    eta, expires = _moments(options, now)
    return (now if options.get("countdown") == 0 and eta is None else eta), expires


#: The number of each job: a caller and a worker of one application must not use the same.
_NUMBERS = itertools.count(1)


def _numbered(self: App, options: dict[str, Any]) -> Mapping[str, Any]:
    return {**options, "task_id": options.get("task_id") or f"job/{next(_NUMBERS)} of {self.name}"}


def _compact(value: Any, serializer: str, compression: str | None = None) -> Encoded:
    if serializer != "json":
        return _encode(value, serializer, compression)
    _encode(value, serializer)  # what cannot be encoded is refused as ever
    data = json.dumps(value, cls=JSONEncoder, separators=(",", ":"), ensure_ascii=False).encode()
    plain = Encoded(data, "application/json", "utf-8")
    if compression is None:
        return plain
    data, label = compression_schemes.compress(data, compression)
    return replace(plain, data=data, compression=label)


def _takes_its_time(self: Worker, request: Any) -> None:
    self.app.clock.sleep(3)
    _begin(self, request)


def _no_priority(self: App, name: str, given: Mapping[str, Any], *call: Any) -> dict[str, Any]:
    with mock.patch.dict(app._DEFAULTS, priority=None):
        return {"priority": None, **_resolve_options(self, name, given, *call)}


def _no_reply_to_in_vain(built: TaskMessage, options: Mapping[str, Any]) -> TaskMessage:
    wanted = not options["ignore_result"]
    return built if wanted else replace(built, properties=without(built.properties, "reply_to"))


def _single_address(queues: Any, queue: Any = None, exchange: Any = None, routing_key: Any = None) -> Route:
    route = _resolve(queues, queue, exchange, routing_key)
    exchange = getattr(exchange, "name", exchange) or route.exchange
    return replace(route, exchange=exchange, routing_key=routing_key or route.routing_key)


def _only_forwards(name: str, value: Any) -> None:
    _check_number(name, value)
    if value < 0:
        raise ValueError(f"option {name} is {value!r}, expected a number of at least 0")


def _empty_is_null(value: Any, name: str) -> datetime | None:
    return None if value in {"", 0} else _wire_moment(value, name)


def _limit_or_none(headers: Mapping[str, Any]) -> Any:
    try:
        return _timelimit(headers)
    except Refusal:
        return None, None


def _hasty(self: GroupResult, *args: Any, **kwargs: Any) -> list[Any]:
    for each in self.results:
        if each.failed():
            each.get(*args, **kwargs)
    return _get_group(self, *args, **kwargs)


def _rejects(self: Worker, received: Any, refusal: Refusal) -> None:
    _refuse(self, received, Refusal(refusal.reason, "reject", refusal.context, refusal.error))


ODDITIES = (
    Oddity(
        "other_headers",
        "headers in another order, unknown ones among them, and other texts where any text will do",
        (rebuilt(_other_order),),
        where=("MSG-001", "MSG-002"),
    ),
    Oddity(
        "zulu_milliseconds",
        "moments with milliseconds and Z",
        (mock.patch.object(message, "moment_text", _zulu),),
        where=("ETA-002", "ETA-003", "EXP-002", "EXP-003"),
    ),
    Oddity(
        "indian_moments",
        "moments in a zone of the caller's, with a blank in the middle",
        (mock.patch.object(message, "moment_text", _indian),),
        where=("ETA-003", "EXP-003"),
    ),
    Oddity(
        "naive_stays_naive",
        "moments that are given without an offset travel without one",
        (rebuilt(_naive_stays_naive),),
        where=("ETA-019", "EXP-017"),
    ),
    Oddity(
        "countdown_of_zero_is_now",
        "a countdown of 0 is an eta of the moment of the call",
        (mock.patch.object(message, "moments", _zero_is_now),),
        where=("ETA-006",),
    ),
    Oddity(
        "numbered_jobs",
        "ids that are no UUIDs",
        (recalled(_numbered),),
        where=("BAS-009", "MSG-002"),
    ),
    Oddity(
        "compact_json",
        "JSON without blanks, in plain UTF-8",
        (mock.patch.object(message, "encode", _compact),),
        where=("SER-008",),
    ),
    Oddity(
        "slow_worker",
        "a prefetch limit of 10, and three seconds of thought before each task",
        (
            mock.patch.dict(settings.DEFAULTS, worker_prefetch_multiplier=10),
            mock.patch.object(Worker, "_begin", _takes_its_time),
        ),
        where=("ETA-012", "EXP-012", "TIM-010"),
    ),
    Oddity(
        "late_acknowledgement",
        "messages are acknowledged when their task has ended",
        (mock.patch.dict(settings.DEFAULTS, task_acks_late=True),),
        where=("ETA-014", "MSG-022"),
    ),
    Oddity(
        "no_priority",
        "a priority that was not given is absent, not 0",
        (mock.patch.object(App, "_resolve", _no_priority),),
        where=("MSG-013",),
    ),
    Oddity(
        "no_reply_to_in_vain",
        "a call whose result is ignored has no reply_to",
        (rebuilt(_no_reply_to_in_vain),),
        where=("MSG-014",),
    ),
    Oddity(
        "half_an_address",
        "an exchange or a routing key alone is carried",
        (mock.patch.object(app, "resolve", _single_address),),
        where=("ADV-002",),
    ),
    Oddity(
        "only_forwards",
        "a negative countdown is refused",
        (mock.patch.dict(OPTIONS, countdown=_only_forwards),),
        where=("ETA-009",),
    ),
    Oddity(
        "lenient_worker",
        "empty moments and misshapen time limits are taken for null, and whatever is refused is rejected",
        (
            mock.patch.object(intake, "wire_moment", _empty_is_null),
            mock.patch.object(intake, "_timelimit", _limit_or_none),
            mock.patch.object(Worker, "_refuse", _rejects),
        ),
        where=("MSG-025", "MSG-029", "MSG-030", "MSG-031"),
    ),
    Oddity(
        "hasty_group",
        "the wait for a group ends with the first error that is seen, whoever else is still at work",
        (mock.patch.object(GroupResult, "get", _hasty),),
        where=("LNK-041",),
    ),
)
