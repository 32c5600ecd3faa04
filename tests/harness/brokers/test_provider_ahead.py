"""Brokers that are started before they are needed."""

from __future__ import annotations

import threading

import pytest

from celeriac.conformance.providers import Lease, LeaseTimes, Node, Provider, Setup, Unavailable
from celeriac.conformance.travel import ControlFile
from celeriac.conformance.verdicts import NotApplicable

#: How the broker of each lease is set: two leases share a broker.
SETUPS = {
    "channel-close": Setup(timeout=1.0),
    "queue-argument": Setup(timeout=1.0),
}


class Slow(Provider):
    """A provider whose brokers start when ``go`` is set, or fail then if there is a ``failure``."""

    leases = ("channel-close", "consumer-cancel", "queue-argument")
    slow = True

    def __init__(self, failure: str | None = None) -> None:
        super().__init__("rabbitmq", "script")
        self.go = threading.Event()
        self.failure = failure
        self.started: list[Setup] = []
        self.stopped = 0

    def setting(self, lease: Lease) -> tuple[Setup, LeaseTimes]:
        if lease not in SETUPS:
            raise NotApplicable(f"no {lease} here")
        return SETUPS[lease], LeaseTimes(1.0, 0.5, "channel-close")

    def start(self, setup: Setup) -> Node:
        self.started.append(setup)
        assert self.go.wait(20)
        if self.failure is not None:
            raise Unavailable(self.failure)
        return Node.local("amqp", 5672)

    def stop(self) -> None:
        self.stopped = len(self.started)

    def version(self, node: Node) -> str:
        return "1"


def test_prepared_broker_is_started_once_and_waited_for() -> None:
    """A broker is started when it is prepared, whoever asks for it gets that one, and other leases are left alone."""
    with Slow() as provider:
        provider.prepare(["channel-close", "redeliver"])
        provider.prepare(["channel-close"])
        provider.go.set()

        assert provider.node("channel-close") == provider.node("channel-close")
        provider.prepare(["channel-close"])
        assert provider.started == [Setup(timeout=1.0)]


def test_leases_that_are_set_alike_share_a_broker() -> None:
    """Two leases with one setup have one broker, prepared or not, and each node tells the lease that was asked for."""
    with Slow() as provider:
        provider.go.set()
        provider.prepare(["channel-close", "queue-argument"])

        first, second = provider.node("channel-close"), provider.node("queue-argument")
        assert first.lease == second.lease == LeaseTimes(1.0, 0.5, "channel-close")
        assert provider.node().lease is None
        assert provider.started == [Setup(timeout=1.0), Setup()]


def test_what_a_version_lacks_is_not_prepared() -> None:
    """A lease that this version does not have starts nothing ahead, and is not applicable when it is wanted."""
    with Slow() as provider:
        provider.prepare(["consumer-cancel"])

        with pytest.raises(NotApplicable, match="no consumer-cancel here"):
            provider.node("consumer-cancel")
        assert provider.started == []


def test_failure_to_prepare_is_told_to_whoever_asks() -> None:
    """What goes wrong ahead is raised when the broker is wanted, and the next one to ask starts it again."""
    with Slow("no memory") as provider:
        provider.prepare(["channel-close"])
        provider.go.set()

        with pytest.raises(Unavailable, match="no memory"):
            provider.node("channel-close")
        provider.failure = None
        assert provider.node("channel-close").port == 5672


def test_close_waits_for_what_is_starting() -> None:
    """A broker that is still starting when its provider closes is ended like the others."""
    provider = Slow()
    provider.prepare(["channel-close"])
    threading.Timer(0.05, provider.go.set).start()

    provider.close()

    assert provider.stopped == 1
    assert provider.go.is_set()


def test_quick_brokers_are_not_started_ahead() -> None:
    """Where starting is cheap nothing happens until a broker is wanted."""
    with Slow() as provider:
        provider.slow = False
        provider.go.set()
        provider.prepare(["channel-close"])

        assert provider.started == []


def test_nothing_is_started_while_time_is_moved() -> None:
    """A broker whose clock is moved is started when it is needed, because one that is starting would not survive it."""
    control = ControlFile()
    try:
        with Slow() as provider:
            provider.follow(control)
            provider.prepare(["channel-close"])
            assert provider.started == []
            provider.go.set()
            provider.node("channel-close")
            assert provider.started == [Setup(timeout=1.0)]
    finally:
        control.close()
