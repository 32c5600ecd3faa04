"""Coverage: which requirements have a check, and which checks are proven by a saboteur.

    python -m tests.saboteurs.coverage [FILE]      (scripts/coverage does the same)

Prints a table and every gap with its remedy, writes ``.celeriac/coverage.json`` or another file (schema
``coverage``), and exits with 1 while there is a gap that is not awaited.  Checks are read from their sources,
saboteurs from the roster; nothing is run.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from celeriac import conformance
from celeriac.spec import Requirement, Spec, load, validator
from celeriac.spec.model import LEVELS
from tests.saboteurs.variants import Saboteur

__all__ = ["AWAITED", "Check", "Coverage", "Gap", "main", "read_checks"]

CHECKS = Path(conformance.__file__).parent
DEFAULT = Path(".celeriac/coverage.json")

#: Requirements whose saboteur is still to be written.
_AWAITED = """
BAS-001 BAS-004 BAS-006 BAS-008 BAS-009 BAS-011
LNK-003 LNK-004 LNK-005 LNK-006 LNK-009 LNK-010 LNK-012 LNK-017 LNK-018 LNK-019
LNK-020 LNK-021 LNK-022 LNK-024 LNK-025 LNK-026 LNK-027
ONM-001 ONM-002 ONM-003 ONM-006 ONM-007 ONM-008 ONM-009 ONM-011 ONM-012
ETA-005 ETA-012
SER-002 SER-004 SER-009 SER-010 SER-018
CMP-002 CMP-004 CMP-007 CMP-009 CMP-011 CMP-012
ROU-001 ROU-002
RES-001 RES-004 RES-005 RES-007 RES-008 RES-009 RES-010 RES-011 RES-012 RES-014
RES-015 RES-016 RES-017 RES-018 RES-020 RES-021 RES-022 RES-023 RES-024 RES-025
RES-026
ADV-002 ADV-004
MSG-008 MSG-011 MSG-014 MSG-015 MSG-016 MSG-017 MSG-018 MSG-019 MSG-022 MSG-029
MSG-031
TIM-003 TIM-004 TIM-005 TIM-006 TIM-012 TIM-013 TIM-014
"""
AWAITED = frozenset(_AWAITED.split())

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
        awaited: whether it is known, and forgiven for now.
    """

    about: str
    what: str
    remedy: str
    awaited: bool = False


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
        awaited: requirements whose saboteur may be missing.
    """

    def __init__(
        self,
        spec: Spec,
        checks: Sequence[Check],
        saboteurs: Sequence[Saboteur],
        awaited: frozenset[str] = AWAITED,
    ) -> None:
        self.spec = spec
        self.checks = checks
        self.saboteurs = saboteurs
        self.awaited = awaited

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
                yield Gap(name, "has no saboteur", remedy, name in self.awaited)

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
    for text in dict.fromkeys((gap.what, gap.remedy, gap.awaited) for gap in gaps):
        what, remedy, awaited = text
        names = [gap.about for gap in gaps if (gap.what, gap.remedy, gap.awaited) == text]
        yield f"\n{len(names)} {'awaited' if awaited else 'GAP'}: {what} ({remedy})"
        yield from _in_rows(names)


def _in_rows(names: Sequence[str]) -> Iterator[str]:
    for start in range(0, len(names), 10):
        yield "  " + " ".join(names[start : start + 10])


def main(arguments: Sequence[str]) -> int:
    """Print the table, write the file; answer 1 while something is missing."""
    from tests.saboteurs.roster import ON_REDIS, SABOTEURS

    found = Coverage(load(), read_checks(), (*SABOTEURS, *ON_REDIS))
    document = found.document()
    validator("coverage").validate(document)
    path = Path(arguments[0]) if arguments else DEFAULT
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    sys.stdout.writelines(f"{line}\n" for line in (*found.table(), "", f"written: {path}"))
    return int(any(not gap.awaited for gap in found.gaps()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
