"""What the tests of the broker's wire share: a bare AMQP client, brokers on TCP, the port of RabbitMQ."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from celeriac.reference.broker.broker import Broker
from celeriac.reference.broker.codec import (
    METHOD,
    PROTOCOL_HEADER,
    FrameReader,
    Method,
    decode_method,
    encode_method,
)
from celeriac.reference.broker.tcp import BrokerThread
from celeriac.reference.clock import WallClock

#: Seconds after which a test gives up waiting for something that has to happen.
PATIENCE = 10.0


class RawClient:
    """A client that sends whatever bytes it is told to."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = FrameReader()

    def send(self, *data: bytes) -> None:
        """Send bytes; a server that has closed already is no error."""
        try:
            self.socket.sendall(b"".join(data))
        except OSError:
            return

    def method(self, channel: int, name: str, *values: Any) -> None:
        """Send a method."""
        self.send(encode_method(channel, name, *values))

    def receive(self) -> Method | None:
        """Answer the next method, or None when the server has closed."""
        while True:
            for frame in self._reader:
                if frame.type == METHOD:
                    return decode_method(frame.payload)
            data = self.receive_bytes()
            if not data:
                return None
            self._reader.feed(data)

    def receive_bytes(self) -> bytes:
        """Answer whatever comes next; nothing when the server has closed or reset."""
        try:
            return self.socket.recv(65_536)
        except ConnectionResetError:
            return b""

    def expect(self, name: str) -> dict[str, Any]:
        """Answer the arguments of the next method, which must be this one."""
        method = self.receive()
        assert method is not None, f"the server closed instead of sending {name}"
        assert method.name == name, f"{method.name} {method.arguments} instead of {name}"
        return method.arguments

    def handshake(self, tuning: tuple[int, int, int] = (2047, 131_072, 0), **properties: Any) -> None:
        """Open the connection."""
        self.send(PROTOCOL_HEADER)
        self.expect("connection.start")
        self.method(0, "connection.start-ok", properties, "PLAIN", b"\0guest\0guest", "en_US")
        self.expect("connection.tune")
        self.method(0, "connection.tune-ok", *tuning)
        self.method(0, "connection.open", "/", "", False)
        self.expect("connection.open-ok")

    def open_channel(self, number: int = 1) -> None:
        """Open a channel."""
        self.method(number, "channel.open", "")
        self.expect("channel.open-ok")

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()


@pytest.fixture
def server() -> Iterator[BrokerThread]:
    """Serve an embedded broker on TCP."""
    with BrokerThread(Broker(WallClock())) as thread:
        yield thread


@pytest.fixture
def dial(server: BrokerThread) -> Iterator[Callable[[], RawClient]]:
    """Answer a function that connects a bare client to ``server``."""
    clients: list[RawClient] = []

    def connect() -> RawClient:
        clients.append(RawClient(server.port))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


@pytest.fixture(scope="session")
def rabbitmq_port(node_url: Callable[[str], str]) -> int:
    """Answer the port of the RabbitMQ that all areas of tests share."""
    port = urlsplit(node_url("rabbitmq")).port
    assert port is not None
    return port
