"""RESP to values."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from celeriac.conformance.tap.resp import Parser, Push, ReplyError, RespSyntaxError

derandomised = settings(derandomize=True, database=None, deadline=None, max_examples=150)

TABLE: list[tuple[bytes, Any]] = [
    (b"+OK\r\n", b"OK"),
    (b"-ERR no such\r\n", ReplyError("ERR no such")),
    (b":-7\r\n", -7),
    (b"$5\r\na\r\nbc\r\n", b"a\r\nbc"),
    (b"$0\r\n\r\n", b""),
    (b"$-1\r\n", None),
    (b"*-1\r\n", None),
    (b"*0\r\n", []),
    (b"*2\r\n$1\r\na\r\n*1\r\n:1\r\n", [b"a", [1]]),
    (b"*2\r\n*0\r\n_\r\n", [[], None]),
    (b"_\r\n", None),
    (b"#t\r\n", True),
    (b"#f\r\n", False),
    (b",1.5\r\n", 1.5),
    (b"(123456789012345678901\r\n", 123456789012345678901),
    (b"=7\r\ntxt:abc\r\n", b"abc"),
    (b"!7\r\nERR bad\r\n", ReplyError("ERR bad")),
    (b"%1\r\n+k\r\n:1\r\n", [b"k", 1]),
    (b"%0\r\n", []),
    (b"~2\r\n:1\r\n:2\r\n", [1, 2]),
    (b"|1\r\n+ttl\r\n:3\r\n$1\r\nx\r\n", b"x"),
    (b"|0\r\n:4\r\n", 4),
    (b"*2\r\n|1\r\n+a\r\n+b\r\n:1\r\n:2\r\n", [1, 2]),
]


@pytest.mark.parametrize(("wire", "value"), TABLE)
def test_every_type_is_read(wire: bytes, value: Any) -> None:
    """Each type of RESP2 and RESP3 becomes the value that it stands for."""
    assert list(Parser().feed(wire)) == [value]


def test_pushes_are_told_from_arrays() -> None:
    """A push of RESP3 is a Push, an array of the same elements is a plain list."""
    push, array = Parser().feed(b">2\r\n+message\r\n+x\r\n*2\r\n+message\r\n+x\r\n")
    assert isinstance(push, Push)
    assert type(array) is list
    assert push == array


def encoded(value: Any) -> bytes:
    """Write a value as RESP2."""
    match value:
        case None:
            return b"$-1\r\n"
        case bytes():
            return b"$%d\r\n%s\r\n" % (len(value), value)
        case int():
            return b":%d\r\n" % value
        case _:
            return b"*%d\r\n" % len(value) + b"".join(map(encoded, value))


values = st.recursive(
    st.none() | st.binary(max_size=20) | st.integers(-(2**63), 2**63 - 1),
    lambda children: st.lists(children, max_size=4),
    max_leaves=12,
)


@derandomised
@given(st.lists(values, max_size=6), st.lists(st.integers(1, 9), min_size=1, max_size=12))
@example([[b"\r\n$3\r\n", [None, 5]], b""], [1])
def test_any_split_gives_the_same_values(messages: list[Any], sizes: list[int]) -> None:
    """However the stream is cut into chunks, the same values come out in the same order."""
    stream = b"".join(map(encoded, messages))
    parser, at = Parser(), 0
    out: list[Any] = []
    for turn in range(len(stream)):
        size = sizes[turn % len(sizes)]
        out += parser.feed(stream[at : at + size])
        at += size
        if at >= len(stream):
            break
    assert out == messages


def test_a_large_string_may_arrive_in_pieces() -> None:
    """A string of 16 MiB in pieces of 64 KiB is read whole."""
    size = 16 * 1024 * 1024
    wire = encoded(b"x" * size)
    parser = Parser()
    out = [value for at in range(0, len(wire), 65536) for value in parser.feed(wire[at : at + 65536])]
    assert [len(value) for value in out] == [size]


@pytest.mark.parametrize(
    "wire",
    [
        b"\r\n",
        b"?1\r\n",
        b"$x\r\n",
        b"$-2\r\n",
        b"$3\r\nabcd\r\n",
        b"*-2\r\n",
        b":a\r\n",
        b"$999999999999\r\n",
    ],
)
def test_anything_else_is_a_syntax_error(wire: bytes) -> None:
    """Bytes that are no RESP raise RespSyntaxError and nothing else."""
    with pytest.raises(RespSyntaxError):
        list(Parser().feed(wire))


def test_an_endless_line_is_a_syntax_error() -> None:
    """A line without an end is given up instead of being collected for ever."""
    with pytest.raises(RespSyntaxError, match="a line of more than"):
        list(Parser().feed(b"+" + b"x" * 70_000))


@derandomised
@given(st.binary(max_size=200), st.booleans())
def test_random_bytes_raise_nothing_else(noise: bytes, inline: bool) -> None:
    """Whatever is sent, the parser answers values or raises RespSyntaxError."""
    try:
        list(Parser(inline=inline).feed(noise))
    except RespSyntaxError:
        return


def test_inline_commands_are_read_from_clients_only() -> None:
    """A line of words is a command where inline commands are allowed, and a syntax error elsewhere."""
    assert list(Parser(inline=True).feed(b"PING now\r\n*1\r\n$4\r\nPING\r\n")) == [
        [b"PING", b"now"],
        [b"PING"],
    ]
    with pytest.raises(RespSyntaxError):
        list(Parser().feed(b"PING now\r\n"))
