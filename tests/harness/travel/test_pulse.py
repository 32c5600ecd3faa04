"""Signs of life: who has noticed that time was moved, and who waits for how long."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from celeriac.conformance.history import History
from celeriac.conformance.providers import Node
from celeriac.conformance.tap import Tap
from celeriac.conformance.tap.observer import BROKER, CLIENT, Frame
from celeriac.conformance.tap.pulse import Pulse


class Scene:
    """A pulse, a clock that the test moves, and two connections."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.pulse = Pulse(lambda: self.seconds)

    def client(self, connection: int, name: str, value: Any = None) -> None:
        """Let a client say something."""
        self.pulse(connection, Frame(CLIENT, name, 0, value))

    def broker(self, connection: int, name: str) -> None:
        """Let the broker say something."""
        self.pulse(connection, Frame(BROKER, name, 0, None))

    def tunes(self, connection: int, heartbeat: int) -> None:
        """Let a client agree to an interval."""
        self.client(connection, "connection.tune-ok", SimpleNamespace(arguments={"heartbeat": heartbeat}))

    def asks(self, connection: int, *words: str) -> None:
        """Let a client send a command of Redis."""
        self.client(connection, words[0], [word.encode() for word in words])


@pytest.fixture
def scene() -> Scene:
    """Nobody has said anything yet."""
    return Scene()


def test_a_client_that_is_silent_for_its_interval_lags(scene: Scene) -> None:
    """A client of AMQP lags once it has been silent for more than the interval that it agreed to, until it speaks."""
    scene.tunes(1, 60)
    scene.seconds = 60.0
    assert scene.pulse.lagging({1}) == set()
    scene.seconds = 60.5
    assert scene.pulse.lagging({1}) == {1}
    scene.broker(1, "basic.deliver")
    assert scene.pulse.lagging({1}) == {1}
    scene.client(1, "heartbeat")
    assert scene.pulse.lagging({1}) == set()


def test_far_moves_leave_a_client_time_for_two_of_them(scene: Scene) -> None:
    """Where time is moved by more than an interval a client may be silent for its interval and two moves, no longer."""
    scene.tunes(1, 60)
    scene.seconds = 240.0
    assert scene.pulse.lagging({1}, 90.0) == set()
    assert scene.pulse.lagging({1}, 89.0) == scene.pulse.lagging({1}) == {1}


def test_a_client_that_promised_nothing_never_lags(scene: Scene) -> None:
    """Without an interval nobody knows when a client should speak, so it is not waited for."""
    scene.tunes(1, 0)
    scene.client(2, "connection.start-ok")
    scene.seconds = 1e6
    assert scene.pulse.lagging({1, 2}) == set()


def test_only_open_connections_lag(scene: Scene) -> None:
    """A connection that is gone lags no more, and one that is not known to be open yet is not forgotten."""
    for connection in (1, 2):
        scene.tunes(connection, 60)
    scene.asks(3, "BRPOP", "q", "0")
    scene.seconds = 100.0
    assert scene.pulse.lagging({2}) == {2}
    assert scene.pulse.longest_waits({2}) == []
    assert scene.pulse.lagging({1, 2}) == {1, 2}
    assert scene.pulse.longest_waits({1, 2, 3}) == [0.0]


def test_a_blocked_client_whose_wait_was_ended_lags_until_it_asks_again(scene: Scene) -> None:
    """Between the answer to a blocking command of Redis and the next command a client has not caught up."""
    scene.asks(1, "BRPOP", "q", "1")
    assert scene.pulse.lagging({1}) == set()
    scene.broker(1, "reply")
    assert scene.pulse.lagging({1}) == {1}
    scene.asks(1, "GET", "k")
    assert scene.pulse.lagging({1}) == set()


def test_other_answers_keep_nobody(scene: Scene) -> None:
    """The answer to a command that does not wait makes nobody late."""
    scene.asks(1, "LPUSH", "q", "m")
    scene.broker(1, "reply")
    assert scene.pulse.lagging({1}) == set()
    assert scene.pulse.longest_waits({1}) == []


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        (("BRPOP", "a", "b", "1"), 1.0),
        (("BLPOP", "a", "2.5"), 2.5),
        (("BRPOPLPUSH", "a", "b", "3"), 3.0),
        (("BLMOVE", "a", "b", "LEFT", "RIGHT", "4"), 4.0),
        (("BRPOP", "a", "0"), 0.0),
        (("BRPOP", "a", "soon"), 0.0),
    ],
)
def test_waits_are_told(scene: Scene, words: tuple[str, ...], seconds: float) -> None:
    """How long a command waits is its last argument; 0, or what is no number, is for ever."""
    scene.asks(1, *words)
    assert scene.pulse.longest_waits({1}) == [seconds]
    scene.broker(1, "reply")
    assert scene.pulse.longest_waits({1}) == []


def test_an_unmodified_client_of_redis_is_followed(
    server: Node, history: History, until: Callable[[Callable[[], bool]], None]
) -> None:
    """redis-py, blocked through the tap, is seen to wait, and lags when its wait is ended until it asks again."""
    scene = Scene()
    with Tap(server.host, server.port, "redis", history, on_frame=scene.pulse) as tap:
        client: Any = redis.Redis.from_url(server.url_at(tap.port), socket_timeout=30)
        owner: Any = redis.Redis.from_url(server.url)
        identity = client.client_id()
        blocked = threading.Thread(target=client.blpop, args=(["nothing"], 900))
        blocked.start()
        until(lambda: scene.pulse.longest_waits(tap.connections()) == [900.0])
        until(lambda: bool(owner.client_unblock(identity)))
        blocked.join(20)
        assert scene.pulse.lagging(tap.connections()) == tap.connections() != set()
        client.ping()
        assert scene.pulse.lagging(tap.connections()) == set()
        client.close()
        owner.close()
