"""Requirements, checks and saboteurs belong together: none stands alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from celeriac.spec import load, validator
from tests.saboteurs import coverage
from tests.saboteurs.choices import CHOICES, Way
from tests.saboteurs.coverage import CHECKS, Check, Coverage, module_of, read_checks
from tests.saboteurs.roster import ODDITIES, ON_REDIS, SABOTEURS
from tests.saboteurs.variants import Oddity, Saboteur

pytestmark = pytest.mark.coverage

SPEC = load()
EXCLUDED = next(each for each in SPEC.requirements.values() if each.excluded)
CHECK = Check("test_eta_countdown.py::test_no_start_before_the_eta", ("ETA-004",))
SABOTEUR = Saboteur("a_minute_early", "a task is started early", (), "ETA-004")


#: A requirement that is met in two ways, and what proves both.
WAYS = (Way("refused", "only_forwards", "refused_too_late"), Way("carried", "reference", "carried_wrongly"))
CHOICE = Check("test_eta_countdown.py::test_negative_countdown_is_refused_or_past", ("ETA-009",))
WRONG = tuple(Saboteur(way.broken_by, way.what, (), "ETA-009") for way in WAYS)
ODD = Oddity("only_forwards", "a negative countdown is refused", (), where=("ETA-009",))


def small(*checks: Check, saboteurs: tuple[Saboteur, ...] = (SABOTEUR,)) -> Coverage:
    """Answer the coverage of a specification of two requirements, one of them excluded."""
    requirements = {name: SPEC.requirements[name] for name in ("ETA-004", EXCLUDED.id)}
    return Coverage(replace(SPEC, requirements=requirements), checks, saboteurs)


def chosen(
    *, wrong: tuple[Saboteur, ...] = WRONG, odd: tuple[Oddity, ...] = (ODD,), listed: bool = True
) -> Coverage:
    """Answer the coverage of a specification of one requirement, which leaves a choice."""
    requirements = {"ETA-009": SPEC.requirements["ETA-009"]}
    choices = {"ETA-009": WAYS} if listed else {}
    return Coverage(replace(SPEC, requirements=requirements), (CHOICE,), wrong, odd, choices)


def test_nothing_is_missing() -> None:
    """Every requirement has a check or a reason, every check a requirement, every checked MUST a saboteur."""
    found = Coverage(SPEC, read_checks(), (*SABOTEURS, *ON_REDIS), ODDITIES)
    assert found.gaps() == [], "\n".join(found.table())


def test_choices_name_requirements_that_exist() -> None:
    """The table of choices names requirements of the specification, each with several ways."""
    assert SPEC.requirements.keys() >= CHOICES.keys()
    assert all(len({way.broken_by for way in ways}) == len(ways) > 1 for ways in CHOICES.values())


def test_checks_are_found_in_the_modules_of_their_chapters() -> None:
    """Each chapter has a module of checks, each module is named like one, but for the guide's examples of several."""
    names = {path.stem for path in CHECKS.glob("test_*.py")}
    chapters = {module_of(each).removesuffix(".py") for each in SPEC.requirements.values()}
    assert names >= chapters
    allowed = (*chapters, "test_guide_examples")
    strangers = [name for name in names if not any(f"{name}_".startswith(f"{start}_") for start in allowed)]
    assert strangers == []


@pytest.mark.parametrize("found", [small(CHECK), chosen()], ids=["plain", "choice"])
def test_what_is_covered_has_no_gap(found: Coverage) -> None:
    """A requirement with its saboteurs, or an excluded one, leaves nothing to be desired."""
    assert found.gaps() == []


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
        pytest.param(chosen(listed=False), "ETA-009", "leaves a choice", id="unlisted"),
        pytest.param(
            chosen(wrong=WRONG[1:]), "ETA-009", "lacks a saboteur for the way 'refused'", id="unbroken way"
        ),
        pytest.param(chosen(odd=()), "ETA-009", "lacks an oddity for the way 'refused'", id="untaken way"),
    ],
)
def test_gap_is_told(found: Coverage, about: str, what: str) -> None:
    """Each kind of gap is named with what it is about, and the table shows it with its remedy."""
    gap = found.gaps()[0]
    assert (gap.about, gap.what) == (about, what)
    assert f"1 gap: {what} ({gap.remedy})\n  {about}" in "\n".join(found.table())


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
    assert status == int(bool(document["gaps"]))
    assert document["total"]["normative"] == len(SPEC.requirements)
    assert (
        sum(one["total"]["checked"] for one in document["chapters"].values()) == document["total"]["checked"]
    )
    assert "ETA  ETA and countdown" in capsys.readouterr().out
