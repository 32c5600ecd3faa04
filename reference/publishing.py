"""Publishing: one attempt, and the loop of attempts that a retry policy allows.

An attempt connects if need be, prepares the way back for the result, declares the queue once per connection,
publishes, and over AMQP waits for the broker's confirm; a connection lost at any of these points is noticed
(ERR-004).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from kombu import Connection
from kombu.common import maybe_declare
from kombu.exceptions import OperationalError

from celeriac.reference.clock import Clock
from celeriac.reference.connections import (
    Pool,
    bounded,
    connect_once,
    connection_errors,
    discard,
    drop_if_dead,
)
from celeriac.reference.message import TaskMessage
from celeriac.reference.retry import RetryPolicy, waits
from celeriac.reference.routing import Route

__all__ = ["NEVER_AGAIN", "Publisher", "attempt_until", "publish_raw"]

#: The policy of a call with retry off: one attempt (RTY-005).
NEVER_AGAIN = RetryPolicy(0, 0, 0, 0)


def attempt_until(
    attempt: Callable[[], None],
    policy: RetryPolicy,
    clock: Clock,
    errors: tuple[type[BaseException], ...],
) -> None:
    """Do ``attempt()`` until it succeeds or the policy is used up (RTY-001, RTY-002, RTY-009).

    Args:
        attempt: raises one of ``errors`` when it should be tried again.
        policy: when to try again.
        clock: on which the waits pass.
        errors: failures of the connection.

    Raises:
        kombu.exceptions.OperationalError: the last attempt failed; the failure is its cause (ERR-001, ERR-002).
    """
    schedule = waits(policy)
    while True:
        try:
            return attempt()
        except errors as error:
            failure = OperationalError(str(error))
            failure.__cause__ = error
            wait = next(schedule, None) if policy.wants(failure) else None
            if wait is None:
                raise failure from error
        clock.sleep(wait)


def publish_raw(
    channel: Any,
    body: bytes,
    *,
    exchange: str,
    routing_key: str,
    priority: int,
    content_type: str,
    content_encoding: str,
    headers: dict[str, Any],
    properties: dict[str, Any],
) -> None:
    """Publish bytes; over AMQP answer only once the broker has taken them (ERR-004).

    Raises:
        TimeoutError: it has not confirmed them within ``broker_connection_timeout``: a broker short of memory or disk
            keeps silent.  It may still take the message.
    """
    message = channel.prepare_message(
        body,
        priority=priority,
        content_type=content_type,
        content_encoding=content_encoding,
        headers=headers,
        properties=dict(properties),
    )
    if not hasattr(channel, "basic_publish_confirm"):
        channel.basic_publish(message, exchange=exchange, routing_key=routing_key)
        return
    patience = channel.connection.client.connect_timeout
    channel.basic_publish_confirm(
        message, exchange=exchange, routing_key=routing_key, confirm_timeout=patience
    )


@dataclass(slots=True)
class Publisher:
    """Publishes task messages over pooled connections, or over one that the caller brings."""

    pool: Pool
    clock: Clock

    def publish(
        self,
        message: TaskMessage,
        route: Route,
        policy: RetryPolicy,
        *,
        prepare: Callable[[Any], None] | None = None,
        also: tuple[type[BaseException], ...] = (),
        connection: Connection | None = None,
    ) -> None:
        """Publish ``message`` by ``route``.

        Args:
            message: encoded once; retries send the same bytes (RTY-011).
            route: where to.
            policy: how often and when to try.
            prepare: called with the channel in each attempt, before the message is published.
            also: failures of what ``prepare`` connects to, worth a retry as well.
            connection: the caller's own connection, in place of a pooled one (CON-001, CON-004, CON-005).

        Raises:
            kombu.exceptions.OperationalError: no attempt reached the broker.
        """
        loan = self.pool.acquire() if connection is None else nullcontext(connection)
        with loan as line:

            def attempt() -> None:
                try:
                    channel = connect_once(line)
                    with bounded(line):
                        if prepare is not None:
                            prepare(channel)
                        maybe_declare(route.queue, channel)
                        _send(channel, message, route)
                except BaseException:
                    discard(line)
                    raise

            drop_if_dead(line)
            attempt_until(attempt, policy, self.clock, (*connection_errors(line), *also))


def _send(channel: Any, message: TaskMessage, route: Route) -> None:
    publish_raw(
        channel,
        message.encoded.data,
        exchange=route.exchange,
        routing_key=route.routing_key,
        priority=message.priority,
        content_type=message.encoded.content_type,
        content_encoding=message.encoded.content_encoding,
        headers=message.headers,
        properties=message.properties,
    )
