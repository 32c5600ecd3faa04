"""``celeriac new-adapter``: writes a starting point, from which ``celeriac doctor`` leads on.

The starting points are adapters of a client that is called My client, in ``templates``, one folder per language.
They work as they are, and are given the name of another client by replacing its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from celeriac import adapters

__all__ = ["LANGUAGES", "ScaffoldError", "new_adapter"]

TEMPLATES = Path(__file__).parent / "templates"
LANGUAGES = tuple(sorted(path.name for path in TEMPLATES.iterdir() if path.is_dir()))

#: Files that adapters in a language share, in the folders of those that come with Celeriac.
SHARED = {"node": ("javascript/celeriac.mjs",)}

NAME = re.compile(r"[a-z][a-z0-9-]*")


class ScaffoldError(ValueError):
    """Nothing was written; the text is one line."""


def new_adapter(name: str, language: str, folder: Path) -> list[Path]:
    """Write a starting point and answer its files.

    Args:
        name: of the adapter, such as ``my-client``.
        language: one of ``LANGUAGES``.
        folder: where to; made if need be.

    Raises:
        ScaffoldError: the name cannot be one, or a file is there already: none is overwritten.
    """
    if not NAME.fullmatch(name):
        raise ScaffoldError(f"{name!r} is no name of an adapter: small letters, digits and -, a letter first")
    contents = {folder / _named(path.name, name): _named(_text(path), name) for path in _sources(language)}
    there = [str(path) for path in contents if path.exists()]
    if there:
        raise ScaffoldError(f"{', '.join(there)}: there already, and left alone")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, content in contents.items():
            path.write_text(content, encoding="utf-8")
    except OSError as error:
        raise ScaffoldError(f"{folder} cannot be written to: {error.strerror or error}") from None
    return list(contents)


def _sources(language: str) -> Iterator[Path]:
    yield from sorted(path for path in (TEMPLATES / language).iterdir() if path.is_file())
    for name in SHARED.get(language, ()):
        yield next(path for root in adapters.__path__ if (path := Path(root) / name).is_file())


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _named(text: str, name: str) -> str:
    """Answer a text of My client's adapter as one of another client's."""
    words = name.split("-")
    spellings = {
        "my-client": name,
        "my_client": name.replace("-", "_"),
        "MyClient": "".join(map(str.capitalize, words)),
        "My client": " ".join(words).capitalize(),
    }
    return re.sub("|".join(spellings), lambda found: spellings[found[0]], text)
