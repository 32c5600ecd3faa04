"""The control channel of a broker in a process: time, record, queues, leases and faults, and whoever speaks badly."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import amqp
import pytest

from celeriac.reference.broker.control import BrokerProcess, Control, ControlError
from celeriac.reference.broker.dialect import DIALECTS

DAY = 86_400


@pytest.fixture(scope="module")
def shared() -> Iterator[BrokerProcess]:
    """Serve a broker to tests that leave nothing behind in it."""
    with BrokerProcess() as broker:
        yield broker


@pytest.fixture
def broker() -> Iterator[BrokerProcess]:
    """Serve a broker that a test has for itself."""
    with BrokerProcess() as broker:
        yield broker


@pytest.fixture
def dial() -> Iterator[Callable[[BrokerProcess], amqp.Connection]]:
    """Answer a function that connects to a broker with a heartbeat of a minute."""
    connections: list[amqp.Connection] = []

    def dial(broker: BrokerProcess) -> amqp.Connection:
        connection = amqp.Connection(urlsplit(broker.url).netloc.split("@")[1], heartbeat=60)
        connections.append(connection)
        connection.connect()
        return connection

    yield dial
    for connection in connections:
        with suppress(OSError):
            connection.close()


Dial = Callable[[BrokerProcess], amqp.Connection]


def hold(connection: amqp.Connection, queue: str = "q", **arguments: Any) -> amqp.Channel:
    """Hold a message of a queue."""
    channel = connection.channel()
    channel.queue_declare(queue, auto_delete=False, durable=True, arguments=arguments)
    channel.basic_publish(amqp.Message("m", application_headers={"id": queue}), routing_key=queue)
    assert channel.basic_get(queue) is not None
    return channel


class TestTime:
    """What moving the clock does."""

    def test_client_meets_the_default_timeout(self, broker: BrokerProcess, dial: Dial) -> None:
        """Half an hour passes for the broker alone, and the client hears the 406 of a real default."""
        connection = dial(broker)
        hold(connection)
        broker.advance(29 * 60)
        assert not broker.events("lease.expired")
        broker.advance(2 * 60)
        with pytest.raises(amqp.PreconditionFailed, match="Timeout value used: 1800000 ms"):
            connection.drain_events(timeout=10)

    def test_what_came_due_is_stamped_with_its_moment(self, broker: BrokerProcess, dial: Dial) -> None:
        """One long move has each event at its own due moment, in order: expiry, lease, and a queue that nobody uses."""
        channel = hold(dial(broker))
        channel.queue_declare("unused", auto_delete=False, arguments={"x-expires": 7_200_000})
        channel.basic_publish(amqp.Message("brief", expiration="60000"), routing_key="unused")
        channel.queue_declare("unused", passive=True)  # answered: all of the above has happened
        start = broker.now()

        since = broker.advance(DAY)

        happened = broker.events("expire", "lease.expired", "queue.delete", since=since)
        assert [event.kind for event in happened] == ["expire", "lease.expired", "queue.delete"]
        after = [event.at - start for event in happened]
        assert after[0] == pytest.approx(60, abs=5)
        assert 1800 - 5 < after[1] <= 1860
        assert after[2] == pytest.approx(7200, abs=5)
        assert broker.now() - start >= DAY

    def test_clock_goes_on_after_a_move(self, broker: BrokerProcess, dial: Dial) -> None:
        """What is due a moment after a move happens by itself a moment later."""
        channel = dial(broker).channel()
        channel.queue_declare("q", auto_delete=False, arguments={"x-message-ttl": 3_600_200})
        channel.basic_publish(amqp.Message("m"), routing_key="q")
        published = broker.wait("publish")
        since = broker.advance(3600)
        expired = broker.wait("expire", since=since)
        assert expired.at - published.at >= 3600.2

    def test_heartbeats_are_not_moved(self, broker: BrokerProcess, dial: Dial) -> None:
        """A day for the broker's clock is no day without a heartbeat: clients stay."""
        channel = dial(broker).channel()
        broker.advance(DAY)
        assert channel.queue_declare("q").queue == "q"
        assert not broker.events("session.close")

    @pytest.mark.parametrize("seconds", [-1, 1e300, 10**30])
    def test_impossible_moves_are_refused(self, shared: BrokerProcess, seconds: float) -> None:
        """Neither back nor beyond the calendar; the channel goes on."""
        with pytest.raises(ControlError, match=r"cannot go back|year 9999"):
            shared.advance(seconds)
        assert shared.advance(0) >= 0


