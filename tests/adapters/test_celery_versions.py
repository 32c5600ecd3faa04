"""Versions of Celery that are not installed beside the harness are judged in environments of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from celeriac.conformance.adapter import Adapter
from celeriac.conformance.claim import find_adapter

VERSIONS = {"celery-5.5": "5.5.3", "celery-5.7": "5.7.0"}


@pytest.fixture(params=VERSIONS)
def versioned(request: pytest.FixtureRequest, make_adapter: Callable[[str], Adapter]) -> Iterator[Any]:
    """Answer the adapter of a version, with the version."""
    adapter = make_adapter(request.param)
    yield adapter, VERSIONS[request.param]
    adapter.close()


def test_version_is_the_one_of_the_claim(versioned: Any) -> None:
    """The driver runs the version that the claim pins, with every codec and back end that it claims."""
    adapter, version = versioned

    expected = {"protocol": 1, "implementation": "Celery", "version": version, "missing": {}}
    assert adapter.hello() == expected


def test_packages_of_the_caller_stay_outside(
    versioned: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Celery on the caller's PYTHONPATH is not the one that is judged."""
    (tmp_path / "celery.py").write_text("raise RuntimeError('this is the Celery of the caller')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    adapter, version = versioned

    assert adapter.hello()["version"] == version


@pytest.mark.parametrize("name", VERSIONS)
def test_versions_share_claim_and_expectations(name: str) -> None:
    """What is claimed and what is known to fail is said once for all versions."""
    ours, shared = find_adapter(name), find_adapter("celery")

    assert (ours.claim.features, ours.claim.driver) == (shared.claim.features, shared.claim.driver)
    assert ours.expectations == shared.expectations
