"""The suite asks for no more than the specification: what is odd but lawful passes."""

from __future__ import annotations

from typing import Any

import pytest

from celeriac.spec import load
from tests.saboteurs.roster import ODDITIES
from tests.saboteurs.variants import Oddity

pytestmark = pytest.mark.saboteurs


@pytest.mark.parametrize("variant", ODDITIES, ids=lambda variant: str(variant.id))
def test_oddity_passes(matrix: Any, baseline: Any, variant: Oddity) -> None:
    """An oddity gets the verdicts of the reference, check by check."""
    outcome = matrix[variant]
    assert (outcome.status, outcome.differing(baseline)) == (0, {}), f"{variant.what}\n{outcome.log[-3000:]}"


@pytest.mark.parametrize("variety", ODDITIES, ids=lambda variant: str(variant.id))
def test_oddity_is_allowed_somewhere(variety: Oddity) -> None:
    """The requirements that leave the choice exist."""
    assert variety.where
    assert set(variety.where) <= load().requirements.keys()