class TestLooking:
    """What can be seen of a broker."""

    def test_hello_says_who_it_is(self) -> None:
        """The dialect, the address, and the lease of each type of queue in milliseconds."""
        with BrokerProcess("rabbit-4.3", consumer_timeout_ms=7000) as broker:
            assert broker.hello["dialect"] == "rabbit-4.3"
            assert broker.hello["leases"]["classic"] is None
            assert broker.hello["leases"]["quorum"]["timeout_ms"] == 7000
            assert broker.url == broker.hello["url"]

    def test_queues_and_leases(self, broker: BrokerProcess, dial: Dial) -> None:
        """Queues tell what is in them, leases who holds what, since when, and when it will be taken away."""
        channel = hold(dial(broker), "q", **{"x-max-priority": 3})
        channel.basic_publish(amqp.Message("m"), routing_key="q")
        channel.queue_declare("q", passive=True)

        queue = broker.queue("q")
        (lease,) = broker.leases()

        assert (queue.name, queue.ready, queue.unacked, queue.consumers) == ("q", 1, 1, 0)
        assert (queue.durable, queue.exclusive, queue.arguments) == (True, False, {"x-max-priority": 3})
        taken = broker.wait("get")
        assert (lease.session, lease.tag, lease.message) == (taken.session, 1, taken.data["message"])
        assert (lease.consumer, lease.stale) == (None, False)
        assert lease.since == pytest.approx(taken.at, abs=1e-3)
        assert broker.queues() == [queue]
        with pytest.raises(ControlError, match="unknown queue 'p'; known: q"):
            broker.queue("p")

    @pytest.mark.parametrize("dialect", DIALECTS)
    def test_lease_ends_when_it_said(self, dialect: str, dial: Dial) -> None:
        """In every dialect and type of queue a delivery is taken away at the moment that was told before, or never."""
        with BrokerProcess(dialect) as broker:
            connection = dial(broker)
            for kind in ("classic", "quorum"):
                channel = hold(connection, kind, **{"x-queue-type": kind})
                channel.basic_consume(kind, callback=lambda _: None)
            told = {lease.message: lease.due for lease in broker.leases() if lease.due is not None}
            assert len(told) == (1 if dialect == "rabbit-4.3" else 2)

            since = broker.advance(max(told.values()) - broker.now())

            ended = broker.events("lease.expired", since=since)
            first = {event.data["message"]: event.at for event in reversed(ended)}
            assert first == pytest.approx(told, abs=1e-2)

    def test_wait_is_satisfied_by_the_past(self, broker: BrokerProcess, dial: Dial) -> None:
        """The first event that fits counts, however long ago it was; ``since`` says from where on to look."""
        channel = hold(dial(broker), "one")
        first = broker.wait("publish", headers={"id": "one"})
        channel.basic_publish(amqp.Message("two"), routing_key="one")
        second = broker.wait("publish", since=first.seq + 1)
        assert second.data["body"]["size"] == 3
        assert broker.wait("publish") == first
        assert "properties" not in first.data

    def test_wait_ends_when_it_happens(self, broker: BrokerProcess, dial: Dial) -> None:
        """Two clients: one waits, the other goes on being answered, and the event ends the wait."""
        seen: list[Any] = []

        def watch() -> None:
            with Control(broker.port, broker.token) as watcher:
                ready.set()
                seen.append(watcher.wait("queue.declare", queue="late", timeout=30))

        ready = threading.Event()
        thread = threading.Thread(target=watch)
        thread.start()
        assert ready.wait(10)
        assert broker.queues() == []
        dial(broker).channel().queue_declare("late")
        thread.join(10)
        assert seen[0].data["queue"] == "late"

    def test_wait_that_is_in_vain_tells_what_was_seen(self, broker: BrokerProcess, dial: Dial) -> None:
        """A wait ends at its timeout with what was wanted and the last event of the kind; one without any says so."""
        hold(dial(broker))
        with pytest.raises(
            TimeoutError, match=r'no get with \{"queue": "other"\}.*the last of 1 is .*"queue": "q"'
        ):
            broker.wait("get", queue="other", timeout=0)
        with pytest.raises(TimeoutError, match=r"no return from seq 3 on within 0 s; there is none at all"):
            broker.wait("return", since=3, timeout=0)

    def test_long_records_come_in_pages(self, broker: BrokerProcess, dial: Dial) -> None:
        """The whole record is answered, in order, however long it is, or its part, or some kinds."""
        channel = dial(broker).channel()
        channel.confirm_select()
        for _ in range(600):
            channel.basic_publish_confirm(amqp.Message("m"), routing_key="nowhere")
        events = broker.events()
        assert [event.seq for event in events] == list(range(len(events)))
        assert len(events) > 1200
        assert broker.events(since=1100) == events[1100:]
        assert broker.events("publish") == [event for event in events if event.kind == "publish"]


