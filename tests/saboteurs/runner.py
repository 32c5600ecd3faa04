"""Judges variants by the conformance suite, each in a process of its own.

    python -m tests.saboteurs.runner FOLDER ID...              on virtual time
    python -m tests.saboteurs.runner --redis=URL FOLDER ID...  by the checks that need Redis

One pytest session collects the checks; every variant is judged by a fork of it.  On virtual time the reference was
judged before, in this process: that notes which check comes by which place, so that the others are judged by those
that can notice (``places.py``, ``depths.py``), and leaves everything imported and cached to the forks.  With
``CELERIAC_SABOTEURS=all`` everybody is judged by the whole suite, as in a verdict run.  As many go on at a time as
there are processors; on Redis, where runs mostly wait, all of them.

Every variant gets a report folder ``FOLDER/ID``; a line of JSON tells of each that is finished.  This process has one
thread, so that forking it is safe.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from celeriac.conformance import plugin, stages, world  # noqa: F401 - imported before the first fork
from celeriac.conformance.checks import subject_of
from celeriac.conformance.wall_stage import WallStage
from tests.saboteurs import roster
from tests.saboteurs.depths import Judge, concerned
from tests.saboteurs.places import Tracer
from tests.saboteurs.variants import Variant

ROOT = Path(__file__).resolve().parents[2]

#: Seconds of processor time that one run may take: a variant that never ends is ended.
LIMIT_S = 120

#: Seconds after which something that has not happened on Redis never will.
PATIENCE_S = 8.0

#: Whether every variant is judged by the whole suite.
EVERYTHING = os.environ.get("CELERIAC_SABOTEURS") == "all"

#: Nothing that keeps a cache, or rewrites what is not looked at.
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
        word
        for name in ("cacheprovider", "unraisableexception", "threadexception", "faulthandler")
        for word in ("-p", f"no:{name}")
    ),
    str(ROOT / "conformance"),
)

Tell = Callable[[str, int, float], None]
Footprints = Mapping[str, frozenset[str]]


class Forks:
    """A pytest plugin that judges each variant in a fork, once the checks are collected.

    Args:
        folder: where the reports go.
        names: the variants.
        tell: is called with id, exit status and seconds of processor time of each that has been judged.
        choose: keeps the checks that judge a variant.
        jobs: how many go on at a time.
    """

    def __init__(
        self,
        folder: Path,
        names: Sequence[str],
        tell: Tell,
        choose: Callable[[Variant, pytest.Session], None],
        jobs: int,
    ) -> None:
        self._folder = folder
        self._waiting = list(names)
        self._tell = tell
        self._choose = choose
        self._jobs = jobs

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Judge all variants; in the fork of one of them, go on as if it were the only one."""
        running: dict[int, str] = {}
        gc.freeze()
        while self._waiting or running:
            while self._waiting and len(running) < self._jobs:
                name = self._waiting.pop(0)
                child = os.fork()
                if not child:
                    return self._become(roster.VARIANTS[name], session)
                running[child] = name
            child, status, used = os.wait4(-1, 0)
            self._tell(running.pop(child), os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime)
        session.items.clear()
        session.config.option.collectonly = True
        return None

    def _become(self, variant: Variant, session: pytest.Session) -> None:
        folder = self._folder / variant.id
        folder.mkdir()
        redirect(folder / "log.txt")
        gc.disable()
        resource.setrlimit(resource.RLIMIT_CPU, (LIMIT_S, LIMIT_S))
        self._choose(variant, session)
        conformance: Any = session.config.pluginmanager.get_plugin(plugin.PLUGIN)
        run = conformance.run
        spelling = f"{roster.__name__}:{variant.id}"
        run.candidate = replace(run.candidate, spelling=spelling, factory=getattr(roster, variant.id))
        run.options = replace(run.options, report_dir=folder)
        session.config.option.celeriac_adapter = spelling


def choose_on_redis(_: Variant, session: pytest.Session) -> None:
    """Keep the checks that need Redis."""
    WallStage.patience = PATIENCE_S
    subjects = ((item, subject_of(item)) for item in session.items)
    session.items[:] = [item for item, subject in subjects if subject and subject.needs.link == "redis"]


def judge_reference(folder: Path, tell: Tell) -> Footprints:
    """Judge the reference in this process, and answer what each check came by."""
    name, tracer, began = roster.REFERENCE.id, Tracer(), time.process_time()
    (folder / name).mkdir()
    redirect(folder / name / "log.txt")
    command = [*PYTEST, f"--adapter={roster.__name__}:{name}", f"--report-dir={folder / name}"]
    status = pytest.main(command, plugins=[Judge(roster.REFERENCE), tracer])
    redirect(folder / "log.txt")
    tell(name, int(status), time.process_time() - began)
    return tracer.found()


def virtually(folder: Path, names: Sequence[str], tell: Tell) -> Forks:
    """Answer what judges by the checks that can notice, or by all of them."""
    footprints = judge_reference(folder, tell)

    def choose(variant: Variant, session: pytest.Session) -> None:
        session.config.pluginmanager.register(Judge(None if EVERYTHING else variant))
        if not EVERYTHING:
            session.items[:] = concerned(variant, session.items, footprints)

    rest = [name for name in names if name != roster.REFERENCE.id]
    return Forks(folder, rest, tell, choose, len(os.sched_getaffinity(0)))


def redirect(log: Path) -> None:
    """Let a file have everything that is printed."""
    sys.stdout.flush()
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)


def main(folder: Path, names: Sequence[str], redis: str | None) -> int:
    """Judge all variants, telling of each as it ends; in the fork of one, answer what pytest answers."""
    told = os.fdopen(os.dup(1), "w")

    def tell(name: str, status: int, processor_s: float) -> None:
        told.write(json.dumps({"id": name, "status": status, "processor_s": round(processor_s, 2)}) + "\n")
        told.flush()

    redirect(folder / "log.txt")
    command = [*PYTEST, f"--adapter={roster.__name__}:reference", f"--report-dir={folder / 'none'}"]
    if redis is None:
        forks = virtually(folder, names, tell)
    else:
        command += ["--broker=redis", f"--broker-from={redis}", "--time=wall"]
        forks = Forks(folder, names, tell, choose_on_redis, len(names))
    status = int(pytest.main(command, plugins=[forks]))
    sys.stdout.flush()
    return 0 if status == pytest.ExitCode.NO_TESTS_COLLECTED else status


if __name__ == "__main__":
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    parser = argparse.ArgumentParser()
    parser.add_argument("--redis", metavar="URL")
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="+")
    chosen = parser.parse_args()
    os._exit(main(chosen.folder, chosen.names, chosen.redis))
