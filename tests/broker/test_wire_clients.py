"""Unmodified py-amqp and kombu, over TCP and in process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import amqp
import amqp.exceptions
import kombu
import kombu.exceptions
import pytest

from celeriac.reference.broker import inproc
from celeriac.reference.broker.broker import Broker
from celeriac.reference.broker.tcp import BrokerThread
from celeriac.reference.clock import DeadlockError, VirtualClock, WallClock

Connect = Callable[[], Any]

#: The consumer_timeout that RabbitMQ has by default, in the guide's words 30 minutes.
TIMED_OUT = (
    "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: 1800000 ms. "
    "This timeout value can be configured, see consumers doc guide to learn more"
)


@pytest.fixture
def clock() -> VirtualClock:
    """Make a clock that only tests move."""
    return VirtualClock()


@pytest.fixture
def site(clock: VirtualClock) -> Iterator[str]:
    """Listen at an in-process name; its broker runs on the virtual clock."""
    inproc.listen("Clients", Broker(clock))
    yield "clients"
    inproc.unlisten("clients")


@pytest.fixture(params=["tcp", "inproc"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Serve a broker over TCP or in process."""
    if request.param == "inproc":
        yield f"inproc://{request.getfixturevalue('site')}"
        return
    with BrokerThread(Broker(WallClock())) as server:
        yield server.url


@pytest.fixture
def connect(url: str) -> Iterator[Connect]:
    """Answer a function that opens a kombu connection to ``url``."""
    opened: list[kombu.Connection] = []

    def connection() -> kombu.Connection:
        opened.append(kombu.Connection(url))
        return opened[-1]

    yield connection
    for one in opened:
        one.release()


def drain(connection: kombu.Connection, done: Callable[[], bool]) -> None:
    """Serve callbacks until something holds; 10 s without any event is a failure."""
    while not done():
        connection.drain_events(timeout=10)


class TestPyAmqp:
    @pytest.fixture
    def channel(self, connect: Connect) -> Any:
        """Open a bare py-amqp channel with the queue q."""
        channel = connect().connection.channel()
        assert tuple(channel.queue_declare("q", auto_delete=False)) == ("q", 0, 0)
        return channel

    def test_publish_and_get(self, channel: Any) -> None:
        """Body, properties and headers arrive as they were published."""
        message = amqp.Message(
            b"\0\xff",
            content_type="application/x",
            priority=4,
            application_headers={"a": [1, None], "b": 0.1},
        )
        channel.basic_publish(message, routing_key="q")
        got = channel.basic_get("q")
        assert got.body == b"\0\xff"
        assert got.properties == message.properties
        assert got.delivery_info["redelivered"] is False
        channel.basic_ack(got.delivery_tag)
        assert channel.basic_get("q") is None

    def test_confirms(self, channel: Any) -> None:
        """A confirmed publish returns, an unroutable mandatory one is given back first."""
        returned: list[Any] = []
        channel.confirm_select()
        channel.events["basic_return"].add(lambda *args: returned.append(args))
        channel.basic_publish_confirm(amqp.Message("x"), routing_key="q")
        channel.basic_publish_confirm(amqp.Message("y"), routing_key="nowhere", mandatory=True)
        ((error, _exchange, key, message),) = returned
        assert (error.reply_code, key, message.body) == (312, "nowhere", "y")
        assert channel.queue_declare("q", passive=True).message_count == 1

    def test_consume_ack_reject_and_recover(self, channel: Any) -> None:
        """An ack settles, a rejected or recovered delivery comes again, marked as redelivered."""
        got: list[Any] = []
        for number in range(3):
            channel.basic_publish(amqp.Message(str(number)), routing_key="q")
        channel.basic_consume("q", callback=got.append)
        drain(channel.connection, lambda: len(got) == 3)
        channel.basic_ack(got[0].delivery_tag)
        channel.basic_reject(got[1].delivery_tag, requeue=True)
        drain(channel.connection, lambda: len(got) == 4)
        assert (got[3].body, got[3].delivery_info["redelivered"]) == ("1", True)
        channel.basic_recover(requeue=True)
        drain(channel.connection, lambda: len(got) == 6)
        assert sorted(message.body for message in got[4:]) == ["1", "2"]

    def test_a_transaction(self, channel: Any) -> None:
        """What is published in a transaction appears at commit, and never after rollback."""
        channel.tx_select()
        channel.basic_publish(amqp.Message("x"), routing_key="q")
        assert channel.queue_declare("q", passive=True).message_count == 0
        channel.tx_rollback()
        channel.basic_publish(amqp.Message("y"), routing_key="q")
        channel.tx_commit()
        assert channel.queue_declare("q", passive=True).message_count == 1

    @pytest.mark.parametrize(
        ("operation", "error"),
        [
            (lambda channel: channel.queue_declare("nope", passive=True), amqp.exceptions.NotFound),
            (lambda channel: channel.queue_declare("q", durable=True), amqp.exceptions.PreconditionFailed),
            (lambda channel: channel.exchange_declare("amq.x", "direct"), amqp.exceptions.AccessRefused),
            (lambda channel: channel.exchange_declare("x", "nope"), amqp.exceptions.InvalidCommand),
        ],
        ids=["404", "406", "403", "503"],
    )
    def test_errors_arrive_as_the_clients_own(
        self, channel: Any, operation: Callable[[Any], Any], error: type[Exception]
    ) -> None:
        """What the broker refuses is raised as the exception the client has for it."""
        with pytest.raises(error):
            operation(channel)

    def test_exchanges_are_bound_to_exchanges(self, channel: Any) -> None:
        """A message passes through bindings of topic, fanout and headers exchanges."""
        channel.exchange_declare("topics", "topic")
        channel.exchange_declare("everybody", "fanout")
        channel.exchange_bind("everybody", "topics", "logs.#")
        channel.queue_bind("q", "everybody")
        channel.basic_publish(amqp.Message("x"), exchange="topics", routing_key="logs.a.b")
        channel.basic_publish(amqp.Message("y"), exchange="topics", routing_key="other")
        assert channel.basic_get("q").body == "x"
        assert channel.basic_get("q") is None


