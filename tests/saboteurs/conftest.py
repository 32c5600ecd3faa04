"""Fixtures of the kill matrix, which is printed when the run was for the saboteurs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from celeriac.spec import validator
from tests.saboteurs.matrix import Matrix, Outcome
from tests.saboteurs.roster import ON_REDIS, REFERENCE, REFERENCE_ON_REDIS

KEY = pytest.StashKey[Matrix]()

#: What the last run for the saboteurs has found; ``scripts/site --record`` takes it into docs/.
RECORD = Path(".celeriac/kill-matrix.json")


@pytest.fixture(scope="session")
def matrix(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    redis_url: str | None,
) -> Iterator[Matrix]:
    """Judge the variants of all selected tests, in their order; the reference comes first."""
    own = (item for item in request.session.items if "matrix" in getattr(item, "fixturenames", ()))
    params = (getattr(item, "callspec", None) for item in own)
    wanted = [spec.params["variant"] for spec in params if spec is not None and "variant" in spec.params]
    matrix = request.config.stash[KEY] = Matrix(tmp_path_factory.mktemp("matrix"))
    on_redis = [variant for variant in wanted if variant in ON_REDIS]
    if on_redis and redis_url is not None:
        matrix.judge("redis", [REFERENCE_ON_REDIS, *on_redis], f"--redis={redis_url}")
    matrix.judge("virtual", [REFERENCE, *(variant for variant in wanted if variant not in ON_REDIS)])
    yield matrix
    matrix.close()


@pytest.fixture(scope="session")
def redis_url(node_url: Callable[[str], str]) -> str | None:
    """Answer where a Redis is, None where none can be had."""
    try:
        return node_url("redis")
    except pytest.skip.Exception:
        return None


@pytest.fixture(scope="session")
def baseline(matrix: Matrix) -> Outcome:
    """Answer what the suite says of the reference itself; unless that is green, nothing else can be judged."""
    outcome = matrix[REFERENCE]
    assert (outcome.status, outcome.failed()) == (0, {}), (
        f"the reference itself is not green:\n{outcome.log[-3000:]}"
    )
    return outcome


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the kill matrix, and write it for programs, when the run was for the saboteurs."""
    matrix = config.stash.get(KEY, None)
    if matrix is None or "saboteurs" not in config.option.markexpr:
        return
    terminalreporter.section("kill matrix")
    for line in matrix.rows():
        terminalreporter.line(line)
    document = matrix.document()
    validator("kill-matrix").validate(document)
    RECORD.parent.mkdir(exist_ok=True)
    RECORD.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    terminalreporter.line(f"written: {RECORD}")
