"""Runs the timing chapter on every version of every broker, one after another, and writes one table.

    python -m tests.matrix [--again] [--adapter NAME] [FLAVOUR=IMAGE...]      (scripts/matrix does the same)

A run that reached its end is kept in the cache folder for as long as the image stays the same; what was interrupted,
had errors or could not move the clock is tried again the next time.  The table always has all places, whether they
were run now or earlier.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from celeriac.conformance.environments import cache_folder
from celeriac.spec import validator
from tests.matrix.page import page, span
from tests.matrix.rows import ADAPTERS, CHAPTER, PLACES, Place, document, failed_run, finished_run

__all__ = ["main"]

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

#: Exit statuses of a run that reached its end: as expected, and something failed.
ENDED = (0, 1)
EXIT_OK, EXIT_GAPS, EXIT_USAGE = 0, 1, 4


def image_id(image: str) -> str | None:
    """Answer what the engine has under this name, None where it has nothing."""
    command = ["docker", "image", "inspect", "--format", "{{.Id}}", image]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return asked.stdout.strip() if asked.returncode == 0 else None


class Kept:
    """What a run has left in the cache folder."""

    def __init__(self, place: Place, adapter: str) -> None:
        name = f"{place}-{adapter}".replace("=", "-").replace("/", "-").replace(":", "-")
        self.folder = cache_folder() / "matrix" / name
        self.place, self.adapter = place, adapter

    @property
    def log(self) -> Path:
        """What the run said."""
        return self.folder / "log.txt"

    def holds(self, image: str | None) -> bool:
        """Answer whether a run on this very image has ended well, on a clock that was moved."""
        mark = self._read("ended.json")
        on_travel = self._read("results.json").get("clock") == "travel"
        return on_travel and mark.get("status") in ENDED and bool(mark["image"] == image)

    def row(self) -> dict[str, Any]:
        """Answer the run's row in the table; one that ended with errors has what it found out before or after."""
        mark, results = self._read("ended.json"), self._read("results.json")
        if "status" in mark and results and results["broker"]["version"]:
            return finished_run(self.place, self.adapter, results)
        return failed_run(self.place, self.adapter, mark.get("why", "it has not been run to its end yet"))

    def clear(self) -> None:
        """Forget what is there."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def mark(self, **what: Any) -> None:
        """Keep how the run ended: its exit ``status`` and ``image``, or ``why`` there are no results."""
        (self.folder / "ended.json").write_text(json.dumps(what) + "\n", encoding="utf-8")

    def _read(self, name: str) -> dict[str, Any]:
        path = self.folder / name
        if not path.is_file():
            return {}
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return content


def command(kept: Kept) -> list[str]:
    """Answer the command of a run."""
    options = (
        f"--adapter={kept.adapter}",
        f"--broker={kept.place.flavour}",
        "--broker-from=container",
        "--time=travel",
        f"--requirement={CHAPTER}",
        "--require-brokers",
        f"--report-dir={kept.folder}",
    )
    return [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "conformance", *options]


def environment(place: Place) -> dict[str, str]:
    """Answer the variables of a run."""
    return {
        **os.environ,
        f"CELERIAC_IMAGE_{place.flavour.upper()}": place.image,
        "TESTCONTAINERS_RYUK_DISABLED": "true",
        "TESTCONTAINERS_HOST_OVERRIDE": "127.0.0.1",
    }


def run(kept: Kept, image: str | None) -> None:
    """Run the chapter in one place, and show what it says meanwhile."""
    kept.clear()
    if image is None:
        kept.mark(why=f"the image {kept.place.image} is not there (see scripts/images)")
        return
    with (
        kept.log.open("w", encoding="utf-8", buffering=1) as log,
        subprocess.Popen(
            command(kept),
            cwd=ROOT,
            env=environment(kept.place),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as child,
    ):
        assert child.stdout is not None
        for line in child.stdout:
            log.write(line)
            sys.stdout.write(f"    {line}" if line.strip() else "")
            sys.stdout.flush()
    why = f"the run ended with exit status {child.returncode}: {last_words(kept.log)}"
    kept.mark(status=child.returncode, image=image, why=why)


def last_words(log: Path) -> str:
    """Answer the last line of a log that says something."""
    lines = [line.strip(" =\n") for line in log.read_text(encoding="utf-8").splitlines()]
    return next((line for line in reversed(lines) if line), "it said nothing")


def run_all(kept: Sequence[Kept], *, again: bool) -> None:
    """Run what is wanted and not kept."""
    for number, each in enumerate(kept, 1):
        began, image = time.monotonic(), image_id(each.place.image)
        title = f"[{number}/{len(kept)}] {each.adapter} on {each.place}"
        if not again and image is not None and each.holds(image):
            sys.stdout.write(f"{title}: kept\n")
            continue
        sys.stdout.write(f"{title}: log in {each.log}\n")
        run(each, image)
        how = (
            "done"
            if each.holds(image)
            else each.row()["why_not"] or "with errors or on another clock, to be run again"
        )
        sys.stdout.write(f"{title}: {how}, after {span(time.monotonic() - began)}\n")


def write(rows: Sequence[Mapping[str, Any]], folder: Path) -> dict[str, Any]:
    """Write the table in both forms; answer its content."""
    made = document(rows)
    validator("matrix").validate(made)
    (folder / "matrix.json").write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
    (folder / "matrix.md").write_text(page(made), encoding="utf-8")
    return made


def _places(words: Sequence[str]) -> Iterator[Place]:
    flavours = {place.flavour for place in PLACES}
    for word in words:
        flavour, _, image = word.partition("=")
        if flavour not in flavours or not image:
            known = ", ".join(sorted(flavours))
            raise SystemExit(f"scripts/matrix: {word!r} is no FLAVOUR=IMAGE with a flavour among {known}")
        yield Place(flavour, image)


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/matrix", description="The timing chapter on every version."
    )
    parser.add_argument(
        "places", nargs="*", metavar="FLAVOUR=IMAGE", help="run these only, such as redis=redis:8"
    )
    parser.add_argument(
        "--adapter", action="append", help=f"run this only (default: {' and '.join(ADAPTERS)})"
    )
    parser.add_argument("--again", action="store_true", help="run what is kept, too")
    parser.add_argument("--docs", type=Path, default=DOCS, help="the folder of the table (default: docs)")
    return parser.parse_args(words)


def main(words: Sequence[str]) -> int:
    """Run, write, tell; answer 1 while a place has no results."""
    chosen = _arguments(words)
    wanted = tuple(_places(chosen.places))
    adapters = chosen.adapter or ADAPTERS
    run_all([Kept(place, name) for place in wanted or PLACES for name in adapters], again=chosen.again)
    everything = [
        Kept(place, name)
        for place in dict.fromkeys((*PLACES, *wanted))
        for name in dict.fromkeys((*ADAPTERS, *adapters))
    ]
    made = write([kept.row() for kept in everything], chosen.docs)
    gaps = sum(row["why_not"] is not None for row in made["runs"])
    sys.stdout.write(
        f"written: {chosen.docs / 'matrix.md'} ({len(everything)} runs, {gaps} without results)\n"
    )
    return EXIT_GAPS if gaps else EXIT_OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
