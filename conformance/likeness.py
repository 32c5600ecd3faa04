"""Many results in few words: those of one cause together, ids that follow one another as a range."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from celeriac.conformance.outcome import RequirementResult

__all__ = ["alike", "ranges"]


def alike(results: Sequence[RequirementResult]) -> list[tuple[RequirementResult, list[str]]]:
    """Group results: those of equal reason where no oracle spoke become one, with the ids of the others."""
    groups: dict[str, list[RequirementResult]] = {}
    for result in results:
        judged = any(outcome.judgement is not None for _, outcome in result.checks)
        groups.setdefault(result.requirement.id if judged else result.reason, []).append(result)
    return [(first, [other.requirement.id for other in rest]) for first, *rest in groups.values()]


def ranges(ids: Iterable[str]) -> str:
    """Answer ids of requirements in a line, those that follow one another as ``BAS-002 to LNK-005``."""
    runs: list[list[str]] = []
    for name in ids:
        area, _, number = name.partition("-")
        if runs and runs[-1][-1] == f"{area}-{int(number) - 1:03d}":
            runs[-1].append(name)
        else:
            runs.append([name])
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(run) for run in runs)
