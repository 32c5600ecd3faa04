"""Signs of life: which clients have looked at their clock since it was moved.

Whoever moves the clock of other processes has to wait until these have noticed, and a process that waits for its
socket notices when something arrives there.  On AMQP that is a heartbeat, which either side may send at any time:
``Tap.nudge`` does.  A client that has agreed to an interval answers with heartbeats of its own, each half of it; one
that has been silent for a whole interval, and for two moves of the clock beyond it, lags behind: py-amqp looks at its
clock after every move, but takes a heartbeat that it has sent for a sign of life, and is silent the next time.

On Redis the provider ends the waits of blocked commands, as time would have done, and a client lags behind until it has
asked again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass

from celeriac.conformance.tap.observer import CLIENT, Frame

__all__ = ["BLOCKING", "Pulse"]

#: Commands of Redis that wait; the last argument says how long, in seconds.
BLOCKING = frozenset({"BRPOP", "BLPOP", "BRPOPLPUSH", "BLMOVE"})


@dataclass(slots=True)
class _Client:
    """What is known of one connection.

    Attributes:
        spoke: when the client sent something last, by the moved clock.
        interval: seconds within which it has promised to speak; 0 for no promise.
        waits: seconds that its pending command may wait for; None when none is pending.
        ended: whether the answer to such a command was the last thing it heard.
    """

    spoke: float
    interval: float = 0.0
    waits: float | None = None
    ended: bool = False


class Pulse:
    """Listens to the frames of every connection of a tap.

    Args:
        now: answers seconds of the clock that is moved.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._clients: dict[int, _Client] = {}
        self._lock = threading.Lock()

    def __call__(self, connection: int, frame: Frame) -> None:
        """Note a frame; on the tap's thread, before it is forwarded."""
        with self._lock:
            client = self._clients.setdefault(connection, _Client(self._now()))
            if frame.direction == CLIENT:
                client.spoke, client.ended, client.waits = self._now(), False, None
                if frame.name == "connection.tune-ok":
                    client.interval = float(frame.value.arguments["heartbeat"])
                elif frame.name in BLOCKING:
                    client.waits = _seconds(frame.value)
            elif frame.name == "reply" and client.waits is not None:
                client.waits, client.ended = None, True

    def lagging(self, connections: Collection[int], move: float = 0.0) -> set[int]:
        """Answer those of the open ``connections`` that have not noticed yet what time it is.

        Args:
            connections: the open ones.
            move: by how many seconds the clock is moved at a time.
        """
        latest = self._now() - 2 * move
        with self._lock:
            return {
                number
                for number, client in self._open(connections)
                if client.ended or 0 < client.interval < latest - client.spoke
            }

    def longest_waits(self, connections: Collection[int]) -> list[float]:
        """Answer for how many seconds each blocked command of Redis may wait; 0 is for ever."""
        with self._lock:
            return [client.waits for _, client in self._open(connections) if client.waits is not None]

    def _open(self, connections: Collection[int]) -> list[tuple[int, _Client]]:
        # the others are kept: one that is just being opened may not be in the collection yet
        return [(number, client) for number, client in self._clients.items() if number in connections]


def _seconds(words: list[bytes]) -> float:
    try:
        return float(words[-1])
    except ValueError:
        return 0.0
