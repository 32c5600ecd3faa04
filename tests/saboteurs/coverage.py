"""Coverage: which requirements have a check, and which checks are proven by a saboteur.

    python -m tests.saboteurs.coverage [FILE]      (scripts/coverage does the same)

Prints a table and every gap with its remedy, writes ``.celeriac/coverage.json`` or another file (schema
``coverage``), and exits with 1 while there is a gap.  Checks are read from their sources,
saboteurs from the roster; nothing is run.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from celeriac import conformance
from celeriac.spec import Requirement, Spec, load, validator
from celeriac.spec.model import LEVELS
from tests.saboteurs.choices import CHOICES, Way
from tests.saboteurs.variants import Oddity, Saboteur

__all__ = ["Check", "Coverage", "Gap", "main", "read_checks"]

CHECKS = Path(conformance.__file__).parent
DEFAULT = Path(".celeriac/coverage.json")

#: The columns: name -> whether a requirement counts.
COLUMNS: Mapping[str, Callable[[Coverage, Requirement], bool]] = {
    "normative": lambda _, requirement: True,
    "checkable": lambda _, requirement: not requirement.excluded,
    "checked": lambda found, requirement: bool(found.checks_of(requirement.id)),
    "saboteur_backed": lambda found, requirement: bool(found.saboteurs_of(requirement.id)),
}


@dataclass(frozen=True, slots=True)
class Check:
    """A test function among the checks, and the requirements that it names."""

    id: str
    requirements: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that is missing.

    Attributes:
        about: a requirement, a check or a saboteur.
        what: what is missing.
        remedy: what to do.
    """

    about: str
    what: str
    remedy: str


def read_checks(folder: Path = CHECKS) -> list[Check]:
    """Answer every test function in the modules of checks, read without importing them."""
    return [check for path in sorted(folder.glob("test_*.py")) for check in _checks_in(path)]


def _checks_in(path: Path) -> Iterator[Check]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield Check(f"{path.name}::{node.name}", tuple(_named_by(node)))


def _named_by(function: ast.FunctionDef) -> Iterator[str]:
    for mark in function.decorator_list:
        if isinstance(mark, ast.Call) and isinstance(mark.func, ast.Name) and mark.func.id == "check":
            yield from (str(name.value) for name in mark.args if isinstance(name, ast.Constant))


