"""The page of results: a table of all implementations, and what each is known to do wrong.

Pure: from recorded rows, claims and expectations to text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from celeriac.conformance.claim import Candidate, Claim, find_adapter
from celeriac.conformance.expectations import Expectation, read_expectations
from celeriac.conformance.profiles import SIGNS, ProfileResult
from celeriac.spec import PROFILES

__all__ = [
    "ADAPTERS",
    "UNEXPECTED",
    "VARIANTS",
    "Place",
    "address",
    "as_text",
    "command",
    "entries_of",
    "matrix",
    "page",
    "places",
    "row",
    "verdicts",
    "with_matrix",
]

#: In the order of the page: those who set the standard, then the field by how much it is used, then variants.
ADAPTERS = (
    "reference",
    "reference-process",
    "celery",
    "celery-5.7",
    "celery-node",
    "node-celery",
    "celery-java",
    "aio-celery",
    "rusty-celery",
    "celery-acelery",
    "celery-aio-pool",
    "celery-batches",
    "celery-redis-plus",
)

#: The brokers on which an adapter with this link is judged.
BROKERS: Mapping[str, str] = {"amqp": "rabbitmq", "redis": "redis"}

#: Those that are judged on the embedded broker, too: what a first run shows.
ON_EMBEDDED = ("reference", "celery")

#: Judged nowhere else: with servers it is `reference-process` that has to do without the harness's own clock.
ONLY_EMBEDDED = ("reference",)

#: Verdicts that nobody foresaw.
UNEXPECTED = ("fail", "error", "unexpected-pass", "inconclusive")

HEAD = """# Implementations

What the suite says of the field's independent implementations, and of some packages that change Celery itself.
Each row is one run, on the machine's own time but for `reference`; `scripts/implementations` makes them all again, and
one command makes one. What is judged is built on first use and kept ([versions](versions.md) says where):

```console
celeriac run --adapter=celery-node --broker=rabbitmq
```

*Success*: everything holds that applies. *Partial*: no MUST is broken, but a SHOULD is, or the claim leaves a part
out. *Failed*: a MUST does not hold, whether that was known or not. What an implementation does not offer is *not
claimed*, and nobody is blamed for it. Known failures are described below; *other* would be anything that was not
expected. Every row, with the ids behind each number, is in [implementations.json](implementations.json).

Others of the field are not here: gopher-celery and gocelery could not be fetched when their turn came. What such
clients send is among the [messages](../spec/vectors/messages.json) that every worker is judged by.

