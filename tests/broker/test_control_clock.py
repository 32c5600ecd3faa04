"""The clock that runs and can be moved, alone and under a broker on TCP."""

from __future__ import annotations

import math
from typing import Any

import pytest

from celeriac.reference.broker.broker import Broker
from celeriac.reference.broker.model import Properties
from celeriac.reference.broker.tcp import BrokerThread
from celeriac.reference.clock import DeadlockError, MovableClock, VirtualClock, WallClock

DAY = 86_400


class Alarms:
    """A party that is due at some moments and remembers what the clock said then."""

    def __init__(self, clock: MovableClock, *seconds: float) -> None:
        self.clock = clock
        self.start = clock.now(), clock.monotonic()
        self.dues = sorted(self.start[1] + one for one in seconds)
        self.rang: list[tuple[float, float]] = []

    def step(self) -> bool:
        """Ring once."""
        if not self.dues or not self.clock.reached(self.dues[0]):
            return False
        self.dues.pop(0)
        now, monotonic = self.start
        since = (self.clock.now() - now).total_seconds(), self.clock.monotonic() - monotonic
        self.rang.append(since)
        return True

    def next_due(self) -> float | None:
        """Answer the next moment."""
        return self.dues[0] if self.dues else None


class Stuck:
    """A party that is due and does nothing."""

    def step(self) -> bool:
        return False

    def next_due(self) -> float:
        return 0.0


def test_due_moments_are_visited_in_order_at_their_time() -> None:
    """Whoever becomes due on the way is stepped at that very moment, earliest first; later ones wait."""
    clock = MovableClock()
    first, second = Alarms(clock, 1860, 10, DAY), Alarms(clock, 900)
    clock.attach(first)
    clock.attach(second)

    clock.advance(3600)

    assert first.rang == [pytest.approx((10, 10), abs=1e-3), pytest.approx((1860, 1860), abs=1e-3)]
    assert second.rang == [pytest.approx((900, 900), abs=1e-3)]
    assert len(first.dues) == 1


def test_clock_runs_on_and_never_goes_back() -> None:
    """After a move the clock is at least that far ahead, and both of its faces go on from there."""
    clock = MovableClock()
    now, monotonic = clock.now(), clock.monotonic()

    clock.advance(DAY)
    clock.advance(0.5)

    assert clock.moved == pytest.approx(DAY + 0.5)
    assert (clock.now() - now).total_seconds() >= DAY + 0.5
    seen = [clock.monotonic() - monotonic for _ in range(1000)]
    assert DAY + 0.5 <= seen[0] < seen[-1]
    assert seen == sorted(seen)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-1, "cannot go back"), (math.nan, "cannot go back"), (math.inf, "year 9999"), (1e12, "year 9999")],
)
def test_impossible_moves_are_refused(seconds: float, words: str) -> None:
    """Time goes neither back nor beyond the calendar, and a refused move moves nothing."""
    clock = MovableClock()
    with pytest.raises(ValueError, match=words):
        clock.advance(seconds)
    assert clock.moved == 0


def test_party_that_never_does_what_is_due_is_an_error() -> None:
    """A move does not turn for ever around a party that is due and does nothing; it stops there and names it."""
    clock = MovableClock()
    party = Stuck()
    clock.attach(party)
    with pytest.raises(DeadlockError, match="Stuck"):
        clock.advance(60)
    assert clock.moved < 1
    clock.detach(party)
    clock.detach(party)
    clock.advance(60)
    assert clock.moved >= 60


def held(broker: Broker) -> None:
    """Let somebody hold a message."""
    session = broker.open_session("client")
    channel = broker.open_channel(session, 1)
    broker.declare_queue(channel, "q")
    broker.publish(channel, "", "q", Properties(), b"m")
    assert broker.get(channel, "q") is not None


def test_thread_advances_its_broker() -> None:
    """From any thread a broker goes through half an hour, and stamps the end of a lease when it was due."""
    with BrokerThread(Broker(MovableClock())) as server:
        server.call(lambda: held(server.broker))
        server.advance(29 * 60)
        assert not expired(server.broker)
        server.advance(DAY)

        (lease,) = expired(server.broker)
        (taken,) = [event for event in server.broker.events if event.kind == "get"]
        assert 30 * 60 < lease.at - taken.at <= 31 * 60


def test_any_function_on_the_broker_s_thread_may_advance() -> None:
    """``call`` may move the clock, too; the broker then goes on waiting for the right moment."""
    clock = MovableClock()
    with BrokerThread(Broker(clock, consumer_timeout_ms=0, channel_tick_ms=3_600_250)) as server:
        server.call(lambda: held(server.broker))
        server.call(lambda: clock.advance(3600))
        assert clock.wait_for(lambda: bool(expired(server.broker)), 10)


def test_virtual_broker_on_tcp_advances() -> None:
    """A broker on virtual time can be served and moved as well."""
    with BrokerThread(Broker(VirtualClock())) as server:
        server.call(lambda: held(server.broker))
        server.advance(DAY)
        assert expired(server.broker)


def test_broker_on_the_machine_s_time_cannot_be_moved() -> None:
    """Instead of waiting for half an hour, a broker on the machine's time says what clock it needs."""
    with (
        BrokerThread(Broker(WallClock())) as server,
        pytest.raises(TypeError, match=r"give the broker a MovableClock"),
    ):
        server.advance(1800)


def test_stopped_broker_is_left_alone() -> None:
    """A broker that is no longer served takes no part in the time of its clock."""
    clock = MovableClock()
    server = BrokerThread(Broker(clock))
    server.start()
    server.call(lambda: held(server.broker))
    server.stop()
    clock.advance(DAY)
    assert not expired(server.broker)


def expired(broker: Broker) -> list[Any]:
    """Answer the leases that expired."""
    return [event for event in broker.events if event.kind == "lease.expired"]
