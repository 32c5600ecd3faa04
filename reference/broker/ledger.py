"""The state of the audit: queues as lists, leases as entries, whose turn it is as a number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

__all__ = ["Channel", "Consumer", "ConsumerKey", "Copy", "Holder", "Lease", "Queue"]

#: Session, channel and delivery tag.
Holder: TypeAlias = tuple[int, int, int]
#: Session, channel and consumer tag.
ConsumerKey: TypeAlias = tuple[int, int, str]


@dataclass(eq=False)
class Copy:
    """A message in one queue."""

    message: int
    arrived: int
    priority: int
    since: float
    deadline: float | None
    delivered: bool = False


@dataclass(eq=False)
class Lease:
    """A copy in somebody's hands; ``returning`` once given up, ``stale`` once handed out again."""

    copy: Copy
    queue: str
    consumer: ConsumerKey | None
    since: float
    returning: bool = False
    stale: bool = False


@dataclass(eq=False)
class Queue:
    """A queue's ready copies, in any order."""

    arguments: Mapping[str, Any]
    ready: list[Copy] = field(default_factory=list)
    arrivals: int = 0

    def in_order(self) -> list[Copy]:
        """Answer the ready copies, the next one first."""
        return sorted(self.ready, key=lambda copy: (-copy.priority, copy.arrived))


@dataclass(eq=False)
class Consumer:
    """A consumer; ``last_turn`` is when it was served last, or joined."""

    queue: str
    no_ack: bool
    priority: int
    prefetch: int
    last_turn: int


@dataclass(eq=False)
class Channel:
    """A channel's counters; ``volume`` is what counts towards the shared ``limit``."""

    tags: int = 0
    limit: int = 0
    volume: int = 0
    confirmed: int = 0
    unreturned: list[int] = field(default_factory=list)
