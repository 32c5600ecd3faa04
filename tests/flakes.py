"""Runs the suite again and again, in random orders, and tells where the runs disagree.

    python -m tests.flakes RUNS [--seed FIRST] [pytest options]      (scripts/flakes does the same)

Every run is a process of its own with a seed of its own, which decides the order of the checks, the global random
numbers and the hashes of texts.  ``python -m tests.flakes 1 --seed 4711`` repeats the run of a seed.  Without
options the reference is judged on virtual time, several runs at a time; on real time they come one after another.
The exit status is 1 when two runs disagree on a check, 3 when one did not end.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from celeriac.spec import validator

__all__ = ["Disagreement", "Seen", "disagreements", "main", "read_journal"]

ROOT = Path(__file__).resolve().parents[1]
REPORTS = Path(".celeriac/flakes")

#: Options that put a run on real time, where one run would slow down another.
REAL = ("--adapter", "--broker", "--time")

EXIT_OK, EXIT_DISAGREE, EXIT_BROKEN = 0, 1, 3

#: Broker, check and requirement -> verdict.
Seen = Mapping[tuple[str, str, str], str]


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A check that not all runs give the same verdict.

    Attributes:
        broker: the flavour of broker that it played on.
        check: the check.
        requirement: the requirement that it decides.
        seeds: verdict -> the seeds of the runs that gave it; ``no verdict`` where a run left none.
    """

    broker: str
    check: str
    requirement: str
    seeds: Mapping[str, Sequence[int]]


def disagreements(runs: Mapping[int, Seen]) -> list[Disagreement]:
    """Answer where runs, by their seeds, disagree."""
    keys = sorted({key for seen in runs.values() for key in seen})
    found = []
    for key in keys:
        seeds = defaultdict[str, list[int]](list)
        for seed, seen in runs.items():
            seeds[seen.get(key, "no verdict")].append(seed)
        if len(seeds) > 1:
            found.append(Disagreement(*key, seeds))
    return found


def read_journal(path: Path) -> tuple[Seen, bool]:
    """Answer the verdicts in a ``results.jsonl``, and whether the run reached its end."""
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    seen = {
        (record["broker"], record["id"], requirement): outcome["verdict"]
        for record in records
        if record["record"] == "check"
        for requirement, outcome in record["requirements"].items()
    }
    return seen, any(record["record"] == "footer" and record["complete"] for record in records)


class Shuffled:
    """A pytest plugin that puts the checks of each broker in a random order."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Shuffle what the suite has put in the order of the specification."""
        random.seed(self._seed)
        random.shuffle(session.items)
        session.items.sort(key=_flavour)


def _flavour(item: pytest.Item) -> str:
    callspec = getattr(item, "callspec", None)
    return str(callspec.params.get("celeriac_flavour", "")) if callspec else ""


def run_once(seed: int, options: Sequence[str]) -> int:
    """Judge in the order of a seed; answer pytest's exit status."""
    arguments = ["-c", str(ROOT / "pyproject.toml"), f"--rootdir={ROOT}", "-p", "no:cacheprovider", "-q"]
    arguments += ["-p", "no:randomly", str(ROOT / "conformance"), *options]
    return int(pytest.main(arguments, plugins=[Shuffled(seed)]))


def _start(seed: int, options: Sequence[str]) -> tuple[Seen, bool]:
    folder = REPORTS.resolve() / str(seed)
    command = [sys.executable, "-m", __spec__.name, "--once", "--seed", str(seed), *options]
    with _log(folder).open("w", encoding="utf-8") as log:
        subprocess.run(
            [*command, f"--report-dir={folder}"],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": str(seed % 2**32)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        )
    journal = folder / "results.jsonl"
    return read_journal(journal) if journal.is_file() else ({}, False)


def _log(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder / "log.txt"


def run_all(seeds: Sequence[int], options: Sequence[str]) -> tuple[dict[int, Seen], list[int]]:
    """Run once for each seed; answer what was seen, and the seeds whose run did not end."""
    shutil.rmtree(REPORTS, ignore_errors=True)
    real = any(option.startswith(REAL) for option in options)
    adapter = [] if any(option.startswith("--adapter") for option in options) else ["--adapter=reference"]
    with ThreadPoolExecutor(1 if real else len(os.sched_getaffinity(0))) as pool:
        done = dict(zip(seeds, pool.map(lambda seed: _start(seed, [*adapter, *options]), seeds), strict=True))
    return {seed: seen for seed, (seen, _) in done.items()}, [
        seed for seed, (_, ended) in done.items() if not ended
    ]


def told(runs: Mapping[int, Seen], unended: Sequence[int], found: Sequence[Disagreement]) -> Iterator[str]:
    """Answer the lines that a reader gets."""
    checks = {key[:2] for seen in runs.values() for key in seen}
    verdicts = Counter(verdict for seen in runs.values() for verdict in seen.values())
    yield f"{len(runs)} runs of {len(checks)} checks: " + ", ".join(
        f"{n} {name}" for name, n in verdicts.items()
    )
    for seed in unended:
        yield f"seed {seed} did not reach its end; see {REPORTS / str(seed) / 'log.txt'}"
    for one in found:
        yield f"{one.requirement} {one.check} on {one.broker}"
        for verdict, seeds in sorted(one.seeds.items(), key=lambda entry: -len(entry[1])):
            yield f"  {verdict:15} {len(seeds):4} times, e.g. with seed {seeds[0]}"
    yield f"{len(found)} disagreements"


def document(
    options: Sequence[str],
    runs: Mapping[int, Seen],
    unended: Sequence[int],
    found: Sequence[Disagreement],
    seconds: float,
) -> dict[str, Any]:
    """Answer the content of ``flakes.json`` (schema ``flakes``)."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "options": list(options),
        "runs": len(runs),
        "unended": len(unended),
        "checks": len({key[:2] for seen in runs.values() for key in seen}),
        "verdicts": Counter(verdict for seen in runs.values() for verdict in seen.values()),
        "disagreements": sorted({f"{one.check} on {one.broker}" for one in found}),
        "seconds": round(seconds),
    }


def _arguments(words: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(prog="scripts/flakes", description="Run the suite in random orders.")
    parser.add_argument("runs", type=int, nargs="?", default=10, help="how many runs (default: 10)")
    parser.add_argument("--seed", type=int, help="the seed of the first run (default: another one each time)")
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_known_args(words)


def main(words: Sequence[str]) -> int:
    """Run, compare, tell; answer the exit status."""
    chosen, options = _arguments(words)
    first: int = random.SystemRandom().randrange(2**31) if chosen.seed is None else chosen.seed
    if chosen.once:
        return run_once(first, options)
    seeds: Any = range(first, first + chosen.runs)
    sys.stdout.write(f"seeds {seeds[0]} to {seeds[-1]}\n")
    began = time.monotonic()
    runs, unended = run_all(seeds, options)
    found = disagreements(runs)
    sys.stdout.writelines(f"{line}\n" for line in told(runs, unended, found))
    seconds = time.monotonic() - began
    content = document(options, runs, unended, found, seconds)
    validator("flakes").validate(content)
    (REPORTS / "flakes.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"in {seconds:.0f} s; reports in {REPORTS}\n")
    if found:
        return EXIT_DISAGREE
    return EXIT_BROKEN if unended else EXIT_OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
