"""How verdicts look: a symbol, a word and numbers, never a colour alone and never a percentage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from celeriac.conformance import outcome, profiles
from celeriac.conformance.expectations import Conditions
from celeriac.conformance.profiles import ProfileResult
from celeriac.conformance.providers import LINKS

__all__ = ["SYMBOLS", "WORDS", "badge", "conditions", "of_row", "profile_cell"]

#: Verdict on a profile or on a requirement -> its symbol.
SYMBOLS: Mapping[str, str] = {**profiles.SIGNS, **outcome.SIGNS}

#: Verdict on a requirement -> what a reader of its page is told.
WORDS: Mapping[str, str] = {
    "pass": "holds",
    "known-failure": "does not hold",
    "fail": "does not hold",
    "error": "adapter failed",
    "inconclusive": "undecided",
    "unexpected-pass": "holds",
    "not-applicable": "does not apply",
    "not-run": "not run",
}


def badge(verdict: str, words: str) -> str:
    """Answer a verdict in HTML."""
    symbol = f'<span class="symbol" aria-hidden="true">{SYMBOLS[verdict]}</span>'
    return f'<span class="verdict {verdict}">{symbol} {words}</span>'


def profile_cell(result: ProfileResult) -> str:
    """Answer the verdict on a profile in HTML: the word, and below it the numbers."""
    word, _, counts = str(result).partition(", ")
    return badge(result.verdict, f"{word} <small>{counts}</small>" if counts else word)


def of_row(row: Mapping[str, Any], requirement: str) -> str:
    """Answer what a recorded run says of a requirement."""
    return next((verdict for verdict, ids in row["verdicts"].items() if requirement in ids), "pass")


def conditions(row: Mapping[str, Any]) -> Conditions:
    """Answer by what the known failures of a recorded run were chosen."""
    return Conditions(row["broker"], LINKS[row["broker"]], row["clock"], row["version"], row["adapter"])
