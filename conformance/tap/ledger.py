"""What is held unacked on Redis, as the traffic shows it.

Redis has no deliveries: kombu's emulation moves a message from its list to the client and notes it in the hash
``unacked`` under its delivery tag, which stays the same when the message is handed out again.  Whoever removes the
tag first has settled it for everybody, whichever connection took it; hence one ledger for all taps of a broker.
It is used on the taps' one thread only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Held", "Ledger"]


@dataclass(frozen=True, slots=True)
class Held:
    """A message that some client has taken and not settled."""

    task_id: Any
    queue: str | None


class Ledger:
    """Held messages by delivery tag, and the restores whose outcome is not known yet."""

    def __init__(self) -> None:
        self._held: dict[str, Held] = {}
        self._restores: dict[str, Callable[[], None]] = {}

    def hold(self, tag: str, held: Held) -> None:
        """Note that a client has taken the message ``tag``; a message without a tag cannot be followed."""
        if tag:
            self._held.setdefault(tag, held)

    def holds(self, tag: str) -> bool:
        """Answer whether somebody holds ``tag``."""
        return tag in self._held

    def settle(self, tag: str) -> Held | None:
        """Forget ``tag``; answer what it was, or None when nobody held it (any more)."""
        return self._held.pop(tag, None)

    def restoring(self, tag: str, happened: Callable[[], None]) -> None:
        """Note that a transaction that would give ``tag`` back is on its way to the server."""
        self._restores[tag] = happened

    def restored(self, tag: str, yes: bool = True) -> None:
        """Run what was noted for ``tag``, once, if it happened; a new delivery proves it before the reply does."""
        happened = self._restores.pop(tag, None)
        if yes and happened is not None:
            happened()
