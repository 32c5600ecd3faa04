"""Where a message goes: exchange types as match functions, and the walk through bindings.

Everything here is a pure function of the topology, the routing keys and the headers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from celeriac.reference.broker.messages import Arguments
from celeriac.reference.broker.model import Binding, Exchange, Queue

__all__ = ["EXCHANGE_TYPES", "copies", "headers_match", "route", "topic_matches"]


def topic_matches(pattern: str, key: str) -> bool:
    """Say whether a topic pattern matches: ``*`` is one word, ``#`` any number, words end at dots."""
    words = _words(key)
    reach = {0}
    for part in _words(pattern):
        reach = _advance(part, words, reach)
    return len(words) in reach


def _words(key: str) -> list[str]:
    return key.split(".") if key else []


def _advance(part: str, words: Sequence[str], reach: set[int]) -> set[int]:
    """Answer how many words may be consumed after ``part``, having consumed any of ``reach`` before."""
    if part == "#":
        return set(range(min(reach), len(words) + 1)) if reach else reach
    return {at + 1 for at in reach if at < len(words) and part in {"*", words[at]}}


def headers_match(arguments: Arguments, headers: Arguments) -> bool:
    """Say whether headers match a binding to a headers exchange (``x-match`` all by default)."""
    mode = arguments.get("x-match", "all")
    wanted = {
        name: value
        for name, value in arguments.items()
        if name != "x-match" and (mode.endswith("-with-x") or not name.startswith("x-"))
    }
    found = (name in headers and _same(value, headers[name]) for name, value in wanted.items())
    return all(found) if mode.startswith("all") else any(found)


def _same(wanted: Any, found: Any) -> bool:
    return wanted is None or (type(wanted) is type(found) and wanted == found)


Match = Callable[[Binding, Sequence[str], Arguments], bool]

#: Exchange type -> whether a binding matches routing keys and headers.
EXCHANGE_TYPES: Mapping[str, Match] = {
    "direct": lambda binding, keys, headers: binding.routing_key in keys,
    "fanout": lambda binding, keys, headers: True,
    "topic": lambda binding, keys, headers: any(topic_matches(binding.routing_key, key) for key in keys),
    "headers": lambda binding, keys, headers: headers_match(binding.arguments, headers),
}


def copies(headers: Arguments, name: Literal["CC", "BCC"]) -> list[str]:
    """Answer the routing keys in a CC or BCC header."""
    return [key for key in headers.get(name, ()) if isinstance(key, str)]


def route(
    exchanges: Mapping[str, Exchange],
    queues: Mapping[str, Queue],
    start: Exchange,
    keys: Sequence[str],
    headers: Arguments,
) -> list[Queue]:
    """Answer the queues a message reaches, each once, following bindings and alternate exchanges."""
    if not start.name:
        return list(dict.fromkeys(queues[key] for key in keys if key in queues))
    reached: dict[Queue, None] = {}
    seen = {start}
    waiting = [start]
    while waiting:
        exchange = waiting.pop(0)
        onward = _exchanges_after(exchange, exchanges, queues, keys, headers, reached)
        waiting.extend(found for found in onward if found not in seen)
        seen.update(onward)
    return list(reached)


def _exchanges_after(
    exchange: Exchange,
    exchanges: Mapping[str, Exchange],
    queues: Mapping[str, Queue],
    keys: Sequence[str],
    headers: Arguments,
    reached: dict[Queue, None],
) -> list[Exchange]:
    """Add the queues bound to ``exchange`` to ``reached``; answer the exchanges to visit next."""
    matches = EXCHANGE_TYPES[exchange.type]
    found = [binding.destination for binding in exchange.bindings if matches(binding, keys, headers)]
    if not exchange.name:
        found = [queues[key] for key in keys if key in queues]
    reached.update((queue, None) for queue in found if isinstance(queue, Queue))
    alternate = exchanges.get(exchange.arguments.get("alternate-exchange", "\0"))
    if not found and alternate is not None:
        return [alternate]
    return list(dict.fromkeys(onward for onward in found if isinstance(onward, Exchange)))
