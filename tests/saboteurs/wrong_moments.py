"""Saboteurs among the callers: countdown, eta and expires."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock
from zoneinfo import ZoneInfo

from celeriac.reference import message, result, times
from celeriac.reference.app import App
from celeriac.reference.clock import VirtualClock
from celeriac.reference.message import TaskMessage
from tests.saboteurs.exchanges import rebuilt, recalled, with_headers, with_properties, without
from tests.saboteurs.variants import Change, Saboteur

__all__ = ["SABOTEURS"]

#: The day on which every virtual scenario begins.
START, DAY = VirtualClock().now(), timedelta(days=1)

_after = times.after
_given_moment = times.given_moment
_milliseconds_left = times.milliseconds_left
_moments = message.moments
_message = App._message


def _hour_late(now: datetime, seconds: float, name: str) -> datetime:
    late = 3600 if name == "countdown" and seconds > 0 else 0
    return _after(now, seconds + late, name)


def _no_fraction(now: datetime, seconds: float, name: str) -> datetime:
    return _after(now, int(seconds) if name == "countdown" else seconds, name)


def _never_negative(now: datetime, seconds: float, name: str) -> datetime:
    return _after(now, abs(seconds) if name == "countdown" else seconds, name)


def _misread(name: str, change: Callable[[datetime], datetime]) -> Change:
    def given_moment(value: Any, option: str) -> datetime:
        moment = _given_moment(value, option)
        aware = isinstance(value, datetime) and value.tzinfo is not None
        return change(moment) if option == name and aware else moment

    return mock.patch.object(message, "given_moment", given_moment)


def _without_zone(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC)


def _whole_minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


def _same_day(moment: datetime) -> datetime:
    return moment if moment < START + DAY else START + (moment - START) % DAY


def _without_offset(name: str) -> Change:
    def change(built: TaskMessage, _: Mapping[str, Any]) -> TaskMessage:
        text = built.headers[name]
        naive = text and datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None).isoformat()
        return with_headers(built, **{name: naive})

    return rebuilt(change)


def _zero_counts(options: Mapping[str, Any], now: datetime) -> Any:
    return _moments({**options, "countdown": 1} if options.get("countdown") == 0 else options, now)


def _eta_wins(options: Mapping[str, Any], now: datetime) -> Any:
    return _moments(without(options, "countdown") if options.get("eta") is not None else options, now)


def _from_text(_: App, options: dict[str, Any]) -> Mapping[str, Any]:
    countdown = options.get("countdown")
    if isinstance(countdown, str) and countdown.isdecimal():
        return {**options, "countdown": float(countdown)}
    return options


def _wall_time(self: App, name: str, args: Any, kwargs: Any, resolved: dict[str, Any]) -> TaskMessage:
    if resolved.get("countdown"):
        zone = ZoneInfo(getattr(self.conf, "timezone", "UTC"))
        local = self.clock.now().astimezone(zone) + timedelta(seconds=resolved["countdown"])
        resolved = {**without(resolved, "countdown"), "eta": local}
    return _message(self, name, args, kwargs, resolved)


def _an_hour_longer(built: TaskMessage, options: Mapping[str, Any]) -> TaskMessage:
    expires = options.get("expires")
    if not isinstance(expires, int | float) or expires < 0 or options.get("parent_id"):
        return built
    moment = datetime.fromisoformat(built.headers["expires"]) + timedelta(hours=1)
    return with_headers(built, expires=moment.isoformat())


def _always_a_ttl(built: TaskMessage, options: Mapping[str, Any]) -> TaskMessage:
    return built if "expiration" in built.properties else with_properties(built, expiration="604800000")


def _ttl_only_for_the_future(built: TaskMessage, options: Mapping[str, Any]) -> TaskMessage:
    past = built.properties.get("expiration") == "0"
    return replace(built, properties=without(built.properties, "expiration")) if past else built


def _unreadable_expiry(_: App, options: dict[str, Any]) -> Mapping[str, Any]:
    try:
        _given_moment(options.get("expires") or datetime.now(UTC), "expires")
    except ValueError:
        return without(options, "expires")
    except AttributeError:
        return options
    return options


SABOTEURS = (
    Saboteur(
        "countdown_an_hour_late",
        "a countdown is added to the local time of a machine that is an hour ahead",
        (mock.patch.object(message, "after", _hour_late),),
        "ETA-001",
        also=("BAS-013",),
        because="an expiry in seconds is not late, so that the two count from different moments",
    ),
    Saboteur(
        "eta_zone_ignored",
        "an eta is taken for UTC, whatever its offset",
        (_misread("eta", _without_zone),),
        "ETA-002",
    ),
    Saboteur(
        "eta_in_whole_minutes",
        "an eta is cut to its minute",
        (_misread("eta", _whole_minute),),
        "ETA-002",
    ),
    Saboteur(
        "eta_is_a_time_of_today",
        "of an eta only the time of day is read",
        (_misread("eta", _same_day),),
        "ETA-002",
    ),
    Saboteur(
        "eta_without_offset",
        "the eta header has no UTC offset",
        (_without_offset("eta"),),
        "ETA-003",
        seen="celery-php, which passes on any text",
    ),
    Saboteur(
        "countdown_of_zero_is_a_second",
        "a countdown of 0 is one of a second",
        (mock.patch.object(message, "moments", _zero_counts),),
        "ETA-006",
    ),
    Saboteur(
        "eta_wins_over_countdown",
        "given both, the countdown is ignored",
        (mock.patch.object(message, "moments", _eta_wins),),
        "ETA-007",
    ),
    Saboteur(
        "countdown_loses_its_fraction",
        "a countdown is cut to whole seconds",
        (mock.patch.object(message, "after", _no_fraction),),
        "ETA-008",
    ),
    Saboteur(
        "negative_countdown_is_positive",
        "a negative countdown is counted forwards",
        (mock.patch.object(message, "after", _never_negative),),
        "ETA-009",
    ),
    Saboteur(
        "countdown_takes_texts",
        "a countdown in a text is taken for a number",
        (recalled(_from_text),),
        "ETA-010",
    ),
    Saboteur(
        "countdown_in_wall_time",
        "a countdown is added to the local wall time of the setting timezone",
        (mock.patch.object(App, "_message", _wall_time),),
        "ETA-011",
        seen="Celery 5.5.3 (celery#9669)",
    ),
    Saboteur(
        "expires_an_hour_late",
        "seconds given as expires are added to the local time of a machine that is an hour ahead",
        (rebuilt(_an_hour_longer),),
        "EXP-001",
    ),
    Saboteur(
        "expires_zone_ignored",
        "an expires is taken for UTC, whatever its offset",
        (_misread("expires", _without_zone),),
        "EXP-002",
    ),
    Saboteur(
        "expires_is_a_time_of_today",
        "of an expires only the time of day is read",
        (_misread("expires", _same_day),),
        "EXP-002",
    ),
    Saboteur(
        "expires_without_offset",
        "the expires header has no UTC offset",
        (_without_offset("expires"),),
        "EXP-003",
    ),
    Saboteur(
        "everything_expires",
        "every message has a time to live of a week",
        (rebuilt(_always_a_ttl),),
        "EXP-004",
    ),
    Saboteur(
        "ttl_in_seconds",
        "the time to live is in seconds",
        (
            mock.patch.object(
                message,
                "milliseconds_left",
                lambda expires, now: str(int(_milliseconds_left(expires, now)) // 1000),
            ),
        ),
        "EXP-005",
    ),
    Saboteur(
        "past_expiry_has_no_ttl",
        "a message that has expired already has no time to live, hence is kept",
        (rebuilt(_ttl_only_for_the_future),),
        "EXP-006",
    ),
    Saboteur(
        "unreadable_expiry_ignored",
        "an expires that denotes no moment is ignored",
        (recalled(_unreadable_expiry),),
        "EXP-007",
    ),
    Saboteur(
        "revoked_is_a_value",
        "the error of a revoked task is answered like a return value",
        (mock.patch.object(result, "EXCEPTION_STATES", frozenset({"FAILURE", "RETRY"})),),
        "EXP-015",
        seen="aio-celery 0.22.0, for failed tasks",
        also=("RES-026",),
        because="a revoked task is among the sample records",
    ),
)
