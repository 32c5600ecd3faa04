"""From the data to HTML: write the tree, let Sphinx build it, look at every link."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from docs.site.errors import SiteError
from docs.site.links import dangling
from docs.site.sources import ROOT, Sources, read_sources
from docs.site.tree import pages_and_files, write

__all__ = ["build"]

#: Where conf.py stands.
CONFIGURATION = ROOT / "docs"


def build(folder: Path, sources: Sources | None = None) -> int:
    """Build the site into ``folder / "html"`` and answer how many pages it has.

    Beside it stand the Markdown that was generated (``source``) and Sphinx' own notes.

    Raises:
        SiteError: the data are wrong, Sphinx has something to complain about, or a link leads nowhere.
    """
    pages, files = pages_and_files(read_sources() if sources is None else sources)
    texts = {f"{name}.md": text for name, text in pages.items()}
    _remove_others(folder / "source", texts)
    write(folder / "source", texts)
    _sphinx(folder)
    write(folder / "html", files)
    problems = list(dangling(folder / "html"))
    if problems:
        raise SiteError("links that lead nowhere:\n" + "\n".join(problems))
    return len(pages)


def _remove_others(folder: Path, wanted: dict[str, str]) -> None:
    """Remove what an earlier build has written and this one does not, and pages made of it."""
    if not folder.is_dir():
        return
    for path in folder.rglob("*"):
        if path.is_file() and path.relative_to(folder).as_posix() not in wanted:
            path.unlink()
            shutil.rmtree(folder.parent / "html", ignore_errors=True)


def _sphinx(folder: Path) -> None:
    words = ["-b", "html", "-q", "-W", "--keep-going", "-n", "-j", "auto", "-c", str(CONFIGURATION)]
    places = ["-d", str(folder / "doctrees"), str(folder / "source"), str(folder / "html")]
    ended = subprocess.run([sys.executable, "-m", "sphinx", *words, *places], cwd=ROOT, check=False)
    if ended.returncode:
        raise SiteError("Sphinx is not content; what it says stands above")
