"""Saboteurs among the senders: attempts, waits, policies, and what becomes of a lost connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any
from unittest import mock
from uuid import uuid4

from kombu import Connection
from kombu.exceptions import OperationalError

from celeriac.reference import app, connections, options, publishing, retry
from celeriac.reference.app import App
from celeriac.reference.message import TaskMessage
from celeriac.reference.options import FALLBACKS
from celeriac.reference.publishing import Publisher
from celeriac.reference.retry import RetryPolicy
from tests.saboteurs.exchanges import recalled, without
from tests.saboteurs.variants import Change, Saboteur

__all__ = ["SABOTEURS"]

Policy = Mapping[str, Any] | None

_waits = retry.waits
_attempt_until = publishing.attempt_until
_drop_if_dead = connections.drop_if_dead
_publish = Publisher.publish
_merge = retry.merge
_policy = App._policy
_app_resolve = App._resolve
_check_policy = retry.check_policy


# -- schedules --------------------------------------------------------------------------------------------


def _one_more(policy: RetryPolicy) -> Iterator[float]:
    yield from _waits(policy)
    if policy.max_retries:
        yield policy.interval_max


def _cap_above_start(policy: RetryPolicy) -> Iterator[float]:
    return _waits(replace(policy, interval_max=policy.interval_start + policy.interval_max))


def _default_of_one_second(self: App, resolved: Mapping[str, Any]) -> RetryPolicy:
    policy = _policy(self, resolved)
    given = resolved.get("retry_policy") is not None or "task_publish_retry_policy" in self.conf._given
    return policy if given else replace(policy, interval_max=1)


def _zero_is_not_given(*layers: Policy) -> RetryPolicy:
    policy = _merge(*layers)
    return replace(policy, max_retries=3) if policy.max_retries == 0 else policy


def _null_is_thirty(*layers: Policy) -> RetryPolicy:
    policy = _merge(*layers)
    return replace(policy, max_retries=30) if policy.max_retries is None else policy


def _published_again(attempt: Callable[[], None], *rest: Any) -> None:
    refused = []

    def counted() -> None:
        try:
            attempt()
        except ConnectionRefusedError as error:
            refused.append(error)
            raise

    _attempt_until(counted, *rest)
    if refused:
        attempt()


# -- sources of the policy --------------------------------------------------------------------------------


def _retried_anyway(_: App, given: dict[str, Any]) -> Mapping[str, Any]:
    return without(given, "retry") if given.get("retry") is False else given


def _both_must_agree(self: App, name: str, given: Mapping[str, Any], *call: Any) -> dict[str, Any]:
    resolved = _app_resolve(self, name, given, *call)
    return {**resolved, "retry": resolved["retry"] and self.conf.task_publish_retry}


def _sticky(self: App, resolved: Mapping[str, Any]) -> RetryPolicy:
    policy = _policy(self, resolved)
    if resolved.get("retry_policy"):
        vars(self)["sticky"] = policy
    sticky: RetryPolicy = vars(self).get("sticky", policy)
    return sticky


def _option_replaces_setting(option: Policy, setting: Policy) -> RetryPolicy:
    return _merge(option or setting)


#: What kombu waits when nobody says anything.
TRANSPORT = {"max_retries": 3, "interval_start": 2, "interval_step": 2, "interval_max": 30}


def _setting_replaces_default(option: Policy, setting: Policy) -> RetryPolicy:
    return _merge(option, setting, TRANSPORT) if setting else _merge(option)


def _unknown_keys_ignored(policy: Any) -> None:
    known = isinstance(policy, Mapping)
    _check_policy({key: policy[key] for key in policy if key in retry.DEFAULT_POLICY} if known else policy)


def _merge_known(*layers: Policy) -> RetryPolicy:
    return _merge(
        *({key: layer[key] for key in layer if key in retry.DEFAULT_POLICY} for layer in layers if layer)
    )


def _null_errors_are_none(option: Policy, setting: Policy) -> RetryPolicy:
    policy = _merge(option, setting)
    explicit = option is not None and "retry_errors" in option and option["retry_errors"] is None
    return replace(policy, retry_errors=()) if explicit else policy


def _exact_classes(self: RetryPolicy, error: BaseException) -> bool:
    links = (error, error.__cause__)
    return self.retry_errors is None or any(type(link) in self.retry_errors for link in links)


# -- what becomes of a call -------------------------------------------------------------------------------


def republished(
    body: Callable[[Publisher, TaskMessage, Callable[[Callable[[Any], None]], None]], None],
) -> Change:
    """Answer the exchange of ``Publisher.publish`` by ``body(publisher, message, publish)``.

    ``publish(hook)`` does what was exchanged; ``hook(channel)`` is called in each attempt that has connected.
    """

    def publish(self: Publisher, message: TaskMessage, route: Any, policy: Any, **rest: Any) -> None:
        prepare = rest.pop("prepare", None)

        def send(hook: Callable[[Any], None]) -> None:
            def prepared(channel: Any) -> None:
                if prepare is not None:
                    prepare(channel)
                hook(channel)

            _publish(self, message, route, policy, prepare=prepared, **rest)

        body(self, message, send)

    return mock.patch.object(Publisher, "publish", publish)


def _nothing(channel: Any) -> None:
    """Do nothing in an attempt."""


def _new_id_for_retries(self: Publisher, message: TaskMessage, publish: Callable[..., None]) -> None:
    began = self.clock.monotonic()

    def renew(channel: Any) -> None:
        if self.clock.monotonic() > began:
            message.headers["id"] = str(uuid4())

    publish(renew)


def _another_kind(self: Publisher, message: TaskMessage, publish: Callable[..., None]) -> None:
    try:
        publish(_nothing)
    except OperationalError as error:
        raise RuntimeError(f"cannot publish: {error}") from error.__cause__


def _raw_error(self: Publisher, message: TaskMessage, publish: Callable[..., None]) -> None:
    try:
        publish(_nothing)
    except OperationalError as error:
        raise (error.__cause__ or error) from None


def _sent_later(self: Publisher, message: TaskMessage, publish: Callable[..., None]) -> None:
    waiting = vars(self.pool).setdefault("waiting", [])
    try:
        publish(_nothing)
    except OperationalError:
        waiting.append(publish)
        raise
    while waiting:
        waiting.pop()(_nothing)


def _never_recovers(self: Publisher, message: TaskMessage, publish: Callable[..., None]) -> None:
    memory = vars(self.pool)

    def broken(channel: Any) -> None:
        if "outage" in memory:
            raise ConnectionResetError("the connection of before the outage")

    try:
        publish(broken)
    except OperationalError:
        memory["outage"] = True
        raise


def _dies_of_idleness(connection: Connection) -> None:
    connected = connection.connected
    _drop_if_dead(connection)
    if connected and not connection.connected:
        raise OperationalError("the broker has closed the connection") from ConnectionResetError()


def _without_confirm(channel: Any, body: bytes, **rest: Any) -> None:
    where = {name: rest.pop(name) for name in ("exchange", "routing_key")}
    channel.basic_publish(channel.prepare_message(body, **rest), **where)


SABOTEURS = (
    Saboteur(
        "one_attempt_too_many",
        "there are max_retries + 2 attempts",
        (mock.patch.object(publishing, "waits", _one_more),),
        "RTY-001",
        seen="aio-celery 0.22.0, for the retries of tasks",
        also=("RTY-022", "RTY-023", "ERR-008"),
        because="attempts that are lost in the middle, or in silence, are counted by the same policy",
    ),
    Saboteur(
        "cap_above_start",
        "waits are capped at interval_start + interval_max",
        (mock.patch.object(publishing, "waits", _cap_above_start),),
        "RTY-002",
        seen="kombu 5.5.4 (kombu#914)",
    ),
    Saboteur(
        "default_cap_of_one_second",
        "without any policy interval_max is 1",
        (mock.patch.object(App, "_policy", _default_of_one_second),),
        "RTY-003",
        seen="Celery 5.5.3 (celery#990)",
    ),
    Saboteur(
        "retry_off_by_default",
        "a call is retried only if it asks for it",
        (mock.patch.dict(app._DEFAULTS, retry=False), mock.patch.dict(FALLBACKS, retry=(None, None))),
        "RTY-004",
    ),
    Saboteur(
        "retry_off_still_retries",
        "retry=False counts as not given",
        (recalled(_retried_anyway),),
        "RTY-005",
        seen="Celery 5.5.3 (celery#4296)",
        also=("RTY-024",),
        because="whoever tries again sends again",
    ),
    Saboteur(
        "setting_cannot_switch_retry_off",
        "the setting task_publish_retry is ignored",
        (mock.patch.dict(FALLBACKS, retry=(None, None)),),
        "RTY-006",
        seen="Celery 5.5.3 (celery#4296)",
    ),
    Saboteur(
        "option_cannot_switch_retry_on",
        "a call is retried only if both option and setting allow it",
        (mock.patch.object(App, "_resolve", _both_must_agree),),
        "RTY-007",
    ),
    Saboteur(
        "no_retries_is_not_given",
        "max_retries 0 counts as not given",
        (mock.patch.object(app, "merge", _zero_is_not_given),),
        "RTY-008",
        also=("RTY-022", "ERR-009"),
        because="attempts that are lost in the middle, or in silence, are counted by the same policy",
    ),
    Saboteur(
        "null_retries_give_up",
        "max_retries null ends after 30 retries",
        (mock.patch.object(app, "merge", _null_is_thirty),),
        "RTY-009",
        seen="Celery 5.5.3, after 4 s (kombu#1458)",
    ),
    Saboteur(
        "published_twice_after_a_retry",
        "an attempt that follows a refused one publishes twice",
        (mock.patch.object(publishing, "attempt_until", _published_again),),
        "RTY-010",
    ),
    Saboteur(
        "new_id_for_each_retry",
        "a message that is published after a retry gets a new id",
        (republished(_new_id_for_retries),),
        "RTY-011",
    ),
    Saboteur(
        "option_replaces_the_whole_setting",
        "a policy in the call replaces the one of the setting as a whole",
        (mock.patch.object(app, "merge", _option_replaces_setting),),
        "RTY-012",
    ),
    Saboteur(
        "setting_replaces_the_whole_default",
        "keys that the setting lacks have the transport's defaults of 2, 2 and 30 seconds",
        (mock.patch.object(app, "merge", _setting_replaces_default),),
        "RTY-013",
        seen="Celery 5.5.3",
    ),
    Saboteur(
        "policy_sticks",
        "the policy of a call governs later calls",
        (mock.patch.object(App, "_policy", _sticky),),
        "RTY-014",
        seen="Celery 5.5.3 (kombu#1463)",
    ),
    Saboteur(
        "unknown_policy_keys_ignored",
        "a key of the policy that nobody knows is ignored",
        (
            mock.patch.object(options, "check_policy", _unknown_keys_ignored),
            mock.patch.object(app, "merge", _merge_known),
        ),
        "RTY-015",
    ),
    Saboteur(
        "null_errors_are_none",
        "with retry_errors null nothing is retried",
        (mock.patch.object(app, "merge", _null_errors_are_none),),
        "RTY-016",
    ),
    Saboteur(
        "retry_errors_only_adds",
        "connection errors are retried whatever retry_errors names",
        (mock.patch.object(RetryPolicy, "wants", return_value=True),),
        "RTY-017",
        seen="Celery 5.5.3 (celery#7967)",
    ),
    Saboteur(
        "retry_errors_match_exactly",
        "an error of a subclass of those in retry_errors is not retried",
        (mock.patch.object(RetryPolicy, "wants", _exact_classes),),
        "RTY-018",
    ),
    Saboteur(
        "another_kind_of_error",
        "a call that gives up raises a RuntimeError",
        (republished(_another_kind),),
        "ERR-001",
        also=("ERR-008", "ERR-009"),
        because="the error after a silence is of another kind, too",
    ),
    Saboteur(
        "error_of_the_transport",
        "a call that gives up raises the transport's own ConnectionRefusedError, which has no cause",
        (republished(_raw_error),),
        "ERR-002",
        also=("ERR-008", "ERR-009"),
        because="after a silence the transport's own error is a TimeoutError",
    ),
    Saboteur(
        "failed_call_is_sent_later",
        "the message of a failed call is kept and sent with the next one",
        (republished(_sent_later),),
        "ERR-003",
        also=("ERR-005",),
        because="the next call after a silence sends two messages",
    ),
    Saboteur(
        "published_without_confirm",
        "the producer does not wait for the broker to take a message",
        (mock.patch.object(publishing, "publish_raw", _without_confirm),),
        "ERR-004",
        also=("RTY-021", "RTY-022", "RTY-025", "ERR-009"),
        because="whoever does not learn of a loss cannot send again, and to whom nothing is due nobody is late",
        seen="Celery 5.5.3 (celery#5410, kombu#59)",
    ),
    Saboteur(
        "never_recovers",
        "after an outage every later call fails, too",
        (republished(_never_recovers),),
        "ERR-005",
    ),
    Saboteur(
        "dies_of_idleness",
        "a call over a connection that the broker has closed raises, retry or not",
        (mock.patch.object(publishing, "drop_if_dead", _dies_of_idleness),),
        "ERR-006",
    ),
)
