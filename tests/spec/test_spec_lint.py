"""The text of the specification keeps its own rules."""

from __future__ import annotations

import re

import pytest

from celeriac import spec
from celeriac.spec.model import GUIDE_SECTIONS

SPEC = spec.load()
REQUIREMENTS = [pytest.param(requirement, id=requirement.id) for requirement in SPEC.requirements.values()]

#: Section of the guide -> the options that it describes.
OPTIONS = {
    "eta-and-countdown": ("countdown", "eta"),
    "expiration": ("expires",),
    "message-sending-retry": ("retry",),
    "retry-policy": ("retry_policy",),
    "serializers": ("serializer",),
    "compression": ("compression",),
    "connections": ("publisher",),
    "routing-options": ("queue",),
    "advanced-options": ("exchange", "routing_key", "priority"),
    "results-options": ("ignore_result",),
    "linking-callbacks-errbacks": ("link", "link_error"),
}


@pytest.mark.parametrize("requirement", REQUIREMENTS)
def test_a_requirement_is_one_sentence_with_one_reason(requirement: spec.Requirement) -> None:
    """Sentence and reason are whole sentences; the requirement is a single one."""
    assert re.fullmatch(r"[A-Z`].*\.", requirement.sentence)
    assert not re.search(r"\. [A-Z]", requirement.sentence)
    assert re.fullmatch(r"[A-Z`].*\.", requirement.why)
    assert requirement.why.count(". ") == 0


@pytest.mark.parametrize("requirement", REQUIREMENTS)
def test_known_behaviour_names_a_version(requirement: spec.Requirement) -> None:
    """Whoever reads of a deviation learns which release has it."""
    assert requirement.known is None or re.search(
        r"(Celery|kombu|RabbitMQ) \d+\.\d+|every version", requirement.known
    )


@pytest.mark.parametrize("requirement", REQUIREMENTS)
def test_a_feature_is_one_that_a_claim_can_make(requirement: spec.Requirement) -> None:
    """A requirement never depends on a feature that no adapter.toml could promise."""
    features = spec.schema("claim")["properties"]["features"]["properties"]
    kind, _, value = (requirement.feature or "").partition(":")
    if value:
        assert value in {"rpc", "redis", "memory"} | {
            case["name"] for case in spec.vectors("codec-labels")["cases"]
        }
        assert f"{kind.removesuffix('s')}s" in features
    elif kind:
        assert features[kind]["type"] == "boolean"


@pytest.mark.parametrize("chapter", SPEC.chapters, ids=lambda chapter: chapter.slug)
def test_ids_are_sorted_without_gaps(chapter: spec.Chapter) -> None:
    """The ids of a chapter count from 001 in the order of its text."""
    ids = [requirement.id for requirement in chapter.requirements]
    assert ids == [f"{chapter.prefix}-{number:03d}" for number in range(1, len(ids) + 1)]


def test_prefixes_and_slugs_are_unique() -> None:
    """No two chapters share their three letters or their name."""
    assert len({chapter.prefix for chapter in SPEC.chapters}) == len(SPEC.chapters)
    assert len({chapter.slug for chapter in SPEC.chapters}) == len(SPEC.chapters)


def test_there_are_enough_requirements_and_few_exclusions() -> None:
    """At least 80 requirements, of which at most one in twenty cannot be checked."""
    excluded = [requirement for requirement in SPEC.requirements.values() if requirement.excluded]
    assert len(SPEC.requirements) >= 80
    assert len(excluded) * 20 <= len(SPEC.requirements)


def test_every_section_of_the_guide_is_covered() -> None:
    """Each section of the guide is the source of a requirement."""
    assert {requirement.guide for requirement in SPEC.requirements.values()} == set(GUIDE_SECTIONS)


def test_every_option_of_the_guide_is_in_the_table() -> None:
    """The table of options has the options of the guide, each with text, section and default or reason."""
    options = spec.schema("execution-options")["properties"]
    sections = {name: section for section, names in OPTIONS.items() for name in names}
    assert {name: option["x-guide"] for name, option in options.items()} == sections
    for name, option in options.items():
        assert option["description"].endswith(".")
        assert name == "publisher" or option["default"] is None


def test_numbers_in_the_tables_have_a_unit_and_a_range() -> None:
    """Each numeric option and each number of a retry policy says its unit and its least value."""
    policy = spec.schema("retry-policy")["properties"]
    assert all(
        {"minimum", "x-unit", "default"} <= set(policy[name]) for name in policy if name != "retry_errors"
    )
    options = spec.schema("execution-options")["properties"]
    assert all("x-unit" in options[name] for name in ("countdown", "expires"))
    ranges = [
        branch for option in options.values() for branch in option.get("anyOf", ()) if "minimum" in branch
    ]
    assert all("maximum" in branch for branch in ranges)


def test_the_table_of_the_retry_chapter_has_the_defaults_of_the_schema() -> None:
    """The defaults that people read are those that programs read."""
    chapter = next(chapter for chapter in SPEC.chapters if chapter.slug == "message-sending-retry")
    rows = dict(re.findall(r"\| `(\w+)` \|.*\| (\S+) \|", chapter.prose))
    policy = spec.schema("retry-policy")["properties"]
    assert rows == {
        name: {None: "null"}.get(key["default"], str(key["default"])) for name, key in policy.items()
    }


def test_every_vector_file_is_introduced() -> None:
    """Each vector file is mentioned by a chapter, so that a reader of the text finds it."""
    prose = "\n".join(chapter.prose for chapter in SPEC.chapters)
    assert all(f"`vectors/{name}.json`" in prose for name in spec.vector_names())