"""

#: A list or an object without another in it; no text of a record has brackets or line breaks.
INNERMOST = re.compile(r"\[[^\[\]{}]*\]|\{[^\[\]{}]*\}")

PROFILE_TITLES = ("implementation", "broker", *PROFILES)
RUN_TITLES = (
    "implementation",
    "version",
    "broker",
    "pass",
    "known",
    "other",
    "not applicable",
    "clock",
    "seconds",
    "day",
)

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
        where = (f"--adapter={self.adapter}", f"--broker={self.broker}")
        source = () if self.broker == "embedded" else ("--broker-from=process",)
        clock = () if self.adapter in ONLY_EMBEDDED else ("--time=wall",)
        return ("conformance", *where, *source, *clock, "--require-brokers")


def places(claim: Claim) -> list[Place]:
    """Answer where an adapter is judged."""
    embedded = [Place(claim.name, "embedded")] if claim.name in ON_EMBEDDED else []
    if claim.name in ONLY_EMBEDDED:
        return embedded
    return embedded + [Place(claim.name, broker) for link, broker in BROKERS.items() if link in claim.links]


def row(place: Place, results: Mapping[str, Any]) -> dict[str, Any]:
    """Answer the row of a run (schema ``implementations``) from its ``results.json``."""
    verdicts: dict[str, list[str]] = {}
    for name, result in results["requirements"].items():
        verdicts.setdefault(result["verdict"], []).append(name)
    passed = verdicts.pop("pass", [])
    return {
        "adapter": place.adapter,
        "implementation": results["implementation"]["name"],
        "version": results["implementation"]["version"],
        "broker": place.broker,
        "broker_version": results["broker"]["version"],
        "clock": results["clock"],
        "date": results["started"][: len("2026-01-01")],
        "suite": results["suite"]["version"],
        "spec": results["spec"]["version"],
        "seconds": round(results["duration_s"]),
        "pass": len(passed),
        "profiles": results["profiles"],
        "verdicts": verdicts,
    }


def as_text(content: Mapping[str, Any]) -> str:
    """Answer recorded data as JSON in which whatever holds nothing but plain values takes one line."""
    text = json.dumps(content, indent=1, ensure_ascii=False)
    return INNERMOST.sub(lambda found: " ".join(found[0].split()), text) + "\n"


def verdicts(row: Mapping[str, Any]) -> tuple[ProfileResult, ...]:
    """Answer the verdict of a recorded run on each profile."""
    return tuple(ProfileResult(name, **row["profiles"][name]) for name in PROFILES)


def page(rows: Sequence[Mapping[str, Any]]) -> str:
    """Answer the page: the tables of all rows, then a section for each adapter with known failures."""
    there = list(dict.fromkeys(row["adapter"] for row in rows))
    sections = (text for name in there if (text := _section(find_adapter(name))))
    return "".join(
        [
            HEAD,
            *_table(
                PROFILE_TITLES, ([row["adapter"], _broker(row), *map(str, verdicts(row))] for row in rows)
            ),
            "\n## The runs\n\n",
            *_table(RUN_TITLES, map(_counted, rows)),
            *sections,
        ]
    )


def matrix(rows: Iterable[Mapping[str, Any]]) -> str:
    """Answer the table of the README: for each implementation its run on RabbitMQ, else that on what it speaks."""
    preference = ("rabbitmq", "redis", "embedded")
    chosen: dict[str, Mapping[str, Any]] = {}
    for row in sorted(rows, key=lambda row: preference.index(row["broker"])):
        chosen.setdefault(row["adapter"], row)
    cells = (
        [f"`{name}`", chosen[name]["version"], *map(_sign, verdicts(chosen[name])), chosen[name]["date"]]
        for name in ADAPTERS
        if name in chosen
    )
    return "".join(_table(("`--adapter=`", "version", *PROFILES, "judged"), cells))


def with_matrix(readme: str, rows: Iterable[Mapping[str, Any]]) -> str:
    """Answer the README with the present table in the place of the one that it has.

    Raises:
        ValueError: it has none.
    """
    head, rule, tail = readme.partition("| `--adapter=` ")
    _, gap, rest = tail.partition("\n\n")
    if not (rule and gap):
        raise ValueError("README.md has no table that begins with | `--adapter=` |")
    return f"{head}{matrix(rows)}\n{rest}"


def _sign(profile: ProfileResult) -> str:
    broken = f" {len(profile.deviating)}" if profile.verdict == "failed" else ""
    return SIGNS[profile.verdict] + broken


def _table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    for cells in (titles, ["---"] * len(titles), *rows):
        yield f"| {' | '.join(map(str, cells))} |\n"


def _broker(row: Mapping[str, Any]) -> str:
    return f"{row['broker']} {row['broker_version']}"


def _counted(row: Mapping[str, Any]) -> Sequence[object]:
    counts = {name: len(ids) for name, ids in row["verdicts"].items()}
    known, not_applicable = (counts.get(name, 0) for name in ("known-failure", "not-applicable"))
    other = sum(counts.get(name, 0) for name in UNEXPECTED)
    told = (row["pass"], known, other, not_applicable, row["clock"], row["seconds"], row["date"])
    return row["adapter"], row["version"], _broker(row), *told


def entries_of(candidate: Candidate) -> list[Expectation]:
    """Answer the known failures that an adapter's page tells; of a variant, those that name it."""
    name = candidate.claim.name
    known = read_expectations(candidate.expectations, date.min).entries
    return [e for e in known if e.concerns(name) and (name not in VARIANTS or "adapter" in e.when)]


def _section(candidate: Candidate) -> str:
    entries = entries_of(candidate)
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
    thread = f" Thread: [{first.issue}]({address(first.issue)})." if first.issue else ""
    reason = f"{first.reason[:1].upper()}{first.reason[1:].rstrip('.')}."
    return f"{targets}{when}: {reason}{thread}\n\n    {command(claim, first)}\n"


def _words(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def address(thread: str) -> str:
    """Answer where a thread is, from ``owner/repository#number``."""
    place, _, number = thread.partition("#")
    return f"https://github.com/{place}/issues/{number}"


def command(claim: Claim, entry: Expectation) -> str:
    """Answer the command that shows a known failure."""
    link = entry.when.get("link", claim.links[0])
    links = link if isinstance(link, list) else [link]
    broker = next((BROKERS[name] for name in links if name in BROKERS), "rabbitmq")
    chosen = f"-k {entry.target.rpartition('::')[2]}" if entry.by_check else f"--requirement={entry.target}"
    return f"celeriac run --adapter={claim.name} --broker={entry.when.get('broker', broker)} {chosen}"
