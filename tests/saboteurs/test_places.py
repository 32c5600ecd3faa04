"""What a variant exchanges is known, and a check that never comes by it is never needed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest import mock

from celeriac.reference import message, settings
from celeriac.reference.app import App
from celeriac.reference.worker.worker import Worker
from tests.saboteurs.places import Tracer, place_of, places
from tests.saboteurs.roster import SABOTEURS
from tests.saboteurs.variants import Change, Variant


class Holder:
    limit = 3

    @property
    def size(self) -> int:
        return self.limit

    def grow(self) -> int:
        return self.size + 1


def exchanging(*changes: Change) -> Variant:
    """Answer a variant that makes some changes."""
    return Variant("some", "something is different", changes)


def test_the_place_of_a_function_is_its_code() -> None:
    """A method, a function in a module, and an entry of a table that is a function, are known by their code."""
    table = {"grow": Holder.grow}
    exchanged = places(
        exchanging(
            mock.patch.object(Worker, "_hold", None),
            mock.patch.object(message, "build", None),
            mock.patch.dict(table, grow=None),
        )
    )
    codes = (Worker._hold.__code__, message.build.__code__, Holder.grow.__code__)
    assert exchanged == frozenset(place_of(code) for code in codes)


def test_the_place_of_a_property_is_its_getter() -> None:
    """A property is known by the code that computes it."""
    getter: Any = Holder.size
    exchanged = places(exchanging(mock.patch.object(Holder, "size", 4)))
    assert exchanged == frozenset([place_of(getter.fget.__code__)])


def test_a_value_has_no_place() -> None:
    """Where one of the exchanged things is a value, every check could notice."""
    grow = mock.patch.object(Holder, "grow", None)
    for value in (mock.patch.object(Holder, "limit", 4), mock.patch.dict(settings.DEFAULTS, timezone="UTC")):
        assert places(exchanging(grow, value)) is None


def test_footprints_are_the_code_that_was_executed() -> None:
    """A test comes by the functions that it calls, however deep, and by no other."""
    tracer, item = Tracer(), SimpleNamespace(nodeid="test_grow")
    protocol = tracer.pytest_runtest_protocol(item)  # type: ignore[arg-type] # only its name matters
    next(protocol)
    Holder().grow()
    protocol.close()
    getter: Any = Holder.size
    found = tracer.found()["test_grow"]
    assert {place_of(Holder.grow.__code__), place_of(getter.fget.__code__)} <= found
    assert place_of(App.call.__code__) not in found


def test_most_saboteurs_have_a_place() -> None:
    """Nine of ten saboteurs exchange functions only, so that the others' checks can be left out."""
    unknown = [saboteur.id for saboteur in SABOTEURS if places(saboteur) is None]
    assert len(unknown) * 10 < len(SABOTEURS), unknown
