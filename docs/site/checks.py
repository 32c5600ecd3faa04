"""The checks as a reader sees them: what each promises, which requirements it decides, and its source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from celeriac import conformance

__all__ = ["Check", "read_checks"]

FOLDER = Path(conformance.__file__).parent


@dataclass(frozen=True, slots=True)
class Check:
    """A test function of the suite.

    Attributes:
        id: module and function, such as ``test_basics.py::test_it``.
        requirements: the ids that it decides.
        says: its docstring, a sentence.
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


def read_checks(folder: Path = FOLDER) -> tuple[Check, ...]:
    """Answer every check in the order of the files, read without importing them."""
    return tuple(check for path in sorted(folder.glob("test_*.py")) for check in _checks_in(path))


def _checks_in(path: Path) -> Iterator[Check]:
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef) and (named := tuple(_named_by(node))):
            first = min([node.lineno, *(mark.lineno for mark in node.decorator_list)])
            source = "\n".join(lines[first - 1 : node.end_lineno])
            says = " ".join((ast.get_docstring(node) or "").split())
            yield Check(f"{path.name}::{node.name}", named, says, source, first)


def _named_by(function: ast.FunctionDef) -> Iterator[str]:
    for mark in function.decorator_list:
        if isinstance(mark, ast.Call) and isinstance(mark.func, ast.Name) and mark.func.id == "check":
            yield from (str(name.value) for name in mark.args if isinstance(name, ast.Constant))
