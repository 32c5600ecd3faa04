"""Hypothesis strategies for the values that a schema of the specification describes.

Only the keywords that our schemas use are understood; any other is an error, so that a strategy never silently
ignores a rule.  ``x-sample-maximum`` and ``x-sample-seconds-from-now`` say how far examples should go.  What may be
in an object or array without further rules, no schema says: those come out empty.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import strategies as st

from celeriac.spec import schema

__all__ = ["from_schema"]

URN = "urn:celeriac:schema:"

#: Keywords that say nothing about which values are valid, or are handled by their neighbours.
SILENT = frozenset(
    {
        "$schema",
        "$id",
        "$defs",
        "title",
        "description",
        "default",
        "examples",
        "format",
        "additionalProperties",
        "x-guide",
        "x-unit",
        "x-feature",
        "x-sample-maximum",
    }
)

#: UTC offsets of generated moments, in minutes.
OFFSETS = (0, 60, -300, 345, 840, -720)

Schema = Mapping[str, Any]
Strategy = st.SearchStrategy[Any]


#: The moment around which moments lie when nobody says another.
SOME_DAY = datetime(2030, 1, 1, tzinfo=UTC)


def from_schema(
    name: str,
    *,
    now: datetime = SOME_DAY,
    replaced: Mapping[str, Strategy | None] | None = None,
    document: Schema | None = None,
) -> Strategy:
    """Answer a strategy for the values that the schema ``name`` describes.

    Args:
        name: such as ``retry-policy``.
        now: the moment (aware) around which moments lie.
        replaced: property of the outermost object -> its strategy, None to leave it out.
        document: the schema itself, if it is none of the specification's.

    Raises:
        NotImplementedError: the schema uses a keyword that is not understood.
    """
    document = document or schema(name)
    return _Walk(document, now).value(document, replaced or {})


class _Walk:
    """One schema document, and the way from its parts to strategies."""

    def __init__(self, document: Schema, now: datetime) -> None:
        self._document = document
        self._now = now

    def value(self, part: Schema, replaced: Mapping[str, Strategy | None] | None = None) -> Strategy:
        """Answer the strategy of one part of the document."""
        if "x-sample-seconds-from-now" in part:
            return self._moments(*part["x-sample-seconds-from-now"])
        if "$ref" in part:
            return self._referenced(part["$ref"])
        if "const" in part:
            return st.just(part["const"])
        if "enum" in part:
            return st.sampled_from(part["enum"])
        if "anyOf" in part:
            hints = {key: part[key] for key in part if key.startswith("x-sample-")}
            return st.one_of([self.value({**hints, **option}) for option in part["anyOf"]])
        if part.get("not") == {}:
            return st.nothing()
        return self._typed(part, replaced or {})

    def _typed(self, part: Schema, replaced: Mapping[str, Strategy | None]) -> Strategy:
        kinds = part["type"] if isinstance(part["type"], list) else [part["type"]]
        return st.one_of([self._one_type(kind, part, replaced) for kind in kinds])

    def _one_type(self, kind: str, part: Schema, replaced: Mapping[str, Strategy | None]) -> Strategy:
        _understood(part, kind)
        if kind == "object":
            return self._objects(part, replaced)
        if kind == "array":
            return self._arrays(part)
        return SCALARS[kind](part)

    def _objects(self, part: Schema, replaced: Mapping[str, Strategy | None]) -> Strategy:
        properties = {
            name: strategy
            for name, rule in part.get("properties", {}).items()
            if (strategy := replaced[name] if name in replaced else self.value(rule)) is not None
            and not strategy.is_empty
        }
        required = set(part.get("required", ()))
        return st.fixed_dictionaries(
            {name: strategy for name, strategy in properties.items() if name in required},
            optional={name: strategy for name, strategy in properties.items() if name not in required},
        )

    def _arrays(self, part: Schema) -> Strategy:
        if "items" not in part:
            return st.just([])
        return st.lists(
            self.value(part["items"]),
            min_size=part.get("minItems", 0),
            max_size=part.get("maxItems", 3),
            unique_by=repr,
        )

    def _referenced(self, reference: str) -> Strategy:
        if reference.startswith(URN):
            return from_schema(reference.removeprefix(URN), now=self._now)
        part: Any = self._document
        for step in reference.removeprefix("#/").split("/"):
            part = part[step]
        return self.value(part)

    def _moments(self, earliest: int, latest: int) -> Strategy:
        def moment(microseconds: int, offset: int) -> dict[str, str]:
            zone = timezone(timedelta(minutes=offset))
            there = (self._now + timedelta(microseconds=microseconds)).astimezone(zone)
            return {"$": "datetime", "v": there.isoformat()}

        return st.builds(moment, st.integers(earliest * 10**6, latest * 10**6), st.sampled_from(OFFSETS))


def _integers(part: Schema) -> Strategy:
    return st.integers(part.get("minimum", -(2**31)), _maximum(part, 2**31))


def _numbers(part: Schema) -> Strategy:
    low, high = part.get("minimum", -1e9), _maximum(part, 1e9)
    whole = st.integers(int(low), int(high))
    return whole | st.floats(low, high, allow_nan=False, allow_infinity=False).map(
        lambda value: round(value, 3)
    )


def _maximum(part: Schema, default: float) -> Any:
    return min(part.get("x-sample-maximum", default), part.get("maximum", default))


def _texts(part: Schema) -> Strategy:
    longest = min(part.get("maxLength", 20), 20)
    forbidden = part.get("not", {}).get("pattern")
    if "pattern" in part:
        texts = st.from_regex(re.compile(part["pattern"], re.ASCII), fullmatch=True)
        texts = texts.map(lambda text: text[:longest])
    else:
        texts = st.text(st.characters(codec="ascii"), min_size=part.get("minLength", 0), max_size=longest)
    return texts.filter(lambda text: not re.search(forbidden, text)) if forbidden else texts


#: JSON type -> its strategy.
SCALARS = {
    "null": lambda part: st.none(),
    "boolean": lambda part: st.booleans(),
    "integer": _integers,
    "number": _numbers,
    "string": _texts,
}

#: JSON type -> the keywords that its strategy obeys.
OBEYED = {
    "null": (),
    "boolean": (),
    "integer": ("minimum", "maximum"),
    "number": ("minimum", "maximum"),
    "string": ("minLength", "maxLength", "pattern", "not"),
    "object": ("properties", "required"),
    "array": ("items", "minItems", "maxItems"),
}


def _understood(part: Schema, kind: str) -> None:
    kinds = part["type"] if isinstance(part["type"], list) else [part["type"]]
    obeyed = {keyword for each in kinds for keyword in OBEYED[each]}
    unknown = set(part) - SILENT - obeyed - {"type"}
    if unknown:
        raise NotImplementedError(f"no strategy obeys {', '.join(sorted(unknown))} of the type {kind}")
