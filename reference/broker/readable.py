"""Events as JSON, for the trace and the control channel: bodies by size and digest, the rest by what it says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from celeriac.reference.broker.events import Event

__all__ = ["readable", "to_json"]


def readable(event: Event) -> dict[str, Any]:
    """Answer an event as one object: seq, at, kind and session, and the fields of its kind except ``properties``."""
    line = {"seq": event.seq, "at": event.at, "kind": event.kind, "session": event.session}
    return {**line, **{name: value for name, value in event.data.items() if name != "properties"}}


def to_json(value: object) -> str:
    """Answer JSON on one line: a body is its size and digest, anything else that is not JSON its text."""
    return json.dumps(value, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"size": len(value), "sha256": hashlib.sha256(value).hexdigest()}
    return dict(value) if isinstance(value, Mapping) else str(value)
