"""Judges variants by the whole conformance suite: each in a process of its own, two at a time.

    python -m tests.saboteurs.runner FOLDER ID...

Every variant gets a report folder ``FOLDER/ID``; a line of JSON tells of each that is finished.  All imports are
made once, before the first fork, and this process has one thread, so forking it is safe.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from celeriac.conformance import stages, world  # noqa: F401 - imported before the first fork
from celeriac.conformance.strategies import examples
from celeriac.conformance.virtual_stage import VirtualStage
from celeriac.spec import load
from tests.saboteurs import roster

ROOT = Path(__file__).resolve().parents[2]

#: Runs at a time.
JOBS = 2

#: Seconds of processor time that one run may take: a variant that never ends is ended.
LIMIT_S = 120

#: Examples of each property.  A verdict run tries more; what few of them show, all of them show.
EXAMPLES = 6

#: Nothing that collects garbage, keeps a cache, or rewrites what is not looked at.
PYTEST = (
    *(
        "-c",
        str(ROOT / "pyproject.toml"),
        f"--rootdir={ROOT}",
        "-q",
        "--tb=native",
        "--assert=plain",
        "--capture=no",
    ),
    *(
        w
        for name in ("cacheprovider", "unraisableexception", "threadexception", "faulthandler")
        for w in ("-p", f"no:{name}")
    ),
    str(ROOT / "conformance"),
)


class FewExamples(VirtualStage):
    """The virtual stage with few examples of each property, none of which is made smaller."""

    samples = 10

    def properties(self, body: Any) -> Any:
        """Apply the settings."""
        return examples(EXAMPLES, shrink=False)(body)


class Quickly:
    """A pytest plugin that opens that stage."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_celeriac_stage(self, factory: Any) -> VirtualStage:
        """Open it."""
        return FewExamples(factory)


def judge(name: str, folder: Path) -> int:
    """Judge a variant, and answer the exit status of the run."""
    command = [*PYTEST, f"--adapter={roster.__name__}:{name}", f"--report-dir={folder}"]
    return int(pytest.main(command, plugins=[Quickly()]))


def start(name: str, folder: Path) -> int:
    """Start a process that judges a variant; answer its number."""
    folder.mkdir(parents=True)
    child = os.fork()
    if child:
        return child
    status = 70
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (LIMIT_S, LIMIT_S))
        log = os.open(folder / "log.txt", os.O_WRONLY | os.O_CREAT)
        os.dup2(log, 1)
        os.dup2(log, 2)
        status = judge(name, folder)
    finally:
        sys.stdout.flush()
        os._exit(status)


def main(folder: Path, names: Sequence[str]) -> None:
    """Judge all variants, telling of each as it ends."""
    waiting, running = list(names), dict[int, tuple[str, float]]()
    while waiting or running:
        while waiting and len(running) < JOBS:
            name = waiting.pop(0)
            running[start(name, folder / name)] = (name, time.monotonic())
        child, status = os.wait()
        name, began = running.pop(child)
        seconds = round(time.monotonic() - began, 2)
        said = {"id": name, "status": os.waitstatus_to_exitcode(status), "seconds": seconds}
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    load()
    main(Path(sys.argv[1]), sys.argv[2:])
