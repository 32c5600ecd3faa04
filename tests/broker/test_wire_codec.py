"""The codec: every value, method and frame survives the way to bytes and back."""

from __future__ import annotations

import math
import string
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import amqp
import amqp.serialization
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celeriac.reference.broker import codec, fields
from celeriac.reference.broker.fields import Field
from celeriac.reference.broker.methods import BY_ID, BY_NAME, METHODS, PROPERTIES

verdict = settings(derandomize=True, database=None, deadline=None, max_examples=60)

names = st.text(alphabet=string.ascii_letters + "é-_", min_size=1, max_size=12)


def integers(bits: int, *, signed: bool) -> st.SearchStrategy[int]:
    """Every whole number of so many bits."""
    low = -(2 ** (bits - 1)) if signed else 0
    return st.integers(low, low + 2**bits - 1)


SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "t": st.booleans(),
    "b": integers(8, signed=True),
    "B": integers(8, signed=False),
    "s": integers(16, signed=True),
    "u": integers(16, signed=False),
    "I": integers(32, signed=True),
    "i": integers(32, signed=False),
    "l": integers(64, signed=True),
    "L": integers(64, signed=True),
    "f": st.floats(width=32, allow_nan=False),
    "d": st.floats(allow_nan=False),
    "D": st.builds(
        lambda digits, scale: Decimal(digits).scaleb(-scale), integers(32, signed=True), st.integers(0, 9)
    ),
    "S": st.binary(max_size=20),
    "x": st.binary(max_size=20),
    "T": integers(64, signed=False),
    "V": st.none(),
}
scalars = st.one_of(*(st.builds(Field, st.just(code), values) for code, values in SCALARS.items()))
any_field = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.builds(Field, st.just("A"), st.lists(inner, max_size=4)),
        st.builds(Field, st.just("F"), st.dictionaries(names, inner, max_size=4)),
    ),
    max_leaves=12,
)
tables = st.dictionaries(names, any_field, max_size=6)
plain_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        integers(64, signed=True),
        st.floats(allow_nan=False),
        st.text(max_size=20),
        st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1)).map(
            lambda at: at.replace(microsecond=0, tzinfo=UTC)
        ),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=3)),
    max_leaves=10,
)
ARGUMENTS: dict[str, st.SearchStrategy[Any]] = {
    "bit": st.booleans(),
    "octet": integers(8, signed=False),
    "short": integers(16, signed=False),
    "long": integers(32, signed=False),
    "longlong": integers(64, signed=False),
    "shortstr": st.text(max_size=60),
    "longstr": st.binary(max_size=60),
    "table": st.dictionaries(names, plain_values, max_size=3),
}


EXAMPLE: dict[str, Any] = {
    "content_type": "application/json",
    "content_encoding": "utf-8",
    "headers": {"lang": "py", "retries": 0, "nested": {"a": [1, None]}},
    "delivery_mode": 2,
    "priority": 9,
    "correlation_id": "c",
    "reply_to": "r",
    "expiration": "60000",
    "message_id": "m",
    "timestamp": 1_700_000_000,
    "type": "t",
    "user_id": "u",
    "app_id": "a",
    "cluster_id": "i",
}


class TestTheTable:
    def test_every_method_of_the_protocol_and_of_rabbitmq_is_there_once(self) -> None:
        """The table has 66 methods, the two of the deprecated class access among them."""
        assert len(METHODS) == len(BY_ID) == len(BY_NAME) == 66

    def test_every_reply_exists_and_goes_the_other_way(self) -> None:
        """Whatever a method says answers it is a method that the other side may send."""
        for spec in METHODS:
            for reply in spec.replies:
                assert set(BY_NAME[reply].senders) >= set({"c": "s", "s": "c", "cs": "cs"}[spec.senders])

    def test_py_amqp_knows_the_same_numbers(self) -> None:
        """The numbers are those that py-amqp uses."""
        known = {
            f"{family.lower()}.{name}": number
            for family in ("Connection", "Channel", "Exchange", "Queue", "Basic", "Confirm", "Tx")
            for name, number in vars(getattr(amqp.spec, family)).items()
            if isinstance(number, tuple)
        }
        ours = {spec.name.replace("-", "").lower(): spec.id for spec in METHODS}
        theirs = {name.replace("-", "").lower(): tuple(number) for name, number in known.items()}
        shared = ours.keys() & theirs.keys()
        assert len(shared) > 50
        assert {name: ours[name] for name in shared} == {name: theirs[name] for name in shared}


