"""The options of a conformance run: what pytest is told, checked, with one line for whoever mistyped."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from celeriac.conformance.claim import Claim
from celeriac.conformance.embedded import DIALECTS
from celeriac.conformance.nearest import did_you_mean
from celeriac.conformance.providers import LINKS
from celeriac.spec import Spec

__all__ = ["OPTIONS", "RunOptions", "add_options", "clock_for", "in_ci", "read_brokers", "read_options"]

FLAVOURS = tuple(LINKS)
SOURCES = ("container", "process")
TIMES = ("auto", "virtual", "wall", "travel")
SCHEMES = {"amqp": "rabbitmq", "redis": "redis"}

#: option -> its settings for pytest's parser; every value is checked here, not by the parser, to say it in one line.
OPTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "--adapter",
        {"metavar": "NAME", "help": "judge this adapter: a bundled name, an adapter.toml, or module:Class"},
    ),
    ("--broker", {"metavar": "FLAVOUR", "help": "embedded (default), rabbitmq, redis, valkey or all"}),
    (
        "--broker-from",
        {
            "metavar": "SOURCE",
            "help": "container, process or a URL; default: container where an engine answers; "
            "for the embedded broker its dialect",
        },
    ),
    ("--time", {"metavar": "CLOCK", "default": "auto", "help": "auto (default), virtual, travel or wall"}),
    (
        "--report-dir",
        {"metavar": "DIR", "default": ".celeriac", "help": "where the report goes (default: .celeriac)"},
    ),
    (
        "--compare",
        {
            "metavar": "OLD",
            "help": "an earlier report: its folder or results file; report.html says what is new",
        },
    ),
    (
        "--requirement",
        {
            "metavar": "ID",
            "action": "append",
            "help": "check this requirement, or this area (ETA), alone; repeatable",
        },
    ),
    ("--explore", {"action": "store_true", "help": "random seeds and many more examples; not for verdicts"}),
    (
        "--require-brokers",
        {"action": "store_true", "help": "a broker that cannot be had is an error (also: CI=true)"},
    ),
    (
        "--deadline",
        {
            "metavar": "SECONDS",
            "default": "20",
            "help": "how long an adapter may take for one answer (default: 20)",
        },
    ),
)


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What a run was asked to do.

    Attributes:
        flavours: the brokers to play on, in order.
        source: container, process, a URL, a dialect of the embedded broker, or None for the provider's default.
        time: auto, virtual, travel or wall.
        report_dir: where the report goes.
        requirements: the requirements to check, None for all.
        explore: random seeds and more examples.
        require_brokers: a broker that cannot be had is an error; always so for one that a URL names.
        deadline_s: seconds an adapter may take for one answer.
        all_brokers: whether ``--broker=all`` was given: every flavour whose link the claim names.
        compare: the earlier report to compare with, None for none.
    """

    flavours: tuple[str, ...]
    source: str | None
    time: str
    report_dir: Path
    requirements: frozenset[str] | None
    explore: bool
    require_brokers: bool
    deadline_s: float
    all_brokers: bool = False
    compare: Path | None = None

    @property
    def managed(self) -> bool:
        """Answer whether the brokers' time-outs are known: Redis has none of its own, a URL can tell RabbitMQ's."""
        url = self.source if _is_url(self.source) else None
        return url is None or url.startswith("redis") or "consumer_timeout=" in url

    def source_for(self, flavour: str) -> str | None:
        """Answer where a flavour of broker comes from; the embedded one is in no container and no process."""
        return None if flavour == "embedded" and self.source in SOURCES else self.source

    @property
    def shown_source(self) -> str | None:
        """Answer the source as it may be shown: a URL without its password."""
        return self.shown(self.source)

    @staticmethod
    def shown(source: str | None) -> str | None:
        """Answer a source as it may be shown: a URL without its password."""
        if source is None or not _is_url(source):
            return source
        url = urlsplit(source)
        login, at, place = url.netloc.rpartition("@")
        user, colon, _ = login.partition(":")
        return url._replace(netloc=f"{user}{colon}{'***' if colon else ''}{at}{place}").geturl()


def add_options(parser: pytest.Parser) -> None:
    """Add the options to pytest's."""
    group = parser.getgroup("celeriac", "conformance to Celery's Calling API")
    for name, settings in OPTIONS:
        group.addoption(name, dest=_dest(name), **settings)


