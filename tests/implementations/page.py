"""The page of results: a table of all implementations, and what each is known to do wrong.

Pure: from recorded rows, claims and expectations to text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from celeriac.conformance.claim import Candidate, Claim, find_adapter
from celeriac.conformance.expectations import Expectation, read_expectations

__all__ = ["ADAPTERS", "Place", "page", "places", "row"]

#: In the order of the page: those who set the standard, then the field by how much it is used, then variants.
ADAPTERS = (
    "reference",
    "reference-process",
    "celery",
    "celery-5.7",
    "celery-node",
    "aio-celery",
    "celery-acelery",
    "celery-aio-pool",
    "celery-batches",
    "celery-redis-plus",
)

#: The brokers on which an adapter with this link is judged.
BROKERS: Mapping[str, str] = {"amqp": "rabbitmq", "redis": "redis"}

HEAD = """# Implementations

What the suite says of the field's independent implementations, and of some packages that change Celery itself.
Each row is one run on the machine's own time; `scripts/implementations` makes them all again, and one command makes
one. What is judged is built on first use and kept ([versions](versions.md) says where):

```console
celeriac run --adapter=celery-node --broker=rabbitmq
```

*Pass*, *known* and *other* count requirements that apply. *Known* failures are described below; *other* would be
anything that was not expected. What an implementation does not offer is *not applicable*: its claim says so, and
nobody is blamed for it.

Others of the field are not here: gopher-celery and gocelery cannot be had from the module proxy that the project
is built with, node-celery speaks version 1 of the protocol, which the suite does not read from producers, and the
drivers of rusty-celery and celery-java are not done. What such clients send is among the
[messages](../spec/vectors/messages.json) that every worker is judged by.

"""

TITLES = ("implementation", "version", "broker", "pass", "known", "other", "not applicable", "seconds")
COLUMNS = f"| {' | '.join(TITLES)} |\n{'|---' * len(TITLES)}|\n"

#: Those whose file of known failures is another's: only entries that name them are theirs.
VARIANTS = (
    "reference-process",
    "celery-5.7",
    "celery-acelery",
    "celery-aio-pool",
    "celery-batches",
    "celery-redis-plus",
)


@dataclass(frozen=True, slots=True)
class Place:
    """One adapter on one broker."""

    adapter: str
    broker: str

    @property
    def options(self) -> tuple[str, ...]:
        """The words of the run."""
        where = (
            f"--adapter={self.adapter}",
            f"--broker={self.broker}",
            "--broker-from=process",
            "--time=wall",
        )
        return ("conformance", *where, "--require-brokers")


def places(claim: Claim) -> list[Place]:
    """Answer where an adapter is judged."""
    return [Place(claim.name, broker) for link, broker in BROKERS.items() if link in claim.links]


def row(place: Place, results: Mapping[str, Any]) -> dict[str, Any]:
    """Answer the row of a run from its ``results.json``."""
    counts = results["counts"]
    unexpected = ("fail", "error", "unexpected-pass", "inconclusive")
    return {
        "adapter": place.adapter,
        "version": results["implementation"]["version"],
        "broker": place.broker,
        "broker_version": results["broker"]["version"],
        "pass": counts["pass"],
        "known": counts["known-failure"],
        "other": sum(counts.get(name, 0) for name in unexpected),
        "not_applicable": counts["not-applicable"],
        "seconds": round(results["duration_s"]),
    }


def page(rows: Sequence[Mapping[str, Any]]) -> str:
    """Answer the page: the table of all rows, then a section for each adapter with known failures."""
    there = list(dict.fromkeys(row["adapter"] for row in rows))
    sections = (text for name in there if (text := _section(find_adapter(name))))
    return HEAD + COLUMNS + "".join(map(_line, rows)) + "".join(sections)


def _line(row: Mapping[str, Any]) -> str:
    broker = f"{row['broker']} {row['broker_version']}"
    numbers = (row[name] for name in ("pass", "known", "other", "not_applicable", "seconds"))
    return f"| {row['adapter']} | {row['version']} | {broker} | {' | '.join(map(str, numbers))} |\n"


def _section(candidate: Candidate) -> str:
    name = candidate.claim.name
    known = read_expectations(candidate.expectations, date.min).entries
    entries = [e for e in known if e.concerns(name) and (name not in VARIANTS or "adapter" in e.when)]
    if not entries:
        return ""
    grouped: dict[int, list[Expectation]] = {}
    for entry in entries:
        grouped.setdefault(entry.number, []).append(entry)
    told = (f"\n{_paragraph(candidate.claim, group)}" for group in grouped.values())
    return f"\n## {candidate.claim.title}\n\n{_about(candidate.claim)}" + "".join(told)


def _about(claim: Claim) -> str:
    missing = [name for name, has in claim.features.items() if has is False]
    without = f" It has no {', '.join(missing)}." if missing else ""
    return f"Judged as {', '.join(claim.roles)} over {' and '.join(claim.links)}.{without}\n"


def _paragraph(claim: Claim, entries: Sequence[Expectation]) -> str:
    first = entries[0]
    targets = ", ".join(f"**{entry.target}**" for entry in entries)
    when = "".join(f" ({name} {_words(value)})" for name, value in first.when.items() if name != "adapter")
    thread = f" Thread: [{first.issue}]({_address(first.issue)})." if first.issue else ""
    reason = f"{first.reason[:1].upper()}{first.reason[1:].rstrip('.')}."
    return f"{targets}{when}: {reason}{thread}\n\n    {_command(claim, first)}\n"


def _words(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _address(thread: str) -> str:
    place, _, number = thread.partition("#")
    return f"https://github.com/{place}/issues/{number}"


def _command(claim: Claim, entry: Expectation) -> str:
    link = entry.when.get("link", claim.links[0])
    links = link if isinstance(link, list) else [link]
    broker = next((BROKERS[name] for name in links if name in BROKERS), "rabbitmq")
    chosen = f"-k {entry.target.rpartition('::')[2]}" if entry.by_check else f"--requirement={entry.target}"
    return f"celeriac run --adapter={claim.name} --broker={entry.when.get('broker', broker)} {chosen}"
