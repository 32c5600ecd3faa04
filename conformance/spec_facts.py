"""What the project knows of a requirement beside its own words: checks, known failures, examples, the guide."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from celeriac import spec
from celeriac.conformance.claim import bundled
from celeriac.conformance.expectations import Expectation, read_expectations
from celeriac.spec import Requirement, guide, vector_names, vectors

__all__ = ["Facts", "Fault", "Promise", "facts", "promises"]

CHECKS = Path(__file__).resolve().parent
CHAPTERS = Path(str(spec.__file__)).parent / "chapters"
MENTIONED = re.compile(r"\b(?:schemas|vectors)/[\w./-]+\.json\b")


@dataclass(frozen=True, slots=True)
class Promise:
    """A check as a reader sees it.

    Attributes:
        id: module and function, such as ``test_eta_countdown.py::test_not_before_eta``.
        says: the first line of its docstring.
        requirements: the ids that it decides.
    """

    id: str
    says: str
    requirements: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """A known failure of adapters that come with Celeriac.

    Attributes:
        adapters: their names.
        entry: what their expectations say.
        who: the adapters in words, shorter where they are variants of one.
    """

    adapters: tuple[str, ...]
    entry: Expectation
    who: str

    def __str__(self) -> str:
        """Answer who fails, where, why, and the thread upstream, in a line."""
        when = ", ".join(
            f"{key} {_listed(value)}" for key, value in self.entry.when.items() if key != "adapter"
        )
        where = f" ({when})" if when else ""
        issue = f"; {self.entry.issue}" if self.entry.issue else ""
        return f"{self.who}{where}: {self.entry.reason}{issue}"


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything about one requirement that stands elsewhere.

    Attributes:
        chapter: the file of its chapter, from the root of the repository.
        checks: what decides it.
        faults: who is known to break it.
        claims: what the guide says that it decides, in our words.
        cases: vector file -> how many of its cases are about it.
        files: schemas and vectors that its own text names.
        page: its page, from the root of the site.
    """

    chapter: str
    checks: tuple[Promise, ...]
    faults: tuple[Fault, ...]
    claims: tuple[str, ...]
    cases: Mapping[str, int]
    files: tuple[str, ...]
    page: str


def facts(requirement: Requirement) -> Facts:
    """Answer what is known of a requirement."""
    checks = tuple(check for check in promises() if requirement.id in check.requirements)
    names = {check.id for check in checks}
    own = " ".join(filter(None, (requirement.sentence, requirement.why, requirement.known)))
    return Facts(
        chapter=f"spec/chapters/{_chapter_file(requirement.chapter)}",
        checks=checks,
        faults=tuple(
            fault
            for fault in _faults()
            if (fault.entry.target in names if fault.entry.by_check else fault.entry.target == requirement.id)
        ),
        claims=tuple(_claims(requirement.id)),
        cases=_cases(requirement.id),
        files=tuple(dict.fromkeys(MENTIONED.findall(own))),
        page=f"requirements/{requirement.id}.html",
    )


@cache
def promises() -> tuple[Promise, ...]:
    """Answer every check in the order of the files, read without importing them."""
    return tuple(check for path in sorted(CHECKS.glob("test_*.py")) for check in _promises_in(path))


def _promises_in(path: Path) -> Iterator[Promise]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and (decided := tuple(_decided_by(node))):
            first, _, _ = (ast.get_docstring(node) or "").partition("\n")
            yield Promise(f"{path.name}::{node.name}", first, decided)


def _decided_by(function: ast.FunctionDef) -> Iterator[str]:
    for mark in function.decorator_list:
        if isinstance(mark, ast.Call) and isinstance(mark.func, ast.Name) and mark.func.id == "check":
            yield from (str(each.value) for each in mark.args if isinstance(each, ast.Constant))


@cache
def _faults() -> tuple[Fault, ...]:
    """Answer the known failures of all bundled adapters; one that variants share is one."""
    sharing: dict[Path, list[str]] = {}
    for name, claim in bundled().items():
        sharing.setdefault(claim.with_name("expectations.toml"), []).append(name)
    return tuple(
        Fault(tuple(concerned), entry, _who(concerned, names))
        for path, names in sharing.items()
        for entry in read_expectations(path, date.min).entries
        if (concerned := [name for name in names if entry.concerns(name)])
    )


def _who(concerned: list[str], names: list[str]) -> str:
    if len(concerned) > 1 and concerned == names:
        return f"{names[0]} and its variants"
    return ", ".join(concerned)


def _claims(requirement: str) -> Iterator[str]:
    claims: Iterable[Mapping[str, Any]] = (
        each for section in guide()["sections"] for each in section["claims"]
    )
    return (str(each["says"]) for each in claims if requirement in (each.get("decided_by") or ()))


def _cases(requirement: str) -> dict[str, int]:
    found = {
        name: sum(requirement in case.get("requirements", ()) for case in vectors(name)["cases"])
        for name in vector_names()
    }
    return {f"vectors/{name}.json": number for name, number in found.items() if number}


def _chapter_file(slug: str) -> str:
    return next(path.name for path in CHAPTERS.glob(f"??-{slug}.md"))


def _listed(value: Any) -> str:
    return str(value) if isinstance(value, str) else " or ".join(map(str, value))
