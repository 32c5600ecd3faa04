"""What may go wrong between client and broker: faults as data, and what they do to bytes.

==================  ===============================================================================
``Refuse()``        new connections are reset
``BlackHole()``     connections are accepted, bytes are swallowed, nothing ever comes back
``Partition()``     nothing passes in either direction, and new connections hang, until it heals
``Stall(who)``      nothing that one side sends passes, until it is released
``Delay(who, s)``   each chunk that one side sends takes so long, one after the other, as on a slow line
``Cut(...)``        the connection ends just before, or just after, a certain frame has passed
``Census()``        nothing; it counts the frames, and knows every place at which they can be cut
==================  ===============================================================================

Nothing here knows sockets, threads or clocks: the proxy and the embedded broker's in-process site carry the bytes.

A frame is decided on before it is recorded, so that a message which was cut off before the broker had it was never
published.  What lies in front of a cut arrives, and so does a frame after which the cut comes.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from celeriac.conformance.tap.observer import BROKER, CLIENT, Direction, Frame, Observer

__all__ = [
    "PUBLISH",
    "BlackHole",
    "Census",
    "Cut",
    "Delay",
    "Fault",
    "Faults",
    "Partition",
    "Passage",
    "Passed",
    "Refuse",
    "Stall",
    "When",
    "duplicate_delivery",
]

#: Stands for the frame that completes a client's message, whatever its name: the last body frame, or LPUSH.
PUBLISH = "publish"

When = Literal["before", "after"]


@dataclass(frozen=True, slots=True)
class Refuse:
    """New connections are reset; open ones go on."""


@dataclass(frozen=True, slots=True)
class BlackHole:
    """Connections are accepted and never answered, and open ones fall silent.

    Whatever is sent meanwhile is gone, so a connection that has sent something is cut when the hole closes.
    """


@dataclass(frozen=True, slots=True)
class Partition:
    """Both directions of all connections stall, and new connections hang; when it heals, everything goes on."""


@dataclass(frozen=True, slots=True)
class Stall:
    """What ``direction`` sends waits; when it is released, it passes in order."""

    direction: Direction


@dataclass(frozen=True, slots=True)
class Delay:
    """What ``direction`` sends passes ``seconds`` later, one chunk of at most 64 KiB after the other."""

    direction: Direction
    seconds: float


@dataclass(eq=False, slots=True)
class Cut:
    """The connection ends at a frame.

    Attributes:
        direction: who sends the frame, None for both.
        name: of the frame (see ``observer.Frame``), ``PUBLISH``, or None for any.
        nth: the first such frame that is meant, counted from 1 since the fault was armed, over all connections.
        times: how many of them in a row are meant, None for all.
        when: whether the frame still arrives.
        seen: such frames so far.
        fired: connections cut so far.
    """

    direction: Direction | None = None
    name: str | None = None
    nth: int = 1
    times: int | None = 1
    when: When = "before"
    seen: int = field(default=0, init=False)
    fired: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if self.nth < 1:
            raise ValueError(f"frames are counted from 1, so none is number {self.nth}")

    def __str__(self) -> str:
        who = f"the {self.direction}'s " if self.direction else ""
        return f"{self.when} {who}{self.name or 'frame'} number {self.nth}"

    def strike(self, frame: Frame) -> When | None:
        """Count a frame; answer how the connection is to be cut there, if at all."""
        if self.direction not in (None, frame.direction) or not self._names(frame):
            return None
        self.seen += 1
        if self.seen < self.nth or (self.times is not None and self.seen >= self.nth + self.times):
            return None
        self.fired += 1
        return self.when

    def _names(self, frame: Frame) -> bool:
        return self.name in (None, frame.name) or (self.name == PUBLISH and frame.publishes)


@dataclass(eq=False, slots=True)
class Census:
    """Counts frames by sender and name, in the order in which each first came."""

    counts: Counter[tuple[Direction, str]] = field(default_factory=Counter)

    def strike(self, frame: Frame) -> None:
        """Count a frame; heartbeats come by chance, and do not count."""
        if frame.name != "heartbeat":
            self.counts[frame.direction, frame.name] += 1

    def places(self) -> list[Cut]:
        """Answer a cut before, and one after, every frame that was counted."""
        return [
            Cut(direction, name, nth, when=when)
            for (direction, name), count in self.counts.items()
            for nth in range(1, count + 1)
            for when in ("before", "after")
        ]


Fault: TypeAlias = Refuse | BlackHole | Partition | Stall | Delay | Cut | Census


def duplicate_delivery(protocol: Literal["amqp", "redis"]) -> Cut:
    """Answer the fault by which a broker delivers a message a second time: its acknowledgement is lost on the way.

    RabbitMQ takes the message back with the connection and marks it as redelivered; on Redis it comes back when its
    visibility timeout is over.  No broker sends one delivery twice, so nothing else would be fair to a worker.
    """
    return Cut(CLIENT, "basic.ack" if protocol == "amqp" else "ZREM")


class Faults:
    """The faults in force; they may be changed and asked for from any thread."""

    def __init__(self) -> None:
        self._armed: tuple[Fault, ...] = ()
        self._lock = threading.Lock()

    def arm(self, *faults: Fault) -> None:
        """Put faults in force; one that is already there stays once."""
        with self._lock:
            self._armed = tuple(dict.fromkeys((*self._armed, *faults)))

    def disarm(self, *faults: Fault) -> None:
        """End faults; those that are not in force are ignored."""
        with self._lock:
            self._armed = tuple(fault for fault in self._armed if fault not in faults)

    def clear(self) -> None:
        """End every fault."""
        self._armed = ()

    @property
    def idle(self) -> bool:
        """Answer whether there is none."""
        return not self._armed

    @property
    def refusing(self) -> bool:
        """Answer whether new connections are reset."""
        return self._any(Refuse)

    @property
    def swallowing(self) -> bool:
        """Answer whether everything is swallowed."""
        return self._any(BlackHole)

    @property
    def parted(self) -> bool:
        """Answer whether client and broker are parted, so that new connections hang."""
        return self._any(Partition)

    def stalls(self, direction: Direction) -> bool:
        """Answer whether what ``direction`` sends has to wait."""
        return self.parted or Stall(direction) in self._armed

    def delay(self, direction: Direction) -> float:
        """Answer by how many seconds what ``direction`` sends is late."""
        delays = (fault for fault in self._armed if isinstance(fault, Delay))
        return sum(fault.seconds for fault in delays if fault.direction == direction)

    def strike(self, frame: Frame) -> When | None:
        """Show a frame to every fault; answer how the connection is to be cut there, if at all."""
        verdicts = [fault.strike(frame) for fault in self._armed if isinstance(fault, Cut | Census)]
        return next(filter(None, verdicts), None)

    def _any(self, kind: type[Fault]) -> bool:
        return any(isinstance(fault, kind) for fault in self._armed)


class Passed(NamedTuple):
    """What becomes of a chunk: what of it goes on, and whether the connection ends there."""

    data: bytes
    cut: bool = False


class Passage:
    """One connection's way through the faults: every chunk is read, decided on, recorded and handed on.

    Args:
        observer: decodes and records.
        faults: decide.
        garbled: is told once per direction that it cannot be read, and why; its bytes go on all the same.
        shown: sees every frame before it goes on.

    Attributes:
        lossy: whether bytes of this connection were swallowed, so that it can never be of use again.
    """

    def __init__(
        self,
        observer: Observer,
        faults: Faults,
        garbled: Callable[[Direction, str], None] | None = None,
        shown: Callable[[Frame], None] | None = None,
    ) -> None:
        self._observer = observer
        self._faults = faults
        self._garbled = garbled
        self._shown = shown
        self._unreadable: set[Direction] = set()
        self.lossy = False

    def through(self, direction: Direction, data: bytes) -> Passed:
        """Take a chunk that ``direction`` sent; answer what of it goes on."""
        self.lossy = self.lossy or self._faults.swallowing
        if self.lossy and direction == CLIENT:
            return Passed(b"")
        passed = self._read(direction, data)
        return Passed(b"") if self.lossy else passed

    def reads(self, direction: Direction) -> bool:
        """Answer whether what ``direction`` sends is understood."""
        return direction not in self._unreadable

    def end(self) -> None:
        """Decode nothing more: the connection is over, and what is still said on it means nothing."""
        self._unreadable = {CLIENT, BROKER}

    def _read(self, direction: Direction, data: bytes) -> Passed:
        if direction in self._unreadable:
            return Passed(data)
        begin = 0
        try:
            for frame in self._observer.read(direction, data):
                verdict = self._faults.strike(frame)
                if verdict == "before":
                    return Passed(data[:begin], cut=True)
                begin = len(data) - frame.rest
                self._note(frame)
                if verdict == "after":
                    return Passed(data[:begin], cut=True)
        except Exception as exc:  # noqa: BLE001 - whatever a client sends, its bytes go on
            self._unreadable.add(direction)
            if self._garbled is not None:
                self._garbled(direction, f"{type(exc).__name__}: {exc}")
        return Passed(data)

    def _note(self, frame: Frame) -> None:
        self._observer.note(frame)
        if self._shown is not None:
            self._shown(frame)
