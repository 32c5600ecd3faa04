"""The two errors an AMQP broker can answer with: one costs the client a channel, the other its connection.

An operation of the core that raises one of them has changed nothing.  Whoever called it (the wire layer) adds
the ids of the method at fault with ``at`` and hands the error to ``Broker.fail_channel`` or
``Broker.fail_session``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

__all__ = ["REPLY_NAMES", "BrokerError", "ChannelError", "ConnectionError_"]

#: Reply code -> the name that RabbitMQ puts in front of the text.
REPLY_NAMES: Mapping[int, str] = {
    311: "CONTENT_TOO_LARGE",
    312: "NO_ROUTE",
    313: "NO_CONSUMERS",
    320: "CONNECTION_FORCED",
    402: "INVALID_PATH",
    403: "ACCESS_REFUSED",
    404: "NOT_FOUND",
    405: "RESOURCE_LOCKED",
    406: "PRECONDITION_FAILED",
    501: "FRAME_ERROR",
    502: "SYNTAX_ERROR",
    503: "COMMAND_INVALID",
    504: "CHANNEL_ERROR",
    505: "UNEXPECTED_FRAME",
    506: "RESOURCE_ERROR",
    530: "NOT_ALLOWED",
    540: "NOT_IMPLEMENTED",
    541: "INTERNAL_ERROR",
}


@dataclass(slots=True)
class BrokerError(Exception):
    """What a client is told when it asks for something it cannot have.

    Attributes:
        code: AMQP reply code, one of ``REPLY_NAMES``.
        detail: what happened, without the name in front.
        class_id: class of the method at fault; 0 for closes that answer no method.
        method_id: the method at fault; 0 likewise.
    """

    code: int
    detail: str
    class_id: int = 0
    method_id: int = 0

    @property
    def text(self) -> str:
        """The reply text as RabbitMQ writes it, at most 255 bytes of UTF-8."""
        text = f"{REPLY_NAMES[self.code]} - {self.detail}"
        return text.encode()[:255].decode(errors="ignore")

    def at(self, class_id: int, method_id: int) -> Self:
        """Answer the same error, blamed on a method."""
        return replace(self, class_id=class_id, method_id=method_id)

    def __str__(self) -> str:
        return f"{self.code} {self.text}"


class ChannelError(BrokerError):
    """The broker closes the channel."""


class ConnectionError_(BrokerError):  # noqa: N801, N818 - AMQP's name, apart from the builtin's
    """The broker closes the connection."""
