"""The plain documents of the repository as pages: the same text, with the links of the site."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from pathlib import Path

from celeriac.spec import Requirement, load, schema_names, vector_names
from docs.site.errors import SiteError
from docs.site.markdown import linked_ids, mapped_prose, rooted

__all__ = ["DOCUMENTS", "FILES", "page_of", "read_document", "rewritten"]

#: A document of the repository -> its page.  ``docs/index.md`` and the specification have generators of their own.
DOCUMENTS: Mapping[str, str] = {
    "docs/quick-start.md": "guides/quick-start",
    "docs/adapters/README.md": "guides/adapters",
    "docs/adapters/first-adapter.md": "guides/first-adapter",
    "docs/adapters/reading-a-failure.md": "guides/reading-a-failure",
    "docs/adapters/known-failures.md": "guides/known-failures",
    "docs/adapters/running-in-ci.md": "guides/running-in-ci",
    "docs/adapters/upgrading.md": "guides/upgrading",
    "docs/broker.md": "guides/embedded-broker",
    "docs/running.md": "guides/running",
    "docs/time.md": "guides/time",
    "docs/versions.md": "guides/versions",
    "docs/matrix.md": "brokers",
    "docs/field-faults.md": "field-faults",
    "docs/suite-quality.md": "quality/index",
    "docs/adapters/protocol.md": "reference/protocol-messages",
    "spec/adapter-protocol.md": "reference/protocol",
    "docs/report.md": "reference/report",
    "docs/architecture.md": "project/architecture",
    "docs/decisions.md": "project/decisions",
    "CONTRIBUTING.md": "project/contributing",
    "CHANGELOG.md": "project/changes",
}

#: Pages that something else makes, by the document or folder that a link of the repository names.
GENERATED: Mapping[str, str] = {
    "README.md": "index",
    "docs/index.md": "index",
    "docs/implementations.md": "implementations/index",
    "docs/interop.json": "interop",
    "spec/chapters": "spec/index",
    "spec/schemas": "spec/schemas",
    "spec/vectors": "spec/vectors",
    "spec/guide.json": "spec/guide",
}

#: Where the site keeps copies of files that documents link to.
FILES = "files"

LINK = re.compile(r"(?P<picture>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")


def page_of(path: str) -> str | None:
    """Answer the page of something in the repository, None when it has none."""
    if path in DOCUMENTS or path in GENERATED:
        return DOCUMENTS.get(path) or GENERATED[path]
    folder, name = posixpath.split(path)
    if folder == "spec/chapters":
        slugs = [chapter.slug for chapter in load().chapters]
        return next((f"spec/{slug}" for slug in slugs if name.partition("-")[2] == f"{slug}.md"), None)
    if path.startswith("spec/schemas/"):
        found = path.removeprefix("spec/schemas/").removesuffix(".schema.json").replace("/", "-")
        return f"spec/schemas/{found}" if found in schema_names() else None
    if folder == "spec/vectors":
        found = name.removesuffix(".json")
        return f"spec/vectors/{found}" if found in vector_names() else None
    return None


def read_document(root: Path, path: str, requirements: Mapping[str, Requirement]) -> tuple[str, list[str]]:
    """Answer the text of a document as a page, and the files of the repository that it links to."""
    return rewritten((root / path).read_text(encoding="utf-8"), path, DOCUMENTS[path], root, requirements)


def rewritten(
    text: str, path: str, page: str, root: Path, requirements: Mapping[str, Requirement]
) -> tuple[str, list[str]]:
    """Answer a text with the links of a page, and the files of the repository that it links to.

    Args:
        text: what stands in the repository.
        path: where it stands.
        page: where it will stand on the site.
        root: the repository.
        requirements: every requirement; where one is mentioned, a link to it is made.

    Raises:
        SiteError: a link leads nowhere, or a requirement is mentioned that does not exist.
    """
    files: list[str] = []

    def change(prose: str, first: int) -> str:
        def complain(identity: str) -> None:
            raise SiteError(f"{path}:{_line(prose, identity, first)}: there is no requirement {identity}")

        def link(found: re.Match[str]) -> str:
            there = _target(found["target"], path, page, root, files)
            if not there:
                place = f"{path}:{_line(prose, found['target'], first)}"
                raise SiteError(f"{place}: the link to {found['target']} leads nowhere on the site")
            if found["picture"]:
                there = f'<img src="{rooted(page, f"{FILES}/{files[-1]}")}" alt="TEXT">'
            return there.replace("TEXT", found["text"])

        return LINK.sub(link, linked_ids(prose, requirements, complain))

    return mapped_prose(text, change), files


def _line(prose: str, what: str, first: int) -> int:
    return first + prose[: prose.index(what)].count("\n")


def _target(target: str, path: str, page: str, root: Path, files: list[str]) -> str:
    """Answer a link with TEXT as its text, nothing when there is nothing to lead to; note the file it leads to."""
    address, hash_, anchor = target.partition("#")
    if not address or address.startswith("/") or ":" in address:
        return f"[TEXT]({target})"
    there = posixpath.normpath(posixpath.join(posixpath.dirname(path), address))
    if (to := page_of(there)) is not None:
        return f"[TEXT](/{to}.md{hash_}{anchor})"
    if not (root / there).is_file():
        return ""
    files.append(there)
    return f'<a href="{rooted(page, f"{FILES}/{there}")}">TEXT</a>'
