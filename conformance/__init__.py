"""The conformance harness: a pytest plugin, the adapter contract and the checks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from celeriac.conformance.checks import check

__all__ = ["check"]


def __getattr__(name: str) -> Any:
    """Import ``check`` when it is asked for: an adapter's child process needs no pytest."""
    if name == "check":
        from celeriac.conformance.checks import check

        return check
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