class TestFields:
    @verdict
    @given(tables)
    def test_a_table_of_any_types_comes_back_with_its_types(self, table: dict[str, Field]) -> None:
        """Reading what was written gives the same values and the same type letters."""
        data = fields.encode_table(table)
        assert fields.read_fields(data) == (table, len(data))
        assert fields.encode_table(fields.read_fields(data)[0]) == data

    @pytest.mark.parametrize("code", [*SCALARS, "A", "F"])
    def test_every_field_type_is_known(self, code: str) -> None:
        """Each type letter of RabbitMQ can be written and read."""
        value: Any = {"A": [Field("V", None)], "F": {"k": Field("t", True)}}.get(code)
        if code in SCALARS:
            value = {"S": b"text", "x": b"\xff", "D": Decimal("1.50"), "V": None, "f": 0.5, "d": 0.1}.get(
                code, 1
            )
        data = fields.encode_table({"k": Field(code, value)})
        assert fields.read_fields(data)[0] == {"k": Field(code, value)}

    @verdict
    @given(st.dictionaries(names, plain_values, max_size=5))
    def test_plain_values_come_back_as_they_were(self, table: dict[str, Any]) -> None:
        """Text, numbers, moments, lists and tables need no type letters."""
        assert fields.decode_table(fields.encode_table(table)) == table

    @verdict
    @given(st.dictionaries(names, plain_values, max_size=5))
    def test_bytes_from_py_amqp_are_written_back_identically(self, table: dict[str, Any]) -> None:
        """Decoding and encoding a table of py-amqp's changes no byte."""
        data = amqp.serialization.dumps("F", (table,))
        assert fields.encode_table(fields.read_fields(data)[0]) == data

    def test_a_long_string_that_is_no_text_stays_bytes(self) -> None:
        """Binary long strings are neither refused nor mangled."""
        table = fields.decode_table(fields.encode_table({"k": Field("S", b"\xff\xfe")}))
        assert table == {"k": b"\xff\xfe"}

    def test_a_double_stays_a_double(self) -> None:
        """0.1 does not become a single-precision number on the way."""
        assert fields.decode_table(fields.encode_table({"k": 0.1})) == {"k": 0.1}
        assert math.isnan(fields.decode_table(fields.encode_table({"k": math.nan}))["k"])

    @pytest.mark.parametrize(
        ("data", "complaint"),
        [
            (b"\0\0\0\4\1aZ\0", "unknown field type 'Z'"),
            (b"\0\0\0\xff\1aI", "longer than its frame"),
            (b"\0\0\0\3\1aI\0\0\0\1", "beyond the end of its table"),
            (b"\0\0", "too early"),
            (b"\0\0\0\0more", "4 octets follow"),
            (b"\0\0\0\2\xffa", "longer than its frame"),
            ((b"\1aF" * 70).join([b"\0\0\0\0"] * 2), "octets follow"),
        ],
    )
    def test_a_malformed_table_is_refused_with_the_reason(self, data: bytes, complaint: str) -> None:
        """Bytes that are no table are a FieldError that says why."""
        with pytest.raises(fields.FieldError, match=complaint):
            fields.decode_table(data)

    def test_nesting_has_a_limit(self) -> None:
        """A table nested a thousand deep is refused instead of exhausting the stack."""
        data = b""
        for _ in range(1000):
            data = b"\1aF" + fields.longstr(data)
        with pytest.raises(fields.FieldError, match="nested more than"):
            fields.decode_table(fields.longstr(data))

    @pytest.mark.parametrize(
        "value", [object(), Field("I", 2**40), Field("B", -1), Field("Q", 1), {"k" * 256: 1}]
    )
    def test_a_value_that_fits_no_type_is_refused(self, value: Any) -> None:
        """What cannot be written is a FieldError."""
        with pytest.raises(fields.FieldError):
            fields.encode_table({"k": value})

    @verdict
    @given(st.binary(max_size=60))
    def test_random_bytes_raise_nothing_but_the_codecs_own_error(self, data: bytes) -> None:
        """Garbage is refused as garbage, wherever it is cut."""
        for read in (
            fields.decode_table,
            fields.decode_properties,
            codec.decode_content_header,
            codec.decode_method,
        ):
            try:
                read(data)
            except fields.WireError:
                continue


