"""Connections to the broker: opened by exactly one attempt each, kept in a small pool, replaced when broken.

kombu's own connection object retries behind one's back in several places.  Everything here goes through
``connect_once``, so that one attempt of ours is one attempt on the wire (RTY-001, RTY-005).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from amqp.exceptions import MessageNacked
from kombu import Connection
from kombu.exceptions import LimitExceeded

from celeriac.reference.clock import Clock
from celeriac.reference.settings import Settings

__all__ = [
    "Pool",
    "bounded",
    "connect_once",
    "connection_errors",
    "discard",
    "drop_if_dead",
    "open_connection",
]

logger = logging.getLogger(__name__)


def open_connection(url: str, settings: Settings) -> Connection:
    """Answer a connection object for ``url`` that is not connected yet.

    One attempt to connect, handshake included, takes at most ``broker_connection_timeout`` seconds.
    """
    timeout = settings.broker_connection_timeout
    options = dict(settings.broker_transport_options)
    if timeout and url.startswith(("redis://", "rediss://")):
        options = {"socket_connect_timeout": timeout, "socket_timeout": timeout, **options}
    return Connection(url, connect_timeout=timeout or None, transport_options=options, heartbeat=0)


def connect_once(connection: Connection) -> Any:
    """Connect if need be, by one attempt, and answer the connection's channel (RTY-001, RTY-005).

    Raises:
        OSError: or another of ``connection_errors(connection)``.
    """
    try:
        if not connection.connected:
            connection.ensure_connection(max_retries=0, reraise_as_library_errors=False)
        with bounded(connection):
            return connection.default_channel
    except connection_errors(connection):
        connection.maybe_switch_next()
        raise


@contextmanager
def bounded(connection: Connection) -> Iterator[None]:
    """Let no single wait for the broker's answer last longer than a connection may take (ERR-009).

    Clients of Redis are bounded from the beginning, see ``open_connection``.
    """
    timeout = connection.connect_timeout
    if not (timeout and connection.connected and connection.transport.driver_type == "amqp"):
        yield
        return
    wire = connection.connection.transport.sock
    wire.settimeout(timeout)
    try:
        yield
    finally:
        with suppress(OSError):  # it is closed, which whoever is about to learn why need not hear
            wire.settimeout(None)


def connection_errors(connection: Connection) -> tuple[type[BaseException], ...]:
    """Answer the errors that mean: the connection could not be made, or is lost.

    Errors of the request itself (a wrong password, an unknown exchange, a bug) are not among them.
    """
    transport = connection.get_transport_cls()
    errors = getattr(transport, "recoverable_connection_errors", None) or transport.connection_errors
    # newer kombu counts KeyError among the errors of Redis
    return (*(error for error in errors if error is not KeyError), MessageNacked)


def drop_if_dead(connection: Connection) -> None:
    """Notice that the broker has closed an idle AMQP connection, before a message is lost on it (ERR-006)."""
    if not connection.connected or connection.transport.driver_type != "amqp":
        return
    try:
        while True:
            connection.transport.drain_events(connection.connection, timeout=0)
    except TimeoutError:
        return
    except Exception as error:  # noqa: BLE001 - whatever the broker said, this connection is over
        logger.info("the broker had closed an idle connection: %s", error)
        discard(connection)


def discard(connection: Connection) -> None:
    """Forget what ``connection`` was connected to, without a farewell; it can connect again."""
    errors: tuple[type[BaseException], ...] = (*connection_errors(connection), AttributeError)
    try:
        connection.collect(socket_timeout=1.0)
    except errors:
        logger.debug("a broken connection could not be closed", exc_info=True)


class Pool:
    """At most ``broker_pool_limit`` connections at a time; idle ones are reused, the last returned first (CON-006).

    Without a limit (None or 0) each loan is a connection of its own, closed when it comes back (CON-007, CON-008).

    Args:
        url: of the broker.
        settings: limit, timeouts and transport options.
        clock: on which a caller waits for a connection to come back.
    """

    def __init__(self, url: str, settings: Settings, clock: Clock) -> None:
        self._url = url
        self._settings = settings
        self._clock = clock
        self._idle: list[Connection] = []
        self._lent = 0
        self._lock = threading.Lock()

    @contextmanager
    def acquire(self, block: bool = True) -> Iterator[Connection]:
        """Lend a connection, which need not be connected (CON-003, CON-006 to CON-009).

        An error in the body breaks it, so it is replaced.

        Args:
            block: wait until one is free.

        Raises:
            kombu.exceptions.LimitExceeded: all are lent, and ``block`` is off.
        """
        if not self._may_lend():
            if not block:
                raise LimitExceeded(f"all {self._settings.broker_pool_limit} connections are lent")
            self._clock.wait_for(self._may_lend)
        connection = self._take()
        try:
            yield connection
        except BaseException:
            discard(connection)
            raise
        finally:
            self._give_back(connection)

    def close(self) -> None:
        """Close the idle connections."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            _leave(connection)

    def _may_lend(self) -> bool:
        limit = self._settings.broker_pool_limit
        with self._lock:
            if limit and self._lent >= limit:
                return False
            self._lent += 1
            return True

    def _take(self) -> Connection:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return open_connection(self._url, self._settings)

    def _give_back(self, connection: Connection) -> None:
        keep = bool(self._settings.broker_pool_limit) and connection.connected
        with self._lock:
            self._lent -= 1
            if keep:
                self._idle.append(connection)
        if not keep:
            _leave(connection)


def _leave(connection: Connection) -> None:
    """Close a connection for good; a broker that does not say goodbye is not waited for (ERR-009)."""
    with bounded(connection):
        connection.release()
