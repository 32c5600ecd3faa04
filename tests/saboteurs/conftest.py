"""Fixtures of the kill matrix, which is printed when the run was for the saboteurs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.saboteurs.matrix import Matrix, Outcome
from tests.saboteurs.roster import REFERENCE

KEY = pytest.StashKey[Matrix]()


@pytest.fixture(scope="session")
def matrix(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    """Judge the variants of all selected tests, in their order; the reference comes first."""
    params = (getattr(item, "callspec", None) for item in request.session.items)
    wanted = [spec.params["variant"] for spec in params if spec is not None and "variant" in spec.params]
    matrix = Matrix([REFERENCE, *wanted], tmp_path_factory.mktemp("matrix"))
    request.config.stash[KEY] = matrix
    yield matrix
    matrix.close()


@pytest.fixture(scope="session")
def baseline(matrix: Matrix) -> Outcome:
    """Answer what the suite says of the reference itself; unless that is green, nothing else can be judged."""
    outcome = matrix[REFERENCE]
    assert (outcome.status, outcome.failed()) == (0, {}), (
        f"the reference itself is not green:\n{outcome.log[-3000:]}"
    )
    return outcome


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the kill matrix when the run was for the saboteurs."""
    matrix = config.stash.get(KEY, None)
    if matrix is None or "saboteurs" not in config.option.markexpr:
        return
    terminalreporter.section("kill matrix")
    for line in matrix.rows():
        terminalreporter.line(line)