class TestProperties:
    @verdict
    @given(st.sets(st.sampled_from([name for name, _ in PROPERTIES])))
    def test_any_selection_of_properties_comes_back(self, chosen: set[str]) -> None:
        """Every combination of the fourteen properties survives."""
        properties = {name: value for name, value in EXAMPLE.items() if name in chosen}
        raw = fields.encode_properties(properties)
        assert fields.decode_properties(raw) == properties
        assert fields.join_properties(fields.split_properties(raw)) == raw

    def test_py_amqp_writes_the_same_bytes(self) -> None:
        """A message's properties are encoded exactly as py-amqp encodes them."""
        properties = {**EXAMPLE, "application_headers": EXAMPLE["headers"]}
        del properties["headers"]
        message = amqp.Message(b"", **properties)
        assert fields.encode_properties(EXAMPLE) == message._serialize_properties()

    @pytest.mark.parametrize(
        "bad", [{"unheard_of": 1}, {"priority": 256}, {"content_type": 5}, {"timestamp": -1}]
    )
    def test_what_is_no_property_is_refused(self, bad: dict[str, Any]) -> None:
        """Unknown names and values out of range are FieldErrors."""
        with pytest.raises(fields.FieldError):
            fields.encode_properties(bad)

    def test_new_headers_leave_everything_else_byte_for_byte(self) -> None:
        """Headers that stay keep their type, expiration goes only when asked, other properties keep their bytes."""
        table = {"short": Field("s", 3), "single": Field("f", 0.5), "old": Field("I", 1)}
        raw = fields.encode_properties({**EXAMPLE, "headers": table})
        changed = fields.with_headers(raw, {"short": 3, "single": 0.5, "new": "x"}, keep_expiration=False)
        expected = {"short": Field("s", 3), "single": Field("f", 0.5), "new": Field("S", b"x")}
        assert fields.read_fields(fields.split_properties(changed)["headers"])[0] == expected
        before, after = fields.split_properties(raw), fields.split_properties(changed)
        assert {n: v for n, v in before.items() if n not in {"headers", "expiration"}} == {
            n: v for n, v in after.items() if n != "headers"
        }
        assert "expiration" in fields.decode_properties(fields.with_headers(raw, {}))


