"""The site, built once for all tests that look at it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # the generator stands in docs/site and is never installed

from docs.site.build import build  # noqa: E402 - it can be found only now
from docs.site.sources import Sources, read_sources  # noqa: E402 - as above
from docs.site.tree import pages_and_files  # noqa: E402 - as above


@pytest.fixture(scope="session")
def sources() -> Sources:
    """Answer the data of this checkout."""
    return read_sources()


@pytest.fixture(scope="session")
def pages(sources: Sources) -> dict[str, str]:
    """Answer the Markdown of every page."""
    return pages_and_files(sources)[0]


@pytest.fixture(scope="session")
def html(sources: Sources, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Answer the folder of the built site."""
    folder = tmp_path_factory.mktemp("site")
    build(folder, sources)
    return folder / "html"
