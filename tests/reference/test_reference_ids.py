"""The reference can be read as the second half of the specification."""

from __future__ import annotations

import re
from pathlib import Path

import celeriac.reference
from celeriac.spec import load

SOURCES = sorted(Path(celeriac.reference.__file__).parent.rglob("*.py"))


def test_ids_in_the_reference_exist() -> None:
    """Every requirement that a docstring of the reference names is in the specification."""
    named = {name for path in SOURCES for name in re.findall(r"\b[A-Z]{3}-\d{3}\b", path.read_text("utf-8"))}
    assert named - load().requirements.keys() == set()


def test_reference_names_requirements_of_every_chapter() -> None:
    """No chapter of the specification lacks a place in the reference that says where it is implemented."""
    text = "".join(path.read_text("utf-8") for path in SOURCES)
    assert [chapter.slug for chapter in load().chapters if f"{chapter.prefix}-0" not in text] == []
