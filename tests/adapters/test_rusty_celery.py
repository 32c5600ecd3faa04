"""The driver of rusty-celery: its sources, what it passes on, and what it says that rusty-celery does not have."""

from __future__ import annotations

import json
import queue
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from celeriac import adapters
from celeriac.conformance.adapter import (
    Adapter,
    Answer,
    Call,
    Event,
    Ok,
    Raised,
    Scenario,
    Unsupported,
    WorkerSpec,
)
from celeriac.conformance.claim import find_adapter
from celeriac.conformance.environments import BuildError

FOLDER = Path(adapters.__path__[0]) / "rusty-celery"
CLAIM = find_adapter("rusty-celery").claim

#: Longer than anything here takes, in seconds: a wait this long is a failure.
PATIENCE = 60


@pytest.fixture(scope="module")
def adapter() -> Iterator[Adapter]:
    """Answer the driver, running; where it cannot be built its tests are skipped loudly."""
    if shutil.which("cargo") is None:
        pytest.skip("NO CARGO: no cargo on the PATH builds the driver of rusty-celery")
    try:
        adapter = find_adapter("rusty-celery").factory()
    except BuildError as error:
        pytest.skip(f"NO CRATES: {error}")
    yield adapter
    adapter.close()


@pytest.fixture(scope="module")
def begin(adapter: Adapter, node_url: Callable[[str], str]) -> Callable[..., Answer]:
    """Answer a function that begins a scenario on a broker: rusty-celery connects before its first call."""

    def begin(**fields: Any) -> Answer:
        adapter.end()
        return adapter.begin(Scenario("s", node_url("embedded"), None, "rusty", **fields))

    return begin


def test_versions_are_exact() -> None:
    """There is no lock file: whatever decides how rusty-celery behaves is pinned where it is asked for."""
    manifest = tomllib.loads((FOLDER / "Cargo.toml").read_text(encoding="utf-8"))
    asked = {
        name: wanted if isinstance(wanted, str) else wanted["version"]
        for name, wanted in manifest["dependencies"].items()
    }

    assert {"celery", "lapin", "redis"} <= asked.keys()
    assert [name for name, version in asked.items() if not version.startswith("=")] == []
    assert not (FOLDER / "Cargo.lock").exists()


@pytest.mark.skipif(
    shutil.which("rustfmt") is None, reason="NO RUSTFMT: nothing on the PATH looks at the format"
)
def test_sources_are_formatted() -> None:
    """The driver is written as rustfmt writes it, in lines of the width that its settings name."""
    command = ["rustfmt", "--check", "--edition", "2024", "--config-path", ".", "src/main.rs"]

    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_version_is_the_one_that_is_pinned(adapter: Adapter) -> None:
    """The driver says which version it was built with."""
    manifest = tomllib.loads((FOLDER / "Cargo.toml").read_text(encoding="utf-8"))

    said = adapter.hello()

    assert f"={said['version']}" == manifest["dependencies"]["celery"]["version"]
    assert (said["implementation"], said["missing"]) == ("rusty-celery", {})


def test_version_of_the_future_is_broken(adapter: Adapter) -> None:
    """A harness that speaks another version of the protocol is told which one is spoken here."""
    (program,) = adapter.command  # type: ignore[attr-defined]
    request = json.dumps({"id": 1, "op": "hello", "body": {"protocol": 2}})

    done = subprocess.run(
        [program], input=request, capture_output=True, text=True, timeout=PATIENCE, check=True
    )

    detail = "protocol 2 is asked for; this driver speaks 1"
    assert json.loads(done.stdout) == {"id": 1, "broken": {"detail": detail}}


@pytest.mark.parametrize(
    ("fields", "feature"),
    [
        ({"settings": {"accept_content": ["pickle"]}}, "accept_content"),
        ({"settings": {"task_publish_retry": False}}, "task_publish_retry"),
        ({"task_attributes": {"celeriac.add": {"serializer": "json"}}}, "task_attributes"),
    ],
)
def test_setting_that_it_does_not_have_is_named(
    begin: Callable[..., Answer], fields: Any, feature: str
) -> None:
    """A setting that rusty-celery lacks is answered by its name, which the claim denies."""
    answer = begin(**fields)

    assert isinstance(answer, Unsupported)
    assert answer.feature == feature
    assert CLAIM.denies(feature)


@pytest.mark.parametrize(
    ("call", "feature"),
    [
        (Call("celeriac.add", (2, 2), options={"priority": 3}), "priority"),
        (Call("celeriac.add", (2, 2), options={"headers": {"k": 1}}), "headers"),
        (Call("celeriac.add", (2, b"2")), "typed_json"),
        (Call("celeriac.echo", (2,)), "variadic_tasks"),
        (Call("celeriac.progress"), "update_state"),
    ],
)
def test_option_that_it_does_not_have_is_named(
    adapter: Adapter, begin: Callable[..., Answer], call: Call, feature: str
) -> None:
    """What a signature of rusty-celery cannot say is answered by its name, which the claim denies."""
    assert begin() == Ok()

    answer = adapter.call(call)

    assert isinstance(answer, Unsupported)
    assert answer.feature == feature
    assert CLAIM.denies(feature)


@pytest.mark.parametrize("options", [{"countdown": 0.5}, {"countdown": -1}, {"eta": "soon"}])
def test_call_that_would_not_compile_is_refused(
    adapter: Adapter, begin: Callable[..., Answer], options: dict[str, Any]
) -> None:
    """What the compiler would refuse is an error of the caller's before anything is sent."""
    assert begin() == Ok()

    answer = adapter.call(Call("celeriac.add", (2, 2), options=options))

    assert isinstance(answer, Raised)
    assert (answer.category, answer.type, answer.effect) == ("bad-argument", "rustc", "none")


def test_worker_in_its_own_process_executes_what_was_called(
    adapter: Adapter, begin: Callable[..., Answer], node_url: Callable[[str], str]
) -> None:
    """A worker reports what it executes, and its death is told with its exit code while the driver serves on."""
    events: queue.Queue[Event] = queue.Queue()
    adapter.emit = events.put
    assert begin() == Ok()
    assert adapter.start_worker(WorkerSpec("w", node_url("embedded"), ("rusty",))) == Ok()

    called = adapter.call(Call("celeriac.add", (2, 3)))

    assert isinstance(called, Ok)
    about = {"worker": "w", "task_id": called.value["task_id"], "task": "celeriac.add"}
    ended = next(
        event.data for event in iter(lambda: events.get(timeout=PATIENCE), None) if event.kind == "ended"
    )
    assert {**about, "state": "SUCCESS", "value": 5}.items() <= ended.items()
    assert adapter.stop_worker("w", "kill") == Ok({"exit_code": -9})
    assert begin() == Ok()
