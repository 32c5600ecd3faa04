"""Judges variants by the conformance suite: each in a process of its own, as many at a time as there are processors.

    python -m tests.saboteurs.runner FOLDER ID...

One pytest session collects the checks; every variant is judged by a fork of it that runs those it needs.  The
reference comes first and notes which check comes by which place (``places.py``); a saboteur is judged by the
checks that come by its own: those of its requirement as in a verdict run, those of its chapter with fewer
examples, and ``SPREAD`` of all others, different ones for each saboteur, with hardly any.  With
``CELERIAC_SABOTEURS=all`` every variant is judged by the whole suite, as in a verdict run.

Every variant gets a report folder ``FOLDER/ID``; a line of JSON tells of each that is finished.  All imports are
made before the first fork, and this process has one thread, so that forking it is safe.
"""

from __future__ import annotations

import gc
import json
import os
import random
import resource
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from celeriac.conformance import plugin, stages, world  # noqa: F401 - imported before the first fork
from celeriac.conformance.checks import subject_of
from celeriac.conformance.strategies import examples
from celeriac.conformance.virtual_stage import VirtualStage
from tests.saboteurs import roster
from tests.saboteurs.places import Footprints, places
from tests.saboteurs.variants import Oddity, Saboteur, Variant

ROOT = Path(__file__).resolve().parents[2]

#: Runs at a time.
JOBS = len(os.sched_getaffinity(0))

#: Seconds of processor time that one run may take: a variant that never ends is ended.
LIMIT_S = 120

#: Checks of other chapters that a saboteur is judged by: they show that it breaks nothing else.
SPREAD = 50

#: Whether every variant is judged by the whole suite.
EVERYTHING = os.environ.get("CELERIAC_SABOTEURS") == "all"

#: The report of the reference, and what it came by.
FOOTPRINTS = "footprints.json"

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


@dataclass(frozen=True, slots=True)
class Tries:
    """How deeply a check looks: examples of a property, cases of a table."""

    examples: int
    cases: int


#: As in a verdict run, for the requirements that a variant is about; for the rest of their chapters; for the others.
WHOLE, SOME, FEW = Tries(VirtualStage.budget, VirtualStage.samples), Tries(6, 10), Tries(1, 2)


class Depths(VirtualStage):
    """The virtual stage that can do with fewer examples than a verdict run, none of which is made smaller."""

    tries = WHOLE

    @property
    def samples(self) -> int:  # type: ignore[override] # as a number, it is the same for all checks
        """Answer how many cases of a table a check tries."""
        return self.tries.cases

    def properties(self, body: Any) -> Any:
        """Apply the settings."""
        return examples(self.tries.examples, shrink=False)(body)


