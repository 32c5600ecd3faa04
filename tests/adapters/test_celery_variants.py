"""Celery with a package that changes a part of it: what the adapter is told, and how the probes are registered."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import celery
import pytest

from celeriac.adapters.celery.adapter import CeleryAdapter
from celeriac.adapters.celery.application import NATIVE, application
from celeriac.adapters.celery.variants import VARIANTS, Variant, register_coroutine
from celeriac.adapters.probes import Reporter, probes
from celeriac.conformance.adapter import Adapter, Event, Scenario
from celeriac.conformance.claim import bundled, find_adapter
from celeriac.conformance.environments import Build, BuildError, make
from celeriac.conformance.verdicts import HarnessError

#: Every adapter whose claim names a variant.
NAMES = [name for name in bundled() if "variant" in find_adapter(name).claim.driver.get("arguments", {})]


def unheard(event: Event) -> None:
    """Drop an event."""


@pytest.fixture
def app() -> celery.Celery:
    """Answer an application without a broker."""
    return celery.Celery("variants", set_as_current=False)


def test_every_variant_has_a_claim() -> None:
    """Each variant but Celery alone is the argument of the claim of its name, and no claim names another."""
    assert sorted(NAMES) == sorted(set(VARIANTS) - {"celery"})


@pytest.mark.parametrize("name", NAMES)
def test_claim_names_its_variant_and_pins_its_package(name: str) -> None:
    """A variant is judged in an environment with a pinned version of its package, by Celery's known failures."""
    found, celerys = find_adapter(name), find_adapter("celery")

    assert found.claim.driver == {**celerys.claim.driver, "arguments": {"variant": name}}
    assert found.claim.build is not None
    assert any(line.startswith(f"{VARIANTS[name].package}==") for line in found.claim.build.requirements)
    assert found.expectations == celerys.expectations


@pytest.mark.parametrize("package", VARIANTS)
def test_driver_is_told_its_variant(package: str) -> None:
    """The name of the variant is the last word of the driver's command, after the Python of its environment."""
    command = CeleryAdapter(python="/somewhere/python", variant=package).command

    assert (command[0], command[-1]) == ("/somewhere/python", package)


def test_celery_alone_is_the_default() -> None:
    """Without an argument the adapter drives Celery alone, on the harness's own Python."""
    command = CeleryAdapter().command

    assert (command[0], command[-1]) == (sys.executable, "celery")


def test_package_that_is_not_installed_is_one_line() -> None:
    """A variant whose package is missing says what to install."""
    adapter = CeleryAdapter(variant="celery-batches")
    try:
        with pytest.raises(HarnessError) as caught:
            adapter.hello()
    finally:
        adapter.close()

    assert str(caught.value) == "celery-batches is not installed: pip install celery-batches"


def test_probe_as_a_coroutine(app: celery.Celery) -> None:
    """A probe that was registered as a coroutine gives way, then does what the probe does."""
    done: list[str] = []
    probe = probes(NATIVE, Reporter("producer", NATIVE.now, unheard))["celeriac.add"]

    register_coroutine(app, "celeriac.add", probe, {"ignore_result": True})
    task = app.tasks["celeriac.add"]

    async def beside() -> None:
        done.append("beside")

    async def both() -> Any:
        value, _ = await asyncio.gather(task(2, 2), beside())
        return value

    assert task.ignore_result is True
    assert asyncio.run(both()) == 4
    assert done == ["beside"]
    with pytest.raises(TypeError):
        task.apply_async((2, 2, 2))  # arguments are checked as those of the probe


def test_settings_of_a_variant_stand_behind_those_of_a_scenario() -> None:
    """What a package wants is set, unless the scenario sets it, too."""
    variant = Variant(settings={"broker_transport": "memory", "task_default_priority": 3})
    scenario = Scenario("s", "memory://", None, "q", settings={"task_default_priority": 5})

    made = application(scenario, Reporter("producer", NATIVE.now, unheard), variant)

    assert (made.conf.broker_transport, made.conf.task_default_priority) == ("memory", 5)


@pytest.mark.parametrize("shim", [False, True])
def test_python_that_is_missing_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shim: bool
) -> None:
    """Where the Python of a claim is not on the PATH, or cannot be started, a line names it."""
    if shim:
        (tmp_path / "python3.13").write_text("#!/bin/sh\necho not chosen >&2\nexit 127\n")
        (tmp_path / "python3.13").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CELERIAC_CACHE", str(tmp_path / "cache"))

    with pytest.raises(BuildError) as caught:
        make(Build(("celery-redis-plus==0.4.1",), tmp_path, python="3.13"))

    assert (
        str(caught.value)
        == "celery-redis-plus==0.4.1 cannot be built: python3.13 must be installed and on the PATH"
    )


@pytest.fixture(params=NAMES)
def housed(request: pytest.FixtureRequest, make_adapter: Callable[[str], Adapter]) -> Iterator[Any]:
    """Answer the adapter of a variant in its environment, with its name."""
    adapter = make_adapter(request.param)
    yield adapter, request.param
    adapter.close()


def test_hello_names_the_package(housed: Any) -> None:
    """The driver runs with the package of its claim, and says so beside the version of Celery."""
    adapter, name = housed
    package = VARIANTS[name].package
    (pinned,) = (
        line.partition("==")[2]
        for line in find_adapter(name).claim.build.requirements  # type: ignore[union-attr]
        if line.startswith(f"{package}==")
    )

    said = adapter.hello()

    assert (said["implementation"], said["missing"]) == (f"Celery with {package} {pinned}", {})
