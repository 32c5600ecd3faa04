"""The embedded broker on TCP, in a thread of this process."""

from __future__ import annotations

from collections.abc import Mapping

from celeriac.conformance.embedded import DEFAULT_DIALECT, BrokerThread, broker_on_wall_time
from celeriac.conformance.providers.base import Lease, LeaseTimes, Node, Provider

__all__ = ["LEASES", "EmbeddedProvider"]

#: The dialect that has a lease of this kind, and the times at which it is checked.
LEASES: Mapping[Lease, tuple[str, LeaseTimes]] = {
    "channel-close": ("rabbit-3.10", LeaseTimes(timeout=2.0, interval=0.5, kind="channel-close")),
    "redeliver": ("redis-kombu", LeaseTimes(timeout=2.0, interval=0.5, kind="redeliver")),
}


class EmbeddedProvider(Provider):
    """One broker per lease, on ports that the kernel chooses, on wall time."""

    leases = ("channel-close", "redeliver")

    def __init__(self) -> None:
        super().__init__("embedded", "thread")
        self._threads: list[BrokerThread] = []

    def start(self, lease: Lease | None) -> Node:
        """Start a broker; it listens when this returns."""
        dialect, times = LEASES[lease] if lease else (DEFAULT_DIALECT, None)
        thread = BrokerThread(broker_on_wall_time(dialect, times), port=0)
        thread.start()
        self._threads.append(thread)
        return Node.local("amqp", thread.port, times)

    def stop(self) -> None:
        """End the brokers."""
        while self._threads:
            self._threads.pop().stop()

    def version(self, node: Node) -> str:
        """Answer the dialect."""
        return DEFAULT_DIALECT
