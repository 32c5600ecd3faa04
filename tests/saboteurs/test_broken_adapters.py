"""An adapter that is broken itself costs its checks an error with the evidence, and fails nobody."""

from __future__ import annotations

from typing import Any

import pytest

from tests.saboteurs.roster import BROKEN
from tests.saboteurs.variants import Variant

pytestmark = pytest.mark.saboteurs

#: The exit status of a run in which something has no verdict.
BROKE = 3

#: What the checks that met the adapter say of it.
EVIDENCE = {"adapter_raises": "the driver is broken", "adapter_talks_nonsense": "'of course'"}


@pytest.mark.parametrize("variant", BROKEN, ids=lambda variant: str(variant.id))
def test_broken_adapter_is_an_error(matrix: Any, baseline: Any, variant: Variant) -> None:
    """Some requirements get an error in place of their verdict, none gets another one, and the run exits with 3."""
    outcome = matrix[variant]
    failed = outcome.failed()
    assert outcome.status == BROKE
    assert len(failed) > 20
    assert set(failed.values()) == {"error"}
    assert EVIDENCE[variant.id] in outcome.log
