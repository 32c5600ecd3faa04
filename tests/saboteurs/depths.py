"""Which checks judge a variant, and how deeply each of them looks.

A check looks as deeply as in a verdict run when it decides what the variant is about, less so in the same chapter,
and hardly at all elsewhere.  Of those elsewhere a saboteur is judged by ``SPREAD``, drawn by its name: over all
saboteurs, every check has its turn.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from celeriac.conformance.checks import subject_of
from celeriac.conformance.strategies import examples
from celeriac.conformance.virtual_stage import VirtualStage
from tests.saboteurs.places import places
from tests.saboteurs.variants import Oddity, Saboteur, Variant

__all__ = ["Judge", "concerned"]


@dataclass(frozen=True, slots=True)
class Tries:
    """How deeply a check looks: examples of a property, cases of a table."""

    examples: int
    cases: int


WHOLE, SOME, FEW = Tries(VirtualStage.budget, VirtualStage.samples), Tries(4, 6), Tries(1, 2)

#: Checks of other chapters that a saboteur is judged by: they show that it breaks nothing else.
SPREAD = 15


class Depths(VirtualStage):
    """The virtual stage that can do with fewer examples than a verdict run, none of which is made smaller."""

    tries = WHOLE

    @property
    def samples(self) -> int:  # type: ignore[override] # as a number, it is the same for all checks
        """Answer how many cases of a table a check tries."""
        return self.tries.cases

    def properties(self, body: Any) -> Any:
        """Apply the settings."""
        return examples(self.tries.examples, shrink=False)(body)


class Judge:
    """A pytest plugin that opens that stage where time is virtual, and decides how deeply each check looks.

    Args:
        variant: what is judged; None lets every check look as in a verdict run.
    """

    def __init__(self, variant: Variant | None) -> None:
        self._variant = variant
        self._stage: Depths | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_celeriac_stage(self, factory: Any, clock: str) -> VirtualStage | None:
        """Open it."""
        self._stage = Depths(factory) if clock == "virtual" else None
        return self._stage

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Set the depth."""
        if self._stage is not None and self._variant is not None:
            self._stage.tries = _depth(item, self._variant)


def concerned(
    variant: Variant, items: Sequence[pytest.Item], footprints: Mapping[str, frozenset[str]]
) -> list[pytest.Item]:
    """Answer the checks that judge a variant, in their order.

    Args:
        variant: what is judged.
        items: every check.
        footprints: the places that each of them comes by; see ``places.py``.
    """
    exchanged = places(variant)
    wanted = [
        item for item in items if exchanged is None or not exchanged.isdisjoint(footprints[item.nodeid])
    ]
    others = [item for item in wanted if _depth(item, variant) is FEW]
    if not isinstance(variant, Saboteur) or len(others) <= SPREAD:
        return wanted
    drawn = random.Random(variant.id).sample(others, SPREAD)  # noqa: S311 - checks are drawn, not keys
    left_out = set(others) - set(drawn)
    return [item for item in wanted if item not in left_out]


def _depth(item: pytest.Item, variant: Variant) -> Tries:
    """Answer how deeply a check looks; a check of several chapters stands in that of its first requirement."""
    subject, about = subject_of(item), _subjects(variant)
    decided = subject.requirements if subject else ()
    if not about.isdisjoint(decided):
        return WHOLE
    return SOME if not about or _areas(decided[:1]) <= _areas(about) else FEW


def _subjects(variant: Variant) -> frozenset[str]:
    """Answer the requirements that a variant is about; the reference and broken adapters are about nothing."""
    if isinstance(variant, Saboteur):
        return frozenset((variant.requirement, *variant.also))
    return frozenset(variant.where) if isinstance(variant, Oddity) else frozenset()


def _areas(requirements: Iterable[str]) -> set[str]:
    return {name.split("-")[0] for name in requirements}
