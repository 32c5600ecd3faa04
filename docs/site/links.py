"""Looks whether every link of the built site leads somewhere, without a network."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

__all__ = ["Page", "dangling", "read_pages"]

#: Attributes that refer to something, by the element that has them.
REFERRING: Mapping[str, str] = {"a": "href", "link": "href", "script": "src", "img": "src"}

#: Schemes of addresses outside the site.
OUTSIDE = ("http", "https", "mailto")


@dataclass
class Page:
    """What a page refers to and what can be referred to in it."""

    links: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = Page()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        for name in ("id", "name"):
            if value := given.get(name):
                self.page.anchors.add(value)
        if (target := given.get(REFERRING.get(tag, ""))) is not None:
            self.page.links.append(target)


def read_pages(folder: Path) -> dict[str, Page]:
    """Answer every page of the site by its address."""
    pages = {}
    for path in sorted(folder.rglob("*.html")):
        reader = _Reader()
        reader.feed(path.read_text(encoding="utf-8"))
        pages[path.relative_to(folder).as_posix()] = reader.page
    return pages


def dangling(folder: Path) -> Iterator[str]:
    """Answer a line for each link that leads nowhere, and for each address that is none."""
    pages = read_pages(folder)
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    for name, page in pages.items():
        for target in dict.fromkeys(page.links):
            if problem := _problem(name, target, pages, files):
                yield f"{name}: {target}: {problem}"


def _problem(name: str, target: str, pages: Mapping[str, Page], files: set[str]) -> str:
    parts = urlsplit(target)
    if parts.scheme in OUTSIDE:
        whole = parts.netloc or parts.scheme == "mailto"
        return "" if whole and " " not in target else "is no address"
    if parts.scheme or parts.netloc or target.startswith("/"):
        return "is neither an address nor a way from this page"
    there = (
        posixpath.normpath(posixpath.join(posixpath.dirname(name), unquote(parts.path)))
        if parts.path
        else name
    )
    if there not in files:
        return "there is no such file"
    if parts.fragment and there in pages and unquote(parts.fragment) not in pages[there].anchors:
        return "the page has no such anchor"
    return ""
