"""Asking a broker whether it serves clients, the way a client would."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import amqp
import redis

from celeriac.conformance.providers.base import Node, Unavailable

__all__ = ["announced_version", "await_ready"]

#: Seconds that a broker may take to start, and that one question may take.
DEADLINE = 90.0
ANSWER = 5.0


def announced_version(node: Node) -> str:
    """Answer the version that the broker tells its clients.

    Raises:
        OSError, amqp.AMQPError, redis.RedisError: it does not serve clients.
    """
    return _amqp_version(node) if node.link == "amqp" else _redis_version(node)


def await_ready(node: Node, pause: Callable[[float], Any], log: Callable[[], str]) -> None:
    """Return as soon as ``node`` serves clients.

    Args:
        node: where it is going to listen.
        pause: waits for that many seconds at most, and raises ``Unavailable`` if the server has ended.
        log: what the server has printed.

    Raises:
        Unavailable: it has ended, or does not answer within 90 seconds; with the end of its log.
    """
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            announced_version(node)
        except (OSError, amqp.AMQPError, redis.RedisError) as exc:
            if time.monotonic() > deadline:
                message = (
                    f"the broker at {node.host}:{node.port} did not answer within {DEADLINE:.0f} s ({exc!r})"
                )
                raise Unavailable(f"{message}; its log ends:\n{log()}") from exc
        else:
            return
        pause(0.05)


def _amqp_version(node: Node) -> str:
    vhost = node.url.partition("://")[2].partition("/")[2] or "/"
    with amqp.Connection(
        f"{node.host}:{node.port}",
        userid=node.username or "guest",
        password=node.password or "guest",
        virtual_host=vhost,
        connect_timeout=ANSWER,
        read_timeout=ANSWER,
    ) as connection:
        version = connection.server_properties.get("version", "unknown")
    return version.decode() if isinstance(version, bytes) else str(version)


def _redis_version(node: Node) -> str:
    with redis.Redis.from_url(node.url, socket_timeout=ANSWER, socket_connect_timeout=ANSWER) as client:
        answer: Any = client.info("server")
    return str(answer.get("valkey_version") or answer["redis_version"])
