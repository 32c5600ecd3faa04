"""What RabbitMQ takes back from a consumer that holds it for too long, by version and kind of queue.

The rows say what the release notes and the guide promise; the chapter Brokers and time judges whether it is so, on
every version that can be had.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["QUEUE_TYPES", "Ending", "Patience", "patience_of"]

QueueType = Literal["classic", "quorum"]
QUEUE_TYPES: tuple[QueueType, ...] = ("classic", "quorum")

#: How the holder learns that its delivery has been taken back.
Ending = Literal["channel-close", "consumer-cancel"]


@dataclass(frozen=True, slots=True)
class Patience:
    """The ``consumer_timeout`` of a version.

    Attributes:
        timeout: seconds that a delivery may be held by default; None for ever.
        interval: seconds between two looks; 0 where each delivery has a timer of its own.
        endings: type of queue -> how a delivery from it ends; a type that is missing has no timeout at all.
        argument: the types of queue whose ``x-consumer-timeout`` counts.
        policy: the types of queue for which the policy ``consumer-timeout`` counts.
    """

    timeout: float | None
    interval: float
    endings: Mapping[QueueType, Ending]
    argument: tuple[QueueType, ...] = ()
    policy: tuple[QueueType, ...] = ()


_CLOSING: Mapping[QueueType, Ending] = {"classic": "channel-close", "quorum": "channel-close"}

#: First version -> what holds from it on.
_SINCE: tuple[tuple[tuple[int, ...], Patience], ...] = (
    ((0,), Patience(None, 60.0, _CLOSING)),
    ((3, 8, 15), Patience(900.0, 60.0, _CLOSING)),
    ((3, 8, 17), Patience(1800.0, 60.0, _CLOSING)),
    ((3, 12), Patience(1800.0, 60.0, _CLOSING, QUEUE_TYPES, QUEUE_TYPES)),
    ((4, 3), Patience(1800.0, 0.0, {"quorum": "consumer-cancel"}, ("quorum",), ("quorum",))),
)


def patience_of(version: str) -> Patience:
    """Answer what holds for a version such as ``3.10.8``; what is no number in it is left out."""
    numbers = tuple(int(part) for part in version.split(".") if part.isdecimal())
    return [patience for first, patience in _SINCE if first <= (numbers or (0,))][-1]
