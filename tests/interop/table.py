"""What of the guide crosses from which implementation to which, as a table; and what knowingly does not."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

__all__ = ["BROKERS", "DEVIATION", "DEVIATIONS", "FEATURE", "PAIRS", "Table"]

OLD, NEW = "celery-5.5", "celery-5.7"
CELERY = (OLD, NEW)
PARTIES = ("reference", *CELERY)
SHORT = {"reference": "ref", OLD: "5.5", NEW: "5.7"}
BROKERS = ("embedded", "rabbitmq", "redis")
PAIRS = tuple(itertools.product(PARTIES, PARTIES))


@dataclass(frozen=True, slots=True)
class Deviation:
    """What some pairs knowingly do otherwise; where it says nothing of producer, worker or broker, it holds for all."""

    reason: str
    producer: Collection[str] = PARTIES
    worker: Collection[str] = PARTIES
    broker: Collection[str] = BROKERS


DEVIATIONS: Mapping[str, Deviation] = {
    "link-in-yaml": Deviation(
        "Celery's signature is a subclass of dict, which YAML's safe dumper refuses (LNK-005)",
        producer=CELERY,
    ),
    "ignored-failure": Deviation(
        "Celery 5.5 asks the task and the setting whether a failure is stored, not the message (RES-007)",
        worker=(OLD,),
    ),
    "unheard-state": Deviation(
        "Celery 5.5 puts a record from rpc that nobody waits for where asking for the state does not look",
        producer=(OLD,),
        broker=("embedded", "rabbitmq"),
    ),
    "reply-to-worker": Deviation(
        "what a task of Celery's calls answers over rpc to the worker's own reply queue, which nobody has declared",
        worker=CELERY,
        broker=("embedded", "rabbitmq"),
    ),
    "decoded-record": Deviation(
        "Celery decodes the records of Redis before it shows them to on_message",
        producer=CELERY,
        broker=("redis",),
    ),
    "late-listener": Deviation(
        "Celery asks Redis for the state before it listens: on_message hears nothing of what was stored until then",
        producer=CELERY,
        broker=("redis",),
    ),
}

FEATURE, DEVIATION = "feature", "deviation"

#: Feature, producer, worker, broker.
Cell = tuple[str, str, str, str]

#: How a cell is shown, from the best to the worst; a number stands for a known deviation.
NOT_RUN, GOOD, SKIPPED, FAILED = ".", "+", "s", "F"
LEGEND = "+ as promised, number: known deviation (the first of several), F failed, s skipped, . not run"


@dataclass
class Table:
    """A line per feature, a column per pair of producer and worker, a sign per broker."""

    signs: dict[Cell, set[str]] = field(default_factory=lambda: defaultdict(set))

    def note(self, report: pytest.TestReport) -> None:
        """Note what has become of a test, or of a part of it."""
        properties = dict(getattr(report, "user_properties", ()))
        if cell := properties.get(FEATURE):
            self.signs[cell].update(_signs(report, properties))

    def lines(self) -> Iterator[str]:
        """Answer the lines to print; none when nothing has crossed."""
        if not self.signs:
            return
        features = sorted({cell[0] for cell in self.signs})
        width = max(map(len, (*features, "producer")))
        yield f"Each cell: {', '.join(BROKERS)}. {LEGEND}."
        yield ""
        yield _line("producer", width, [SHORT[producer] for producer, _ in PAIRS])
        yield _line("worker", width, [SHORT[worker] for _, worker in PAIRS])
        for feature in features:
            yield _line(feature, width, [self._cell(feature, pair) for pair in PAIRS])
        yield from self._reasons()

    def _cell(self, feature: str, pair: tuple[str, str]) -> str:
        return "".join(_worst(self.signs.get((feature, *pair, broker), ())) for broker in BROKERS)

    def _reasons(self) -> Iterator[str]:
        yield ""
        met = set().union(*self.signs.values())
        for name, deviation in DEVIATIONS.items():
            if _number(name) in met:
                yield f"{_number(name)}  {deviation.reason}"


def _line(name: str, width: int, cells: Sequence[str]) -> str:
    return f"{name:<{width}}  {'  '.join(f'{cell:<3}' for cell in cells)}".rstrip()


def _signs(report: pytest.TestReport, properties: Mapping[str, Any]) -> Iterator[str]:
    if report.failed:
        yield FAILED
    elif report.skipped:
        yield SKIPPED
    elif report.when == "call":
        yield GOOD
    if DEVIATION in properties:
        yield _number(properties[DEVIATION])


def _number(name: str) -> str:
    return str(1 + list(DEVIATIONS).index(name))


def _worst(signs: Collection[str]) -> str:
    numbers = sorted(sign for sign in signs if sign.isdigit())
    return next((sign for sign in (FAILED, SKIPPED, *numbers, GOOD) if sign in signs), NOT_RUN)
