"""What can be wrong with the data that the site is made of."""

from __future__ import annotations

__all__ = ["SiteError"]


class SiteError(ValueError):
    """A page cannot be made; the text says which, and what to mend."""
