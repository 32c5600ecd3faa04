"""The same data for programs: files beside the pages, each with its schema."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from celeriac.spec import PROFILES, Requirement, validator
from docs.site.chapters import state
from docs.site.errors import SiteError
from docs.site.sources import Sources
from tests.implementations.page import verdicts

__all__ = ["TWINS", "documents", "files"]

#: File -> the schema that describes it.
TWINS: Mapping[str, str] = {
    "requirements.json": "requirements",
    "matrix.json": "profile-matrix",
    "results.json": "implementations",
}


def files(sources: Sources) -> Iterator[tuple[str, str]]:
    """Answer the files.

    Raises:
        SiteError: one breaks its schema, which is a bug of the generator.
    """
    for name, content in documents(sources).items():
        for error in validator(TWINS[name]).iter_errors(content):
            raise SiteError(f"{name} breaks its schema: {error.json_path}: {error.message}")
        yield name, json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def documents(sources: Sources) -> Mapping[str, Any]:
    """Answer the content of each file."""
    return {
        "requirements.json": {
            "spec": {"version": sources.spec.version},
            "requirements": [_requirement(sources, each) for each in sources.requirements.values()],
        },
        "matrix.json": {
            "profiles": dict(PROFILES),
            "rows": [
                {
                    **{
                        key: row[key]
                        for key in (
                            "adapter",
                            "implementation",
                            "version",
                            "broker",
                            "broker_version",
                            "clock",
                            "date",
                        )
                    },
                    "page": f"implementations/{row['adapter']}.html",
                    "cells": {
                        each.name: {"verdict": each.verdict, "text": str(each)} for each in verdicts(row)
                    },
                }
                for row in sources.rows
            ],
        },
        "results.json": sources.recorded["implementations"],
    }


def _requirement(sources: Sources, each: Requirement) -> dict[str, Any]:
    return {
        "id": each.id,
        "sentence": each.sentence,
        "level": each.level,
        "role": each.role,
        "profile": each.profile,
        "why": each.why,
        "observed": each.observed,
        "guide": each.guide,
        "chapter": each.chapter,
        "known": each.known,
        "excluded": each.excluded,
        "feature": each.feature,
        "coverage": state(sources, each),
        "checks": [check.id for check in sources.checks_of.get(each.id, ())],
        "saboteurs": [saboteur.id for saboteur in sources.saboteurs_of.get(each.id, ())],
        "oddities": [oddity.id for oddity in sources.oddities_of.get(each.id, ())],
        "page": f"requirements/{each.id}.html",
    }
