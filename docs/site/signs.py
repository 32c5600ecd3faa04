"""The badges of recorded runs: what a README can show of an implementation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from celeriac.conformance.badges import LABEL, Badge
from celeriac.conformance.headline import WORST, verdict_counts
from docs.site.sources import Sources
from tests.implementations.page import verdicts

__all__ = ["badge_of", "files", "name_of"]


def name_of(row: Mapping[str, Any]) -> str:
    """Answer the address of a run's badge on the site, without its suffix."""
    return f"badges/{row['adapter']}-{row['broker']}"


def badge_of(row: Mapping[str, Any]) -> Badge:
    """Answer the badge of a recorded run, which is that of its report folder but for the broker in its label."""
    found = verdicts(row)
    worst = min((profile.verdict for profile in found), key=WORST.index)
    everything = "; ".join(f"{profile.name} {profile}" for profile in found)
    return Badge(f"{LABEL} on {row['broker']}", verdict_counts(found), worst, everything)


def files(sources: Sources) -> Iterator[tuple[str, str]]:
    """Answer the picture and the endpoint of every run."""
    for row in sources.rows:
        badge = badge_of(row)
        yield f"{name_of(row)}.svg", badge.svg()
        yield f"{name_of(row)}.json", badge.endpoint()
