"""Brokers and adapters that several areas of tests share: each broker is started at most once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from celeriac.conformance.adapter import Adapter
from celeriac.conformance.claim import find_adapter
from celeriac.conformance.environments import BuildError
from celeriac.conformance.providers import Provider, Unavailable, find


@pytest.fixture(scope="session")
def node_url() -> Iterator[Callable[[str], str]]:
    """Answer a function that answers the URL of a broker of some flavour: on TCP, in this process or in its own.

    A broker that cannot be had here is a loud skip, and a failure under CI=true.
    """
    providers: dict[str, Provider] = {}

    def node_url(flavour: str) -> str:
        if flavour not in providers:
            providers[flavour] = find(flavour, None if flavour == "embedded" else "process")
        try:
            return providers[flavour].node().url
        except Unavailable as error:
            if os.environ.get("CI") == "true":
                pytest.fail(f"{flavour} is required under CI=true: {error.reason}")
            pytest.skip(f"NO BROKER: {error.reason}")

    yield node_url
    for provider in providers.values():
        provider.close()


@pytest.fixture(scope="session")
def make_adapter() -> Callable[[str], Adapter]:
    """Answer a function that makes an adapter by its name.

    One whose environment cannot be made here is a loud skip, and under CI=true a failure, unless it wants a Python
    that is not everywhere.
    """
    hopeless: dict[str, str] = {}

    def make_adapter(name: str) -> Adapter:
        found = find_adapter(name)
        if name not in hopeless:
            try:
                return found.factory()
            except BuildError as error:
                hopeless[name] = str(error)
        foreign = found.claim.build is not None and found.claim.build.python is not None
        if os.environ.get("CI") == "true" and not foreign:
            pytest.fail(f"{name} is required under CI=true: {hopeless[name]}")
        pytest.skip(f"NO ENVIRONMENT: {name}: {hopeless[name]}")

    return make_adapter
