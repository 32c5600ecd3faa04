"""No claim of the guide is without a requirement or a reason, and no requirement without a source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from celeriac import spec
from celeriac.spec.model import GUIDE_SECTIONS

GUIDE = spec.guide()
REQUIREMENTS = spec.load().requirements
BEYOND = {identity for row in GUIDE["beyond"] for identity in row["requirements"]}


def claims() -> Iterator[tuple[str, dict[str, Any]]]:
    """Answer every claim with its section."""
    for section in GUIDE["sections"]:
        for claim in section["claims"]:
            yield section["section"], claim


#: Requirement -> the sections of which it decides a claim.
SOURCES: dict[str, set[str]] = {}
for _section, _claim in claims():
    for _identity in _claim["decided_by"] or ():
        SOURCES.setdefault(_identity, set()).add(_section)


def test_claims_fit_their_schema() -> None:
    """The file is valid; in particular each claim has requirements or a reason, and not both."""
    spec.validator("guide").validate(GUIDE)


def test_all_sections_are_there_in_order() -> None:
    """The sections are those of the guide, in its order."""
    assert [section["section"] for section in GUIDE["sections"]] == list(GUIDE_SECTIONS)


def test_no_claim_is_made_twice() -> None:
    """The same sentence stands in one place only."""
    counts = Counter(claim["says"] for _, claim in claims())
    assert [says for says, count in counts.items() if count > 1] == []


def test_every_requirement_that_is_named_exists() -> None:
    """Claims are decided by requirements of this specification."""
    assert SOURCES.keys() | BEYOND <= REQUIREMENTS.keys()


@pytest.mark.parametrize("identity", REQUIREMENTS)
def test_a_requirement_has_a_source(identity: str) -> None:
    """A requirement decides a claim of the section that it names, or stands among those beyond the guide."""
    section = REQUIREMENTS[identity].guide
    if identity in BEYOND:
        assert identity not in SOURCES, f"{identity} decides a claim, so it is not beyond the guide"
    else:
        assert section in SOURCES.get(identity, ()), (
            f"{identity} decides no claim of the section {section!r}: name it in spec/guide.json"
        )


def test_no_requirement_is_beyond_twice() -> None:
    """Each requirement beyond the guide has one reason."""
    named = [identity for row in GUIDE["beyond"] for identity in row["requirements"]]
    assert len(named) == len(set(named))
