"""The checks that need Redis bite: each saboteur that shows there only fails exactly what it breaks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from celeriac.spec import load
from tests.saboteurs.matrix import ROOT, Outcome
from tests.saboteurs.roster import ON_REDIS, REFERENCE
from tests.saboteurs.variants import Saboteur, Variant

pytestmark = pytest.mark.saboteurs

#: What is judged: all that shows on Redis only.
REQUIREMENTS = (
    *("MSG-015", "MSG-016", "MSG-017", "MSG-018"),
    *("RES-020", "RES-021", "RES-022"),
    *("ADV-004", "ADV-009", "ADV-014", "ADV-015"),
)

#: Seconds that a run may take.
LIMIT_S = 180

FAILED = 1


@dataclass(frozen=True, slots=True)
class Run:
    """A variant that is being judged by the checks that need Redis."""

    variant: Variant
    process: subprocess.Popen[bytes]
    folder: Path

    def outcome(self) -> Outcome:
        """Wait for the end, and answer what the checks say."""
        return Outcome(self.variant, self.process.wait(LIMIT_S), 0.0, self.folder)


def start(variant: Variant, folder: Path, url: str) -> Run:
    """Judge a variant in a process of its own."""
    folder.mkdir()
    options = {"adapter": f"tests.saboteurs.roster:{variant.id}", "report-dir": folder, "broker": "redis"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider"]
    command += ["-p", "tests.saboteurs.impatient", str(ROOT / "conformance")]
    command += [f"--{name}={value}" for name, value in (*options.items(), ("broker-from", url))]
    command += [f"--requirement={name}" for name in REQUIREMENTS]
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
    return Run(variant, process, folder)


@pytest.fixture(scope="session")
def outcomes(
    node_url: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, Run]]:
    """Answer the runs of all variants, which mostly wait, hence go on at the same time; one server serves all."""
    url, folder = node_url("redis"), tmp_path_factory.mktemp("on_redis")
    runs = {one.id: start(one, folder / one.id, url) for one in (REFERENCE, *ON_REDIS)}
    yield runs
    for run in runs.values():
        run.process.kill()
        run.process.wait()


@pytest.fixture(scope="session")
def reference(outcomes: Mapping[str, Run]) -> Outcome:
    """Answer what these checks say of the reference itself."""
    outcome = outcomes[REFERENCE.id].outcome()
    verdicts = {name: outcome.requirements[name]["verdict"] for name in REQUIREMENTS}
    assert verdicts == dict.fromkeys(REQUIREMENTS, "pass"), outcome.log[-3000:]
    return outcome


@pytest.mark.parametrize("saboteur", ON_REDIS, ids=lambda saboteur: saboteur.id)
def test_saboteur_on_redis_is_caught(
    outcomes: Mapping[str, Run], reference: Outcome, saboteur: Saboteur
) -> None:
    """Of all that shows on Redis only, a saboteur fails what it breaks, by its name, and nothing else."""
    outcome = outcomes[saboteur.id].outcome()
    broken = dict.fromkeys((saboteur.requirement, *saboteur.also), "fail")
    assert outcome.failed() == broken, f"{saboteur.what}\n{outcome.log[-3000:]}"
    assert outcome.status == FAILED
    sentence = load().requirements[saboteur.requirement].sentence
    assert " ".join(sentence.split()) in " ".join(outcome.log.split())


def test_every_requirement_on_redis_has_its_saboteur() -> None:
    """The saboteurs on Redis break all that shows there only, and nothing that shows elsewhere."""
    assert {saboteur.requirement for saboteur in ON_REDIS} == set(REQUIREMENTS)
