"""Builds the site.

python -m docs.site [FOLDER] [--record]      (scripts/site does the same)
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from docs.site.build import build
from docs.site.errors import SiteError
from docs.site.sources import ROOT
from tests.implementations.page import as_text

#: What the commands of the project leave behind -> what the site is made of.
RECORDS: Mapping[str, str] = {
    ".celeriac/kill-matrix.json": "kill-matrix.json",
    ".celeriac/flakes/flakes.json": "flakes.json",
    ".celeriac/interop.json": "interop.json",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Build; answer the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/site", description="Build the site.")
    parser.add_argument(
        "folder", nargs="?", type=Path, default=ROOT / ".site", help="where to; default: .site"
    )
    parser.add_argument(
        "--record",
        action="store_true",
        help="first take over what the last runs have left in .celeriac",
    )
    words = parser.parse_args(argv)
    if words.record:
        _record()
    began = time.monotonic()
    try:
        count = build(words.folder.resolve())
    except SiteError as error:
        sys.stderr.write(f"scripts/site: {error}\n")
        return 1
    home = words.folder / "html" / "index.html"
    sys.stdout.write(f"{count} pages in {time.monotonic() - began:.0f} s: {home}\n")
    return 0


def _record() -> None:
    for there, name in RECORDS.items():
        if (ROOT / there).is_file():
            content = json.loads((ROOT / there).read_text(encoding="utf-8"))
            (ROOT / "docs" / name).write_text(as_text(content), encoding="utf-8")
            sys.stdout.write(f"docs/{name} is that of the last run\n")


if __name__ == "__main__":
    sys.exit(main())
