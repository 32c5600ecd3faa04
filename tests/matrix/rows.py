"""From the reports of runs to one table of versions; nothing here starts anything or reads a file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.matrix.promises import judged

__all__ = ["ADAPTERS", "CHAPTER", "PLACES", "Place", "document", "failed_run", "finished_run"]

CHAPTER = "TIM"
ADAPTERS = ("celery", "reference")

#: Verdicts that say nothing about the broker or the implementation.
SILENT = ("not-run",)

#: Requirements whose checks play at the time-out that the broker has by default; the others are told one.
AT_DEFAULT = ("TIM-001", "TIM-018", "TIM-019")
#: What decides that nothing is taken back, and when Redis delivers again.
ENDLESS, SWEPT = "TIM-017", "TIM-012"
#: kombu's default, in seconds.
VISIBILITY = 3600.0
#: Who else may set the time-out of a queue.
OWN = {"TIM-021": "argument", "TIM-022": "policy"}

#: Of several verdicts on one thing the first counts.
WORST = (
    "error",
    "fail",
    "unexpected-pass",
    "inconclusive",
    "known-failure",
    "pass",
    "not-applicable",
    "not-run",
)


@dataclass(frozen=True, slots=True)
class Place:
    """A server in an image."""

    flavour: str
    image: str

    def __str__(self) -> str:
        return f"{self.flavour}={self.image}"


#: What scripts/images makes without a registry.
PLACES = (
    *(Place("rabbitmq", f"celeriac-{suite}") for suite in ("bullseye", "bookworm", "trixie", "forky")),
    *(Place("redis", f"celeriac-{suite}") for suite in ("bullseye", "bookworm", "trixie")),
    *(Place("valkey", f"celeriac-{suite}") for suite in ("trixie", "forky")),
)


def finished_run(place: Place, adapter: str, results: Mapping[str, Any]) -> dict[str, Any]:
    """Answer the row of a run from its ``results.json``."""
    requirements = {
        name: entry
        for name, entry in results["requirements"].items()
        if name.startswith(CHAPTER) and entry["verdict"] not in SILENT
    }
    verdicts = {name: entry["verdict"] for name, entry in requirements.items()}
    on_travel = results["clock"] == "travel"
    return {
        "flavour": place.flavour,
        "image": place.image,
        "adapter": adapter,
        "why_not": None,
        "version": results["broker"]["version"],
        "implementation": " ".join(results["implementation"].values()),
        "clock": results["clock"],
        "clock_withdrawn": results.get("clock_withdrawn"),
        "duration_s": results["duration_s"],
        "simulated_s": results.get("simulated_s"),
        "verdicts": verdicts,
        # what was measured at short settings says nothing about the defaults
        "leases": list(_noted("lease", requirements)) if on_travel else [],
        "lives": list(_noted("life", requirements)) if on_travel else [],
    }


def failed_run(place: Place, adapter: str, why: str) -> dict[str, Any]:
    """Answer the row of what could not be run."""
    return {"flavour": place.flavour, "image": place.image, "adapter": adapter, "why_not": why}


def _noted(name: str, requirements: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for requirement, entry in requirements.items():
        for check in entry["checks"]:
            for note in check.get("notes", ()):
                if note["name"] == name:
                    yield {
                        "requirement": requirement,
                        "check": check["id"].partition("::")[2],
                        "verdict": check["verdict"],
                        **note["value"],
                    }


def document(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Answer the content of ``matrix.json``: a row per run, what they say of each version, the guide's promises."""
    by_version: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for run in runs:
        if run["why_not"] is None:
            by_version[run["flavour"], run["version"]].append(run)
    versions = [
        {
            "flavour": flavour,
            "version": version,
            "takes_back": [*_taken_back(flavour, some)],
            "own": _own(some),
        }
        for (flavour, version), some in by_version.items()
    ]
    return {"runs": list(runs), "versions": versions, "promises": [*judged(versions)]}


def _taken_back(flavour: str, runs: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Answer, for each kind of queue that was seen, after how long and how a held delivery ends."""
    leases = [lease for run in runs for lease in run["leases"] if lease["requirement"] in AT_DEFAULT]
    lives = [life for run in runs for life in run["lives"]]
    if flavour == "rabbitmq":
        for queue in sorted({lease["queue"] for lease in leases}):
            yield _ended(queue, [lease for lease in leases if lease["queue"] == queue])
        held = [
            life["countdown_s"]
            for life in lives
            if life["requirement"] == ENDLESS and life["verdict"] == "pass"
        ]
        if held:
            yield {
                "queue": "classic",
                "timeout_s": None,
                "held_s": max(held),
                "ending": None,
                "after_s": [],
                "texts": [],
            }
    else:
        again = [
            second - first for life in lives if life["requirement"] == SWEPT for first, second in _pairs(life)
        ]
        if again:
            yield _row("list", VISIBILITY, "redeliver", again, [])


def _pairs(life: Mapping[str, Any]) -> Iterator[tuple[float, float]]:
    moments = life["delivered_after_s"]
    if len(moments) > 1:
        yield moments[0], moments[1]


def _ended(queue: str, leases: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    (timeout, ending), *others = {(lease["timeout_s"], lease["ending"]) for lease in leases}
    if others:
        raise ValueError(f"runs of one version disagree on {queue} queues: {leases}")
    texts = {lease["text"] for lease in leases if lease["text"]}
    return _row(queue, timeout, ending, [lease["ended_after_s"] for lease in leases], sorted(texts))


def _row(
    queue: str, timeout: float, ending: str, after: Sequence[float], texts: Sequence[str]
) -> dict[str, Any]:
    spread = [round(min(after), 1), round(max(after), 1)]
    return {
        "queue": queue,
        "timeout_s": timeout,
        "held_s": None,
        "ending": ending,
        "after_s": spread,
        "texts": texts,
    }


def _own(runs: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Answer how the requirements on time-outs of a queue's own came out; inconclusive where runs disagree."""
    own = {}
    for name, who in OWN.items():
        seen = {run["verdicts"].get(name, "not-run") for run in runs}
        own[who] = "inconclusive" if seen >= {"pass", "fail"} else min(seen, key=WORST.index)
    return own
