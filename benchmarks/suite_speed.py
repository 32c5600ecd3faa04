"""How long the suite takes: seconds per requirement, and how many simulated seconds a second of the wall is worth.

    python benchmarks/suite_speed.py                                     the reference, on virtual time
    python benchmarks/suite_speed.py --adapter=celery --broker=rabbitmq  any options of a run

A run of the suite is made and its ``results.json`` read.  A check that decides several requirements counts for each
of them with its share.  Prints a table of the chapters and of the slowest requirements, and writes
``.celeriac/suite_speed.json`` with the seconds of every one.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
WRITTEN = Path(".celeriac/suite_speed.json")

#: How many of the slowest requirements the table shows.
SLOWEST = 15


def run(options: Sequence[str], folder: Path) -> Mapping[str, Any]:
    """Judge, and answer the report.

    Raises:
        SystemExit: the run left no report.
    """
    adapter = [] if any(option.startswith("--adapter") for option in options) else ["--adapter=reference"]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "conformance",
        *adapter,
        *options,
    ]
    done = subprocess.run([*command, f"--report-dir={folder}"], cwd=ROOT, check=False)
    results = folder / "results.json"
    if not results.is_file():
        sys.exit(f"the run left no report (exit status {done.returncode}); its own output says why")
    report: Mapping[str, Any] = json.loads(results.read_text(encoding="utf-8"))
    return report


def measured(report: Mapping[str, Any]) -> dict[str, Any]:
    """Answer what is written: the run as a whole, and the seconds of every requirement."""
    seconds = per_requirement(report["requirements"])
    simulated, wall = report["simulated_s"], report["duration_s"]
    return {
        "implementation": report["implementation"],
        "broker": report["broker"],
        "clock": report["clock"],
        "wall_s": wall,
        "simulated_s": simulated,
        "simulated_per_wall": None if simulated is None else round(simulated / wall),
        "requirements": {name: round(spent, 4) for name, spent in seconds.items()},
    }


def per_requirement(requirements: Mapping[str, Any]) -> dict[str, float]:
    """Answer the seconds of every requirement; each check's are shared by those that it decides."""
    deciders = Counter(check["id"] for result in requirements.values() for check in result["checks"])
    return {
        name: sum(check["duration_s"] / deciders[check["id"]] for check in result["checks"])
        for name, result in requirements.items()
    }


def table(found: Mapping[str, Any]) -> Iterator[str]:
    """Answer the lines that a reader sees."""
    seconds: Mapping[str, float] = found["requirements"]
    chapters = defaultdict[str, list[float]](list)
    for name, spent in seconds.items():
        chapters[name.split("-")[0]].append(spent)
    yield f"{'chapter':10} {'requirements':>12} {'seconds':>9} {'each':>9}"
    for chapter, each in chapters.items():
        yield f"{chapter:10} {len(each):12} {sum(each):9.2f} {sum(each) / len(each):9.3f}"
    yield f"\n{'slowest':10} {'seconds':>9}"
    for name in sorted(seconds, key=lambda one: -seconds[one])[:SLOWEST]:
        yield f"{name:10} {seconds[name]:9.3f}"
    yield f"\n{found['wall_s']:.1f} s for {len(seconds)} requirements, {found['wall_s'] / len(seconds):.3f} s each"
    if found["simulated_s"] is not None:
        hours = found["simulated_s"] / 3600
        yield f"{hours:.1f} hours were simulated: {found['simulated_per_wall']:,} seconds in each second"


def main(options: Sequence[str]) -> None:
    """Measure, tell, write."""
    with tempfile.TemporaryDirectory() as folder:
        found = measured(run(options, Path(folder)))
    for line in table(found):
        print(line)
    WRITTEN.parent.mkdir(exist_ok=True)
    WRITTEN.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(f"written: {WRITTEN}")


if __name__ == "__main__":
    main(sys.argv[1:])
