"""The server's side of a connection, byte by byte: any pieces, any noise, any damage."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from celeriac.reference.broker.broker import Broker
from celeriac.reference.broker.codec import (
    METHOD,
    Frame,
    encode_content,
    encode_frame,
    encode_method,
)
from celeriac.reference.broker.fields import (
    encode_properties,
)
from celeriac.reference.clock import VirtualClock
from tests.broker.wire import CONFIRM, CONSUME, DECLARE, HANDSHAKE, Wire, method_of, publish

verdict = settings(derandomize=True, database=None, deadline=None, max_examples=100)


def conversation(*, confirms: bool) -> bytes:
    """Encode what a busy client says, errors included."""
    large = encode_content(1, b"\0\0", b"z" * 9000, 4096)
    return b"".join(
        [
            *HANDSHAKE,
            CONFIRM if confirms else b"",
            DECLARE,
            publish(b"first"),
            CONSUME,
            publish(b"", properties=encode_properties({"priority": 1, "headers": {"k": [1, "v"]}})),
            encode_method(1, "basic.publish", 0, "", "q", False, False) + large,
            encode_method(1, "basic.ack", 2, True),
            publish(b"lost", "nowhere", mandatory=True),
            encode_method(2, "channel.open", ""),
            encode_method(2, "queue.declare", 0, "missing", True, False, False, False, False, {}),
            encode_method(2, "channel.close-ok"),
            encode_method(1, "basic.nack", 3, False, True),
            b"\x08\0\0\0\0\0\0\xce",
            encode_method(1, "basic.cancel", "tag", False),
            encode_method(1, "basic.get", 0, "q", False),
            publish(b"left behind") * 3,
            encode_method(3, "basic.get", 0, "q", False),
            encode_method(0, "connection.close-ok"),
        ]
    )


def confirmed(frames: list[Frame]) -> tuple[list[Frame], list[int]]:
    """Take the confirms out of the frames: what else was said, and which tags were confirmed in which order."""
    others, tags = [], list[int]()
    for frame in frames:
        method = method_of(frame)
        if method is not None and method.name == "basic.ack":
            tag, multiple = method.values
            tags.extend(range(len(tags) + 1, tag + 1) if multiple else [tag])
        else:
            others.append(frame)
    return others, tags


class TestBytes:
    @verdict
    @given(st.data(), st.booleans())
    def test_any_split_of_the_input_gives_the_same_output(self, data: st.DataObject, confirms: bool) -> None:
        """Invariant 30: pieces of any size mean the same; only confirms may be gathered differently."""
        stream = conversation(confirms=confirms)
        whole = Wire()
        expected = confirmed(whole.say(stream))
        cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
        pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
        split = Wire()
        frames = [frame for piece in pieces for frame in split.say(piece)]
        assert confirmed(frames) == expected
        assert split.connection.closed
        assert [event[2:] for event in split.broker.events] == [event[2:] for event in whole.broker.events]

    def test_one_octet_at_a_time_gives_the_same_output(self) -> None:
        """The finest split of all."""
        stream = conversation(confirms=False)
        single, whole = Wire(), Wire()
        assert [f for at in range(len(stream)) for f in single.say(stream[at : at + 1])] == whole.say(stream)

    @verdict
    @given(st.binary(max_size=200), st.integers(0, len(HANDSHAKE)), st.integers(1, 9))
    def test_random_bytes_end_in_a_protocol_error_or_wait(self, noise: bytes, stage: int, kind: int) -> None:
        """Invariant 32: noise raises nothing, at any stage of a connection, bare or in a well-formed frame."""
        for data in (noise, encode_frame(kind, 1, noise), encode_frame(METHOD, 1, b"\0\x3c\0\x28" + noise)):
            wire = Wire()
            wire.say(*HANDSHAKE[:stage])
            wire.connection.feed(data)
            wire.connection.outgoing()
            wire.connection.lost()
            assert not wire.broker.sessions

    @verdict
    @given(st.data())
    def test_flipped_octets_never_reach_another_connection(self, data: st.DataObject) -> None:
        """Damage anywhere in a conversation leaves the broker and the other client intact."""
        stream = bytearray(conversation(confirms=True))
        for _ in range(data.draw(st.integers(1, 4))):
            stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
        broker = Broker(VirtualClock())
        other = Wire(broker)
        other.say(
            *HANDSHAKE, encode_method(1, "queue.declare", 0, "safe", False, False, True, False, False, {})
        )
        other.say(publish(b"kept", "safe"))
        damaged = Wire(broker)
        damaged.connection.feed(bytes(stream))
        damaged.connection.outgoing()
        damaged.connection.lost()
        frames = other.say(encode_method(1, "basic.get", 0, "safe", False))
        assert frames[-1].payload == b"kept"
        assert list(broker.sessions.values()) == [other.connection.session]
