"""Saboteurs among the senders whose connection is lost, or falls silent, in the middle of a call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock
from uuid import uuid4

from kombu import Connection
from kombu.exceptions import OperationalError

from celeriac.reference import publishing
from celeriac.reference.clock import Clock
from celeriac.reference.message import TaskMessage
from celeriac.reference.publishing import NEVER_AGAIN, Publisher
from celeriac.reference.retry import RetryPolicy
from tests.saboteurs.variants import Saboteur
from tests.saboteurs.wrong_sending import republished

__all__ = ["SABOTEURS"]

Errors = tuple[type[BaseException], ...]

_attempt_until = publishing.attempt_until
_connect_once = publishing.connect_once
_publish_raw = publishing.publish_raw


class _Attempts:
    """The attempts of one call, and the losses among them."""

    def __init__(self, attempt: Callable[[], None]) -> None:
        self.attempt = attempt
        self.losses = 0

    def __call__(self) -> None:
        try:
            self.attempt()
        except ConnectionResetError:
            self.losses += 1
            raise


def _again_after_a_loss(attempt: Callable[[], None], *rest: Any) -> None:
    attempts = _Attempts(attempt)
    _attempt_until(attempts, *rest)
    if attempts.losses:
        attempt()


def _one_retry_after_a_loss(attempt: Callable[[], None], *rest: Any) -> None:
    attempts = _Attempts(attempt)

    def limited() -> None:
        try:
            attempts()
        except ConnectionResetError as error:
            if attempts.losses > 1:
                raise OperationalError("lost a second time") from error
            raise

    _attempt_until(limited, *rest)


def _at_once_after_a_loss(
    attempt: Callable[[], None], policy: RetryPolicy, clock: Clock, errors: Errors
) -> None:
    attempts = _Attempts(attempt)
    patient = mock.Mock(wraps=clock)
    patient.sleep = lambda seconds: clock.sleep(0 if attempts.losses else seconds)
    _attempt_until(attempts, policy, patient, errors)


def _retried_after_a_loss(
    attempt: Callable[[], None], policy: RetryPolicy, clock: Clock, errors: Errors
) -> None:
    attempts = _Attempts(attempt)
    try:
        _attempt_until(attempts, policy, clock, errors)
    except OperationalError:
        if policy is not NEVER_AGAIN or not attempts.losses:
            raise
        _attempt_until(attempt, policy, clock, errors)


def _new_id_for_each_copy(self: Publisher, message: TaskMessage, publish: Callable[..., None]) -> None:
    sent: list[Any] = []

    def renew(channel: Any) -> None:
        if sent:
            message.headers["id"] = str(uuid4())
        sent.append(channel)

    publish(renew)


def _connects_for_ever(connection: Connection) -> Any:
    timeout, connection.connect_timeout = connection.connect_timeout, None
    try:
        return _connect_once(connection)
    finally:
        connection.connect_timeout = timeout


def _waits_for_confirms_for_ever(channel: Any, body: bytes, **rest: Any) -> None:
    client = channel.connection.client
    timeout, client.connect_timeout = client.connect_timeout, None
    channel.connection.transport.sock.settimeout(None)
    try:
        _publish_raw(channel, body, **rest)
    finally:
        client.connect_timeout = timeout


SABOTEURS = (
    Saboteur(
        "published_twice_after_a_loss",
        "a call whose connection was lost while publishing publishes twice",
        (mock.patch.object(publishing, "attempt_until", _again_after_a_loss),),
        "RTY-021",
    ),
    Saboteur(
        "one_retry_after_a_loss",
        "a second loss while publishing is raised, whatever the policy says",
        (mock.patch.object(publishing, "attempt_until", _one_retry_after_a_loss),),
        "RTY-022",
        seen="Celery 5.5.3 over Redis",
    ),
    Saboteur(
        "new_id_for_each_copy",
        "a message that is sent again after a loss gets a new id",
        (republished(_new_id_for_each_copy),),
        "RTY-023",
    ),
    Saboteur(
        "retry_off_is_for_connecting",
        "with retry off a message that was lost on its way is sent again",
        (mock.patch.object(publishing, "attempt_until", _retried_after_a_loss),),
        "RTY-024",
    ),
    Saboteur(
        "at_once_after_a_loss",
        "after a loss while publishing the next attempt follows without a wait",
        (mock.patch.object(publishing, "attempt_until", _at_once_after_a_loss),),
        "RTY-025",
        seen="Celery 5.5.3",
    ),
    Saboteur(
        "connects_for_ever",
        "an attempt to connect waits for an answer for ever",
        (mock.patch.object(publishing, "connect_once", _connects_for_ever),),
        "ERR-008",
        seen="Celery 5.5.3 over Redis",
    ),
    Saboteur(
        "waits_for_confirms_for_ever",
        "the producer waits for the broker's confirmation for ever",
        (mock.patch.object(publishing, "publish_raw", _waits_for_confirms_for_ever),),
        "ERR-009",
        seen="Celery 5.5.3 with confirm_publish",
    ),
)