class TestKombu:
    def test_producer_and_consumer(self, connect: Connect) -> None:
        """A producer with a policy and a consumer with a prefetch exchange a serialised message."""
        queue = kombu.Queue("jobs", kombu.Exchange("jobs", "direct"), routing_key="jobs")
        got: list[Any] = []
        with connect() as sending, connect() as receiving:
            producer = kombu.Producer(sending, serializer="json")
            producer.publish(
                {"n": 1}, exchange=queue.exchange, routing_key="jobs", declare=[queue], retry=True, priority=3
            )
            with kombu.Consumer(
                receiving, [queue], callbacks=[lambda body, message: got.append((body, message))]
            ) as c:
                c.qos(prefetch_count=1)
                drain(receiving, lambda: bool(got))
            body, message = got[0]
            assert body == {"n": 1}
            assert message.properties["priority"] == 3
            message.ack()

    def test_simple_queue(self, connect: Connect) -> None:
        """Kombu's SimpleQueue puts, gets and sees when there is nothing."""
        with connect() as connection:
            queue = connection.SimpleQueue("simple")
            queue.put({"a": 1})
            message = queue.get(timeout=10)
            assert message.payload == {"a": 1}
            message.ack()
            with pytest.raises(queue.Empty):
                queue.get(timeout=0.01)
            queue.close()

    def test_a_pool_hands_out_working_connections(self, connect: Connect) -> None:
        """A pooled producer can be used again and again."""
        with connect() as connection:
            pool = connection.Pool(2)
            for _ in range(3):
                with pool.acquire() as one:
                    one.default_channel.queue_declare("pooled", auto_delete=False)
            pool.force_close_all()

    def test_it_counts_as_a_broker_whose_prefetch_is_per_consumer(self, connect: Connect) -> None:
        """Kombu reads product and version, and does not use the global flag."""
        with connect() as connection:
            assert connection.transport.qos_semantics_matches_spec(connection.connection) is False


def test_a_celery_producer_sends_in_process(site: str) -> None:
    """Celery's own producer publishes through the in-process transport, confirmed and with its headers."""
    import celery

    with celery.Celery("app", broker=f"inproc://{site}", set_as_current=False) as app:
        app.conf.broker_transport_options = {"confirm_publish": True}
        sent = app.send_task("tasks.add", (2, 2), countdown=60, queue="celery")
        with kombu.Connection(f"inproc://{site}") as connection:
            message = connection.channel().basic_get("celery")
    assert message.headers["id"] == sent.id
    assert message.headers["task"] == "tasks.add"


