"""Judges every adapter that comes with Celeriac on RabbitMQ and on Redis, and writes what was found.

    python -m tests.implementations [--again] [--page] [--jobs N] [ADAPTER...]   (scripts/implementations, too)

A run that reached its end is kept in the cache folder; ``--again`` forgets it.  The page always has all places that
were ever run; what an implementation does wrong is read from the present expectations.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from celeriac.conformance.claim import find_adapter
from celeriac.conformance.environments import cache_folder
from celeriac.spec import validator
from tests.implementations.page import ADAPTERS, Place, as_text, page, places, row, with_matrix

__all__ = ["main"]

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

#: Exit statuses of a run that reached its end: as expected, and something failed.
ENDED = (0, 1)


def folder(place: Place) -> Path:
    """Answer where a run is kept."""
    return cache_folder() / "implementations" / f"{place.adapter}-{place.broker}"


def run(place: Place) -> int:
    """Judge one adapter on one broker, show what it says when it has ended, and answer its exit status."""
    kept = folder(place)
    shutil.rmtree(kept, ignore_errors=True)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-q",
        *place.options,
        f"--report-dir={kept}",
    ]
    ended = subprocess.run(
        command, cwd=ROOT, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    sys.stdout.write(f"\n$ pytest {' '.join(place.options)}\n{ended.stdout}")
    sys.stdout.flush()
    if ended.returncode in ENDED:
        (kept / "ended").write_text(str(ended.returncode), encoding="utf-8")
    return ended.returncode


def rows(wanted: Sequence[Place]) -> Iterator[dict[str, Any]]:
    """Answer a row for each place that was run to its end."""
    for place in wanted:
        results = folder(place) / "results.json"
        if (folder(place) / "ended").is_file():
            yield row(place, json.loads(results.read_text(encoding="utf-8")))


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is asked for and write the page; answer 1 when a run did not end as expected."""
    parser = argparse.ArgumentParser(prog="scripts/implementations")
    parser.add_argument("--again", action="store_true", help="run what has been run before")
    parser.add_argument("--page", action="store_true", help="write the page, run nothing")
    parser.add_argument(
        "--jobs", metavar="N", type=int, default=1, help="how many runs side by side; they mostly wait"
    )
    parser.add_argument("adapters", metavar="ADAPTER", nargs="*", help=f"default: {', '.join(ADAPTERS)}")
    words = parser.parse_args(argv)
    asked = [place for name in words.adapters or ADAPTERS for place in places(find_adapter(name).claim)]
    due = [] if words.page else [p for p in asked if words.again or not (folder(p) / "ended").is_file()]
    with ThreadPoolExecutor(words.jobs) as pool:
        statuses = list(pool.map(run, due))
    table = _merged(list(rows(asked)))
    validator("implementations").validate({"rows": table})
    (DOCS / "implementations.json").write_text(as_text({"rows": table}), encoding="utf-8")
    (DOCS / "implementations.md").write_text(page(table), encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (ROOT / "README.md").write_text(with_matrix(readme, table), encoding="utf-8")
    return int(any(statuses))


def _merged(fresh: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Answer the recorded rows, the fresh ones in the place of those that they replace."""
    path = DOCS / "implementations.json"
    old = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.is_file() else []
    by_place = {(r["adapter"], r["broker"]): r for r in (*old, *fresh) if r["adapter"] in ADAPTERS}
    return sorted(by_place.values(), key=lambda r: (ADAPTERS.index(r["adapter"]), r["broker"]))


if __name__ == "__main__":
    sys.exit(main())
