"""What became of a call while something went wrong: its answer, how long its caller was blocked, what was delivered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from celeriac.conformance.adapter import Ok

if TYPE_CHECKING:
    from celeriac.conformance.calls import Called
    from celeriac.conformance.history import Record
    from celeriac.conformance.world import World

__all__ = ["Fate", "fate_of"]


@dataclass(frozen=True, slots=True)
class Fate:
    """The fate of one call; nobody else publishes meanwhile.

    Attributes:
        world: where it happened.
        called: the call and its answer.
        since: the position in the history at which it began.
    """

    world: World
    called: Called
    since: int

    @property
    def succeeded(self) -> bool:
        """Answer whether the call returned normally."""
        return isinstance(self.called.answer, Ok)

    @property
    def failed_to_connect(self) -> bool:
        """Answer whether it raised a connection error."""
        return not isinstance(self.called.answer, Ok) and self.called.answer.category == "connection"

    @property
    def blocked(self) -> float:
        """Answer for how many seconds the caller was blocked."""
        return self.called.after - self.called.before

    @property
    def messages(self) -> list[Record]:
        """Answer every message that has reached the broker since the call began."""
        return [record for record in self.world.history.of("published") if record.seq >= self.since]

    @property
    def losses(self) -> list[Record]:
        """Answer the records of the connections that have ended since."""
        return [record for record in self.world.history.of("disconnected") if record.seq >= self.since]

    def arrived(self) -> bool:
        """Wait for the message; answer whether it has reached the broker."""
        return self.world.until(lambda: bool(self.messages), self.world.tick)

    def __str__(self) -> str:
        answer = self.called.answer
        ended = "returned normally" if isinstance(answer, Ok) else f"raised {answer.type} ({answer.text})"
        count = len(self.messages)
        copies = {0: "lost", 1: "delivered once", 2: "delivered twice"}.get(count, f"delivered {count} times")
        return f"the call {ended} after {self.blocked:.2f} s, its message was {copies}"


def fate_of(world: World, **call: Any) -> Fate:
    """Call a task; answer what became of it."""
    since = world.history.end
    return Fate(world, world.call(**call), since)
