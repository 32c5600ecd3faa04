"""Time and the record: the same operations make the same record, however time is cut into pieces."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celeriac.reference.broker.audit import Audit
from celeriac.reference.broker.broker import Broker
from celeriac.reference.broker.events import EVENT_KINDS, Event
from celeriac.reference.broker.model import Channel, Properties
from celeriac.reference.broker.timers import Timer, Timers
from celeriac.reference.clock import VirtualClock

Step = Callable[[Broker, Channel], object]

STEPS: list[Step] = [
    lambda b, c: b.publish(c, "", "q", Properties(), b"m"),
    lambda b, c: b.publish(c, "", "q", Properties(expiration="700"), b"m"),
    lambda b, c: b.publish(c, "", "brief", Properties(), b"m"),
    lambda b, c: b.get(c, "q"),
    lambda b, c: b.get(c, "brief"),
    lambda b, c: b.consume(c, "q"),
    lambda b, c: b.recover(c),
    lambda b, c: b.declare_queue(c, "passing", arguments={"x-expires": 900}),
]
program = st.lists(
    st.tuples(st.integers(0, len(STEPS) - 1), st.integers(0, 3_000_000), st.integers(0, 3_000_000)),
    max_size=12,
)


def play(dialect: str, steps: list[tuple[int, int, int]], *, split: bool) -> list[Event]:
    """Run a program of steps, each followed by a while (microseconds) that is waited for in one piece or two."""
    clock = VirtualClock()
    broker = Broker(clock, dialect, consumer_timeout_ms=2000, channel_tick_ms=700)
    clock.attach(broker)
    session = broker.open_session("client", cancel_notify=True)
    channel = broker.open_channel(session, 1)
    broker.declare_queue(channel, "q")
    broker.declare_queue(
        channel, "brief", arguments={"x-message-ttl": 1100, "x-dead-letter-exchange": "amq.fanout"}
    )
    broker.bind_queue(channel, "q", "amq.fanout")
    for step, one, two in steps:
        if channel.closed:
            channel = broker.open_channel(session, 1)
        STEPS[step](broker, channel)
        for piece in (one, two) if split else (one + two,):
            clock.advance(piece / 1e6)
    return list(broker.events)


@pytest.mark.parametrize("dialect", ["rabbit-3.10", "redis-kombu"])
@given(steps=program)
@settings(derandomize=True, database=None, deadline=None, max_examples=150)
def test_advancing_twice_is_advancing_by_the_sum(dialect: str, steps: list[tuple[int, int, int]]) -> None:
    """Waiting a and then b leaves the same record as waiting a + b."""
    assert play(dialect, steps, split=True) == play(dialect, steps, split=False)


def test_the_same_run_writes_the_same_record() -> None:
    """Ids come from counters and stamps from the clock, so two runs cannot be told apart."""
    steps = [(number % len(STEPS), 400_000 * number, 7) for number in range(20)]
    first, second = (play("rabbit-3.10", steps, split=False) for _ in range(2))
    assert repr(first).encode() == repr(second).encode()


def test_every_event_has_the_fields_that_its_kind_names() -> None:
    """The table of kinds and the record agree, and the record is numbered and in order."""
    steps = [(number % len(STEPS), 500_000, 0) for number in range(30)]
    events = play("redis-kombu", steps, split=False) + play("rabbit-3.10", steps, split=False)
    assert all(set(event.data) == set(EVENT_KINDS[event.kind]) for event in events)
    assert len({event.kind for event in events}) > 12


def test_the_record_is_numbered_and_stamped() -> None:
    """Events are numbered from zero and never go back in time."""
    events = play("rabbit-3.10", [(0, 10**6, 0), (2, 10**6, 0)], split=False)
    assert [event.seq for event in events] == list(range(len(events)))
    assert [event.at for event in events] == sorted(event.at for event in events)


def test_a_subscriber_hears_every_event_even_unkept() -> None:
    """A broker that keeps no record still tells its subscribers, until they have enough."""
    broker = Broker(VirtualClock(), record=False)
    heard: list[str] = []
    enough = broker.events.subscribe(lambda event: heard.append(event.kind))
    session = broker.open_session()
    enough()
    broker.close_session(session)
    assert (heard, list(broker.events)) == (["session.open"], [])


def test_timers_fire_in_order_of_due_moment_and_then_of_arming() -> None:
    """Earlier moments come first, equal moments in the order in which they were armed."""
    timers, fired = Timers(), list[str]()
    dues: dict[str, float | None] = {"late": 2.0, "first": 1.0, "second": 1.0, "never": None, "future": 9.0}

    def timer(name: str) -> Timer:
        def fire() -> None:
            fired.append(name)
            dues[name] = None

        return Timer(lambda: dues[name], fire)

    for each in [timer(name) for name in dues]:
        timers.arm(each)
    assert timers.fire(3.0)
    assert fired == ["first", "second", "late"]
    assert timers.next_due() == 9.0


def test_a_timer_that_was_armed_too_early_waits_for_its_real_moment() -> None:
    """A due moment that moved is looked up again, so nothing fires early and the answer is exact."""
    timers, due = Timers(), [1.0]
    timers.arm(Timer(lambda: due[0], lambda: due.__setitem__(0, 100.0)))
    due[0] = 5.0
    assert timers.next_due() == 5.0
    assert not timers.fire(4.9)
    assert timers.fire(5.0)
    assert timers.next_due() == 100.0


def test_an_idle_broker_has_nothing_due() -> None:
    """Without held deliveries and times to live nothing is ever due, so a day passes in one step."""
    clock = VirtualClock()
    broker = Broker(clock)
    clock.attach(broker)
    broker.open_channel(broker.open_session(), 1)
    assert broker.next_due() is None
    assert not broker.step()
    clock.advance(86_400)
    assert len(broker.events) == 2


def test_the_audit_can_start_with_a_broker_that_has_lived() -> None:
    """An audit reads the record from its beginning and finds nothing to complain of."""
    clock = VirtualClock()
    broker = Broker(clock)
    channel = broker.open_channel(broker.open_session(), 1)
    broker.declare_queue(channel, "q")
    broker.publish(channel, "", "q", Properties(), b"m")
    audit = Audit(broker)
    broker.get(channel, "q", no_ack=True)
    audit.compare()
    assert (audit.problems, audit.gone) == ([], {"not to be acknowledged": 1})
