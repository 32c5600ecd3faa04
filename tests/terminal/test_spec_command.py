"""``celeriac spec`` answers in a terminal what a requirement means, who decides it and who breaks it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from celeriac.conformance.cli import main
from celeriac.conformance.spec_facts import facts, promises
from celeriac.conformance.spec_search import search
from celeriac.conformance.spec_text import Paper, requirement
from celeriac.spec import load, schema, schema_names

PAGE = """\
ETA-011  MUST  producer  (profile scheduling)
  The moment made from a `countdown` is that many elapsed seconds after the call, whatever the
  setting `timezone` says.

  why        Seconds are the same length in every zone, on every day of the year.
"""


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Answer what the command prints."""
    assert main(["spec", *words]) == 0
    return capsys.readouterr().out


def test_page_of_a_requirement(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A requirement is shown with its reason, its checks and what they promise, who breaks it, and its page."""
    monkeypatch.setenv("COLUMNS", "100")
    text = said(capsys, "eta-011")

    assert text.startswith(PAGE)
    for part in (
        "  known      Celery 5.5.3 adds the seconds",
        "  observed   wire: the bytes of one message",
        "  guide      ETA and Countdown:",
        "calling.html#eta-and-countdown",
        "  chapter    ETA and countdown: spec/chapters/04-eta-countdown.md",
        "  guide says A countdown is an ETA so many seconds ahead.",
        "  checks     test_eta_countdown.py::test_countdown_is_elapsed_seconds_in_every_zone",
        "               A zone with daylight saving time changes nothing",
        "  broken by  celery and its variants (version 5.5.*): a countdown is added",
        "celery/celery#9669",
        "  examples   vectors/eta-expires.json: 2 cases",
        "  page       requirements/ETA-011.html",
        "--requirement=ETA-011",
    ):
        assert part in text


def test_excluded_requirement_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    """What no harness can see has a reason in the place of checks."""
    excluded = next(each for each in load().requirements.values() if each.excluded)
    text = said(capsys, excluded.id)
    assert "  excluded   " in text
    assert "  checks " not in text
    assert "  try it " not in text


@pytest.mark.parametrize("width", [40, 60, 100])
def test_every_page_fits_the_terminal(width: int) -> None:
    """Every requirement's page fits the width, but for words that cannot be broken."""
    spec = load()
    for each in spec.requirements.values():
        for line in requirement(each, facts(each), spec, Paper(width)):
            assert len(line) <= width or len(line.split()) <= 2, line


def test_area_and_list(capsys: pytest.CaptureFixture[str]) -> None:
    """An area is its title and its requirements; without words there is exactly one line for each of all."""
    first, *rest = said(capsys, "exp").splitlines()
    assert first == "EXP  Expiration: 20 requirements"
    assert [line.split()[0] for line in rest if line.startswith("EXP")] == [
        each for each in load().requirements if each.startswith("EXP")
    ]
    assert len(said(capsys).splitlines()) == len(load().requirements)


def test_colour_is_for_terminals() -> None:
    """Colours come where they are wanted, and take nothing away where they are not."""
    spec = load()
    each = spec.requirements["ETA-011"]
    plain = "\n".join(requirement(each, facts(each), spec, Paper(80)))
    coloured = "\n".join(requirement(each, facts(each), spec, Paper(80, colour=True)))
    assert "\x1b" not in plain
    assert "\x1b[1mETA-011\x1b[0m" in coloured
    for code in ("\x1b[0m", "\x1b[1m", "\x1b[33m", "\x1b[36m"):
        coloured = coloured.replace(code, "")
    assert coloured == plain


@pytest.mark.parametrize(("variable", "coloured"), [("", True), ("1", False)])
def test_no_color_is_respected(variable: str, coloured: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal gets colours unless NO_COLOR has a value."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setenv("NO_COLOR", variable)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", screen)
    assert main(["spec", "ETA-004"]) == 0
    assert ("\x1b" in screen.getvalue()) is coloured


def test_search_ranks_ids_then_sentences_then_reasons() -> None:
    """What has the words in its id comes before what has them in its sentence, its reason, or across both."""
    spec = load()
    assert next(iter(search(spec, ["eta-004"]))).id == "ETA-004"
    found = search(spec, ["COUNTDOWN"])
    in_sentence = ["countdown" in each.sentence.lower() for each in found]
    assert in_sentence == sorted(in_sentence, reverse=True)
    assert True in in_sentence
    assert False in in_sentence
    everywhere = {each.id for each in search(spec, ["countdown", "year"])}
    assert everywhere == {"ETA-011"}


def test_search_shows_what_matched(capsys: pytest.CaptureFixture[str]) -> None:
    """A match outside the sentence is shown with it, and paragraphs around the requirements are found, too."""
    text = said(capsys, "--search", "every", "zone")
    assert "why: Seconds are the same length in every zone" in text
    assert "in the text of ETA: The worker fetches such a message at once" in said(
        capsys, "--search", "holds it, unacknowledged"
    )


def test_matches_are_marked_on_a_terminal() -> None:
    """Every match is bold, whatever its case; where there are no colours a line is as it was."""
    assert Paper(colour=True).mark("An ETA, the eta", ["eta"]) == (
        "An \x1b[1m\x1b[33mETA\x1b[0m, the \x1b[1m\x1b[33meta\x1b[0m"
    )
    assert Paper().mark("An ETA", ["eta"]) == "An ETA"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["cuontdown"], "no requirement has 'cuontdown'; did you mean countdown"),
        (["msgpack", "priority"], "no requirement has all of these words: 'msgpack' in "),
        (["zzzzzz"], "no requirement has 'zzzzzz'; `celeriac spec` lists all requirements"),
    ],
)
def test_search_that_finds_nothing_helps(
    words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A search without a result costs one line that says what to try, and status 1."""
    assert main(["spec", "--search", *words]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"celeriac spec: {line}")
    assert len(captured.err.splitlines()) == 1


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Programs get the same facts; fields that the site's requirements.json has, too, have its names."""
    document = json.loads(said(capsys, "ETA-011", "EXP-001", "--json"))
    first, second = document["requirements"]
    assert (first["id"], second["id"]) == ("ETA-011", "EXP-001")
    assert [fault["issue"] for fault in first["known_failures"]] == ["celery/celery#9669"]
    assert first["checks"][0]["says"].endswith(".")
    shared = set(schema("requirements")["$defs"]["requirement"]["required"])
    assert shared - set(first) == {"coverage", "saboteurs", "oddities"}
    assert len(json.loads(said(capsys, "--json"))["requirements"]) == len(load().requirements)
    assert json.loads(said(capsys, "--search", "prefetch", "--json"))["requirements"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["EAT-004"], "unknown requirement 'EAT-004'; did you mean ETA-004"),
        (["ETB"], "unknown requirement 'ETB'; did you mean ETA"),
        (["--schema", "clam"], "unknown schema 'clam'; did you mean claim?"),
        (["ETA", "--schemas"], "name requirements or use the option, not both: ETA"),
    ],
)
def test_mistakes_cost_one_line(words: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is not there is named, with what is near, and the status is 4."""
    assert main(["spec", *words]) == 4
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"celeriac spec: {line}")


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    """A pipe that is closed at the other end ends the command without a traceback."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ran = subprocess.run(
            [sys.executable, "-c", "from celeriac.conformance.cli import main; main(['spec'])"],
            stdout=writing,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            check=False,
        )
    finally:
        os.close(writing)
    assert (ran.returncode, ran.stderr) == (0, b"")


