"""The codecs that stand for a user's own."""

from __future__ import annotations

import pytest

from celeriac.conformance.probe_codecs import dump, load, turn


def test_probe_serializer_is_hexadecimal_json() -> None:
    """A body is the hexadecimal text of its JSON text, as text or as bytes."""
    assert dump([1]) == "5b315d"
    assert load("5b315d") == load(b"5b315d") == [1]


@pytest.mark.parametrize("body", ["no", "5b3", b"\xff"])
def test_probe_serializer_refuses_what_is_none_of_its_bodies(body: str | bytes) -> None:
    """What is no hexadecimal text, or stands for no JSON, is a ValueError."""
    with pytest.raises(ValueError, match=r"."):
        load(body)


def test_probe_compression_undoes_itself() -> None:
    """Turning a body around twice leaves it as it was."""
    assert turn(b"abc") == b"cba"
    assert turn(turn(b"abc")) == b"abc"
