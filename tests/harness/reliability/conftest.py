"""Whole conformance runs as processes, on brokers of their own, that a test may kill."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

import pytest

from celeriac.conformance.embedded import WallClock
from celeriac.conformance.providers import Unavailable, engine
from celeriac.conformance.providers.rabbitmq import RabbitProcess
from celeriac.conformance.providers.redis import RedisProcess

#: Seconds after which something that must happen has not happened.
PATIENCE = 60.0

#: A check that has everything running, says so, and goes on when it is told to, by a line in a pipe with a name.
CHECKS = """
import os
from celeriac.conformance import check

@check("BAS-001")
def test_before(world):
    world.begin()

@check("ETA-004")
def test_in_the_middle(world):
    world.begin()
    world.worker()
    message = world.send()
    world.expect("ended", task_id=message.task_id)
    with open(os.environ["HERE"], "w") as here:
        here.write("here\\n")
    with open(os.environ["GO"]) as go:
        assert go.readline() == "pass\\n"
"""


class Watch:
    """Processes whose end is waited for."""

    def __init__(self, pids: Sequence[int]) -> None:
        self.pids = pids
        self._handles = [os.pidfd_open(pid) for pid in pids]

    def ended(self) -> bool:
        """Answer whether all of them end, in time."""
        try:
            return all(select.select([handle], [], [], PATIENCE)[0] for handle in self._handles)
        finally:
            self.close()

    def close(self) -> None:
        """Watch no more."""
        while self._handles:
            os.close(self._handles.pop())


def descendants(pid: int) -> Iterator[int]:
    """Answer every process that ``pid`` has started, and those that they have."""
    with suppress(FileNotFoundError, ProcessLookupError):
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in map(int, children.read_text().split()):
                yield child
                yield from descendants(child)


class Place:
    """Where runs live: their checks, their cache folder and their temporary files, all within one folder."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.cache = folder / "cache"
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self._stack = stack
        self._number = 0
        (folder / "pytest.ini").write_text("[pytest]\n")
        (folder / "test_of_a_run.py").write_text(textwrap.dedent(CHECKS))

    def start(self, *options: str, stdout: int = subprocess.PIPE) -> Run:
        """Start a run of the reference on a broker that ``options`` name."""
        self._number += 1
        return self._stack.enter_context(Run(self, self._number, options, stdout))

    def leftovers(self) -> list[str]:
        """Answer what is in the register and in the folder of temporary files."""
        runs = self.cache / "runs"
        return sorted(
            path.name for place in (self.temporary, runs) if place.exists() for path in place.iterdir()
        )


class Run:
    """A run that has been started; killed at the end of the test, should it still be there."""

    def __init__(self, place: Place, number: int, options: Sequence[str], stdout: int) -> None:
        self._here, self._go = (place.folder / f"{name}-{number}" for name in ("here", "go"))
        for pipe in (self._here, self._go):
            os.mkfifo(pipe)
        settings = {
            "HERE": self._here,
            "GO": self._go,
            "CELERIAC_CACHE": place.cache,
            "TMPDIR": place.temporary,
        }
        words = ["-c", "pytest.ini", "-p", "celeriac.conformance.plugin", "-p", "no:cacheprovider"]
        words += ["--import-mode=importlib", "--adapter=reference", f"--report-dir=out-{number}"]
        self.report = place.folder / f"out-{number}"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *words, *options, "test_of_a_run.py"],
            cwd=place.folder,
            env={**os.environ, **{name: str(value) for name, value in settings.items()}},
            stdout=stdout,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def reach_the_middle(self) -> Watch:
        """Return when broker, tap and worker serve the second check; answer a watch over all that was started."""
        reader = os.open(self._here, os.O_RDONLY | os.O_NONBLOCK)
        try:
            over = os.pidfd_open(self.process.pid)
            ready, _, _ = select.select([reader, over], [], [], PATIENCE)
            os.close(over)
            if ready != [reader]:
                self.process.kill()
                pytest.fail(f"the run did not come that far:\n{self.process.communicate()[0]}")
        finally:
            os.close(reader)
        return Watch(list(descendants(self.process.pid)))

    def reach_the_start_of(self, program: str) -> Watch:
        """Return when one of its processes has become this program; answer a watch over all that was started."""

        def is_there() -> bool:
            return any(program in _name(pid) for pid in descendants(self.process.pid))

        assert WallClock().wait_for(is_there, PATIENCE), f"no {program} within {PATIENCE:g} s"
        return Watch(list(descendants(self.process.pid)))

    def go_on(self, word: str = "pass") -> None:
        """Let the second check end."""
        self._go.write_text(f"{word}\n")

    def interrupt(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def end(self) -> tuple[int, str]:
        """Wait for the end; answer exit status and output."""
        text, _ = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, text


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Give a test a place for runs."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("CI", raising=False)
    with ExitStack() as stack:
        yield Place(tmp_path, stack)


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _why_not(flavour: str, source: str) -> str:
    if source == "process":
        server = RabbitProcess.server() if flavour == "rabbitmq" else RedisProcess.server(flavour)
        return "" if server else f"there is no {flavour}-server on this machine"
    try:
        return "" if engine.image(flavour) else f"there is no image for {flavour}"
    except Unavailable as error:
        return error.reason


@pytest.fixture
def options_for() -> Callable[..., list[str]]:
    """Answer the options for a broker; one that cannot be had is a loud skip, and a failure under CI=true."""
    is_ci = os.environ.get("CI") == "true"

    def options_for(flavour: str, source: str, time: str = "wall") -> list[str]:
        if flavour == "embedded":
            return ["--broker=embedded", f"--time={time}"]
        if reason := _why_not(flavour, source):
            if is_ci:
                pytest.fail(f"{flavour} from {source} is needed in CI: {reason}")
            pytest.skip(f"NOT TESTED, no {flavour} from {source}: {reason}")
        return [f"--broker={flavour}", f"--broker-from={source}", f"--time={time}"]

    return options_for
