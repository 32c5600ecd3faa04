"""Version 1 of the protocol: no headers, and everything in a body that is a mapping (MSG-040).

Clients of that age are still about, and others have put the old body under the new headers: then what the headers say
counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["upgraded"]

#: What stands in the body and would stand in the headers.
_HEADERS: Final = (
    "task",
    "id",
    "root_id",
    "parent_id",
    "group",
    "shadow",
    "eta",
    "expires",
    "retries",
    "timelimit",
    "origin",
)

#: What follows the task; chains came with version 2.
_EMBED: Final = ("callbacks", "errbacks", "chord")


def upgraded(headers: Mapping[str, Any], body: Any) -> tuple[Mapping[str, Any], Any]:
    """Answer headers and body of a message in the form of version 2; any other message as it is."""
    if not isinstance(body, Mapping) or not _is_old(headers, body):
        return headers, body
    named = {name: body[name] for name in _HEADERS if name in body}
    group = {"group": body["taskset"]} if body.get("taskset") else {}
    embed = {name: body.get(name) for name in _EMBED}
    return {**group, **named, **headers}, [body.get("args", []), body.get("kwargs", {}), embed]


def _is_old(headers: Mapping[str, Any], body: Mapping[Any, Any]) -> bool:
    return "task" in body if "task" not in headers else "args" in body or "kwargs" in body
