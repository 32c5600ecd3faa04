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
    assert embedded.lease_times("channel-close") == LeaseTimes(1800.0, 60.0, "channel-close")
    assert embedded.lease_times("redeliver") == LeaseTimes(3600.0, 100.0, "redeliver")


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
    channel = first.channel()
    channel.queue_declare("q")
    scene.site.cut_next_publish()
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
