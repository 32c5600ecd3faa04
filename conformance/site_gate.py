"""The gate of the embedded broker in process: the tap's faults, without a tap.

In process nothing is decoded to be recorded, because the broker records itself.  What passes is read only while
something may go wrong: clients and broker write whole frames, so one may begin with any write.
"""

from __future__ import annotations

from typing import Any

from celeriac.conformance import embedded
from celeriac.conformance.tap.amqp import AmqpObserver
from celeriac.conformance.tap.faults import BlackHole, Census, Cut, Fault, Faults, Passage
from celeriac.conformance.tap.observer import Direction

__all__ = ["SiteGate"]


class SiteGate:
    """What stands between an implementation and a site; see ``stage.Gate``."""

    def __init__(self, site: embedded.InProcessSite) -> None:
        self._site = site
        self._faults = Faults()
        self._passages: dict[int, Passage] = {}
        site.tamper(self._line)

    def refuse(self, yes: bool) -> None:
        """Turn away new connections, or accept them again."""
        self._site.refuse(yes)

    def drop(self) -> None:
        """Cut every connection."""
        self._site.drop()

    def arm(self, *faults: Fault) -> None:
        """Let something go wrong: a cut, a black hole, or a census.

        Raises:
            NotImplementedError: the fault holds bytes back, and in process nothing can wait on its way.
        """
        for fault in faults:
            if not isinstance(fault, BlackHole | Cut | Census):
                raise NotImplementedError(f"in process nothing waits on its way, so there can be no {fault}")
        self._faults.arm(*faults)

    def disarm(self, *faults: Fault) -> None:
        """End faults, all of them when none is named; what a black hole has swallowed something of is cut."""
        if faults:
            self._faults.disarm(*faults)
        else:
            self._faults.clear()
        if not self._faults.swallowing:
            self._site.drop({number for number, passage in self._passages.items() if passage.lossy})

    def _line(self, number: int) -> embedded.Line:
        passage = self._passages[number] = Passage(AmqpObserver(_unrecorded), self._faults)
        begun: set[Direction] = set()

        def carry(sender: Direction, data: bytes) -> tuple[bytes, bool]:
            if self._faults.idle and sender in begun and not passage.lossy:
                return data, False
            begun.add(sender)
            return passage.through(sender, data)

        return carry


def _unrecorded(kind: str, **data: Any) -> None:
    """Record nothing."""
