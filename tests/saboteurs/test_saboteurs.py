"""Every check bites: each reference that is wrong on purpose fails exactly the requirement that it breaks."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from celeriac.spec import load
from tests.saboteurs.roster import (
    BROKEN,
    ODDITIES,
    ON_REDIS,
    REFERENCE,
    REFERENCE_ON_REDIS,
    SABOTEURS,
    VARIANTS,
)
from tests.saboteurs.variants import Saboteur

pytestmark = pytest.mark.saboteurs

#: The exit status of a run in which a requirement failed.
FAILED = 1


def named(variant: Any) -> str:
    """Answer the id of a variant, for the name of its test."""
    return str(variant.id)


@pytest.mark.parametrize("variant", SABOTEURS, ids=named)
def test_saboteur_is_caught(matrix: Any, baseline: Any, variant: Saboteur) -> None:
    """The suite fails the requirement that a saboteur breaks, by its name, and no other."""
    outcome = matrix[variant]
    broken = dict.fromkeys((variant.requirement, *variant.also), "fail")
    assert outcome.failed() == broken, f"{variant.what}\n{outcome.log[-3000:]}"
    assert outcome.status == FAILED
    sentence = load().requirements[variant.requirement].sentence
    told = " ".join(outcome.log.split())
    assert variant.requirement in told
    assert " ".join(sentence.split()) in told


def test_reference_is_green(baseline: Any) -> None:
    """The reference itself passes the suite, as the matrix runs it."""
    assert baseline.requirements["ETA-004"]["verdict"] == "pass"


@pytest.mark.parametrize("saboteur", [*SABOTEURS, *ON_REDIS], ids=named)
def test_saboteur_breaks_a_requirement(saboteur: Saboteur) -> None:
    """The requirements that a saboteur names exist, and it says why when there are several."""
    known = load().requirements
    assert {saboteur.requirement, *saboteur.also} <= known.keys()
    assert bool(saboteur.also) == bool(saboteur.because)


def test_ids_are_unique() -> None:
    """No two variants share an id, and each id can be given to --adapter."""
    everything = (REFERENCE, REFERENCE_ON_REDIS, *SABOTEURS, *ON_REDIS, *ODDITIES, *BROKEN)
    counts = Counter(variant.id for variant in everything)
    assert [name for name, count in counts.items() if count > 1 or not name.isidentifier()] == []
    assert VARIANTS.keys() == counts.keys()
