"""The hook that the plugin adds to pytest's: how a stage is opened."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from celeriac.conformance.adapter import Adapter

if TYPE_CHECKING:
    from celeriac.conformance.stage import Stage

__all__ = ["pytest_celeriac_stage"]


@pytest.hookspec(firstresult=True)
def pytest_celeriac_stage(
    config: pytest.Config, factory: Callable[[], Adapter], flavour: str, source: str | None, clock: str
) -> Stage | None:
    """Open the stage for a flavour of broker; the first answer that is not None is taken.

    Args:
        config: pytest's configuration.
        factory: makes the adapter.
        flavour: embedded, rabbitmq, redis or valkey.
        source: container, process, a URL, or None for the default.
        clock: virtual or wall.
    """