def read_options(config: pytest.Config, spec: Spec, claim: Claim) -> RunOptions:
    """Check the options of a run.

    Raises:
        pytest.UsageError: one of them is wrong; the text is one line.
    """

    def get(name: str) -> Any:
        return config.getoption(_dest(name))

    flavours, source = read_brokers(get("--broker"), get("--broker-from"))
    time = _known("--time", get("--time"), TIMES)
    all_brokers = get("--broker") == "all"
    if all_brokers:
        flavours = (
            tuple(f for f in flavours if _link(f, clock_for(f, time, claim)) in claim.links) or flavours
        )
    for flavour in flavours:
        _playable(clock_for(flavour, time, claim), time, flavour, claim)
    return RunOptions(
        flavours=flavours,
        source=source,
        time=time,
        report_dir=config.invocation_params.dir / _folder(get("--report-dir")),
        requirements=_requirements(get("--requirement"), spec),
        explore=get("--explore"),
        require_brokers=get("--require-brokers") or _is_url(source) or in_ci(),
        deadline_s=_seconds(get("--deadline")),
        all_brokers=all_brokers,
        compare=config.invocation_params.dir / get("--compare") if get("--compare") else None,
    )


def read_brokers(broker: str | None, source: str | None) -> tuple[tuple[str, ...], str | None]:
    """Answer the flavours that ``--broker`` names, and the source that ``--broker-from`` names.

    Raises:
        pytest.UsageError: one of them is wrong; the text is one line.
    """
    source = _source(source, broker)
    return _flavours(broker, source), source


def clock_for(flavour: str, time: str, claim: Claim) -> str:
    """Answer the kind of clock for a flavour of broker."""
    if time != "auto":
        return time
    if flavour == "embedded" and "virtual" in claim.clocks and "in-process" in claim.links:
        return "virtual"
    return "travel" if "travel" in claim.clocks else "wall"


def _playable(clock: str, time: str, flavour: str, claim: Claim) -> None:
    if clock == "virtual" and flavour != "embedded":
        advice = "use --broker=embedded, or --time=travel"
        raise pytest.UsageError(f"--time={time}: {flavour} is a process of its own; {advice}")
    if clock not in claim.clocks:
        listed = ", ".join(claim.clocks)
        raise pytest.UsageError(
            f"--time={time}: {claim.name} does not claim the {clock} clock; it claims: {listed}"
        )
    link = _link(flavour, clock)
    if link not in claim.links:
        listed = ", ".join(claim.links)
        raise pytest.UsageError(
            f"--broker={flavour}: {claim.name} does not claim the {link} link; it claims: {listed}"
        )


def _link(flavour: str, clock: str) -> str:
    return "in-process" if clock == "virtual" else LINKS[flavour]


def _source(given: str | None, broker: str | None) -> str | None:
    if given is None or _is_url(given):
        return given
    if broker in {None, "embedded"} and given not in SOURCES:
        return _known("--broker-from", given, DIALECTS, "(dialects of the embedded broker)")
    return _known("--broker-from", given, SOURCES, "or a URL such as amqp://host:5672")


def _is_url(source: str | None) -> bool:
    return source is not None and "://" in source


def in_ci() -> bool:
    """Answer whether this is a run of continuous integration, which is stricter."""
    return os.environ.get("CI", "").lower() in {"1", "true"}


def _folder(given: str) -> str:
    if not given:
        raise pytest.UsageError("--report-dir=: expected a folder")
    return given


def _flavours(given: str | None, source: str | None) -> tuple[str, ...]:
    named = None if given is None else _known("--broker", given, (*FLAVOURS, "all"))
    if source is None or not _is_url(source):
        if source in SOURCES and named in {None, "embedded"}:
            text = f"--broker-from={source}: the embedded broker is our own; name another, --broker=rabbitmq"
            raise pytest.UsageError(text)
        return FLAVOURS if named == "all" else (named or "embedded",)
    scheme = _known("--broker-from scheme", urlsplit(source).scheme, SCHEMES)
    flavour = named or SCHEMES[scheme]
    if flavour not in FLAVOURS or flavour == "embedded" or LINKS[flavour] != LINKS[SCHEMES[scheme]]:
        raise pytest.UsageError(f"--broker={flavour} cannot be reached by a URL of the scheme {scheme}")
    return (flavour,)


def _requirements(given: Iterable[str] | None, spec: Spec) -> frozenset[str] | None:
    if not given:
        return None
    chosen: set[str] = set()
    for word in given:
        area = [name for name in spec.requirements if word.upper() in {name, name.split("-")[0]}]
        if not area:
            areas = {name.split("-")[0] for name in spec.requirements}
            known = spec.requirements if "-" in word else areas
            raise pytest.UsageError(did_you_mean("requirement", word, known))
        chosen.update(area)
    return frozenset(chosen)


def _seconds(given: str) -> float:
    try:
        seconds = float(given)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise pytest.UsageError(f"--deadline={given}: expected a number of seconds above 0")
    return seconds


def _known(option: str, value: str, valid: Iterable[str], hint: str = "") -> str:
    if value in valid:
        return value
    raise pytest.UsageError(" ".join(filter(None, (did_you_mean(option, value, valid), hint))))


def _dest(name: str) -> str:
    return "celeriac_" + name.lstrip("-").replace("-", "_")
