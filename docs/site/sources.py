"""Everything that pages are made of, read once: specification, checks, saboteurs, and what was recorded of runs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from celeriac import spec
from celeriac.spec import Requirement, Spec, validator
from docs.site.checks import Check, read_checks
from docs.site.errors import SiteError
from tests.saboteurs.roster import ODDITIES, ON_REDIS, SABOTEURS
from tests.saboteurs.variants import Oddity, Saboteur

__all__ = ["ROOT", "Fault", "Sources", "read_sources"]

ROOT = Path(__file__).resolve().parents[2]

#: A recorded file under docs/ -> the schema that describes it.
RECORDED: Mapping[str, str] = {
    "implementations.json": "implementations",
    "interop.json": "interop",
    "matrix.json": "matrix",
    "kill-matrix.json": "kill-matrix",
    "flakes.json": "flakes",
}

MENTIONED = re.compile(r"\b[A-Z]{3}-\d{3}\b")


@dataclass(frozen=True, slots=True)
class Fault:
    """A mistake that was seen in the field: a row of ``docs/field-faults.md``.

    Attributes:
        number: its number there.
        holds: the sentence that it breaks.
        seen: who made it.
        requirements: those that catch it.
    """

    number: str
    holds: str
    seen: str
    requirements: tuple[str, ...]


@dataclass(frozen=True)
class Sources:
    """The data of all pages.

    Attributes:
        root: the repository.
        spec: the specification.
        checks: every check.
        recorded: name of a file without suffix -> its content: ``implementations``, ``interop``, ``matrix``, ...
        faults: what the field got wrong.
        saboteurs: those that are wrong on purpose.
        oddities: those that are odd but lawful.
    """

    root: Path
    spec: Spec
    checks: tuple[Check, ...]
    recorded: Mapping[str, Mapping[str, Any]]
    faults: tuple[Fault, ...]
    saboteurs: tuple[Saboteur, ...] = (*SABOTEURS, *ON_REDIS)
    oddities: tuple[Oddity, ...] = ODDITIES

    @property
    def requirements(self) -> Mapping[str, Requirement]:
        """Every requirement by its id."""
        return self.spec.requirements

    @property
    def rows(self) -> Sequence[Mapping[str, Any]]:
        """The recorded runs."""
        rows: Sequence[Mapping[str, Any]] = self.recorded["implementations"]["rows"]
        return rows

    @cached_property
    def checks_of(self) -> Mapping[str, Sequence[Check]]:
        """The checks by the requirements that they decide."""
        return _grouped((name, check) for check in self.checks for name in check.requirements)

    @cached_property
    def saboteurs_of(self) -> Mapping[str, Sequence[Saboteur]]:
        """The saboteurs by the requirement that they break."""
        return _grouped((each.requirement, each) for each in self.saboteurs)

    @cached_property
    def oddities_of(self) -> Mapping[str, Sequence[Oddity]]:
        """The oddities by the requirements that leave them their choice."""
        return _grouped((name, each) for each in self.oddities for name in each.where)

    @cached_property
    def faults_of(self) -> Mapping[str, Sequence[Fault]]:
        """The faults of the field by the requirements that catch them."""
        return _grouped((name, fault) for fault in self.faults for name in fault.requirements)

    @cached_property
    def vectors_of(self) -> Mapping[str, Mapping[str, int]]:
        """Requirement -> name of a vector file -> how many of its cases it decides."""
        found: dict[str, dict[str, int]] = {}
        for name in spec.vector_names():
            for case in spec.vectors(name)["cases"]:
                for identity in case.get("requirements", ()):
                    counts = found.setdefault(identity, {})
                    counts[name] = counts.get(name, 0) + 1
        return found

    @cached_property
    def claims_of(self) -> Mapping[str, Sequence[str]]:
        """What the guide claims, by the requirements that decide it."""
        sections = spec.guide()["sections"]
        claims = (claim for section in sections for claim in section["claims"])
        return _grouped((name, claim["says"]) for claim in claims for name in claim["decided_by"] or ())

    @cached_property
    def beyond(self) -> Mapping[str, str]:
        """Why a requirement stands here that no claim of the guide asks for."""
        return {name: each["reason"] for each in spec.guide()["beyond"] for name in each["requirements"]}


def _grouped(pairs: Iterator[tuple[str, Any]]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def read_sources(root: Path = ROOT) -> Sources:
    """Read everything.

    Raises:
        SiteError: something that was recorded breaks its schema, or speaks of a requirement that does not exist.
    """
    recorded = {name.removesuffix(".json"): _recorded(root / "docs" / name) for name in RECORDED}
    found = Sources(root, spec.load(), read_checks(), recorded, tuple(_faults(root / "docs/field-faults.md")))
    _check_ids(found)
    return found


def _recorded(path: Path) -> Mapping[str, Any]:
    content: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    for error in validator(RECORDED[path.name]).iter_errors(content):
        where = "/".join(map(str, error.absolute_path)) or "top level"
        raise SiteError(f"docs/{path.name}: {where}: {error.message}")
    return content


def _faults(path: Path) -> Iterator[Fault]:
    for line in path.read_text(encoding="utf-8").splitlines():
        if re.match(r"\| \d+ \|", line):
            number, holds, seen, requirements, *_ = line.strip("| ").split(" | ")
            yield Fault(number, holds, seen, tuple(MENTIONED.findall(requirements)))


def _check_ids(found: Sources) -> None:
    """Refuse a record, a check or a variant that names a requirement that does not exist."""
    named = {f"check {check.id}": check.requirements for check in found.checks}
    named |= {f"saboteur {each.id}": (each.requirement, *each.also) for each in found.saboteurs}
    named |= {f"oddity {each.id}": each.where for each in found.oddities}
    named |= {
        f"docs/implementations.json, {row['adapter']} on {row['broker']}": tuple(
            MENTIONED.findall(json.dumps(row))
        )
        for row in found.rows
    }
    for who, names in named.items():
        for name in names:
            if name not in found.requirements:
                raise SiteError(f"{who}: there is no requirement {name}")
