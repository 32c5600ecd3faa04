"""The checks that need Redis bite: each saboteur that shows there only fails exactly what it breaks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from celeriac.spec import load
from tests.saboteurs.roster import ON_REDIS, REFERENCE_ON_REDIS
from tests.saboteurs.variants import Saboteur

pytestmark = pytest.mark.saboteurs

#: What is judged: all that shows on Redis only.
REQUIREMENTS = (
    *("MSG-015", "MSG-016", "MSG-017", "MSG-018", "MSG-045", "MSG-046"),
    *("RES-020", "RES-021", "RES-022"),
    *("ADV-004", "ADV-009", "ADV-014", "ADV-015"),
)

FAILED = 1


@pytest.fixture(scope="session")
def reference(node_url: Callable[[str], str], matrix: Any) -> None:
    """Require a Redis, and that the reference is green there."""
    node_url("redis")
    outcome = matrix[REFERENCE_ON_REDIS]
    verdicts = {name: outcome.requirements[name]["verdict"] for name in REQUIREMENTS}
    assert verdicts == dict.fromkeys(REQUIREMENTS, "pass"), outcome.log[-3000:]


@pytest.mark.usefixtures("reference")
@pytest.mark.parametrize("variant", ON_REDIS, ids=lambda variant: str(variant.id))
def test_saboteur_on_redis_is_caught(matrix: Any, variant: Saboteur) -> None:
    """Of all that shows on Redis only, a saboteur fails what it breaks, by its name, and nothing else."""
    outcome = matrix[variant]
    broken = dict.fromkeys((variant.requirement, *variant.also), "fail")
    assert outcome.failed() == broken, f"{variant.what}\n{outcome.log[-3000:]}"
    assert outcome.status == FAILED
    sentence = load().requirements[variant.requirement].sentence
    assert " ".join(sentence.split()) in " ".join(outcome.log.split())


def test_every_requirement_on_redis_has_its_saboteur() -> None:
    """The saboteurs on Redis break all that shows there only, and nothing that shows elsewhere."""
    assert {saboteur.requirement for saboteur in ON_REDIS} == set(REQUIREMENTS)
