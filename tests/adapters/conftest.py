"""Brokers and adapters for the tests of the adapters."""

from __future__ import annotations

import os
import queue
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from celeriac.conformance.adapter import Adapter, Event
from celeriac.conformance.providers import Provider, Unavailable, find


class Events:
    """What an adapter emitted, and a way to wait for it."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.seen: list[Event] = []

    def __call__(self, event: Event) -> None:
        self._queue.put(event)

    def wait(self, kind: str, timeout: float = 20.0, **fields: Any) -> Event:
        """Answer the first event like this, waiting for it at most ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            for event in self.seen:
                if event.kind == kind and fields.items() <= dict(event.data).items():
                    return event
            try:
                self.seen.append(self._queue.get(timeout=max(0.0, deadline - time.monotonic())))
            except queue.Empty:
                pytest.fail(f"no {kind} with {fields} within {timeout} s; seen: {self.seen}")


@pytest.fixture(scope="session")
def listen() -> Callable[[Adapter], Events]:
    """Answer a function that answers the events of an adapter from now on."""

    def listen(adapter: Adapter) -> Events:
        events = Events()
        adapter.emit = events
        return events

    return listen


@pytest.fixture(scope="session")
def _providers() -> Iterator[dict[str, Provider]]:
    providers: dict[str, Provider] = {}
    yield providers
    for provider in providers.values():
        provider.close()


@pytest.fixture(scope="session")
def broker_url(request: pytest.FixtureRequest, _providers: dict[str, Provider]) -> str:
    """Answer the URL of a broker of the flavour that the test is parametrised with."""
    flavour, source = request.param
    try:
        if flavour not in _providers:
            _providers[flavour] = find(flavour, source)
        return _providers[flavour].node(None).url
    except Unavailable as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"NO BROKER: {error.reason}")
