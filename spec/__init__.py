"""The specification of the Calling API: numbered requirements, schemas and vectors.  Data, no logic."""

from __future__ import annotations

from celeriac.spec.loader import (
    guide,
    guide_examples,
    load,
    read,
    schema,
    schema_names,
    validator,
    vector_names,
    vectors,
)
from celeriac.spec.model import PROFILES, VERSION, Chapter, Requirement, Spec, SpecError

__all__ = [
    "PROFILES",
    "VERSION",
    "Chapter",
    "Requirement",
    "Spec",
    "SpecError",
    "guide",
    "guide_examples",
    "load",
    "read",
    "schema",
    "schema_names",
    "validator",
    "vector_names",
    "vectors",
]
