"""The reader of the specification is strict: what it does not understand is an error that says where."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from celeriac import spec
from celeriac.spec.model import GUIDE_SECTIONS, LEVELS, OBSERVED, ROLES

CHAPTER = """\
# ABC · A chapter

Prose before, which mentions ABC-002 and `schemas/thing.schema.json`.

## A section

### ABC-001 · MUST · worker
A worker does
its work.

- observed: history
- guide: basics
- why: Somebody has to
  do it.
- known behaviour: Celery 5.5.3 does.
- feature: serializer:yaml

Prose between.

### ABC-002 · SHOULD · producer
A producer produces.

- observed: none
- guide: serializers
- why: Workers starve otherwise.
- excluded: Nobody looks.
"""

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Answer a function that writes chapters into a new specification and answers its folder."""
    (tmp_path / "chapters").mkdir()
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "thing.schema.json").write_text("{}")

    def write(text: str, name: str = "01-a-chapter.md") -> Path:
        (tmp_path / "chapters" / name).write_text(text, encoding="utf-8")
        return tmp_path

    return write


def test_a_requirement_is_read_with_all_its_fields(write: Write) -> None:
    """Heading, sentence and fields of a block become a requirement, wrapped lines joined."""
    read = spec.read(write(CHAPTER))
    assert read.requirements["ABC-001"] == spec.Requirement(
        id="ABC-001",
        level="MUST",
        role="worker",
        observed="history",
        guide="basics",
        sentence="A worker does its work.",
        why="Somebody has to do it.",
        known="Celery 5.5.3 does.",
        excluded=None,
        feature="serializer:yaml",
        chapter="a-chapter",
    )


def test_a_chapter_keeps_its_prose_and_the_order_of_its_requirements(write: Write) -> None:
    """Everything outside the blocks is prose, and requirements stay in the order of the text."""
    (chapter,) = spec.read(write(CHAPTER)).chapters
    assert (chapter.slug, chapter.prefix, chapter.title) == ("a-chapter", "ABC", "A chapter")
    assert [requirement.id for requirement in chapter.requirements] == ["ABC-001", "ABC-002"]
    assert chapter.prose.startswith("Prose before")
    assert "## A section\n\nProse between." in chapter.prose
    assert "observed" not in chapter.prose


def test_an_excluded_requirement_says_why(write: Write) -> None:
    """A requirement that nobody can observe carries the reason of its exclusion."""
    requirement = spec.read(write(CHAPTER)).requirements["ABC-002"]
    assert (requirement.observed, requirement.excluded) == ("none", "Nobody looks.")


#: What is broken -> text to replace, its replacement, what the error says.
BROKEN = {
    "unknown level": ("· MUST ·", "· OUGHT ·", "01-a-chapter.md:7: unknown level 'OUGHT'"),
    "lower-case level": ("· MUST ·", "· must ·", "unknown level 'must'"),
    "unknown role": ("· worker", "· wroker", "01-a-chapter.md:7: unknown role 'wroker'"),
    "missing role": ("MUST · worker", "MUST", "01-a-chapter.md:7: missing role"),
    "missing level and role": (" · MUST · worker", "", "missing level and role"),
    "too many parts": ("· worker", "· worker · twice", "too many parts"),
    "foreign prefix": ("### ABC-001", "### XYZ-001", "'XYZ-001' does not fit the chapter; expected ABC-"),
    "short number": ("### ABC-001", "### ABC-1", "'ABC-1' does not fit the chapter"),
    "free heading of level 3": ("## A section", "### A section", "01-a-chapter.md:5: missing level and role"),
    "unknown way to observe": ("observed: history", "observed: smell", "01-a-chapter.md:11: unknown observed 'smell'"),
    "unknown section": ("guide: basics", "guide: advice", "01-a-chapter.md:12: unknown section of the guide 'advice'"),
    "unknown field": ("- feature:", "- colour:", "unknown field 'colour'"),
    "field twice": ("- feature: serializer:yaml", "- why: Again.", "ABC-001 has two fields 'why'"),
    "not a field": ("- feature: serializer:yaml", "- feature", "'- feature' is not '- field: value'"),
    "odd feature": ("serializer:yaml", "codec:yaml", "feature 'codec:yaml' is neither"),
    "missing why": ("- why: Workers starve otherwise.\n", "", "01-a-chapter.md:20: ABC-002 is missing 'why'"),
    "missing observed": ("- observed: history\n", "", "ABC-001 is missing 'observed'"),
    "missing guide": ("- guide: basics\n", "", "ABC-001 is missing 'guide'"),
    "missing sentence": ("A producer produces.\n", "", "01-a-chapter.md:20: ABC-002 has no sentence"),
    "none without a reason": ("- excluded: Nobody looks.\n", "", "come together or not at all"),
    "reason without none": ("observed: none", "observed: wire", "come together or not at all"),
    "prose glued to a list": ("serializer:yaml\n\nProse", "serializer:yaml\nProse", "leave a blank line before prose"),
    "duplicate id": ("### ABC-002", "### ABC-001", "duplicate id ABC-001"),
    "dangling requirement": ("mentions ABC-002", "mentions ABC-009", "01-a-chapter.md:3: dangling reference"),
    "dangling schema": ("thing.schema", "thong.schema", "there is no file schemas/thong.schema.json"),
    "dangling vector": ("schemas/thing.schema.json", "vectors/thing.json", "there is no file vectors/thing.json"),
    "no title": ("# ABC · A chapter", "# A chapter", "01-a-chapter.md:1: a chapter starts with '# ABC · Title'"),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "error"), BROKEN.values(), ids=BROKEN)