class TestFaults:
    """Misbehaviour on demand."""

    def test_fault_is_installed_counted_and_cleared(self, broker: BrokerProcess, dial: Dial) -> None:
        """A rule strikes as often as it says where it says, tells how often it did, and goes."""
        rule = broker.add_fault("publish", "nack", after=1, routing_key="q")
        assert (rule.seen, rule.fired) == (0, 0)
        channel = dial(broker).channel()
        channel.confirm_select()
        channel.basic_publish_confirm(amqp.Message("a"), routing_key="other")
        channel.basic_publish_confirm(amqp.Message("b"), routing_key="q")
        with pytest.raises(amqp.exceptions.MessageNacked):
            channel.basic_publish_confirm(amqp.Message("c"), routing_key="q")
        (rule,) = broker.faults()
        assert (rule.action, rule.where, rule.seen, rule.fired) == ("nack", {"routing_key": "q"}, 2, 1)
        broker.clear_faults()
        assert broker.faults() == []

    @pytest.mark.parametrize(
        ("point", "action", "where", "words"),
        [
            ("publish", "cancel", {}, "it can do drop, nack, cut"),
            ("nowhere", "cut", {}, "no such point"),
            (
                "publish",
                "drop",
                {"queue_name": "q"},
                "unknown field of publish 'queue_name'; did you mean queues",
            ),
        ],
    )
    def test_impossible_fault_is_refused(
        self, shared: BrokerProcess, point: str, action: Any, where: dict[str, Any], words: str
    ) -> None:
        """A rule that could never strike is refused with what would be possible."""
        with pytest.raises(ControlError, match=words):
            shared.add_fault(point, action, **where)
        assert shared.faults() == []


