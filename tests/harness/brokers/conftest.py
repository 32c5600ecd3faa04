"""Brokers and taps for the tests of both."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from celeriac.conformance.embedded import WallClock
from celeriac.conformance.history import History
from celeriac.conformance.providers import Lease, Node, Provider, Unavailable, find
from celeriac.conformance.tap import Tap
from celeriac.conformance.verdicts import NotApplicable
from tests.harness.brokers.lines import Line

#: Seconds after which something that must happen has not happened.
PATIENCE = 20.0


def obtain(flavour: str, source: str | None = None, lease: Lease | None = None) -> Provider:
    """Answer a provider whose broker runs; a missing one is skipped loudly, and a failure in CI.

    A version that has no such lease is skipped anywhere: it is there, and another would be another test.
    """
    provider = find(flavour, source)
    try:
        provider.node(lease)
    except NotApplicable as exc:
        provider.close()
        pytest.skip(f"NOT TESTED with this {flavour} from {source}: {exc}")
    except Unavailable as exc:
        provider.close()
        if os.environ.get("CI") == "true":
            pytest.fail(f"{flavour} from {source} is needed in CI: {exc}")
        pytest.skip(f"NOT TESTED, no {flavour} from {source}: {exc}")
    return provider


@pytest.fixture(name="obtain")
def _obtain() -> Callable[..., Provider]:
    return obtain


@pytest.fixture(scope="session")
def valkey() -> Iterator[Node]:
    """A Redis-protocol server."""
    with obtain("valkey", "process") as provider:
        yield provider.node("redeliver")


@pytest.fixture(scope="session")
def rabbit() -> Iterator[Provider]:
    """A provider with a private RabbitMQ whose lease is short."""
    with obtain("rabbitmq", "process", "channel-close") as provider:
        yield provider


@pytest.fixture
def history() -> History:
    """An empty history."""
    return History()


@pytest.fixture
def tapped(history: History) -> Iterator[Callable[..., Tap]]:
    """Put a tap in front of a node; closed at the end of the test."""
    taps: list[Tap] = []

    def put(node: Node, **options: Any) -> Tap:
        tap = Tap(node.host, node.port, node.link, history, **options)
        tap.start()
        taps.append(tap)
        return tap

    yield put
    for tap in taps:
        tap.close()


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], None]:
    """Wait for something that must happen."""

    def wait(predicate: Callable[[], bool]) -> None:
        assert WallClock().wait_for(predicate, PATIENCE), f"did not happen within {PATIENCE} s"

    return wait


@pytest.fixture(scope="session")
def embedded() -> Iterator[Node]:
    """The embedded broker on TCP."""
    with find("embedded") as provider:
        yield provider.node()


@pytest.fixture(params=["embedded", "valkey", "rabbit"])
def node(request: pytest.FixtureRequest) -> Node:
    """A broker of either protocol."""
    found = request.getfixturevalue(request.param)
    return found.node("channel-close") if isinstance(found, Provider) else found


@pytest.fixture
def lines(tapped: Callable[..., Tap]) -> Iterator[Callable[[Node], Line]]:
    """Lay a line to a broker; closed at the end of the test."""
    laid: list[Line] = []

    def lay(node: Node) -> Line:
        laid.append(Line(node, tapped(node)))
        return laid[-1]

    yield lay
    for line in laid:
        line.close()


@pytest.fixture
def line(node: Node, lines: Callable[[Node], Line]) -> Line:
    """A line to a broker."""
    return lines(node)


class ScriptedServer:
    """A server that keeps what it is sent and says what it is told.

    Attributes:
        received: the bytes of all clients, in order of arrival.
        ended: set when a client has closed its side.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.received = bytearray()
        self.ended = threading.Event()
        self.clients: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.clients.append(client)
            threading.Thread(target=self._read, args=(client,), daemon=True).start()

    def _read(self, client: socket.socket) -> None:
        try:
            while data := client.recv(65536):
                self.received += data
        except OSError:
            pass
        self.ended.set()

    def close(self) -> None:
        """Stop listening and hang up."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for client in self.clients:
            client.close()


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A server that understands nothing."""
    scripted = ScriptedServer()
    yield scripted
    scripted.close()
