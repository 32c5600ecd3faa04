"""What the guide says about versions of RabbitMQ, judged by those that were run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["PROMISES", "Promise", "judged", "numbers"]

Version = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Promise:
    """What versions from ``first`` on, up to ``until`` and without it, are said to do with a delivery that is held.

    Attributes:
        says: the guide's statement in our words.
        timeout: the default ``consumer_timeout`` in seconds; None for no timeout.
        ending: how a delivery ends, where the statement is about that.
        text: what the error says, where the statement is about that.
    """

    says: str
    first: Version
    until: Version | None = None
    timeout: float | None = None
    ending: str | None = None
    text: str | None = None

    def covers(self, version: str) -> bool:
        """Answer whether the statement is about this version."""
        return self.first <= numbers(version) and (self.until is None or numbers(version) < self.until)

    def kept_by(self, row: Mapping[str, Any]) -> bool:
        """Answer whether a version does so, by what was seen of it."""
        if self.text is not None:
            return any(self.text in text for text in row["texts"])
        if self.ending is not None:
            return bool(row["ending"] == self.ending)
        return bool(row["timeout_s"] == self.timeout)


PROMISES = (
    Promise("Before 3.8.15 there is no default timeout", (0,), (3, 8, 15)),
    Promise("From 3.8.15 on `consumer_timeout` is 15 minutes by default", (3, 8, 15), (3, 8, 17), 900.0),
    Promise("From 3.8.17 on `consumer_timeout` is 30 minutes by default", (3, 8, 17), None, 1800.0),
    Promise(
        "The channel of an overdue delivery is closed with `PRECONDITION_FAILED`",
        (3, 8, 15),
        ending="channel-close",
    ),
    Promise(
        "The error says `consumer ack timed out on channel`",
        (3, 8, 15),
        text="consumer ack timed out on channel",
    ),
)


def numbers(version: str) -> Version:
    """Answer a version as numbers, to compare it by."""
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


def judged(versions: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Answer each statement with its verdict and what it rests on."""
    rows = [
        (each["version"], row)
        for each in versions
        if each["flavour"] == "rabbitmq"
        for row in each["takes_back"]
    ]
    for promise in PROMISES:
        about = [(version, row) for version, row in rows if promise.covers(version)]
        if promise.text is not None:
            about = [(version, row) for version, row in about if row["texts"]]
        kept = [_name(version, row) for version, row in about if promise.kept_by(row)]
        broken = [_name(version, row) for version, row in about if not promise.kept_by(row)]
        yield {"says": promise.says, "verdict": _verdict(kept, broken), "kept_by": kept, "broken_by": broken}


def _name(version: str, row: Mapping[str, Any]) -> str:
    return f"{version} {row['queue']}"


def _verdict(kept: Sequence[str], broken: Sequence[str]) -> str:
    if not kept and not broken:
        return "cannot be judged"
    return ("holds in part" if kept else "does not hold") if broken else "holds"
