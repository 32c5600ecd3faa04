"""What the proxy asks of a decoder, and what a decoder tells the proxy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

__all__ = ["BROKER", "CLIENT", "Direction", "Emit", "Frame", "Observer"]

Direction = Literal["client", "broker"]

#: Who sent the bytes.
CLIENT: Direction = "client"
BROKER: Direction = "broker"


@dataclass(frozen=True, slots=True)
class Frame:
    """One unit of the protocol: a frame of AMQP, a command or a reply of Redis.

    Attributes:
        direction: who sent it.
        name: what it is: the method (``basic.publish``), ``header``, ``body``, ``heartbeat``; the command
            (``LPUSH``), ``reply``, ``push``.
        channel: the AMQP channel, 0 on Redis.
        value: the decoded unit.
        rest: bytes of the chunk that come after it.
        publishes: whether it completes a message that a client sends.
    """

    direction: Direction
    name: str
    channel: int
    value: Any
    rest: int = 0
    publishes: bool = False


class Emit(Protocol):
    """Adds a record of the history."""

    def __call__(self, kind: str, **data: Any) -> None:
        """Record something of ``kind`` with the fields that ``history.KINDS`` names."""


class Observer(Protocol):
    """The decoder of one connection: it sees every byte of it before the other side does.

    Reading and noting are two steps, so that a frame which never arrives is never recorded.
    """

    def read(self, direction: Direction, data: bytes) -> Iterator[Frame]:
        """Take bytes that ``direction`` sent; yield the frames that they complete, each to be noted before the next.

        Raises:
            ValueError: the bytes are not the protocol; this direction is not shown to the observer again.
        """

    def note(self, frame: Frame) -> None:
        """Record what a frame means that goes on to the other side.

        Raises:
            ValueError: it is not the protocol.
        """

    def lost(self) -> None:
        """The connection is over: record what the broker does about that."""

    def heartbeat_from(self, direction: Direction) -> bytes:
        """Answer a heartbeat to be slipped in behind what ``direction`` has sent; empty where there can be none."""
