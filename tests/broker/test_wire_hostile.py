"""What a client can send over TCP that is wrong: the answer, and what it costs the others (nothing)."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from celeriac.reference.broker.broker import Broker
from celeriac.reference.broker.codec import (
    HEADER,
    HEARTBEAT_FRAME,
    METHOD,
    PROTOCOL_HEADER,
    encode_content,
    encode_frame,
    encode_method,
)
from celeriac.reference.broker.handshake import ServerOptions, Tuning
from celeriac.reference.broker.tcp import BrokerThread
from celeriac.reference.clock import WallClock

Dial = Callable[[], Any]

PUBLISH = encode_method(1, "basic.publish", 0, "", "safe", False, False)
NOWHERE = encode_method(1, "basic.publish", 0, "", "nowhere", False, False)


def header(
    size: int, *, class_id: int = 60, weight: int = 0, rest: bytes = b"\0\0", channel: int = 1
) -> bytes:
    """Encode a content header, good or bad."""
    return encode_frame(HEADER, channel, struct.pack(">HHQ", class_id, weight, size) + rest)


def method(class_id: int, method_id: int, arguments: bytes = b"", channel: int = 1) -> bytes:
    """Encode a method that the table may not know, with arguments that may not fit."""
    return encode_frame(METHOD, channel, struct.pack(">HH", class_id, method_id) + arguments)


GET = encode_method(1, "basic.get", 0, "safe", False)
NO_METHOD = "UNEXPECTED_FRAME - expected method frame, got non method frame instead"
NO_HEADER = "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead"
NO_BODY = "UNEXPECTED_FRAME - expected content body, got non content body frame instead"
NO_OPEN = "CHANNEL_ERROR - expected 'channel.open'"
RUNNING = "CHANNEL_ERROR - unexpected method in connection state running"
LOCKED = (
    "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'others' in vhost '/'. It could be originally "
    "declared on another connection or the exclusive property value does not match that of the original declaration."
)
UNKNOWN = "COMMAND_INVALID - unimplemented method"

#: What is sent on an open connection with channel 1, and the connection.close that answers it.
#: The texts are RabbitMQ 3.10's, but for those marked, where it drops the connection or crashes the channel.
CONNECTION_ERRORS = {
    "bad end octet": (
        PUBLISH[:-1] + b"\0",
        (
            501,
            "FRAME_ERROR - type 1, all octets = <<0,60,0,40,0,0,0,4,115,97,102,101,0>>: {invalid_frame_end_marker,0}",
        ),
    ),
    "frame too large": (
        struct.pack(">BHI", 3, 1, 131_073) + b"x",
        (501, "FRAME_ERROR - type 3, all octets = <<>>: {frame_too_large,131073,131064}"),
    ),
    "unknown frame type": (
        encode_frame(9, 1, b"hello world this is long"),
        (501, 'FRAME_ERROR - type 9, first 16 octets = <<"hello world this">>: unknown_frame'),
    ),
    "empty method frame": (
        encode_frame(1, 1, b""),
        (501, "FRAME_ERROR - type 1, all octets = <<>>: unknown_frame"),
    ),
    "heartbeat with payload": (
        encode_frame(8, 0, b"hey"),
        (501, 'FRAME_ERROR - type 8, all octets = <<"hey">>: unknown_frame'),
    ),
    "heartbeat on a channel": (
        encode_frame(8, 1, b""),
        (505, "UNEXPECTED_FRAME - type 8, all octets = <<>>"),
    ),
    "unknown method (ours)": (method(60, 99), (503, "COMMAND_INVALID - unknown method 60,99")),
    "unknown class (ours)": (method(77, 1), (503, "COMMAND_INVALID - unknown method 77,1")),
    "truncated arguments": (
        method(60, 40, b"\0\0\5ab"),
        (501, "FRAME_ERROR - cannot decode <<0,0,5,97,98>>", 60, 40),
    ),
    "surplus arguments": (
        method(60, 10, b"\0" * 9),
        (501, "FRAME_ERROR - cannot decode <<0,0,0,0,0,0,0,0,0>>", 60, 10),
    ),
    "name that is not UTF-8": (
        method(60, 70, b"\0\0\2q\xff\0"),
        (501, "FRAME_ERROR - Malformed UTF-8 in shortstr"),
    ),
    "table that is none (ours)": (
        method(50, 10, b"\0\0\1q\0\0\0\0\4\1aZ\0"),
        (501, "FRAME_ERROR - cannot decode <<0,0,1,113,0,0,0,0,4,1,97,90,0>>", 50, 10),
    ),
    "method on a closed channel": (encode_method(9, "basic.get", 0, "q", False), (504, NO_OPEN, 60, 70)),
    "close of a closed channel": (encode_method(7, "channel.close", 200, "", 0, 0), (504, NO_OPEN, 20, 40)),
    "body on a closed channel": (encode_frame(3, 9, b"abc"), (505, NO_METHOD)),
    "second open": (
        encode_method(1, "channel.open", ""),
        (504, "CHANNEL_ERROR - second 'channel.open' seen", 20, 10),
    ),
    "channel method on channel 0": (encode_method(0, "basic.get", 0, "q", False), (504, RUNNING, 60, 70)),
    "channel.open on channel 0": (encode_method(0, "channel.open", ""), (504, RUNNING, 20, 10)),
    "second login": (
        encode_method(0, "connection.start-ok", {}, "PLAIN", b"\0guest\0guest", "en_US"),
        (504, RUNNING, 10, 11),
    ),
    "close-ok out of the blue": (encode_method(0, "connection.close-ok"), (504, RUNNING, 10, 51)),
    "connection method on a channel": (
        encode_method(1, "connection.close", 200, "", 0, 0),
        (503, UNKNOWN, 10, 50),
    ),
    "server's method": (encode_method(1, "basic.get-empty", ""), (503, UNKNOWN, 60, 72)),
    "server's content": (
        encode_method(1, "basic.deliver", "", 1, False, "", "") + header(0),
        (503, UNKNOWN, 60, 60),
    ),
    "answer to nothing": (encode_method(1, "channel.close-ok"), (503, UNKNOWN, 20, 41)),
    "header on channel 0": (
        header(3, channel=0),
        (505, "UNEXPECTED_FRAME - type 2, all octets = <<0,60,0,0,0,0,0,0,0,0,0,3,0,0>>"),
    ),
    "body without publish": (encode_frame(3, 1, b"abc"), (505, NO_METHOD)),
    "header without publish": (header(3), (505, NO_METHOD)),
    "method inside content": (PUBLISH + GET, (505, NO_HEADER, 60, 40)),
    "method inside a body": (PUBLISH + header(5) + GET, (505, NO_BODY, 60, 40)),
    "two headers": (PUBLISH + header(5) * 2, (505, NO_BODY, 60, 40)),
    "body before header": (PUBLISH + encode_frame(3, 1, b"abc"), (505, NO_HEADER, 60, 40)),
    "body behind an empty body": (NOWHERE + header(0) + encode_frame(3, 1, b""), (505, NO_METHOD)),
    "header of another class": (
        PUBLISH + header(3, class_id=50),
        (
            505,
            "UNEXPECTED_FRAME - expected content header for class 60, got one for class 50 instead",
            60,
            40,
        ),
    ),
    "header with a weight": (PUBLISH + header(3, weight=7), (505, NO_HEADER, 60, 40)),
    "header too short": (
        PUBLISH + encode_frame(2, 1, b"\0\x3c\0"),
        (501, "FRAME_ERROR - type 2, all octets = <<0,60,0>>: unknown_frame"),
    ),
    "body longer than announced (ours)": (
        PUBLISH + header(3) + encode_frame(3, 1, b"abcdef"),
        (501, "FRAME_ERROR - content body has 6 octets or more, its header announced 3", 60, 40),
    ),
    "header without flags (ours)": (
        PUBLISH + header(0, rest=b""),
        (502, "SYNTAX_ERROR - a content header has at least 14 octets, this one has 12", 60, 40),
    ),
    "properties cut short (ours)": (
        PUBLISH + header(0, rest=b"\x80\0\x09abc"),
        (
            502,
            "SYNTAX_ERROR - content properties cannot be decoded: a short string is longer than its frame",
            60,
            40,
        ),
    ),
    "immediate": (
        encode_method(1, "basic.publish", 0, "", "safe", False, True) + header(0),
        (540, "NOT_IMPLEMENTED - immediate=true", 60, 40),
    ),
    "flow off": (encode_method(1, "channel.flow", False), (540, "NOT_IMPLEMENTED - active=false", 20, 20)),
    "prefetch size": (
        encode_method(1, "basic.qos", 5, 0, False),
        (540, "NOT_IMPLEMENTED - prefetch_size!=0 (5)", 60, 10),
    ),
    "recover without requeue": (
        encode_method(1, "basic.recover", False),
        (540, "NOT_IMPLEMENTED - requeue=false", 60, 110),
    ),
    "unknown exchange type": (
        encode_method(1, "exchange.declare", 0, "x", "x-nope", False, False, False, False, False, {}),
        (503, "COMMAND_INVALID - unknown exchange type 'x-nope'", 40, 10),
    ),
}

#: What is sent on channel 1, and the channel.close that answers it.
CHANNEL_ERRORS = {
    "missing queue": (
        encode_method(1, "basic.get", 0, "nope", False),
        (404, "NOT_FOUND - no queue 'nope' in vhost '/'", 60, 70),
    ),
    "missing exchange": (
        encode_method(1, "basic.publish", 0, "nope", "q", False, False) + header(0),
        (404, "NOT_FOUND - no exchange 'nope' in vhost '/'", 60, 40),
    ),
    "unknown delivery tag": (
        encode_method(1, "basic.ack", 5, False),
        (406, "PRECONDITION_FAILED - unknown delivery tag 5", 60, 80),
    ),
    "commit without transaction": (
        encode_method(1, "tx.commit"),
        (406, "PRECONDITION_FAILED - channel is not transactional", 90, 20),
    ),
    "somebody else's exclusive queue": (
        encode_method(1, "queue.declare", 0, "others", True, False, False, False, False, {}),
        (
            405,
            LOCKED,
            50,
            10,
        ),
    ),
}


@pytest.fixture
def witness(dial: Dial) -> Any:
    """Open a second connection that owns a queue, has a confirmed message in another, and must notice nothing."""
    client = dial()
    client.handshake()
    client.open_channel()
    client.method(1, "queue.declare", 0, "others", False, False, True, False, False, {})
    client.expect("queue.declare-ok")
    client.method(1, "queue.declare", 0, "safe", False, False, False, False, False, {})
    client.expect("queue.declare-ok")
    client.method(1, "confirm.select", False)
    client.expect("confirm.select-ok")
    client.send(PUBLISH, encode_content(1, b"\0\0", b"kept"))
    assert client.expect("basic.ack") == {"delivery_tag": 1, "multiple": False}
    return client


def unharmed(witness: Any, dial: Dial) -> None:
    """Check that the message is still there, for the witness and for somebody new."""
    witness.method(1, "queue.declare", 0, "safe", True, False, False, False, False, {})
    assert witness.expect("queue.declare-ok")["message_count"] == 1
    somebody = dial()
    somebody.handshake()
    somebody.open_channel()


@pytest.mark.parametrize(("sent", "close"), CONNECTION_ERRORS.values(), ids=CONNECTION_ERRORS)
def test_a_connection_error_costs_one_connection(
    sent: bytes, close: tuple[Any, ...], witness: Any, dial: Dial
) -> None:
    """Each malformed input is answered with its code and text, and harms nobody else."""
    client = dial()
    client.handshake()
    client.open_channel()
    client.send(sent)
    answer = client.expect("connection.close")
    client.method(0, "connection.close-ok")
    assert tuple(answer.values()) == (*close, 0, 0)[:4]
    assert client.receive() is None
    unharmed(witness, dial)


@pytest.mark.parametrize(("sent", "close"), CHANNEL_ERRORS.values(), ids=CHANNEL_ERRORS)
def test_a_channel_error_costs_one_channel(
    sent: bytes, close: tuple[Any, ...], witness: Any, dial: Dial
) -> None:
    """After an error of its channel a client goes on with the others, and may open it again."""
    client = dial()
    client.handshake()
    client.open_channel(1)
    client.open_channel(2)
    client.send(sent)
    assert tuple(client.expect("channel.close").values()) == close
    client.method(1, "channel.close-ok")
    client.open_channel(1)
    client.method(2, "queue.declare", 0, "safe", True, False, False, False, False, {})
    assert client.expect("queue.declare-ok")["message_count"] == 1
    unharmed(witness, dial)


@pytest.mark.parametrize("noise", [b"GET / HTTP/1.1\r\n\r\n", b"AMQP\1\1\0\x0a", b"\0" * 100, b"A" * 8])
def test_other_protocols_are_told_which_this_is(noise: bytes, witness: Any, dial: Dial) -> None:
    """A wrong protocol header is answered with the right one, then the connection ends."""
    client = dial()
    client.send(noise)
    assert client.receive_bytes() == PROTOCOL_HEADER
    assert client.receive_bytes() == b""
    unharmed(witness, dial)


def test_too_many_channels_are_refused(dial: Dial) -> None:
    """channel_max limits how many channels are open, not their numbers."""
    client = dial()
    client.handshake(tuning=(2, 131_072, 0))
    client.open_channel(65_535)
    client.open_channel(7)
    client.method(3, "channel.open", "")
    assert client.expect("connection.close")["reply_text"] == (
        "NOT_ALLOWED - number of channels opened (2) has reached the negotiated channel_max (2)"
    )


def test_a_vanished_client_gives_back_what_it_held(witness: Any, dial: Dial) -> None:
    """A message in the hands of a client that disconnects without a word is ready again, marked as redelivered."""
    thief = dial()
    thief.handshake()
    thief.open_channel()
    thief.send(GET)
    thief.expect("basic.get-ok")
    thief.close()
    deadline = time.monotonic() + 10
    count = 0
    while not count and time.monotonic() < deadline:
        witness.method(1, "queue.declare", 0, "safe", True, False, False, False, False, {})
        count = witness.expect("queue.declare-ok")["message_count"]
    witness.send(GET)
    assert witness.expect("basic.get-ok")["redelivered"] is True


def test_what_follows_a_close_does_not_reset_the_connection(dial: Dial) -> None:
    """A client that closes ahead of its own queued publishes can still read close-ok."""
    client = dial()
    client.handshake()
    client.open_channel()
    bye = encode_method(0, "connection.close", 200, "", 0, 0)
    client.send(bye, (PUBLISH + encode_content(1, b"\0\0", b"x" * 50_000)) * 40)
    client.expect("connection.close-ok")
    assert client.receive() is None


class TestHeartbeats:
    @pytest.fixture
    def server(self) -> Iterator[BrokerThread]:
        """Serve a broker that offers a heartbeat of one second."""
        options = ServerOptions(tuning=Tuning(heartbeat=1))
        with BrokerThread(Broker(WallClock()), options=options) as thread:
            yield thread

    def test_the_server_sends_heartbeats(self, dial: Dial) -> None:
        """A client that asked for heartbeats hears them while nothing else is said."""
        client = dial()
        client.handshake(tuning=(2047, 131_072, 1))
        client.send(HEARTBEAT_FRAME)
        assert client.receive_bytes() == HEARTBEAT_FRAME

    def test_a_silent_client_is_dropped(self, server: BrokerThread, dial: Dial) -> None:
        """A client that sends nothing for twice the heartbeat is gone for the broker."""
        client = dial()
        client.handshake(tuning=(2047, 131_072, 1))
        while client.receive_bytes():
            continue
        assert server.call(lambda: len(server.broker.sessions)) == 0


class TestThread:
    def test_calls_run_on_the_thread_of_the_broker_and_pass_errors_on(self, server: BrokerThread) -> None:
        """Call gives back what the function gives, or raises what it raises."""
        assert server.call(lambda: sorted(server.broker.queues)) == []
        with pytest.raises(ZeroDivisionError):
            server.call(lambda: 1 / 0)

    def test_a_taken_port_is_an_os_error(self, server: BrokerThread) -> None:
        """Starting on a port in use fails at once and leaves nothing behind."""
        second = BrokerThread(Broker(WallClock()), port=server.port)
        with pytest.raises(OSError, match="in use"):
            second.start()
        second.stop()

    def test_stopping_cuts_every_connection(self, server: BrokerThread, dial: Dial) -> None:
        """Clients of a stopped server see the end; stopping again is harmless."""
        client = dial()
        client.handshake()
        server.stop()
        assert client.receive() is None
        server.stop()

    def test_time_limits_run_on_the_wall_clock(self, dial: Dial) -> None:
        """A message with a TTL of 50 ms is gone without anybody asking."""
        client = dial()
        client.handshake()
        client.open_channel()
        arguments = {"x-message-ttl": 50, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
        client.method(1, "queue.declare", 0, "dead", False, False, True, False, False, {})
        client.expect("queue.declare-ok")
        client.method(1, "queue.declare", 0, "short", False, False, True, False, False, arguments)
        client.expect("queue.declare-ok")
        client.method(1, "basic.consume", 0, "dead", "c", False, True, False, False, {})
        client.expect("basic.consume-ok")
        publish = encode_method(1, "basic.publish", 0, "", "short", False, False)
        client.send(publish, encode_content(1, b"\0\0", b"x"))
        assert client.expect("basic.deliver")["routing_key"] == "dead"
