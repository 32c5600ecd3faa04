"""Fault points: named places where a rule may make the broker misbehave, every firing recorded.

| point | facts it is asked with | actions |
|---|---|---|
| ``publish`` | session, exchange, routing_key | drop: the message vanishes, confirmed all the same; nack: refused |
| ``confirm`` | session, channel, tag | drop: the publisher never hears |
| ``deliver`` | session, queue, message | duplicate: the same message is delivered twice |
| any event kind | session and the event's data | cut: the session's transport ends there |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["ACTIONS", "FaultAction", "FaultPlan", "FaultRule"]

FaultAction = Literal["drop", "nack", "duplicate", "cut"]

#: Which actions each point knows; points that are not listed are event kinds.
ACTIONS: Mapping[str, tuple[FaultAction, ...]] = {
    "publish": ("drop", "nack", "cut"),
    "confirm": ("drop", "cut"),
    "deliver": ("duplicate", "cut"),
}


@dataclass(slots=True)
class FaultRule:
    """One rule.

    Attributes:
        point: where it may fire.
        action: what happens then.
        after: how many matching occasions pass first.
        times: how often it fires, None for always.
        where: facts that an occasion must have to match, for example ``{"queue": "q"}``.
    """

    point: str
    action: FaultAction
    after: int = 0
    times: int | None = 1
    where: Mapping[str, Any] = field(default_factory=dict)
    seen: int = field(default=0, init=False)
    fired: int = field(default=0, init=False)


class FaultPlan:
    """The rules in force, in the order in which they were added."""

    def __init__(self) -> None:
        self.rules: list[FaultRule] = []