class Coverage:
    """What is covered by what.

    Args:
        spec: the specification.
        checks: every check.
        saboteurs: every saboteur.
        oddities: every oddity.
        choices: the requirements that leave several ways.
    """

    def __init__(
        self,
        spec: Spec,
        checks: Sequence[Check],
        saboteurs: Sequence[Saboteur],
        oddities: Sequence[Oddity] = (),
        choices: Mapping[str, Sequence[Way]] = CHOICES,
    ) -> None:
        self.spec = spec
        self.checks = checks
        self.saboteurs = saboteurs
        self.allowed = {oddity.id: oddity.where for oddity in oddities}
        self.choices = choices

    def checks_of(self, requirement: str) -> list[str]:
        """Answer the checks that decide a requirement."""
        return [check.id for check in self.checks if requirement in check.requirements]

    def saboteurs_of(self, requirement: str) -> list[str]:
        """Answer the saboteurs that break a requirement."""
        return [saboteur.id for saboteur in self.saboteurs if saboteur.requirement == requirement]

    # -- what is missing ------------------------------------------------------------------------------

    def gaps(self) -> list[Gap]:
        """Answer everything that is missing."""
        return [*self._of_checks(), *self._of_requirements()]

    def _of_checks(self) -> Iterator[Gap]:
        for check in self.checks:
            if not check.requirements:
                yield Gap(check.id, "names no requirement", "mark it @check('ABC-001')")
            for name in set(check.requirements) - self.spec.requirements.keys():
                yield Gap(check.id, f"names {name}, which does not exist", "name one of the specification")

    def _of_requirements(self) -> Iterator[Gap]:
        for requirement in self.spec.requirements.values():
            name, checked = requirement.id, self.checks_of(requirement.id)
            if not checked and not requirement.excluded:
                yield Gap(name, "has no check", f"write one in conformance/{module_of(requirement)}")
            if checked and requirement.excluded:
                yield Gap(name, f"is excluded, yet {checked[0]} decides it", "drop one of the two")
            if checked and requirement.level == "MUST" and not self.saboteurs_of(name):
                remedy = "write a reference that breaks it in tests/saboteurs/wrong_*.py"
                yield Gap(name, "has no saboteur", remedy)
            yield from self._of_ways(requirement)

    def _of_ways(self, requirement: Requirement) -> Iterator[Gap]:
        ways = self.choices.get(requirement.id, ())
        if re.search(r"\beither\b", requirement.sentence) and len(ways) < 2:
            yield Gap(requirement.id, "leaves a choice", "list its ways in tests/saboteurs/choices.py")
        for way in ways:
            if way.broken_by not in self.saboteurs_of(requirement.id):
                remedy = f"write the saboteur {way.broken_by}"
                yield Gap(requirement.id, f"lacks a saboteur for the way {way.what!r}", remedy)
            if way.taken_by != "reference" and requirement.id not in self.allowed.get(way.taken_by, ()):
                remedy = f"write the oddity {way.taken_by}"
                yield Gap(requirement.id, f"lacks an oddity for the way {way.what!r}", remedy)

    # -- what a reader gets ---------------------------------------------------------------------------

    def count(self, requirements: Iterable[Requirement]) -> dict[str, int]:
        """Answer the columns for some requirements."""
        wanted = list(requirements)
        return {name: sum(counts(self, each) for each in wanted) for name, counts in COLUMNS.items()}

    def by_level(self, requirements: Sequence[Requirement]) -> dict[str, dict[str, int]]:
        """Answer the columns for each level that occurs."""
        found = {level: [each for each in requirements if each.level == level] for level in LEVELS}
        return {level: self.count(some) for level, some in found.items() if some}

    def document(self) -> dict[str, Any]:
        """Answer the content of ``coverage.json``."""
        everything = tuple(self.spec.requirements.values())
        return {
            "spec": {"version": self.spec.version},
            "total": self.count(everything),
            "levels": self.by_level(everything),
            "chapters": {
                chapter.prefix: {
                    "title": chapter.title,
                    "total": self.count(chapter.requirements),
                    "levels": self.by_level(chapter.requirements),
                }
                for chapter in self.spec.chapters
            },
            "requirements": {each.id: self._row(each) for each in everything},
            "gaps": [asdict(gap) for gap in self.gaps()],
        }

    def _row(self, requirement: Requirement) -> dict[str, Any]:
        return {
            "level": requirement.level,
            "excluded": requirement.excluded,
            "checks": self.checks_of(requirement.id),
            "saboteurs": self.saboteurs_of(requirement.id),
        }

    def table(self) -> Iterator[str]:
        """Answer the lines that a reader sees: a row per chapter, a row per level, the gaps."""
        document = self.document()
        rows = {f"{name}  {one['title']}": one["total"] for name, one in document["chapters"].items()}
        rows |= document["levels"] | {"all": document["total"]}
        yield " ".join(["".ljust(34), *(name.replace("_", " ").rjust(15) for name in COLUMNS)])
        for title, counts in rows.items():
            yield " ".join([title.ljust(34), *(str(counts[name]).rjust(15) for name in COLUMNS)])
        yield from _told(self.gaps())


def module_of(requirement: Requirement) -> str:
    """Answer the name of the module in which the checks of a requirement stand."""
    return f"test_{requirement.chapter.replace('-', '_')}.py"


def _told(gaps: Sequence[Gap]) -> Iterator[str]:
    for what, remedy in dict.fromkeys((gap.what, gap.remedy) for gap in gaps):
        names = [gap.about for gap in gaps if (gap.what, gap.remedy) == (what, remedy)]
        yield f"\n{len(names)} {'gap' if len(names) == 1 else 'gaps'}: {what} ({remedy})"
        yield from _in_rows(names)


def _in_rows(names: Sequence[str]) -> Iterator[str]:
    for start in range(0, len(names), 10):
        yield "  " + " ".join(names[start : start + 10])


def main(arguments: Sequence[str]) -> int:
    """Print the table, write the file; answer 1 while something is missing."""
    from tests.saboteurs.roster import ODDITIES, ON_REDIS, SABOTEURS

    found = Coverage(load(), read_checks(), (*SABOTEURS, *ON_REDIS), ODDITIES)
    document = found.document()
    validator("coverage").validate(document)
    path = Path(arguments[0]) if arguments else DEFAULT
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    sys.stdout.writelines(f"{line}\n" for line in (*found.table(), "", f"written: {path}"))
    return int(bool(found.gaps()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
