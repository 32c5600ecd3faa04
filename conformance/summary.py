"""``summary.md``: what the page of a CI job shows of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from celeriac.conformance.outcome import RequirementResult, counts

if TYPE_CHECKING:
    from celeriac.conformance.report import Setting

__all__ = ["summary"]

#: Verdicts whose requirements the summary lists one by one.
LISTED = ("fail", "error", "unexpected-pass", "inconclusive", "known-failure")


def summary(setting: Setting, results: Mapping[str, RequirementResult], duration_s: float) -> str:
    """Answer the content of ``summary.md``."""
    broker = f"{setting.flavour} {setting.broker} ({setting.source})"
    where = (
        f"Adapter `{setting.adapter}`, broker {broker}, {setting.clock} clock, "
        f"suite {setting.suite}, spec {setting.spec}, {duration_s:.1f} s."
    )
    withdrawn = [] if setting.withdrawn is None else ["", f"No time travel: {setting.withdrawn}."]
    lines = [
        f"# {setting.implementation} {setting.version}: conformance to the Calling API",
        "",
        where,
        *withdrawn,
        "",
        "| verdict | requirements |",
        "|---|---:|",
        *(f"| {verdict} | {number} |" for verdict, number in counts(results.values()).items() if number),
    ]
    for verdict in LISTED:
        lines += _listing(verdict, [result for result in results.values() if result.verdict == verdict])
    return "\n".join(lines) + "\n"


def _listing(verdict: str, results: Sequence[RequirementResult]) -> list[str]:
    if not results:
        return []
    rows = (
        f"| {r.requirement.id} | {r.requirement.level} | {_cell(r.requirement.sentence)} | {_cell(r.reason)} |"
        for r in results
    )
    return ["", f"## {verdict}", "", "| id | level | requirement | reason |", "|---|---|---|---|", *rows]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
