"""What the tap remembers of one AMQP channel."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from celeriac.conformance.embedded import ContentHeader, Method, decode_properties
from celeriac.conformance.tap.messages import task_id_of
from celeriac.conformance.tap.observer import BROKER, CLIENT, Direction

__all__ = ["Channel", "Consumer", "Content", "Delivery"]


@dataclass(frozen=True, slots=True)
class Consumer:
    """Where the deliveries of a consumer, or the answer to a basic.get, come from."""

    queue: str | None
    no_ack: bool


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery that waits for its acknowledgement."""

    tag: int
    task_id: Any
    queue: str | None


@dataclass(slots=True)
class Content:
    """A method with content while its header and body arrive, and when they have."""

    method: Method | None = None
    properties: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, Any] = field(default_factory=dict)
    missing: int = 0
    parts: list[bytes] = field(default_factory=list)

    def begin(self, header: ContentHeader) -> None:
        """Take the content header.

        Raises:
            ValueError: it follows no method with content.
        """
        if self.method is None:
            raise ValueError("a content header without a method before it")
        self.properties = decode_properties(header.properties)
        self.headers = self.properties.pop("headers", {})
        self.missing = header.body_size
        self.parts = []

    def add(self, payload: bytes) -> None:
        """Take a body frame.

        Raises:
            ValueError: there is no room for it.
        """
        if self.method is None or len(payload) > self.missing:
            raise ValueError(f"a body frame of {len(payload)} octets where {self.missing} are missing")
        self.parts.append(payload)
        self.missing -= len(payload)

    @property
    def body(self) -> bytes:
        """The whole body."""
        return b"".join(self.parts)

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of the method."""
        return self.method.arguments if self.method is not None else {}

    @property
    def task_id(self) -> Any:
        """The id of the task that the message is about."""
        return task_id_of(self.headers, self.properties, self.body)


@dataclass(slots=True)
class Channel:
    """One channel.

    Attributes:
        content: the message that each side is sending.
        consumers: by consumer tag.
        consuming: requests whose consumer the broker is going to name.
        getting: basic.get requests without an answer yet.
        declaring: queue.declare requests without an answer yet.
        last_queue: what an empty queue name stands for.
        outstanding: deliveries without acknowledgement, by tag, in order.
        closed_by: who has closed the channel; the other side's methods are void until it has said close-ok.
    """

    content: dict[Direction, Content] = field(default_factory=lambda: {CLIENT: Content(), BROKER: Content()})
    consumers: dict[str, Consumer] = field(default_factory=dict)
    consuming: deque[Consumer] = field(default_factory=deque)
    getting: deque[Consumer] = field(default_factory=deque)
    declaring: deque[dict[str, Any]] = field(default_factory=deque)
    last_queue: str = ""
    outstanding: dict[int, Delivery] = field(default_factory=dict)
    closed_by: Direction | None = None

    def queue(self, name: str) -> str:
        """Answer the queue that ``name`` means on this channel."""
        return name or self.last_queue

    def settle(self, tag: int, multiple: bool) -> list[Delivery]:
        """Remove and answer what an ack, nack or reject is about; unknown tags are nothing."""
        if multiple:
            tags = [number for number in self.outstanding if number <= tag or tag == 0]
        else:
            tags = [tag] if tag in self.outstanding else []
        return [self.outstanding.pop(number) for number in tags]

    def take_back(self) -> list[Delivery]:
        """Remove and answer everything outstanding."""
        return self.settle(0, True)