class TestMethods:
    @verdict
    @given(st.data())
    def test_every_method_comes_back(self, data: st.DataObject) -> None:
        """Any method with any arguments survives the way to bytes and back."""
        for spec in METHODS:
            values = tuple(data.draw(ARGUMENTS[argument.type]) for argument in spec.arguments)
            reader = codec.FrameReader()
            reader.feed(codec.encode_method(7, spec.name, *values))
            frame = reader.read()
            assert frame is not None
            assert frame[:2] == (codec.METHOD, 7)
            method = codec.decode_method(frame.payload)
            assert (method.name, method.values) == (spec.name, values)
            assert list(method.arguments) == [argument.name for argument in spec.arguments]

    @pytest.mark.parametrize("spec", METHODS, ids=lambda spec: spec.name)
    def test_cut_and_padded_arguments_are_refused(self, spec: Any) -> None:
        """A method frame that is too short or too long for its method is a FieldError."""
        zeros = {"shortstr": "abc", "longstr": b"abc", "table": {"k": 1}}
        values = [zeros.get(argument.type, 1) for argument in spec.arguments]
        payload = codec.encode_method(1, spec.name, *values)[7:-1]
        for wrong in (*(payload[:length] for length in range(4, len(payload))), payload + b"\0"):
            with pytest.raises(fields.FieldError):
                codec.decode_method(wrong)

    def test_unknown_numbers_are_named(self) -> None:
        """An unknown method is its own kind of error, and says which."""
        with pytest.raises(fields.UnknownMethodError, match="77,1"):
            codec.decode_method(b"\0\x4d\0\1")

    def test_a_name_that_is_not_utf_8_is_refused(self) -> None:
        """Short strings of methods are text, as for RabbitMQ."""
        with pytest.raises(fields.TextError):
            codec.decode_method(codec.encode_method(1, "basic.get", 0, "\udcff", False)[7:-1])

    def test_a_short_string_has_its_limit(self) -> None:
        """256 octets are refused by name instead of being cut."""
        with pytest.raises(fields.FieldError, match="255"):
            codec.encode_method(1, "queue.declare-ok", "q" * 256, 0, 0)


class TestFrames:
    @verdict
    @given(
        st.lists(st.tuples(st.sampled_from([1, 2, 3, 8]), st.integers(0, 65535), st.binary(max_size=40))),
        st.data(),
    )
    def test_any_cut_gives_the_same_frames(
        self, frames: list[tuple[int, int, bytes]], data: st.DataObject
    ) -> None:
        """The reader does not care where the stream was cut."""
        stream = b"".join(codec.encode_frame(*frame) for frame in frames)
        cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
        reader, seen = codec.FrameReader(), list[tuple[Any, ...]]()
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
            reader.feed(stream[start:end])
            seen.extend(tuple(frame) for frame in reader)
        assert seen == frames
        assert len(reader) == 0

    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (codec.encode_frame(1, 1, b"abc")[:-1] + b"\0", "invalid_frame_end_marker,0"),
            (codec.encode_frame(3, 1, b"x" * 4097)[:7], "frame_too_large,4097,4088"),
        ],
    )
    def test_a_malformed_frame_is_refused(self, data: bytes, reason: str) -> None:
        """A wrong end octet and a length beyond the limit are FrameErrors with RabbitMQ's reason."""
        reader = codec.FrameReader(4096)
        reader.feed(data)
        with pytest.raises(fields.FrameError, match=reason):
            reader.read()

    @pytest.mark.parametrize("frame_max", [0, 4096])
    @pytest.mark.parametrize("size", [0, 1, 4088, 4089, 20_000])
    def test_a_body_is_cut_to_the_negotiated_size(self, frame_max: int, size: int) -> None:
        """No frame is larger than agreed, and the pieces make up the body."""
        body = bytes(range(256)) * 80
        reader = codec.FrameReader()
        reader.feed(codec.encode_content(1, b"\0\0", body[:size], frame_max))
        header, *bodies = list(reader)
        assert codec.decode_content_header(header.payload) == (60, size, b"\0\0")
        assert b"".join(frame.payload for frame in bodies) == body[:size]
        assert all(len(frame.payload) + 8 <= frame_max for frame in bodies) or not frame_max

    def test_whole_content_is_taken_only_when_it_is_all_there(self) -> None:
        """The shortcut for small messages takes exactly one message of the right channel, or nothing."""
        content = codec.encode_content(1, b"\x10\0\2", b"body")
        for length in range(len(content)):
            reader = codec.FrameReader()
            reader.feed(content[:length])
            assert reader.content(1) is None
            assert len(reader) == length
        reader.feed(content[length:] + b"next")
        assert reader.content(2) is None
        assert reader.content(1) == (b"\x10\0\2", b"body")
        assert len(reader) == 4
