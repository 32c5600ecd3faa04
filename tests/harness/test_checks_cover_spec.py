"""Requirements and checks belong together: neither stands alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import celeriac.conformance
from celeriac.spec import load

FOLDER = Path(celeriac.conformance.__file__).parent


def decided() -> Iterator[str]:
    """Answer the ids in every ``@check(...)``, read without importing the checks."""
    for path in FOLDER.glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "check":
                yield from (
                    str(argument.value) for argument in node.args if isinstance(argument, ast.Constant)
                )


def test_every_requirement_has_a_check_or_a_reason() -> None:
    """The requirements without a check are those that the specification excludes, and no others."""
    requirements = load().requirements
    excluded = {name for name, requirement in requirements.items() if requirement.excluded}
    assert set(requirements) - set(decided()) == excluded
    assert set(decided()) <= set(requirements)


def test_every_chapter_has_a_module_of_checks() -> None:
    """The checks of a chapter stand in the module that is named like it."""
    names = {path.stem for path in FOLDER.glob("test_*.py")}
    assert names == {f"test_{chapter.slug.replace('-', '_')}" for chapter in load().chapters}
