"""Small conformance runs in this process: a test writes checks, adapter and expectations; the stage has no broker."""

from __future__ import annotations

import json
import sys
import textwrap
import traceback
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from celeriac.conformance.adapter import Adapter, Answer, Broken, Scenario
from celeriac.conformance.history import History
from celeriac.conformance.providers import LINKS, BrokerInfo, Unavailable
from celeriac.conformance.strategies import configure, examples

CLAIM = """
name = "scripted"
title = "A scripted implementation"
roles = ["producer", "worker", "local-caller"]
links = ["in-process", "amqp", "redis"]
clocks = ["virtual", "wall"]
modes = ["apply_async", "delay"]

[driver]
class = "{module}:Scripted"

[features]
serializers = ["json", "yaml"]
exchange_routing = true
link = true
link_error = true
task_attributes = true
chords = false
"""

ADAPTER = """
from celeriac.conformance.adapter import Adapter, Broken, Ok, Raised, Unsupported


class Scripted(Adapter):
    def hello(self):
        return {"implementation": "Scripted", "version": "1.2.3", "missing": {"serializer:yaml": "no yaml here"}}

    def begin(self, scenario):
        return Ok()

    def end(self):
        return Ok()

    def call(self, call):
        return getattr(self, call.task)()

    def accept(self):
        return Ok({"task_id": "t-1"})

    def broken(self):
        return Broken("line 7 of the driver is wrong")

    def nonsense(self):
        return "yes, done"

    def explode(self):
        raise RuntimeError("the adapter exploded")

    def hang(self):
        while True:
            pass

    def without_link(self):
        return Unsupported("link", "never heard of it")

    def without_chords(self):
        return Unsupported("chords", "never heard of them")

    def without_widgets(self):
        return Unsupported("widgets", "never heard of widgets")

    def without_yaml(self):
        return Unsupported("serializer:yaml", "cannot import yaml")

    def close(self):
        pass
"""

HEADER = """
import pytest
from celeriac.conformance import check
from celeriac.conformance.verdicts import *
"""


class ScriptedStage:
    """A stage without a broker: it passes requests to the adapter and keeps a history."""

    kind = "virtual"
    tick = 1.0
    horizon = float("inf")
    budget = 3
    simulated_s = 0.0
    withdrawn: str | None = None
    worker_url = "inproc://scripted"
    reply_queue = "replies"
    lease = None
    clock = None

    def __init__(self, factory: Callable[[], Adapter], flavour: str) -> None:
        self.adapter = factory()
        self.adapter.emit = lambda event: None
        self.identity = self.adapter.hello()
        self.missing: Mapping[str, str] = self.identity.get("missing", {})
        self.history = History()
        self.notes: list[tuple[str, Any]] = []
        self.broker = BrokerInfo(flavour, "script", "0.9", LINKS[flavour])
        self.scenario = Scenario("scripted", self.worker_url, None, "scripted")

    def now(self) -> float:
        return 0.0

    def prepare(self, leases: Iterable[str]) -> None:
        """Have no brokers to start."""

    def begin(self, **_: Any) -> Answer:
        self.history = History()
        return self.request("begin", self.scenario)

    def end(self) -> None:
        self.request("end")

    def request(self, operation: str, *args: Any, **kwargs: Any) -> Answer:
        try:
            answer: Answer = getattr(self.adapter, operation)(*args, **kwargs)
        except Exception:  # noqa: BLE001 - as the real stages do
            return Broken(f"the adapter raised in {operation}:\n{traceback.format_exc()}")
        return answer

    def properties(self, body: Callable[..., None]) -> Callable[..., None]:
        return examples(self.budget)(body)

    def log(self, kind: str, **data: Any) -> None:
        self.history.add(kind, self.now(), "harness", **data)

    def close(self) -> None:
        self.adapter.close()


class StagePlugin:
    """Opens scripted stages; the flavours in ``absent`` cannot be had."""

    def __init__(self, absent: tuple[str, ...]) -> None:
        self.absent = absent

    @pytest.hookimpl(tryfirst=True)
    def pytest_celeriac_stage(self, factory: Callable[[], Adapter], flavour: str) -> ScriptedStage:
        if flavour in self.absent:
            raise Unavailable(f"install a {flavour} server")
        return ScriptedStage(factory, flavour)


@dataclass(frozen=True)
class Finished:
    """A run that has ended."""

    status: int
    out: str
    err: str
    folder: Path

    @property
    def results(self) -> Any:
        return json.loads((self.folder / "results.json").read_text())

    @property
    def journal(self) -> list[Any]:
        """Answer header, checks and footer; what a stage says of itself is left out."""
        lines = (self.folder / "results.jsonl").read_text().splitlines()
        return [line for line in map(json.loads, lines) if line["record"] != "stage"]

    def verdict(self, requirement: str) -> str:
        return str(self.results["requirements"][requirement]["verdict"])

    def reason(self, requirement: str) -> str:
        return "; ".join(check["reason"] for check in self.results["requirements"][requirement]["checks"])


@dataclass
class Suite:
    """A folder with checks, an adapter, its claim and its expectations."""

    folder: Path
    module: str
    capture: Any
    stage: type[ScriptedStage] = ScriptedStage

    @property
    def adapter(self) -> Path:
        return self.folder / "adapter.toml"

    def claim(self, old: str, new: str) -> None:
        assert old in self.adapter.read_text()
        self.adapter.write_text(self.adapter.read_text().replace(old, new))

    @property
    def file(self) -> Path:
        return self.folder / f"test_{self.module}.py"

    def checks(self, text: str) -> None:
        for name in [name for name in sys.modules if self.file.stem in name]:
            del sys.modules[name]
        self.file.write_text(HEADER + textwrap.dedent(text))

    def expect(self, text: str) -> None:
        (self.folder / "expectations.toml").write_text(textwrap.dedent(text))

    def run(self, *words: str, absent: tuple[str, ...] = (), adapter: str | None = None) -> Finished:
        """Run the checks and answer what came of it."""
        chosen = () if adapter == "" else (f"--adapter={adapter or self.adapter}",)
        command = [
            "-c",
            str(self.folder / "pytest.ini"),
            *LOAD,
            *chosen,
            f"--report-dir={self.folder / 'out'}",
            *words,
        ]
        if not any(word.startswith(str(self.folder)) for word in words):
            command.append(str(self.folder))
        self.capture.readouterr()
        status = int(pytest.main(command, plugins=[StagePlugin(absent)]))
        text = self.capture.readouterr()
        return Finished(status, text.out, text.err, self.folder / "out")


#: The plugin alone, and none of pytest's that collect garbage again and again.
LOAD = (
    *("-p", "celeriac.conformance.plugin", "--import-mode=importlib", "--strict-markers"),
    *(
        word
        for name in ("cacheprovider", "unraisableexception", "threadexception")
        for word in ("-p", f"no:{name}")
    ),
)


@pytest.fixture
def suite(tmp_path: Path, capfd: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Suite]:
    """Give a test an adapter that accepts everything, and no checks yet."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.chdir(tmp_path)
    module = f"scripted_{uuid.uuid4().hex}"
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "adapter.toml").write_text(CLAIM.replace("{module}", module))
    (tmp_path / f"{module}.py").write_text(ADAPTER)
    with monkeypatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        yield Suite(tmp_path, module, capfd)
    configure(explore=False)
