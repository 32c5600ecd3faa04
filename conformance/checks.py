"""How a check says which requirements it decides and what it needs.

@check("ETA-004", roles=("worker",))
def test_not_before_eta(world): ...
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import pytest

from celeriac.conformance.providers import Lease

__all__ = ["MARKER", "Needs", "Subject", "check", "subject_of"]

MARKER = "requirement"

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Needs:
    """What a check needs beyond a world.

    Attributes:
        roles: the roles the claim must name; empty means those of the requirements.
        link: the link it plays on, None for any.
        lease: the kind of broker time-out it provokes, None for none.
        features: the features the claim must promise, such as ``compression:brotli``.
        clock: the only kind of clock it plays on, None for any.
        modes: the forms of the calling API it uses.
        horizon: seconds of its longest wait; 0 when any clock will do.
    """

    roles: tuple[str, ...] = ()
    link: Literal["amqp", "redis"] | None = None
    lease: Lease | None = None
    features: tuple[str, ...] = ()
    clock: Literal["virtual", "travel", "wall"] | None = None
    modes: tuple[str, ...] = ()
    horizon: float = 0.0


@dataclass(frozen=True, slots=True)
class Subject:
    """The requirements that a check decides, and its needs."""

    requirements: tuple[str, ...]
    needs: Needs


def check(
    *requirement_ids: str,
    roles: Sequence[str] = (),
    link: Literal["amqp", "redis"] | None = None,
    lease: Lease | None = None,
    features: Sequence[str] = (),
    clock: Literal["virtual", "travel", "wall"] | None = None,
    modes: Sequence[str] = (),
    horizon: float = 0.0,
) -> Callable[[F], F]:
    """Mark a test function as the check of some requirements; see ``Needs`` for the other arguments.

    Raises:
        ValueError: no requirement is named.
    """
    if not requirement_ids:
        raise ValueError("a check names at least one requirement: @check('ETA-004')")
    needs = Needs(tuple(roles), link, lease, tuple(features), clock, tuple(modes), horizon)

    def mark(function: F) -> F:
        marked: F = pytest.mark.requirement(*requirement_ids, needs=needs)(function)
        return marked

    return mark


def subject_of(item: pytest.Item) -> Subject | None:
    """Answer what a collected test decides, None when it is no check."""
    marks = list(item.iter_markers(MARKER))
    if not marks:
        return None
    ids = tuple(dict.fromkeys(identity for mark in reversed(marks) for identity in mark.args))
    return Subject(ids, marks[0].kwargs.get("needs", Needs()))
