"""The embedded broker on TCP, in a thread of this process."""

from __future__ import annotations

from collections.abc import Mapping

from celeriac.conformance.embedded import DEFAULT_DIALECT, BrokerThread, WallClock, embedded_broker
from celeriac.conformance.providers.base import Lease, LeaseTimes, Node, Provider

__all__ = ["SHORT_LEASES", "EmbeddedProvider"]

#: Leases at the times that real time allows; the dialects' own take half an hour and more.
SHORT_LEASES: Mapping[Lease, LeaseTimes] = {
    "channel-close": LeaseTimes(timeout=1.0, interval=0.25, kind="channel-close"),
    "redeliver": LeaseTimes(timeout=1.0, interval=0.25, kind="redeliver"),
}


class EmbeddedProvider(Provider):
    """One broker per lease, on ports that the kernel chooses, on wall time."""

    leases = tuple(SHORT_LEASES)

    def __init__(self) -> None:
        super().__init__("embedded", "thread")
        self._threads: list[BrokerThread] = []

    def start(self, lease: Lease | None) -> Node:
        """Start a broker; it listens when this returns."""
        times = SHORT_LEASES[lease] if lease else None
        thread = BrokerThread(embedded_broker(WallClock(), lease, times, record=False))
        thread.start()
        self._threads.append(thread)
        return Node.local("amqp", thread.port, times)

    def stop(self) -> None:
        """End the brokers."""
        while self._threads:
            self._threads.pop().stop()

    def version(self, node: Node) -> str:
        """Answer the dialect that the default broker speaks."""
        return DEFAULT_DIALECT
