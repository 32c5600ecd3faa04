"""Writes the reference of the adapter protocol (scripts/protocol does the same)."""

from __future__ import annotations

from pathlib import Path

from tests.protocol.page import page

PAGE = Path(__file__).resolve().parents[2] / "docs" / "adapters" / "protocol.md"

if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
