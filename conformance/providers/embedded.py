"""The embedded broker on TCP, in a thread of this process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from celeriac.conformance.embedded import (
    DEFAULT_DIALECT,
    BrokerThread,
    MovableClock,
    embedded_broker,
    setting,
)
from celeriac.conformance.providers.base import LEASES, Lease, LeaseTimes, Node, Provider, Setup

__all__ = ["SHORT", "EmbeddedProvider"]

#: Times that real time allows; the dialects' own are half an hour and more.
SHORT = LeaseTimes(timeout=1.0, interval=0.25, kind="channel-close")


class EmbeddedProvider(Provider):
    """One broker per setup, on ports that the kernel chooses.

    Args:
        dialect: which dialect it speaks; None for the one that has the lease that is asked for.
    """

    leases = LEASES["embedded"]

    def __init__(self, dialect: str | None = None) -> None:
        super().__init__("embedded", "thread")
        self._dialect = dialect
        self._threads: list[BrokerThread] = []

    def setting(self, lease: Lease) -> tuple[Setup, LeaseTimes]:
        """Answer how a broker is set to have a lease, and when a delivery then comes back."""
        setup, times = setting(lease, self._dialect, None if self.control else SHORT)
        assert times is not None, "a lease was asked for"
        return setup, times

    def node(self, lease: Lease | None = None) -> Node:
        """Answer a broker with this kind of lease; see ``Provider.node``."""
        return super().node(lease) if lease else self._server(Setup(dialect=self._dialect or DEFAULT_DIALECT))

    def start(self, setup: Setup) -> Node:
        """Start a broker; it listens when this returns."""
        thread = BrokerThread(embedded_broker(MovableClock(), setup, record=False))
        thread.start()
        self._threads.append(thread)
        return Node.local("amqp", thread.port)

    def moved(self, seconds: float, unblock: bool = True) -> None:
        """Move the clocks of the brokers, which are this process' own; what comes due on the way happens in order."""
        for thread in self._threads:
            thread.advance(seconds)

    def set_policy(self, node: Node, name: str, pattern: str, definition: Mapping[str, Any]) -> None:
        """Set a policy for the queues whose names match; it needs no name."""
        thread = next(thread for thread in self._threads if thread.port == node.port)
        thread.call(lambda: thread.broker.set_policy(pattern, definition))

    def stop(self) -> None:
        """End the brokers."""
        while self._threads:
            self._threads.pop().stop()

    def version(self, node: Node) -> str:
        """Answer the dialect that the default broker speaks."""
        return self._dialect or DEFAULT_DIALECT
