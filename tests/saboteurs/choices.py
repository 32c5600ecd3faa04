"""Choices: requirements that leave an implementation several lawful ways.

A check of such a requirement has a branch for each way.  Each branch is proven twice: somebody lawful takes it (the
reference, or an oddity), and somebody who takes it wrongly (a saboteur of its own) is caught there.  A sentence that
says "either" leaves a choice; ``coverage.py`` wants it to stand here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["CHOICES", "Way"]


@dataclass(frozen=True, slots=True)
class Way:
    """One of several lawful ways.

    Attributes:
        what: in a few words.
        taken_by: ``reference``, or the oddity that takes it.
        broken_by: the saboteur that takes it wrongly.
    """

    what: str
    taken_by: str
    broken_by: str


CHOICES: Mapping[str, tuple[Way, ...]] = {
    "ETA-009": (
        Way("refused", "only_forwards", "refused_yet_published"),
        Way("carried as a moment before the call", "reference", "negative_countdown_is_positive"),
    ),
    "ERR-004": (
        Way("published over another connection", "reference", "published_without_confirm"),
        Way("an error", "reference", "loss_is_hushed_up"),
    ),
    "ADV-002": (
        Way("the given one is carried", "half_an_address", "exchange_taken_for_a_queue"),
        Way("to the default queue", "reference", "key_taken_for_a_queue"),
    ),
}