class Raw:
    """A client of the control channel that may say anything."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self._lines = self.socket.makefile("rb")

    def say(self, *lines: bytes) -> None:
        with suppress(ConnectionError):  # the broker may have hung up already
            self.socket.sendall(b"".join(lines))

    def hear(self) -> dict[str, Any] | None:
        """Answer the next line, None when the broker hangs up."""
        line = self._lines.readline()
        return dict(json.loads(line)) if line else None

    def hello(self, token: str) -> dict[str, Any] | None:
        self.say(json.dumps({"op": "hello", "token": token}).encode(), b"\n")
        return self.hear()

    def close(self) -> None:
        self._lines.close()
        self.socket.close()


@pytest.fixture
def stranger(shared: BrokerProcess) -> Iterator[Raw]:
    """Answer a client that has not said hello; afterwards the broker still serves others."""
    raw = Raw(shared.port)
    yield raw
    raw.close()
    assert shared.now() > 0
    with Control(shared.port, shared.token) as other:
        assert other.hello == shared.hello


@pytest.fixture
def friend(shared: BrokerProcess, stranger: Raw) -> Raw:
    """Answer a client that has."""
    assert stranger.hello(shared.token) == {"ok": shared.hello}
    return stranger


class TestToken:
    """Who may ask."""

    @pytest.mark.parametrize(
        "line",
        [
            b'{"op": "hello", "token": "guess"}',
            b'{"op": "hello"}',
            b'{"op": "hello", "token": "\\ud800"}',
            b'{"op": "advance", "seconds": 1}',
        ],
        ids=["wrong", "none", "surrogate", "impatient"],
    )
    def test_stranger_is_told_what_to_say_and_turned_away(self, stranger: Raw, line: bytes) -> None:
        """Whoever does not begin with the token gets one answer and nothing more."""
        stranger.say(line, b'\n{"op": "now"}\n')
        answer = stranger.hear()
        assert answer is not None
        assert answer["error"] == "token"
        assert '{"op": "hello", "token": TOKEN}' in answer["text"]
        assert stranger.hear() is None

    def test_browser_is_turned_away(self, stranger: Raw, shared: BrokerProcess) -> None:
        """A page that posts requests over HTTP gets nowhere, for its first line is no hello."""
        hello = json.dumps({"op": "hello", "token": shared.token}).encode()
        stranger.say(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", hello, b"\n")
        answer = stranger.hear()
        assert answer is not None
        assert answer["error"] == "request"
        assert stranger.hear() is None

    def test_client_with_the_wrong_token_says_so(self, shared: BrokerProcess) -> None:
        """``Control`` tells what is wrong with its token, or that nobody listens."""
        with pytest.raises(ControlError, match="the token that the broker printed"):
            Control(shared.port, "guess")
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
        with pytest.raises(ControlError, match=f"127.0.0.1:{port}"):
            Control(port, "any")


class TestWrongRequests:
    """What is answered to a request that cannot be understood."""

    @pytest.mark.parametrize(
        ("line", "words"),
        [
            (b"garbage", "one JSON object in UTF-8"),
            (b'"\xff"', "one JSON object in UTF-8"),
            (b"[1]", "not [1]"),
            (b"null", "not null"),
            (b"[" * 60_000, "one JSON object"),
            (b"9" * 60_000, "one JSON object"),
            (b'{"op": "advance", "seconds": NaN}', "NaN is no JSON"),
            (b"{}", "unknown op None; known: add_fault, advance"),
            (b'{"op": ["now"]}', "unknown op ['now']"),
            (b'{"op": "advanced"}', "did you mean advance?"),
            (b'{"op": "advance"}', "advance needs seconds, which is a number of seconds"),
            (b'{"op": "advance", "second": 1}', "unknown field of advance 'second'; did you mean seconds?"),
            (b'{"op": "advance", "seconds": "1"}', 'seconds of advance is a number of seconds, not "1"'),
            (b'{"op": "advance", "seconds": true}', "not true"),
            (b'{"op": "now", "zone": "UTC"}', "now has no fields, not even 'zone'"),
            (b'{"op": "wait", "kind": "channel.closed"}', "did you mean channel.close"),
            (b'{"op": "wait", "kind": "get", "where": {"que": 1}}', "did you mean queue"),
            (b'{"op": "wait", "kind": "get", "timeout": 1e9}', "from 0 to 600"),
            (b'{"op": "wait", "kind": "get", "since": -1}', "a whole number from 0 on, not -1"),
            (b'{"op": "events", "kinds": "get"}', "a list of kinds"),
            (b'{"op": "events", "kinds": ["got"]}', "unknown kind of event 'got'"),
            (b'{"op": "events", "limit": 0}', "from 1 to 10000"),
            (b'{"op": "add_fault", "point": "publish", "action": "drop", "times": -1}', "or null for always"),
        ],
    )
    def test_wrong_request_is_answered_with_what_would_be_right(
        self, friend: Raw, line: bytes, words: str
    ) -> None:
        """The answer is an error whose sentence helps, and the next request is served."""
        friend.say(line, b"\n")
        answer = friend.hear()
        assert answer is not None
        assert answer["error"] == "request"
        assert words in answer["text"]
        friend.say(b'{"op": "now"}\n')
        assert "ok" in (friend.hear() or {})

    def test_id_comes_back(self, friend: Raw) -> None:
        """Requests that are sent without waiting are answered in order, each with its id; blank lines do not count."""
        friend.say(b'{"op": "now", "id": 7}\n\r\n\n{"op": "never", "id": "x"}\n{"op": "now"}\n')
        answers = [friend.hear() or {} for _ in range(3)]
        assert [answer.get("id") for answer in answers] == [7, "x", None]
        assert ["ok" in answer for answer in answers] == [True, False, True]

    def test_endless_line_is_cut_off(self, friend: Raw) -> None:
        """A line without an end is answered, and the client turned away."""
        friend.say(b"x" * 300_000)
        answer = friend.hear()
        assert answer is not None
        assert "65536 bytes" in answer["text"]
        assert friend.hear() is None

    def test_half_closed_client_is_answered(self, friend: Raw) -> None:
        """Whoever sends its requests and then closes its half, as netcat does, gets every answer."""
        friend.say(b'{"op": "now"}\n{"op": "queues"}')
        friend.socket.shutdown(socket.SHUT_WR)
        assert "now" in (friend.hear() or {})["ok"]
        assert (friend.hear() or {})["ok"] == {"queues": []}
        assert friend.hear() is None

    def test_client_that_vanishes_leaves_nothing(self, friend: Raw) -> None:
        """A client may go in the middle of a line or of a wait."""
        friend.say(b'{"op": "wait", "kind": "return"}\n{"op": "adv')


def test_broker_stops_under_clients_that_wait(broker: BrokerProcess) -> None:
    """Closing a broker waits for nobody who waits, is idle, or has said nothing; they learn that it has gone."""
    errors: list[Exception] = []

    def watch(watcher: Control) -> None:
        try:
            watcher.wait("return", timeout=600)
        except ControlError as error:
            errors.append(error)

    silent = Raw(broker.port)
    with Control(broker.port, broker.token) as watcher, Control(broker.port, broker.token) as idle:
        thread = threading.Thread(target=watch, args=(watcher,))
        thread.start()
        broker.close()
        thread.join(10)
        with pytest.raises(ControlError, match=r"127\.0\.0\.1"):
            idle.now()
    assert len(errors) == 1
    assert silent.hear() is None
    silent.close()
    assert not Path(f"/proc/{broker.pid}").exists()
