"""The server's side of a connection, without a socket."""

from __future__ import annotations

import pytest
from hypothesis import settings

from celeriac.reference.broker.broker import Broker
from celeriac.reference.broker.codec import (
    BODY,
    HEADER,
    PROTOCOL_HEADER,
    decode_content_header,
    encode_content,
    encode_frame,
    encode_method,
)
from celeriac.reference.broker.fields import (
    Field,
    decode_properties,
    encode_properties,
    encode_table,
    read_fields,
    split_properties,
)
from celeriac.reference.broker.handshake import ServerOptions, Tuning
from celeriac.reference.clock import VirtualClock
from tests.broker.wire import CONFIRM, CONSUME, DECLARE, GOODBYE, HANDSHAKE, Wire, method_of, publish

verdict = settings(derandomize=True, database=None, deadline=None, max_examples=100)


@pytest.fixture
def wire() -> Wire:
    """Open a connection with channel 1 and the queue q."""
    wire = Wire()
    wire.say(*HANDSHAKE, DECLARE)
    return wire


class TestHandshake:
    def test_it_says_what_it_is(self) -> None:
        """The server calls itself RabbitMQ in the dialect's version, and a test broker in plain words."""
        ((name, values),) = Wire().methods(PROTOCOL_HEADER)
        assert name == "connection.start"
        assert values[2]["product"] == "RabbitMQ"
        assert values[2]["version"] == "3.10.8"
        assert "test broker" in values[2]["information"]
        assert values[2]["capabilities"]["authentication_failure_close"] is True

    @pytest.mark.parametrize("header", [b"GET / HT", b"AMQP\1\1\0\x0a", b"AMQP\0\1\0\0", b"A-"])
    def test_a_wrong_protocol_header_is_answered_with_the_right_one(self, header: bytes) -> None:
        """Whoever speaks another protocol is told this one, and the connection ends."""
        connection = Wire().connection
        connection.feed(header)
        assert connection.outgoing() == PROTOCOL_HEADER
        assert connection.closed

    @pytest.mark.parametrize(
        ("mechanism", "response"),
        [
            ("PLAIN", b"\0guest\0guest"),
            ("PLAIN", b"guest\0guest\0guest"),
            ("AMQPLAIN", encode_table({"LOGIN": "guest", "PASSWORD": "guest"})[4:]),
        ],
    )
    def test_good_credentials_are_tuned(self, mechanism: str, response: bytes) -> None:
        """PLAIN and AMQPLAIN let guest in."""
        start_ok = encode_method(0, "connection.start-ok", {}, mechanism, response, "en_US")
        assert Wire().methods(PROTOCOL_HEADER, start_ok)[1] == ("connection.tune", (2047, 131_072, 60))

    @pytest.mark.parametrize(
        ("mechanism", "response"),
        [
            ("PLAIN", b"\0guest\0wrong"),
            ("PLAIN", b"\0nobody\0guest"),
            ("PLAIN", b"garbage"),
            ("AMQPLAIN", b"garbage"),
            ("AMQPLAIN", b""),
            ("EXTERNAL", b""),
        ],
    )
    def test_bad_credentials_are_refused(self, mechanism: str, response: bytes) -> None:
        """A client that announced authentication_failure_close hears 403, another one is dropped."""
        aware = {"capabilities": {"authentication_failure_close": True}}
        for properties, answered in ((aware, True), ({}, False)):
            wire = Wire()
            start_ok = encode_method(0, "connection.start-ok", properties, mechanism, response, "en_US")
            answers = wire.methods(PROTOCOL_HEADER, start_ok)[1:]
            assert [(name, values[0]) for name, values in answers] == [("connection.close", 403)] * answered
            assert wire.connection.closed is not answered

    def test_credentials_can_be_configured(self) -> None:
        """Other users than guest can be let in instead."""
        wire = Wire(options=ServerOptions({"ada": "engine"}, Tuning(heartbeat=5)))
        start_ok = encode_method(0, "connection.start-ok", {}, "PLAIN", b"\0ada\0engine", "en_US")
        assert wire.methods(PROTOCOL_HEADER, start_ok)[1] == ("connection.tune", (2047, 131_072, 5))

    def test_only_the_one_virtual_host_exists(self) -> None:
        """Another virtual host is 530 with RabbitMQ's text."""
        wire = Wire()
        ((_, values),) = wire.methods(
            *HANDSHAKE[:3], encode_method(0, "connection.open", "other", "", False)
        )[2:]
        assert values == (530, "NOT_ALLOWED - vhost other not found", 10, 40)

    @pytest.mark.parametrize(
        ("tuning", "text"),
        [
            (
                (0, 131_072, 0),
                "negotiated channel_max = 0 (no limit) is higher than the maximum allowed value (2047)",
            ),
            (
                (2047, 131_073, 0),
                "negotiated frame_max = 131073 is higher than the maximum allowed value (131072)",
            ),
            ((2047, 4095, 0), "negotiated frame_max = 4095 is lower than the minimum allowed value (4096)"),
        ],
    )
    def test_impossible_limits_are_refused(self, tuning: tuple[int, int, int], text: str) -> None:
        """What lies beyond the offer is not agreed to."""
        ((name, values),) = Wire().methods(*HANDSHAKE[:2], encode_method(0, "connection.tune-ok", *tuning))[
            2:
        ]
        assert (name, values[:2]) == ("connection.close", (530, f"NOT_ALLOWED - {text}"))

    def test_steps_out_of_turn_are_refused(self) -> None:
        """Opening before logging in is a channel error that names the state."""
        ((_, values),) = Wire().methods(PROTOCOL_HEADER, HANDSHAKE[3])[1:]
        assert values == (504, "CHANNEL_ERROR - unexpected method in connection state starting", 10, 40)

    def test_a_client_may_leave_before_it_is_in(self) -> None:
        """connection.close is answered at every stage."""
        wire = Wire()
        assert wire.methods(PROTOCOL_HEADER, GOODBYE)[1:] == [("connection.close-ok", ())]
        assert wire.connection.closed


