"""Places: which functions of the reference a variant exchanges, and which checks ever come by them.

Theory
------
The reference is deterministic on virtual time.  A check that never calls an exchanged function therefore sees
the same with and without the exchange, and its verdict stays.  One traced run of the reference notes, for every
check, the code that was executed; a variant needs to be judged only by the checks that executed the code it puts
something else in the place of.

That is so for functions.  What else may be exchanged (a constant, an entry of a table, whatever is no
``unittest.mock.patch``) has no code of its own: then every check could notice.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator, Mapping
from types import CodeType, FrameType
from typing import Any
from unittest import mock

import pytest

from tests.saboteurs.variants import Change, Variant

__all__ = ["Tracer", "place_of", "places"]

#: The classes of the objects that ``mock.patch`` answers; they have no public name.
PATCH = type(mock.patch.object(mock, "patch"))
PATCH_DICT = type(mock.patch.dict({}))


def place_of(code: CodeType) -> str:
    """Answer a name for code that is the same in each process."""
    return f"{code.co_filename}:{code.co_firstlineno}:{code.co_qualname}"


def places(variant: Variant) -> frozenset[str] | None:
    """Answer the places that a variant exchanges, None when one of them is no function."""
    originals = [original for change in variant.changes for original in _originals(change)]
    codes = [_code(original) for original in originals]
    known = [place_of(code) for code in codes if code is not None]
    return frozenset(known) if len(known) == len(originals) else None


def _originals(change: Change) -> Iterator[Any]:
    if isinstance(change, PATCH):
        yield getattr(change.getter(), change.attribute, None)
    elif isinstance(change, PATCH_DICT):
        yield from (change.in_dict.get(key) for key in change.values)
    else:
        yield None


def _code(original: Any) -> CodeType | None:
    function = getattr(original, "fget", original)  # a property is its getter
    code = getattr(function, "__code__", None)
    return code if isinstance(code, CodeType) else None


class Tracer:
    """A pytest plugin that notes the places each test comes by."""

    def __init__(self) -> None:
        self._codes: dict[str, set[CodeType]] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Note the code that is executed during a test, its fixtures included."""
        seen = self._codes[item.nodeid] = set()

        def note(frame: FrameType, event: str, argument: object, add: Any = seen.add) -> None:
            if event == "call":
                add(frame.f_code)

        sys.setprofile(note)
        try:
            return (yield)
        finally:
            sys.setprofile(None)

    def found(self) -> Mapping[str, frozenset[str]]:
        """Answer the places by the ids of the tests."""
        return {test: frozenset(map(place_of, codes)) for test, codes in self._codes.items()}
