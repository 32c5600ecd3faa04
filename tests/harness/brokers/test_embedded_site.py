"""The embedded broker in process, as the virtual stage uses it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import kombu
import pytest
from amqp import Message, PreconditionFailed

from celeriac.conformance import embedded
from celeriac.conformance.embedded import InProcessSite, VirtualClock
from celeriac.conformance.providers import LeaseTimes
from celeriac.conformance.site_gate import SiteGate
from celeriac.conformance.tap import CLIENT, PUBLISH, BlackHole, Census, Cut, Stall


class Scene:
    """A site, what it told of its broker, and its clock."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.events: list[embedded.Event] = []
        self.refused: list[float] = []
        self.site = InProcessSite(
            "embedded-site-test", self.clock, "channel-close", self.events.append, self.refused.append
        )

    def of(self, kind: str) -> list[Any]:
        """Answer the data of the events of one kind."""
        return [event.data for event in self.events if event.kind == kind]


@pytest.fixture
def scene() -> Iterator[Scene]:
    """A site with RabbitMQ's lease."""
    scene = Scene()
    yield scene
    scene.site.close()


def test_leases_have_their_real_times() -> None:
    """On virtual time the leases last as long as on the real brokers: half an hour, and an hour."""
    assert embedded.setting("channel-close")[1] == LeaseTimes(1800.0, 60.0, "channel-close")
    assert embedded.setting("redeliver")[1] == LeaseTimes(3600.0, 100.0, "redeliver")


def test_half_an_hour_costs_nothing(scene: Scene) -> None:
    """A delivery that is held for 31 virtual minutes closes its channel with 406."""
    with kombu.Connection(scene.site.url) as connection:
        channel = connection.channel()
        channel.queue_declare("q")
        channel.basic_publish(Message(b"x"), routing_key="q")
        channel.basic_consume("q", callback=lambda message: None)
        scene.clock.advance(1799)
        assert scene.of("channel.close") == []
        scene.clock.advance(61)
        connection.drain_events(timeout=1)
        with pytest.raises(PreconditionFailed, match="timed out"):
            connection.drain_events(timeout=1)
        connection.collect()
    assert scene.of("channel.close")[0]["code"] == 406


def test_refused_attempts_are_seen(scene: Scene) -> None:
    """A connection attempt that is turned away is told with its virtual moment, and others are not."""
    with kombu.Connection(scene.site.url) as connection:
        connection.connect()
        scene.site.refuse(True)
        scene.clock.advance(5)
        with pytest.raises(ConnectionRefusedError):
            kombu.Connection(scene.site.url)._establish_connection()
        scene.site.refuse(False)
        kombu.Connection(scene.site.url).connect()
    assert scene.refused == [(scene.clock.origin + timedelta(seconds=5)).timestamp()]


def test_a_cut_publish_is_lost_and_not_told(scene: Scene) -> None:
    """The next message is lost with its connection, and nobody sees it published; the one after arrives."""
    first, second = kombu.Connection(scene.site.url), kombu.Connection(scene.site.url)
    gate = SiteGate(scene.site)
    channel = first.channel()
    channel.queue_declare("q")
    gate.arm(Cut(CLIENT, PUBLISH))
    channel.basic_publish(Message(b"lost"), routing_key="q")
    with pytest.raises(ConnectionError):
        channel.basic_get("q")
    first.collect()
    channel = second.channel()
    channel.basic_publish(Message(b"kept"), routing_key="q")
    assert channel.basic_get("q", no_ack=True) is not None
    assert channel.basic_get("q") is None
    second.release()
    assert [data["body"] for data in scene.of("publish")] == [b"kept"]


def test_a_publish_is_cut_after_the_broker_has_it(scene: Scene) -> None:
    """A publish that is cut afterwards has reached the broker, and its confirmation never reaches the client."""
    gate = SiteGate(scene.site)
    connection = kombu.Connection(scene.site.url)
    channel = connection.channel()
    channel.queue_declare("q")
    gate.arm(cut := Cut(CLIENT, PUBLISH, when="after"))
    with pytest.raises(ConnectionResetError):
        channel.basic_publish_confirm(Message(b"kept"), routing_key="q")
    connection.collect()
    assert [data["body"] for data in scene.of("publish")] == [b"kept"]
    assert cut.fired == 1


def test_a_black_hole_answers_nobody(scene: Scene) -> None:
    """In a black hole whoever connects or speaks waits out its own time-out; whoever was silent lives on."""
    gate = SiteGate(scene.site)
    speaker, listener = kombu.Connection(scene.site.url), kombu.Connection(scene.site.url)
    channel, other = speaker.channel(), listener.channel()
    other.queue_declare("q")
    gate.arm(BlackHole())
    newcomer = kombu.Connection(scene.site.url, connect_timeout=7)
    before = scene.clock.monotonic()
    with pytest.raises(TimeoutError):
        newcomer._establish_connection()
    assert scene.clock.monotonic() - before == 7
    channel.basic_publish(Message(b"lost"), routing_key="q")
    with pytest.raises(TimeoutError):
        speaker.drain_events(timeout=1)
    gate.disarm()
    with pytest.raises(ConnectionError):
        channel.queue_declare("q")
    assert other.queue_declare("q", passive=True).message_count == 0
    speaker.collect()
    listener.release()


def test_frames_are_counted_in_process(scene: Scene) -> None:
    """The frames of a connection in process are counted as on the wire, and each is a place to cut before and after."""
    gate = SiteGate(scene.site)
    with kombu.Connection(scene.site.url) as connection:
        channel = connection.channel()
        gate.arm(census := Census())
        channel.queue_declare("q")
        channel.basic_publish(Message(b"x"), routing_key="q")
        gate.disarm(census)
    assert list(census.counts) == [
        ("client", "queue.declare"),
        ("broker", "queue.declare-ok"),
        ("client", "basic.publish"),
        ("client", "header"),
        ("client", "body"),
    ]
    assert [str(place) for place in census.places()][:2] == [
        "before the client's queue.declare number 1",
        "after the client's queue.declare number 1",
    ]


def test_nothing_waits_in_process(scene: Scene) -> None:
    """A fault that holds bytes back is refused in process, where it could only mislead."""
    with pytest.raises(NotImplementedError, match="Stall"):
        SiteGate(scene.site).arm(Stall(CLIENT))


def test_dropping_cuts_every_connection(scene: Scene) -> None:
    """After a drop the client's next word is a connection error."""
    connection = kombu.Connection(scene.site.url)
    channel = connection.channel()
    scene.site.drop()
    with pytest.raises(connection.connection_errors):
        channel.queue_declare("q")
    connection.collect()


def test_properties_are_read_by_name(scene: Scene) -> None:
    """The properties of a publish event come by name, headers excepted."""
    sent = Message(b"", application_headers={"id": "t"}, priority=3, reply_to="r")
    with kombu.Connection(scene.site.url) as connection, connection.channel() as channel:
        channel.basic_publish(sent, routing_key="q")
    (data,) = scene.of("publish")
    assert embedded.properties(data["properties"]) == {"priority": 3, "reply_to": "r"}
