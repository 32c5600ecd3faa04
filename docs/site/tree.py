"""The tree of pages: everything that Sphinx reads, and every file that the site offers beside its pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from docs.site import (
    chapters,
    guide,
    home,
    implementations,
    interop,
    quality,
    reference,
    requirements,
    schemas,
    signs,
    timelines,
    twins,
)
from docs.site.documents import DOCUMENTS, FILES, read_document, rewritten
from docs.site.errors import SiteError
from docs.site.sources import Sources

__all__ = ["pages_and_files", "write"]

Texts = dict[str, str]
Files = dict[str, str | Path]

#: Documents whose tables want the room of the list of headings, and what gives it to them.
WIDE = ("brokers", "field-faults")
HIDE_TOC = "---\nhide-toc: true\n---\n\n"

#: Where the version matrix gets its pictures.
PICTURES_BEFORE = "## What becomes of a delivery that is held"

#: What the home page of the repository's documents leaves room for.
PLACES = ("numbers", "matrix")


def pages_and_files(sources: Sources) -> tuple[Texts, Files]:
    """Answer the Markdown of every page, and each other file by its address: its text, or what it is a copy of."""
    pages: Texts = {}
    copied: list[str] = []
    for page, text, linked in _linking(sources):
        pages[page] = text
        copied += linked
    pages |= dict(_generated(sources))
    files: Files = {
        **dict(schemas.schema_files()),
        **dict(schemas.vector_files()),
        **dict(twins.files(sources)),
        **dict(signs.files(sources)),
    }
    for path in dict.fromkeys(copied):
        files[f"{FILES}/{path}"] = sources.root / path
    return pages, files


def _linking(sources: Sources) -> Iterator[tuple[str, str, list[str]]]:
    """Answer page, text and linked files of what stands in the repository as Markdown."""
    for path, page in DOCUMENTS.items():
        text, linked = read_document(sources.root, path, sources.requirements)
        pictured = _with_pictures(sources, text) if page == "brokers" else text
        yield page, f"{HIDE_TOC}{pictured}" if page in WIDE else pictured, linked
    yield from chapters.pages(sources)
    yield _home(sources)


def _with_pictures(sources: Sources, text: str) -> str:
    if PICTURES_BEFORE not in text:
        raise SiteError(f"docs/matrix.md has no heading {PICTURES_BEFORE!r} before which the pictures stand")
    pictures = timelines.pictures(sources.recorded["matrix"])
    return text.replace(PICTURES_BEFORE, f"{pictures}{PICTURES_BEFORE}")


def _home(sources: Sources) -> tuple[str, str, list[str]]:
    path = "docs/index.md"
    text = (sources.root / path).read_text(encoding="utf-8")
    given, linked = rewritten(text, path, "index", sources.root, sources.requirements)
    parts = {"numbers": home.numbers(sources), "matrix": home.matrix(sources)}
    for name in PLACES:
        mark = f"<!-- site: {name} -->"
        if mark not in given:
            raise SiteError(f"{path} lacks the line {mark}")
        given = given.replace(mark, parts[name])
    return "index", f"{HIDE_TOC}{given}\n{TOC}", linked


def _generated(sources: Sources) -> Iterator[tuple[str, str]]:
    yield chapters.index(sources)
    yield requirements.index(sources)
    yield guide.page()
    yield from requirements.pages(sources)
    yield from schemas.schema_pages(sources)
    yield from schemas.vector_pages(sources)
    yield implementations.index(sources)
    yield from implementations.pages(sources)
    yield interop.page(sources)
    yield from quality.pages(sources)
    yield reference.command_line()
    yield from reference.interfaces()


def write(folder: Path, files: Mapping[str, str | Path]) -> None:
    """Write files into a folder; what is there already keeps its time, so that Sphinx does not read it again."""
    for name, content in files.items():
        data = content.read_bytes() if isinstance(content, Path) else content.encode()
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_bytes() != data:
            path.write_bytes(data)


def _toc(caption: str, *entries: str) -> str:
    listed = "\n".join(entries)
    return f"```{{toctree}}\n:hidden:\n:caption: {caption}\n:maxdepth: 1\n\n{listed}\n```\n\n"


TOC = "".join(
    [
        _toc(
            "Specification",
            "spec/index",
            "requirements/index",
            "spec/guide",
            "spec/schemas",
            "spec/vectors",
        ),
        _toc(
            "Results",
            "implementations/index",
            "interop",
            "Brokers and time <brokers>",
            "field-faults",
        ),
        _toc(
            "Guides",
            "guides/quick-start",
            "guides/running",
            "guides/adapters",
            "guides/first-adapter",
            "guides/reading-a-failure",
            "guides/known-failures",
            "guides/running-in-ci",
            "guides/embedded-broker",
            "guides/time",
            "guides/versions",
            "guides/upgrading",
        ),
        _toc(
            "Reference",
            "reference/command-line",
            "reference/report",
            "reference/protocol",
            "reference/protocol-messages",
            "reference/python/index",
        ),
        _toc(
            "Suite quality",
            "quality/index",
            "quality/kill-matrix",
            "quality/coverage",
            "quality/flakes",
        ),
        _toc(
            "Project", "project/architecture", "project/decisions", "project/contributing", "project/changes"
        ),
    ]
)
