"""The checks as a reader of the site sees them: what each promises, which requirements it decides, and its source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from celeriac import conformance
from celeriac.conformance.spec_facts import Promise, promises

__all__ = ["Check", "read_checks"]

FOLDER = Path(conformance.__file__).parent


@dataclass(frozen=True, slots=True)
class Check:
    """A test function of the suite.

    Attributes:
        id: module and function, such as ``test_basics.py::test_it``.
        requirements: the ids that it decides.
        says: its promise, a sentence.
        source: its text, decorators included.
        line: where it begins.
    """

    id: str
    requirements: tuple[str, ...]
    says: str
    source: str
    line: int

    @property
    def name(self) -> str:
        """The name of the function."""
        return self.id.partition("::")[2]

    @property
    def place(self) -> str:
        """File and line in the repository."""
        return f"conformance/{self.id.partition('::')[0]}:{self.line}"


def read_checks() -> tuple[Check, ...]:
    """Answer every check in the order of the files."""
    sources = {name: found for path in sorted(FOLDER.glob("test_*.py")) for name, found in _sources(path)}
    return tuple(_check(promise, *sources[promise.id]) for promise in promises())


def _check(promise: Promise, source: str, line: int) -> Check:
    return Check(promise.id, promise.requirements, promise.says, source, line)


def _sources(path: Path) -> Iterator[tuple[str, tuple[str, int]]]:
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef):
            first = min([node.lineno, *(mark.lineno for mark in node.decorator_list)])
            yield f"{path.name}::{node.name}", ("\n".join(lines[first - 1 : node.end_lineno]), first)