def test_a_malformed_chapter_is_an_error_that_says_where(
    write: Write, old: str, new: str, error: str
) -> None:
    """Each departure from the format is refused, with file, line and what was expected."""
    assert CHAPTER.count(old) == 1, "the case breaks exactly one place"
    with pytest.raises(spec.SpecError) as caught:
        spec.read(write(CHAPTER.replace(old, new)))
    assert error in str(caught.value)


def test_an_id_is_unique_across_chapters(write: Write) -> None:
    """Two chapters cannot define one requirement, and the error names both."""
    write(CHAPTER)
    with pytest.raises(spec.SpecError, match="duplicate id ABC-001: in chapters a-chapter and other"):
        spec.read(write(CHAPTER, "02-other.md"))


def test_a_chapter_file_has_a_number_and_a_slug(write: Write) -> None:
    """The file's name gives the order and the slug, so another form is refused."""
    with pytest.raises(spec.SpecError, match=r"a chapter's file is named NN-slug\.md"):
        spec.read(write(CHAPTER, "chapter.md"))


def test_a_folder_without_chapters_is_refused(tmp_path: Path) -> None:
    """An empty specification is a mistake of its reader, not a specification."""
    with pytest.raises(spec.SpecError, match="no chapters"):
        spec.read(tmp_path)


def test_errors_name_what_would_have_been_right(write: Write) -> None:
    """An unknown word is answered with the list of the known ones."""
    cases = {"· MUST ·": LEVELS, "· worker": ROLES, ": history": OBSERVED, ": basics": GUIDE_SECTIONS}
    for old, known in cases.items():
        with pytest.raises(spec.SpecError) as caught:
            spec.read(write(CHAPTER.replace(old, old.replace(old.strip("·: "), "wrong"))))
        assert ", ".join(known) in str(caught.value)


def test_the_package_has_one_specification() -> None:
    """The specification that comes with the package is read once."""
    assert spec.load() is spec.load()
    assert spec.load().version == spec.VERSION


def test_requirements_are_values() -> None:
    """Two requirements with equal fields are equal, so that tests can compare them."""
    first = next(iter(spec.load().requirements.values()))
    assert replace(first) == first


@pytest.mark.parametrize("ask", [spec.schema, spec.validator, spec.vectors])
def test_an_unknown_name_is_answered_with_the_nearest(ask: Callable[[str], object]) -> None:
    """Asking for a schema or a vector file that does not exist names those that do."""
    with pytest.raises(spec.SpecError, match=r"did you mean .*retry-"):
        ask("retry-polcy" if ask is not spec.vectors else "retry-schedule")


def test_schemas_are_copies() -> None:
    """Changing a schema that was handed out changes nothing for the next reader."""
    spec.schema("claim").clear()
    assert spec.schema("claim")["title"] == "Claim"