class TestContent:
    def test_property_bytes_and_body_are_delivered_verbatim(self, wire: Wire) -> None:
        """What a consumer gets is what was published, to the byte."""
        raw = encode_properties({"headers": {"x": Field("f", 0.1), "s": Field("s", 3)}, "priority": 3})
        frames = wire.say(CONSUME, publish(b"\0binary\xff", properties=raw))
        assert [frame.payload[12:] for frame in frames if frame.type == HEADER] == [raw]
        assert [frame.payload for frame in frames if frame.type == BODY] == [b"\0binary\xff"]

    def test_large_bodies_travel_in_pieces(self) -> None:
        """A body larger than a frame is taken in pieces and delivered in frames of the agreed size."""
        wire = Wire()
        tune_ok = encode_method(0, "connection.tune-ok", 2047, 4096, 0)
        wire.say(*HANDSHAKE[:2], tune_ok, *HANDSHAKE[3:], DECLARE, CONSUME)
        body = bytes(range(256)) * 64
        content = encode_content(1, b"\0\0", body, 4096)
        frames = wire.say(encode_method(1, "basic.publish", 0, "", "q", False, False) + content)
        assert decode_content_header(frames[1].payload).body_size == len(body)
        assert b"".join(frame.payload for frame in frames[2:]) == body
        assert max(len(frame.payload) + 8 for frame in frames) == 4096

    def test_what_the_broker_changes_keeps_its_types(self, wire: Wire) -> None:
        """A dead letter has x-death, no expiration, and every other header in its own type."""
        dead = encode_method(1, "queue.declare", 0, "dead", False, False, False, False, False, {})
        arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
        short = encode_method(1, "queue.declare", 0, "short", False, False, False, False, False, arguments)
        raw = encode_properties({"headers": {"x": Field("f", 0.1), "s": Field("s", 3)}, "expiration": "5"})
        wire.say(dead, short, publish(key="short", properties=raw))
        wire.broker.clock.attach(wire.broker)
        wire.broker.clock.advance(1)
        frames = wire.say(encode_method(1, "basic.get", 0, "dead", True))
        properties = decode_content_header(frames[1].payload).properties
        headers = read_fields(split_properties(properties)["headers"])[0]
        assert headers["x"] == Field("f", pytest.approx(0.1))
        assert headers["s"] == Field("s", 3)
        assert decode_properties(properties)["headers"]["x-death"][0]["reason"] == "expired"
        assert "expiration" not in decode_properties(properties)

    def test_an_unroutable_mandatory_message_comes_back_before_its_confirm(self, wire: Wire) -> None:
        """basic.return with the content, then the ack."""
        frames = wire.say(CONFIRM, publish(b"back", "nowhere", mandatory=True))[1:]
        methods = [method for method in map(method_of, frames) if method]
        assert [method.name for method in methods] == ["basic.return", "basic.ack"]
        assert methods[0].values == (312, "NO_ROUTE", "", "nowhere")
        assert frames[2].payload == b"back"

    def test_a_body_beyond_the_limit_costs_the_channel_before_it_is_sent(self, wire: Wire) -> None:
        """The announced size alone is refused with 406; the rest of the body is thrown away."""
        size = 134_217_729
        header = encode_frame(HEADER, 1, b"\0\x3c\0\0" + size.to_bytes(8) + b"\0\0")
        start = encode_method(1, "basic.publish", 0, "", "q", False, False)
        ((name, values),) = wire.methods(start + header)
        assert name == "channel.close"
        assert (
            values[1]
            == f"PRECONDITION_FAILED - message size {size} is larger than configured max size {size - 1}"
        )
        assert wire.methods(encode_frame(BODY, 1, b"x" * 1000)) == []