def test_every_schema_has_an_id_that_names_no_place(capsys: pytest.CaptureFixture[str]) -> None:
    """Each schema is printed under its name and its urn, is lawful, and its references can be followed."""
    for name in schema_names():
        content = json.loads(said(capsys, "--schema", name))
        assert content["$id"] == f"urn:celeriac:schema:{name}"
        Draft202012Validator.check_schema(content)
        for reference in _references(content):
            urn, _, pointer = reference.partition("#")
            found = schema(urn.removeprefix("urn:celeriac:schema:")) if urn else content
            for key in pointer.split("/")[1:]:
                found = found[key]
    assert json.loads(said(capsys, "--schema", "urn:celeriac:schema:claim")) == schema("claim")


@pytest.mark.parametrize("name", ["claim", "expectations"])
def test_schemas_for_editors_stand_alone(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An editor needs one file for each kind of file that a user writes: nothing in it is defined elsewhere."""
    content = json.loads(said(capsys, "--schema", name))
    assert [reference for reference in _references(content) if not reference.startswith("#")] == []


def test_schemas_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """The list has a line with a title for each schema, and for programs its id."""
    lines = said(capsys, "--schemas").splitlines()
    assert [line.split()[0] for line in lines] == list(schema_names())
    listed = json.loads(said(capsys, "--schemas", "--json"))
    assert listed[0]["id"].startswith("urn:celeriac:schema:")


def test_promises_are_those_of_the_suite() -> None:
    """Every check names requirements that there are and says what it promises."""
    known = load().requirements
    assert promises()
    for promise in promises():
        assert set(promise.requirements) <= set(known), promise.id
        assert promise.says, promise.id


def _references(value: object) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [each for part in value.values() for each in _references(part)]
    if isinstance(value, list):
        return [each for part in value for each in _references(part)]
    return []
