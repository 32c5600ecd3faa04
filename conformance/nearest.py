"""One line for somebody who mistyped a name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["did_you_mean"]

#: How many valid names a line may list.
LISTED = 12


def did_you_mean(what: str, word: str, known: Iterable[str]) -> str:
    """Answer one line that names the unknown ``word`` and the valid names nearest to it.

    Args:
        what: what the word should have been, such as ``adapter`` or ``--broker``.
        word: what was given.
        known: the valid names.
    """
    names = sorted(set(known))
    near = difflib.get_close_matches(word, names, n=3, cutoff=0.6)
    near = near or difflib.get_close_matches(word.upper(), names, n=3, cutoff=0.6)
    if near:
        return f"unknown {what} {word!r}; did you mean {' or '.join(near)}?"
    rest = f", ... ({len(names)} in all)" if len(names) > LISTED else ""
    return f"unknown {what} {word!r}; valid: {', '.join(names[:LISTED]) or 'none'}{rest}"
