"""Precedence tables: option, attribute, setting, default; one table each for serializers and compressions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from celeriac.conformance import oracles
from celeriac.spec import vectors

if TYPE_CHECKING:
    from celeriac.conformance.history import Record
    from celeriac.conformance.world import World

__all__ = ["judge_rows", "label_of", "rows"]

Row = Mapping[str, Any]


def label_of(kind: str, name: str | None) -> str | None:
    """Answer the label that stands on the wire for a serializer or a compression, None for none."""
    label = {"serializer": "content_type", "compression": "header"}[kind]
    cases = vectors("codec-labels")["cases"]
    return next((case[label] for case in cases if case["kind"] == kind and case["name"] == name), None)


def rows(world: World, kind: str, decided_by: str) -> Sequence[Row]:
    """Answer the rows of a table that are decided in one way, as far as the implementation has the names.

    Args:
        world: says what the implementation has.
        kind: ``serializer`` or ``compression``.
        decided_by: ``option``, ``attribute`` (option missing), ``null`` (option null, attribute given),
            ``setting`` or ``default``.
    """
    table = vectors(f"{kind}-precedence")["cases"]
    return [row for row in table if _decided_by(row) == decided_by and _spoken(world, kind, row)]


def judge_rows(
    world: World, requirement: str, kind: str, decided_by: str, seen: Callable[[Record], Any]
) -> None:
    """Play rows of a table and judge the label that ``seen`` reads from each message."""
    for row in world.sample(rows(world, kind, decided_by)):
        settings = {} if row.get("setting") is None else {f"task_{kind}": row["setting"]}
        attributes = {kind: row["attribute"]} if "attribute" in row else {}
        options = {kind: row["option"]} if "option" in row else {}
        world.begin(settings=settings, task_attributes={"celeriac.add": attributes})
        record = world.published(world.call(**options))
        # A null option is as good as none; what decides then is the subject of other requirements.
        null = decided_by == "null"
        expected = seen(world.published(world.call())) if null else label_of(kind, row["expected"])
        world.judge(requirement, oracles.equal(expected, seen(record), f"{row}: the label", record))


def _decided_by(row: Row) -> str:
    if row.get("option") is not None:
        return "option"
    if row.get("attribute") is not None:
        return "null" if "option" in row else "attribute"
    return "setting" if row.get("setting") is not None else "default"


def _spoken(world: World, kind: str, row: Row) -> bool:
    names = {row.get(place) for place in ("option", "attribute", "setting")} - {None, "json"}
    return all(world.has(f"{kind}:{name}") for name in names)
