"""Packages that change a part of Celery, and what it takes to judge Celery with one of them.

A claim names one by ``[driver] arguments = { variant = "celery-batches" }``; the driver and its workers get the name as
their only argument.  Only the environment of that claim has the package, so it is imported where it is used.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

import celery

from celeriac.adapters.probes import Probe
from celeriac.conformance.verdicts import HarnessError

__all__ = ["VARIANTS", "Register", "Variant"]

#: Registers a probe task: the application, the name of the task, what it does, its attributes.
Register = Callable[[celery.Celery, str, Probe, Mapping[str, Any]], None]


def register_function(app: celery.Celery, name: str, probe: Probe, attributes: Mapping[str, Any]) -> None:
    """Register a probe as it is."""
    # a shared task would also become a task of the next scenario's app, and win over its own
    app.task(name=name, bind=probe.bind, shared=False, **attributes)(probe.function)


def register_coroutine(app: celery.Celery, name: str, probe: Probe, attributes: Mapping[str, Any]) -> None:
    """Register a probe as a coroutine, for a pool that runs these."""
    register_function(app, name, Probe(_coroutine(probe.function), probe.bind), attributes)


def register_async_task(app: celery.Celery, name: str, probe: Probe, attributes: Mapping[str, Any]) -> None:
    """Register a probe as a coroutine behind acelery's decorator."""
    from acelery import async_task

    function = async_task()(_coroutine(probe.function))
    register_function(app, name, Probe(function, probe.bind), attributes)


def register_batch(app: celery.Celery, name: str, probe: Probe, attributes: Mapping[str, Any]) -> None:
    """Register a probe as a task of celery-batches; an errback, which nobody sends as a message, stays a function."""
    from celeriac.adapters.celery import batches

    register = batches.register if probe.bind else register_function
    register(app, name, probe, attributes)


def _coroutine(function: Callable[..., Any]) -> Callable[..., Any]:
    """Answer a function as a coroutine function that gives way once before it does anything."""

    @functools.wraps(function)
    async def probe(*args: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(0)
        return function(*args, **kwargs)

    return probe


@dataclass(frozen=True, slots=True)
class Variant:
    """Celery with a package that changes a part of it.

    Attributes:
        package: its name, None for Celery alone.
        pool: the worker's pool.
        environment: variables that the package wants its workers to be started with.
        settings: settings that it wants; a scenario may override them.
        register: registers a probe task as the package wants its tasks.
    """

    package: str | None = None
    pool: str = "prefork"
    environment: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    register: Register = register_function

    @property
    def title(self) -> str:
        """What is judged, as a report names it.

        Raises:
            HarnessError: the package is not installed.
        """
        if self.package is None:
            return "Celery"
        try:
            return f"Celery with {self.package} {metadata.version(self.package)}"
        except metadata.PackageNotFoundError:
            raise HarnessError(f"{self.package} is not installed: pip install {self.package}") from None


#: Every variant by the name of its adapter.
VARIANTS: Mapping[str, Variant] = {
    "celery": Variant(),
    "celery-acelery": Variant("acelery", register=register_async_task),
    "celery-aio-pool": Variant(
        "celery-aio-pool",
        pool="custom",
        environment={"CELERY_CUSTOM_WORKER_POOL": "celery_aio_pool.pool:AsyncIOPool"},
        register=register_coroutine,
    ),
    "celery-batches": Variant("celery-batches", register=register_batch),
    "celery-redis-plus": Variant(
        "celery-redis-plus", settings={"broker_transport": "celery_redis_plus.transport:Transport"}
    ),
}
