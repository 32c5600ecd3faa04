"""The faults by themselves: what they count, what they let pass, and what they answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celeriac.conformance.tap import (
    BROKER,
    CLIENT,
    PUBLISH,
    BlackHole,
    Census,
    Cut,
    Delay,
    Fault,
    Faults,
    Frame,
    Partition,
    Refuse,
    Stall,
)
from celeriac.conformance.tap.faults import Passage
from celeriac.conformance.tap.observer import Direction

derandomised = settings(derandomize=True, database=None, deadline=None)


class Letters:
    """A protocol in which each letter is a frame, ``p`` completes a message, and ``!`` is a mistake."""

    def __init__(self) -> None:
        self.noted: list[str] = []

    def read(self, direction: Direction, data: bytes) -> Iterator[Frame]:
        for at, letter in enumerate(data.decode()):
            if letter == "!":
                raise ValueError("not a letter")
            yield Frame(direction, letter, 0, letter, len(data) - at - 1, letter == "p")

    def note(self, frame: Frame) -> None:
        self.noted.append(frame.name)

    def lost(self) -> None: ...

    def heartbeat_from(self, direction: Direction) -> bytes:
        return b""


def passage(*armed: Fault) -> tuple[Passage, Letters, Faults]:
    """Answer a way through these faults, and who reads on it."""
    observer, faults = Letters(), Faults()
    faults.arm(*armed)
    return Passage(observer, faults), observer, faults


@pytest.mark.parametrize(
    ("cut", "sent", "arrives"),
    [
        (Cut(CLIENT, "c"), b"abcde", b"ab"),
        (Cut(CLIENT, "c", when="after"), b"abcde", b"abc"),
        (Cut(CLIENT, "a"), b"abcde", b""),
        (Cut(CLIENT, "e", when="after"), b"abcde", b"abcde"),
        (Cut(nth=3), b"abcde", b"ab"),
        (Cut(None, "b", nth=2), b"abab", b"aba"),
        (Cut(CLIENT, PUBLISH), b"xxpx", b"xx"),
    ],
    ids=str,
)
def test_a_cut_divides_a_chunk(cut: Cut, sent: bytes, arrives: bytes) -> None:
    """What lies in front of a cut arrives and is recorded, what lies behind it neither."""
    way, observer, _ = passage(cut)
    assert way.through(CLIENT, sent) == (arrives, True)
    assert observer.noted == list(arrives.decode())
    assert cut.fired == 1


@pytest.mark.parametrize(
    "cut", [Cut(BROKER, "a"), Cut(CLIENT, "z"), Cut(CLIENT, PUBLISH), Cut(CLIENT, "a", nth=3)]
)
def test_a_cut_of_another_frame_lets_pass(cut: Cut) -> None:
    """Frames that a cut does not mean pass whole."""
    way, observer, _ = passage(cut)
    assert way.through(CLIENT, b"aba") == (b"aba", False)
    assert (cut.fired, observer.noted) == (0, ["a", "b", "a"])


@derandomised
@given(st.integers(1, 6), st.one_of(st.none(), st.integers(1, 4)), st.integers(1, 12))
def test_cuts_are_counted_from_one(nth: int, times: int | None, frames: int) -> None:
    """A cut strikes at its n-th frame and, so many times in all, at those that follow it."""
    cut = Cut(nth=nth, times=times)
    struck = [
        number for number in range(1, frames + 1) if cut.strike(Frame(CLIENT, "a", 0, None)) is not None
    ]
    assert struck == [n for n in range(nth, frames + 1) if times is None or n < nth + times]
    assert (cut.seen, cut.fired) == (frames, len(struck))


def test_there_is_no_frame_number_nought() -> None:
    """A cut at the frame before the first is an error that says how frames are counted."""
    with pytest.raises(ValueError, match="counted from 1"):
        Cut(nth=0)


def test_a_census_knows_every_place() -> None:
    """A census lets everything pass, and answers a cut before and after each frame but heartbeats."""
    way, _, faults = passage(census := Census())
    assert way.through(CLIENT, b"aab") == (b"aab", False)
    assert way.through(BROKER, b"c") == (b"c", False)
    census.strike(Frame(CLIENT, "heartbeat", 0, b""))
    places = census.places()
    assert [(p.direction, p.name, p.nth, p.when) for p in places[::2]] == [
        (CLIENT, "a", 1, "before"),
        (CLIENT, "a", 2, "before"),
        (CLIENT, "b", 1, "before"),
        (BROKER, "c", 1, "before"),
    ]
    assert [p.when for p in places] == ["before", "after"] * 4
    faults.disarm(census)
    way.through(CLIENT, b"a")
    assert census.counts[CLIENT, "a"] == 2


def test_a_census_does_not_hide_a_cut() -> None:
    """Every fault sees every frame, whatever another one says of it."""
    way, _, _ = passage(census := Census(), Cut(CLIENT, "b"))
    way.through(CLIENT, b"ab")
    assert census.counts == {(CLIENT, "a"): 1, (CLIENT, "b"): 1}


def test_a_black_hole_swallows_and_never_gives_back() -> None:
    """Nothing comes out of a black hole, only what the broker says is recorded, and the connection stays useless."""
    way, observer, faults = passage()
    assert way.through(CLIENT, b"a") == (b"a", False)
    faults.arm(BlackHole())
    assert not way.lossy
    assert way.through(CLIENT, b"b") == (b"", False)
    assert way.through(BROKER, b"c") == (b"", False)
    faults.clear()
    assert way.through(CLIENT, b"d") == (b"", False)
    assert (way.lossy, observer.noted) == (True, ["a", "c"])


def test_what_cannot_be_read_passes_and_is_told_once() -> None:
    """After a mistake a side is not read any more, its bytes pass, and the reason is told once."""
    told: list[Any] = []
    faults = Faults()
    way = Passage(Letters(), faults, lambda *note: told.append(note))
    assert way.through(CLIENT, b"a!b") == (b"a!b", False)
    faults.arm(Cut(CLIENT, "a"))
    assert way.through(CLIENT, b"a!") == (b"a!", False)
    assert told == [(CLIENT, "ValueError: not a letter")]
    assert (way.reads(CLIENT), way.reads(BROKER)) == (False, True)


def test_faults_are_values() -> None:
    """A fault is in force once, however often it is armed, and ended by an equal one; cuts are themselves."""
    faults = Faults()
    faults.arm(Stall(CLIENT), Stall(CLIENT), Delay(BROKER, 1), Delay(BROKER, 2), Refuse())
    assert (faults.stalls(CLIENT), faults.stalls(BROKER), faults.refusing) == (True, False, True)
    assert (faults.delay(BROKER), faults.delay(CLIENT)) == (3, 0)
    faults.disarm(Stall(CLIENT), Delay(BROKER, 2), Partition())
    assert (faults.stalls(CLIENT), faults.delay(BROKER)) == (False, 1)
    faults.arm(Partition())
    assert faults.parted
    assert faults.stalls(CLIENT)
    assert faults.stalls(BROKER)
    faults.clear()
    assert faults.idle
    assert Cut(CLIENT, "a") != Cut(CLIENT, "a")