class TestConfirms:
    def test_confirms_of_one_chunk_are_one_ack(self, wire: Wire) -> None:
        """Three publishes received together are confirmed together."""
        assert wire.methods(CONFIRM, publish() * 3)[1:] == [("basic.ack", (3, True))]
        assert wire.methods(publish()) == [("basic.ack", (4, False))]

    def test_confirms_leave_before_a_close(self, wire: Wire) -> None:
        """What was taken is confirmed before the channel or the connection closes, whoever closes it."""
        bad = encode_method(1, "basic.ack", 99, False)
        assert [name for name, _ in wire.methods(CONFIRM, publish() * 2 + bad)[1:]] == [
            "basic.ack",
            "channel.close",
        ]
        again = encode_method(1, "channel.close-ok") + HANDSHAKE[4] + CONFIRM
        wire.say(again)
        leave = encode_method(1, "channel.close", 200, "", 0, 0)
        assert [name for name, _ in wire.methods(publish() + leave)] == ["basic.ack", "channel.close-ok"]
        wire.say(HANDSHAKE[4] + CONFIRM)
        assert [name for name, _ in wire.methods(publish() + GOODBYE)] == ["basic.ack", "connection.close-ok"]

    def test_a_nack_is_not_overtaken(self, wire: Wire) -> None:
        """Confirms before a refused publish leave before its nack, and none of them claims its tag."""
        wire.broker.faults.add("publish", "nack", after=2)
        assert wire.methods(CONFIRM, publish() * 4)[1:] == [
            ("basic.ack", (2, True)),
            ("basic.nack", (3, False, False)),
            ("basic.ack", (4, False)),
        ]

    def test_a_lost_confirm_stays_lost(self, wire: Wire) -> None:
        """Gathering confirms never confirms the publish whose confirm was dropped."""
        wire.broker.faults.add("confirm", "drop", after=1)
        answers = wire.methods(CONFIRM, publish() * 4)[1:]
        assert answers == [("basic.ack", (tag, False)) for tag in (1, 3, 4)]


class TestClosing:
    def test_after_a_channel_error_nothing_takes_effect_until_close_ok(self, wire: Wire) -> None:
        """A failed channel ignores everything but the answer to its close."""
        bad = encode_method(1, "basic.get", 0, "missing", False)
        ((name, values),) = wire.methods(bad + publish() + DECLARE + bad)
        assert (name, values[0]) == ("channel.close", 404)
        assert wire.methods(publish()) == []
        assert wire.methods(encode_method(1, "channel.close-ok") + HANDSHAKE[4])[0][0] == "channel.open-ok"
        assert wire.methods(DECLARE) == [("queue.declare-ok", ("q", 0, 0))]

    def test_closes_that_cross_are_both_answered(self, wire: Wire) -> None:
        """A client that closes a channel while it is being closed gets its answer, after the close."""
        bad = encode_method(1, "basic.get", 0, "missing", False)
        crossing = encode_method(1, "channel.close", 200, "", 0, 0)
        assert [name for name, _ in wire.methods(bad + crossing)] == ["channel.close", "channel.close-ok"]

    def test_after_close_ok_everything_is_drained(self, wire: Wire) -> None:
        """What a client sends behind its connection.close is read and ignored."""
        assert wire.methods(GOODBYE + publish()) == [("connection.close-ok", ())]
        assert wire.connection.closed
        assert wire.methods(publish(), b"garbage") == []
        assert wire.broker.queues["q"].published == 0

    def test_a_connection_error_waits_for_its_answer(self, wire: Wire) -> None:
        """Only close-ok, or a crossing close, counts after the server closed the connection."""
        wire.say(encode_method(1, "channel.open", ""))
        assert wire.connection.closing
        assert wire.methods(publish(), DECLARE) == []
        assert wire.methods(encode_method(0, "connection.close-ok")) == []
        assert wire.connection.closed
        assert not wire.connection.closing

    def test_what_was_held_goes_back_when_the_transport_is_lost(self, wire: Wire) -> None:
        """A client that vanishes returns its deliveries and its exclusive queues."""
        exclusive = encode_method(1, "queue.declare", 0, "mine", False, False, True, False, False, {})
        wire.say(exclusive, publish(), CONSUME)
        assert wire.broker.queues["q"].unacked == 1
        wire.connection.lost()
        assert wire.broker.queues["q"].unacked == 0
        assert len(wire.broker.queues["q"].backlog) == 1
        assert "mine" not in wire.broker.queues
        assert not wire.broker.sessions

    def test_a_cut_ends_the_connection_between_two_frames(self, wire: Wire) -> None:
        """A fault that cuts after the second publish lets nothing behind it take effect, though it was received."""
        wire.broker.faults.add("publish", "cut", after=1)
        wire.say(publish() * 5)
        assert wire.connection.reset
        assert wire.broker.queues["q"].published == 2

    def test_output_that_nobody_asked_for_is_announced_once(self) -> None:
        """on_output is called when another client's publish makes a delivery, and not by one's own input."""
        broker = Broker(VirtualClock())
        calls: list[int] = []
        consumer = Wire(broker, on_output=lambda: calls.append(1))
        producer = Wire(broker)
        consumer.say(*HANDSHAKE, DECLARE, CONSUME)
        producer.say(*HANDSHAKE)
        consumer.say(publish())
        assert calls == []
        producer.say(publish() * 3)
        assert calls == [1]
        assert consumer.connection.has_output
        assert len([frame for frame in consumer.hear() if frame.type == BODY]) == 3
