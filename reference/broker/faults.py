"""Fault points: named places where a rule may make the broker misbehave, every firing recorded.

| point | facts a rule may select by | actions |
|---|---|---|
| ``publish`` | session, exchange, routing_key | drop: lost, but confirmed; nack: lost and refused |
| ``confirm`` | session, channel, tag | drop: the publisher never hears |
| ``deliver`` | session, queue, message | duplicate: the same message is queued once more |
| any event kind | session and the event's data | cut: the session's transport ends there |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from celeriac.reference.broker.events import EVENT_KINDS

__all__ = ["ACTIONS", "FaultAction", "FaultPlan", "FaultRule"]

FaultAction = Literal["drop", "nack", "duplicate", "cut"]

#: Which actions each point knows; every kind of event is a point, too, and knows ``cut``.
ACTIONS: Mapping[str, tuple[FaultAction, ...]] = {
    "publish": ("drop", "nack"),
    "confirm": ("drop",),
    "deliver": ("duplicate",),
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
        seen: matching occasions so far.
        fired: firings so far.
    """

    point: str
    action: FaultAction
    after: int = 0
    times: int | None = 1
    where: Mapping[str, Any] = field(default_factory=dict)
    seen: int = field(default=0, init=False)
    fired: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        known: tuple[str, ...] = ACTIONS.get(self.point, ())
        if self.point in EVENT_KINDS:
            known = (*known, "cut")
        if self.action not in known:
            choices = ", ".join(known) or "nothing: no such point"
            raise ValueError(f"fault point {self.point!r} cannot do {self.action!r}; it can do {choices}")

    def strikes(self, facts: Mapping[str, Any]) -> bool:
        """Count an occasion; say whether the rule fires."""
        if any(facts.get(name) != value for name, value in self.where.items()):
            return False
        self.seen += 1
        if self.seen <= self.after or (self.times is not None and self.fired >= self.times):
            return False
        self.fired += 1
        return True


class FaultPlan:
    """The rules in force, in the order in which they were added."""

    def __init__(self) -> None:
        self.rules: list[FaultRule] = []

    def add(
        self,
        point: str,
        action: FaultAction,
        *,
        after: int = 0,
        times: int | None = 1,
        **where: Any,
    ) -> FaultRule:
        """Add a rule and answer it.

        Raises:
            ValueError: the point does not know the action; the message says what it knows.
        """
        rule = FaultRule(point, action, after, times, where)
        self.rules.append(rule)
        return rule

    def clear(self) -> None:
        """Remove every rule."""
        self.rules.clear()

    def strike(self, point: str, /, *actions: FaultAction, **facts: Any) -> FaultAction | None:
        """Answer the action of the first rule that fires at ``point``, out of ``actions``; None for none."""
        for rule in self.rules:
            if rule.point == point and rule.action in actions and rule.strikes(facts):
                return rule.action
        return None
