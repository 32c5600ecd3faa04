"""Requirements, checks and saboteurs belong together: none stands alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from celeriac.spec import load, validator
from tests.saboteurs import coverage
from tests.saboteurs.coverage import AWAITED, CHECKS, Check, Coverage, module_of, read_checks
from tests.saboteurs.roster import ON_REDIS, SABOTEURS
from tests.saboteurs.variants import Saboteur

pytestmark = pytest.mark.coverage

SPEC = load()
EXCLUDED = next(each for each in SPEC.requirements.values() if each.excluded)
CHECK = Check("test_eta_countdown.py::test_no_start_before_the_eta", ("ETA-004",))
SABOTEUR = Saboteur("a_minute_early", "a task is started early", (), "ETA-004")


def small(*checks: Check, saboteurs: tuple[Saboteur, ...] = (SABOTEUR,), awaited: str = "") -> Coverage:
    """Answer the coverage of a specification of two requirements, one of them excluded."""
    requirements = {name: SPEC.requirements[name] for name in ("ETA-004", EXCLUDED.id)}
    return Coverage(replace(SPEC, requirements=requirements), checks, saboteurs, frozenset(awaited.split()))


def test_nothing_is_missing() -> None:
    """Every requirement has a check or a reason, every check a requirement, every checked MUST a saboteur."""
    found = Coverage(SPEC, read_checks(), (*SABOTEURS, *ON_REDIS))
    missing = [gap for gap in found.gaps() if not gap.awaited]
    assert missing == [], "\n".join(found.table())


def test_awaited_requirements_exist() -> None:
    """The list of saboteurs still to be written names requirements that exist."""
    assert SPEC.requirements.keys() >= AWAITED


def test_checks_are_found_in_the_modules_of_their_chapters() -> None:
    """Each chapter has a module of checks, each module is named like one, but for the guide's examples of several."""
    names = {path.stem for path in CHECKS.glob("test_*.py")}
    chapters = {module_of(each).removesuffix(".py") for each in SPEC.requirements.values()}
    assert names >= chapters
    allowed = (*chapters, "test_guide_examples")
    strangers = [name for name in names if not any(f"{name}_".startswith(f"{start}_") for start in allowed)]
    assert strangers == []


def test_what_is_covered_has_no_gap() -> None:
    """A requirement with a check and a saboteur, and an excluded one, leave nothing to be desired."""
    assert small(CHECK).gaps() == []


@pytest.mark.parametrize(
    ("found", "about", "what"),
    [
        pytest.param(small(), "ETA-004", "has no check", id="unchecked"),
        pytest.param(small(CHECK, saboteurs=()), "ETA-004", "has no saboteur", id="unproven"),
        pytest.param(
            small(CHECK, Check("test_x.py::test_y", ())),
            "test_x.py::test_y",
            "names no requirement",
            id="mute",
        ),
        pytest.param(
            small(CHECK, Check("test_x.py::test_y", ("ETA-999",))),
            "test_x.py::test_y",
            "names ETA-999, which does not exist",
            id="astray",
        ),
        pytest.param(
            small(CHECK, Check("test_x.py::test_y", (EXCLUDED.id,))),
            EXCLUDED.id,
            "is excluded, yet test_x.py::test_y decides it",
            id="both",
        ),
    ],
)
def test_gap_is_told(found: Coverage, about: str, what: str) -> None:
    """Each kind of gap is named with what it is about, and the table shows it with its remedy."""
    gap = found.gaps()[0]
    assert (gap.about, gap.what, gap.awaited) == (about, what, False)
    assert f"1 GAP: {what} ({gap.remedy})\n  {about}" in "\n".join(found.table())


def test_awaited_gap_is_forgiven() -> None:
    """A saboteur that is awaited is still a gap, but marked as known."""
    assert [gap.awaited for gap in small(CHECK, saboteurs=(), awaited="ETA-004").gaps()] == [True]


def test_check_without_a_mark_is_read(tmp_path: Path) -> None:
    """Test functions are found with the requirements that their mark names, and without any mark."""
    (tmp_path / "test_one.py").write_text(
        "@check('ETA-004', 'ETA-005', roles=('worker',))\ndef test_a(): ...\n\ndef test_b(): ...\n"
    )
    assert read_checks(tmp_path) == [
        Check("test_one.py::test_a", ("ETA-004", "ETA-005")),
        Check("test_one.py::test_b", ()),
    ]


def test_command_writes_the_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command prints the table, and writes the numbers per chapter and level as the schema wants them."""
    path = tmp_path / "deep" / "coverage.json"
    status = coverage.main([str(path)])
    document = json.loads(path.read_text())
    validator("coverage").validate(document)
    assert status == int(any(not gap["awaited"] for gap in document["gaps"]))
    assert document["total"]["normative"] == len(SPEC.requirements)
    assert (
        sum(one["total"]["checked"] for one in document["chapters"].values()) == document["total"]["checked"]
    )
    assert "ETA  ETA and countdown" in capsys.readouterr().out
