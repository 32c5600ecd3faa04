"""Messages: as they were published, and in their place in a queue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Arguments", "Message", "Properties", "QueuedMessage", "Rewrite"]

#: A field table: queue arguments, headers.
Arguments = Mapping[str, Any]

_NO_HEADERS: Arguments = {}


@dataclass(slots=True)
class Properties:
    """A message's properties: the bytes as they came, and the few values the broker itself acts on.

    Attributes:
        raw: property flags and values as received, delivered verbatim.
        expiration: the ``expiration`` property, milliseconds in text.
        priority: the ``priority`` property.
        delivery_mode: the ``delivery_mode`` property.
        headers: the decoded header table (CC, BCC, x-death, headers exchanges), None when there is none.
        user_id: the ``user_id`` property; it must be who is logged in.
    """

    raw: bytes = b""
    expiration: str | None = None
    priority: int | None = None
    delivery_mode: int | None = None
    headers: Arguments | None = None
    user_id: str | None = None


@dataclass(slots=True)
class Rewrite:
    """A change that the broker itself made to a message's properties.

    Attributes:
        headers: the whole header table that replaces the published one.
        keep_expiration: False means that the ``expiration`` property is left out.
    """

    headers: dict[str, Any]
    keep_expiration: bool = True


@dataclass(slots=True)
class Message:
    """A published message; every queue it reached holds a ``QueuedMessage`` that points here.

    Attributes:
        id: given at publish, kept through requeues and dead-lettering.
        exchange: where it was published last.
        routing_key: with which key.
        properties: as published.
        body: as published.
        rewrite: None, or what replaces part of ``properties`` on the wire.
        blind_copies: further routing keys that consumers do not see.
    """

    id: int
    exchange: str
    routing_key: str
    properties: Properties
    body: bytes
    rewrite: Rewrite | None = None
    blind_copies: Sequence[str] = ()

    @property
    def headers(self) -> Arguments:
        """The header table as a consumer will see it."""
        if self.rewrite is not None:
            return self.rewrite.headers
        return self.properties.headers or _NO_HEADERS

    @property
    def expiration(self) -> str | None:
        """The ``expiration`` property as a consumer will see it, milliseconds in text."""
        if self.rewrite is not None and not self.rewrite.keep_expiration:
            return None
        return self.properties.expiration


@dataclass(slots=True)
class QueuedMessage:
    """A message's place in one queue.

    Attributes:
        message: what is queued.
        position: order of arrival in the queue, kept when the message is requeued.
        priority: effective priority, 0 in queues without ``x-max-priority``.
        deadline: ``monotonic()`` seconds at which it expires, None for never.
        redelivered: it has been delivered or got before.
    """

    message: Message
    position: int
    priority: int = 0
    deadline: float | None = None
    redelivered: bool = False