class Judge:
    """A pytest plugin that opens that stage, and decides how deeply each check looks.

    Args:
        variant: what is judged.
    """

    def __init__(self, variant: Variant) -> None:
        self._variant = variant
        self._stage: Depths | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_celeriac_stage(self, factory: Any) -> VirtualStage:
        """Open it."""
        self._stage = Depths(factory)
        return self._stage

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Set the depth."""
        if self._stage is not None and not EVERYTHING:
            self._stage.tries = depth(item, self._variant)


class Forks:
    """A pytest plugin that judges each variant in a fork, once the checks are collected.

    Args:
        folder: where the reports go.
        names: the variants, the reference first.
        tell: is called with what is to be said of each variant that has been judged.
    """

    def __init__(self, folder: Path, names: Sequence[str], tell: Callable[[Mapping[str, Any]], None]) -> None:
        self._folder = folder
        self._names = names
        self._tell = tell
        self._footprints: Footprints | None = None
        self._items: Mapping[str, frozenset[str]] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Judge all variants; in the fork of one of them, go on as if it were the only one."""
        waiting, running = list(self._names), dict[int, str]()
        gc.freeze()
        while waiting or running:
            while waiting and len(running) < (JOBS if self._items else 1):
                name = waiting.pop(0)
                child = os.fork()
                if not child:
                    return self._become(roster.VARIANTS[name], session)
                running[child] = name
            self._reap(running)
        session.items.clear()
        session.config.option.collectonly = True
        return None

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Keep what the reference came by."""
        if self._footprints is not None:
            text = json.dumps(self._footprints.found())
            (self._folder / FOOTPRINTS).write_text(text, encoding="utf-8")

    def _reap(self, running: dict[int, str]) -> None:
        child, status, used = os.wait4(-1, 0)
        name = running.pop(child)
        if not self._items:
            found = json.loads((self._folder / FOOTPRINTS).read_text(encoding="utf-8"))
            self._items = {item: frozenset(places) for item, places in found.items()}
        self._tell(
            {
                "id": name,
                "status": os.waitstatus_to_exitcode(status),
                "processor_s": round(used.ru_utime + used.ru_stime, 2),
            }
        )

    def _become(self, variant: Variant, session: pytest.Session) -> None:
        folder = self._folder / variant.id
        folder.mkdir(parents=True)
        redirect(folder / "log.txt")
        gc.disable()
        resource.setrlimit(resource.RLIMIT_CPU, (LIMIT_S, LIMIT_S))
        manager = session.config.pluginmanager
        manager.register(Judge(variant))
        if not self._items:
            self._footprints = Footprints()
            manager.register(self._footprints)
        elif not EVERYTHING:
            session.items[:] = self._concerned(variant, session.items)
        conformance: Any = manager.get_plugin(plugin.PLUGIN)
        run = conformance.run
        spelling = f"{roster.__name__}:{variant.id}"
        run.candidate = replace(run.candidate, spelling=spelling, factory=getattr(roster, variant.id))
        run.options = replace(run.options, report_dir=folder)
        session.config.option.celeriac_adapter = spelling

    def _concerned(self, variant: Variant, items: Sequence[pytest.Item]) -> list[pytest.Item]:
        exchanged = places(variant)
        wanted = [
            item for item in items if exchanged is None or not exchanged.isdisjoint(self._items[item.nodeid])
        ]
        others = [item for item in wanted if depth(item, variant) is FEW]
        if not isinstance(variant, Saboteur) or len(others) <= SPREAD:
            return wanted
        drawn = random.Random(variant.id).sample(others, SPREAD)  # noqa: S311 - checks are drawn, not keys
        left_out = set(others) - set(drawn)
        return [item for item in wanted if item not in left_out]


def depth(item: pytest.Item, variant: Variant) -> Tries:
    """Answer how deeply a check looks at a variant; the reference and broken adapters are about nothing."""
    subject, about = subject_of(item), subjects(variant)
    decided = subject.requirements if subject else ()
    if not about.isdisjoint(decided):
        return WHOLE
    return FEW if areas(about).isdisjoint(areas(decided)) and about else SOME


def subjects(variant: Variant) -> frozenset[str]:
    """Answer the requirements that a variant is about."""
    if isinstance(variant, Saboteur):
        return frozenset((variant.requirement, *variant.also))
    return frozenset(variant.where) if isinstance(variant, Oddity) else frozenset()


def areas(requirements: Iterable[str]) -> set[str]:
    """Answer the prefixes of the chapters of requirements."""
    return {name.split("-")[0] for name in requirements}


def redirect(log: Path) -> None:
    """Let a file have everything that is printed."""
    sys.stdout.flush()
    file = os.open(log, os.O_WRONLY | os.O_CREAT)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)


def main(folder: Path, names: Sequence[str]) -> int:
    """Judge all variants, telling of each as it ends; in the fork of one, answer what pytest answers."""
    told = os.fdopen(os.dup(1), "w")

    def tell(what: Mapping[str, Any]) -> None:
        told.write(json.dumps(what) + "\n")
        told.flush()

    redirect(folder / "log.txt")
    command = [*PYTEST, f"--adapter={roster.__name__}:reference", f"--report-dir={folder / 'none'}"]
    status = int(pytest.main(command, plugins=[Forks(folder, names, tell)]))
    sys.stdout.flush()
    return 0 if status == pytest.ExitCode.NO_TESTS_COLLECTED else status


if __name__ == "__main__":
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os._exit(main(Path(sys.argv[1]), sys.argv[2:]))
