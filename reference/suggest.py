"""Errors that name the nearest valid word."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["unknown"]


def unknown(what: str, name: object, known: Iterable[str]) -> str:
    """Answer a sentence that says ``name`` is no ``what`` and names the nearest known ones."""
    names = sorted(known)
    near = get_close_matches(str(name), names, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names)}"
    return f"unknown {what} {name!r}; {hint}"
