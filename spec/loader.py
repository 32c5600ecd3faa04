"""Load the specification: chapters, schemas and vectors, and the lists of the guide's claims and examples.

Schemas are JSON Schema 2020-12 and refer to one another by ``urn:celeriac:schema:NAME``; a vector file
``vectors/NAME.json`` is described by the schema ``vectors-NAME``.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from celeriac.spec.chapter import parse_chapter
from celeriac.spec.model import VERSION, Chapter, Requirement, Spec, SpecError

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

__all__ = [
    "guide",
    "guide_examples",
    "load",
    "read",
    "schema",
    "schema_names",
    "validator",
    "vector_names",
    "vectors",
]

HERE = Path(__file__).resolve().parent
SCHEMAS = HERE / "schemas"
VECTORS = HERE / "vectors"
URN = "urn:celeriac:schema:"
MENTIONED_ID = re.compile(r"\b[A-Z]{3}-\d{3}\b")
MENTIONED_FILE = re.compile(r"\b(?:schemas|vectors)/[\w./-]+\.json\b")


@cache
def load() -> Spec:
    """Answer the specification of this package, read once.

    Raises:
        SpecError: a chapter is malformed.
    """
    return read(HERE)


def read(folder: Path) -> Spec:
    """Read the specification in ``folder``: its ``chapters``, checked against its ``schemas`` and ``vectors``.

    Raises:
        SpecError: a chapter is malformed, two requirements share an id, or a text mentions a requirement, a
            schema or a vector file that does not exist.
    """
    paths = sorted((folder / "chapters").glob("*.md"))
    if not paths:
        raise SpecError(f"no chapters in {folder / 'chapters'}")
    chapters = tuple(parse_chapter(path) for path in paths)
    requirements = _by_id(chapters)
    for path in paths:
        _check_mentions(path, requirements, folder)
    return Spec(VERSION, chapters, requirements)


def _by_id(chapters: Iterable[Chapter]) -> dict[str, Requirement]:
    found: dict[str, Requirement] = {}
    for requirement in (requirement for chapter in chapters for requirement in chapter.requirements):
        first = found.setdefault(requirement.id, requirement)
        if first is not requirement:
            raise SpecError(
                f"duplicate id {requirement.id}: in chapters {first.chapter} and {requirement.chapter}"
            )
    return found


def _check_mentions(path: Path, requirements: dict[str, Requirement], folder: Path) -> None:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        for problem in _dangling(line, requirements, folder):
            raise SpecError(f"{path.name}:{number}: {problem}")


def _dangling(line: str, requirements: dict[str, Requirement], folder: Path) -> Iterator[str]:
    for identity in MENTIONED_ID.findall(line):
        if identity not in requirements:
            yield f"dangling reference: there is no requirement {identity}"
    for name in MENTIONED_FILE.findall(line):
        if not (folder / name).is_file():
            yield f"dangling reference: there is no file {name}"


def schema_names() -> tuple[str, ...]:
    """Answer the name of every schema, sorted."""
    return tuple(sorted(_schema_files()))


@cache
def _schema_files() -> dict[str, Path]:
    """Answer the file of each schema by its name: ``adapter/call.schema.json`` is ``adapter-call``."""
    files = SCHEMAS.rglob("*.schema.json")
    return {"-".join(path.relative_to(SCHEMAS).parts).removesuffix(".schema.json"): path for path in files}


def vector_names() -> tuple[str, ...]:
    """Answer the name of every vector file, sorted."""
    return tuple(sorted(path.stem for path in VECTORS.glob("*.json")))


def schema(name: str) -> dict[str, Any]:
    """Answer a fresh copy of the schema ``name``, such as ``execution-options``.

    Raises:
        SpecError: there is no such schema.
    """
    _known("schema", name, schema_names())
    return _read_json(_schema_files()[name])


def vectors(name: str) -> dict[str, Any]:
    """Answer a fresh copy of the vector file ``name``, such as ``retry-schedules``.

    Raises:
        SpecError: there is no such vector file.
    """
    _known("vector file", name, vector_names())
    return _read_json(VECTORS / f"{name}.json")


def guide() -> dict[str, Any]:
    """Answer a fresh copy of the list of the guide's claims; the schema ``guide`` describes it."""
    return _read_json(HERE / "guide.json")


def guide_examples() -> list[dict[str, Any]]:
    """Answer a fresh copy of the list of the guide's examples; the schema ``guide-examples`` describes it."""
    examples: list[dict[str, Any]] = _read_json(HERE / "guide-examples.json")["examples"]
    return examples


@cache
def validator(name: str) -> Draft202012Validator:
    """Answer a validator for the schema ``name``, which resolves references to its neighbours.

    Raises:
        SpecError: there is no such schema.
    """
    from jsonschema import Draft202012Validator
    from referencing import Registry, Resource

    resources = {URN + other: Resource.from_contents(schema(other)) for other in schema_names()}
    registry: Registry[Any] = Registry().with_resources(resources.items())
    return Draft202012Validator(schema(name), registry=registry)


def _known(what: str, name: str, names: tuple[str, ...]) -> None:
    if name not in names:
        nearest = difflib.get_close_matches(name, names) or names
        raise SpecError(f"there is no {what} {name!r}; did you mean {', '.join(nearest)}?")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise SpecError(f"{path.name}:{error.lineno}: not JSON: {error.msg}") from error
    if not isinstance(content, dict):
        raise SpecError(f"{path.name}: expected a JSON object, found {type(content).__name__}")
    return content