class TestInProcess:
    def test_a_countdown_longer_than_the_consumer_timeout_costs_the_channel(
        self, site: str, clock: VirtualClock
    ) -> None:
        """A worker that holds a 31-minute countdown gets 406 after 30 minutes, and the message is in the queue."""
        with kombu.Connection(f"inproc://{site}") as connection:
            channel = connection.channel()
            channel.queue_declare("celery", durable=True, auto_delete=False)
            channel.basic_publish(amqp.Message("task"), routing_key="celery")
            got: list[Any] = []
            channel.basic_consume("celery", callback=got.append)
            connection.drain_events(timeout=1)
            taken = clock.monotonic()
            with pytest.raises(amqp.exceptions.PreconditionFailed) as failure:
                connection.drain_events(timeout=31 * 60)
            assert (failure.value.code, failure.value.reply_text) == (406, TIMED_OUT)
            assert 1800 <= clock.monotonic() - taken <= 1860
            again = connection.channel().basic_get("celery")
            assert (again.body, again.delivery_info["redelivered"]) == ("task", True)

    def test_a_countdown_shorter_than_the_consumer_timeout_costs_nothing(
        self, site: str, clock: VirtualClock
    ) -> None:
        """A worker that acks after 29 minutes is left alone."""
        with kombu.Connection(f"inproc://{site}") as connection:
            channel = connection.channel()
            channel.queue_declare("celery", auto_delete=False)
            channel.basic_publish(amqp.Message("task"), routing_key="celery")
            got: list[Any] = []
            channel.basic_consume("celery", callback=got.append)
            connection.drain_events(timeout=1)
            clock.advance(29 * 60)
            channel.basic_ack(got[0].delivery_tag)
            with pytest.raises(TimeoutError):
                connection.drain_events(timeout=86_400)
            assert tuple(channel.queue_declare("celery", passive=True))[1:] == (0, 1)

    def test_waiting_takes_virtual_time_only(self, site: str, clock: VirtualClock) -> None:
        """A client that waits a day for nothing times out a virtual day later."""
        with kombu.Connection(f"inproc://{site}") as connection:
            connection.connect()
            with pytest.raises(TimeoutError):
                connection.drain_events(timeout=86_400)
            assert clock.monotonic() == 86_400

    def test_not_waiting_takes_no_time(self, site: str, clock: VirtualClock) -> None:
        """With a timeout of zero nothing moves."""
        with kombu.Connection(f"inproc://{site}") as connection:
            connection.connect()
            with pytest.raises(TimeoutError):
                connection.drain_events(timeout=0)
            assert clock.monotonic() == 0

    def test_waiting_for_what_can_never_come_is_an_error(self, site: str) -> None:
        """Without a timeout and without anything due, the client is told instead of hanging."""
        with kombu.Connection(f"inproc://{site}") as connection:
            connection.connect()
            with pytest.raises(DeadlockError):
                connection.drain_events()

    def test_a_message_from_another_connection_ends_the_wait(self, site: str, clock: VirtualClock) -> None:
        """A party that publishes later in virtual time is heard at that moment."""
        with (
            kombu.Connection(f"inproc://{site}") as sending,
            kombu.Connection(f"inproc://{site}") as receiving,
        ):
            channel = receiving.channel()
            channel.queue_declare("q", auto_delete=False)
            got: list[Any] = []
            channel.basic_consume("q", no_ack=True, callback=got.append)
            producer = sending.channel()

            class Later:
                due: float | None = 100.0

                def step(self) -> bool:
                    if self.due is None or clock.monotonic() < self.due:
                        return False
                    self.due = None
                    producer.basic_publish(amqp.Message("late"), routing_key="q")
                    return True

                def next_due(self) -> float | None:
                    return self.due

            clock.attach(Later())
            receiving.drain_events(timeout=1000)
            assert (got[0].body, clock.monotonic()) == ("late", 100.0)

    def test_refused_connections_are_refused_and_recorded(self, site: str, clock: VirtualClock) -> None:
        """Refuse turns new clients away with the usual error, leaves the others alone, and every attempt is known."""
        seen: list[inproc.Attempt] = []
        inproc.on_attempt(site, seen.append)
        with kombu.Connection(f"inproc://{site}") as first, kombu.Connection(f"inproc://{site}") as second:
            first.connect()
            inproc.refuse(site, True)
            clock.advance(5)
            with pytest.raises(ConnectionRefusedError) as failure:
                second.transport.establish_connection()
            assert isinstance(failure.value, second.recoverable_connection_errors)
            first.channel().queue_declare("q", auto_delete=False)
            inproc.refuse(site, False)
            second.connect()
        start = clock.origin.timestamp()
        assert seen == inproc.attempts(site) == [(start, True), (start + 5, False), (start + 5, True)]

    def test_dropped_connections_are_reset(self, site: str) -> None:
        """Drop cuts every connection; clients see a recoverable error and may come again."""
        with kombu.Connection(f"inproc://{site}") as connection:
            channel = connection.channel()
            channel.queue_declare("q", auto_delete=False)
            inproc.drop(site)
            with pytest.raises(ConnectionResetError) as failure:
                channel.queue_declare("q", passive=True)
            assert isinstance(failure.value, connection.recoverable_connection_errors)
            connection.collect()
            connection.ensure_connection(max_retries=1)
            connection.channel().queue_declare("q", passive=True)

    def test_a_dropped_client_that_waits_wakes_up(self, site: str, clock: VirtualClock) -> None:
        """A connection that is cut while its client waits ends the wait with the error."""

        class Cutter:
            due: float | None = 10.0

            def step(self) -> bool:
                if self.due is None or clock.monotonic() < self.due:
                    return False
                self.due = None
                inproc.drop(site)
                return True

            def next_due(self) -> float | None:
                return self.due

        with kombu.Connection(f"inproc://{site}") as connection:
            connection.connect()
            clock.attach(Cutter())
            with pytest.raises(ConnectionResetError):
                connection.drain_events(timeout=100)
            assert clock.monotonic() == 10
            connection.collect()

    def test_a_cut_between_two_frames_reaches_the_client(self, clock: VirtualClock) -> None:
        """A fault that cuts the session is a reset for the client, with everything before it delivered."""
        broker = Broker(clock)
        broker.faults.add("publish", "cut")
        url = inproc.listen("cut", broker)
        try:
            connection = kombu.Connection(url)
            channel = connection.channel()
            channel.queue_declare("q", auto_delete=False)
            channel.basic_publish(amqp.Message("x"), routing_key="q")
            with pytest.raises(OSError, match="cut"):
                channel.queue_declare("q", passive=True)
            connection.collect()
        finally:
            inproc.unlisten("cut")

    def test_names_are_taken_once_and_freed(self, site: str, clock: VirtualClock) -> None:
        """A second broker at a name is refused; a name nobody listens at refuses connections and says what to do."""
        with pytest.raises(ValueError, match="taken"):
            inproc.listen(site.upper(), Broker(clock))
        with pytest.raises(
            ConnectionRefusedError, match=r"nobody listens at inproc://absent.*listen\('absent'"
        ):
            inproc.attempts("absent")
        inproc.unlisten("absent")

    def test_sockets_refuse_event_loops(self, site: str) -> None:
        """There is no file descriptor, and the error says so."""
        with kombu.Connection(f"inproc://{site}") as connection:
            connection.connect()
            with pytest.raises(OSError, match="no file descriptor"):
                connection.connection.sock.fileno()

    def test_two_runs_leave_the_same_record(self) -> None:
        """Invariant 33: the same calls on a fresh clock write the same events, moments included."""

        def run() -> list[Any]:
            clock = VirtualClock()
            broker = Broker(clock)
            url = inproc.listen("twice", broker)
            try:
                with kombu.Connection(url) as connection:
                    channel = connection.channel()
                    channel.queue_declare("q", auto_delete=False)
                    channel.basic_publish(amqp.Message("x", expiration="5000"), routing_key="q")
                    clock.advance(10)
                    channel.queue_delete("q")
            finally:
                inproc.unlisten("twice")
            return list(broker.events)

        assert run() == run()
