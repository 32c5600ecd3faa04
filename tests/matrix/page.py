"""The table of versions as a page of the docs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["page", "span"]

HEAD = """\
# The version matrix

What each version does with a task whose countdown outlives the broker's patience, at the defaults that it comes with:
real servers, real workers, and a clock that is moved. `scripts/matrix` runs the chapter
[Brokers and time](../spec/chapters/15-brokers-and-time.md) everywhere, and writes this page and
[matrix.json](matrix.json); nobody edits them.
"""

#: How a delivery ends -> what the broker does.
ENDINGS: Mapping[str | None, str] = {
    None: "nothing",
    "channel-close": "closes the channel with 406",
    "consumer-cancel": "cancels the consumer",
    "redeliver": "delivers again, the holder is not told",
}
#: Verdict -> whether a queue's own timeout counts.
OWN = {
    "pass": "counts",
    "not-applicable": "has none",
    "fail": "does not count",
    "inconclusive": "runs disagree",
}
#: The scenario of TIM-012, looked at for something else.
PLAYED_AGAIN = ("TIM-014", "TIM-015")
TITLES = {"rabbitmq": "RabbitMQ", "redis": "Redis", "valkey": "Valkey"}
UNITS = ((86_400.0, "d"), (3600.0, "h"), (60.0, "min"))


def page(document: Mapping[str, Any]) -> str:
    """Answer the page in Markdown."""
    runs = [run for run in document["runs"] if run["why_not"] is None]
    missing = [run for run in document["runs"] if run["why_not"] is not None]
    parts = [
        HEAD,
        "## What becomes of a delivery that is held\n",
        *_table(
            (
                "broker",
                "queue",
                "default timeout",
                "taken back after",
                "the broker",
                "queue argument",
                "policy",
            ),
            _held(document),
        ),
        *_texts(document["versions"]),
        "## What the worker did\n",
        "The moments are counted from the sending of the task.\n",
        *_table(
            ("broker", "judged", "scenario", "countdown", "delivered", "executed", "workers that ended"),
            _lives(runs),
        ),
        "## Verdicts\n",
        *_table(
            ("broker", "image", "judged", "clock", "requirements", "clock moved by", "took"), _verdicts(runs)
        ),
        *_not_run(missing),
        "## What the guide says of versions\n",
        *_table(("the guide", "verdict", "as said", "otherwise"), _promises(document["promises"])),
        "Versions that no image has are not judged.\n",
    ]
    return "\n".join(parts)


def span(seconds: float) -> str:
    """Answer seconds for a reader, in at most two units."""
    for size, unit in UNITS:
        if seconds >= size:
            whole, rest = divmod(round(seconds), round(size))
            return f"{whole} {unit} {span(rest)}" if rest else f"{whole} {unit}"
    return f"{seconds:.3g} s"


def _table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> Iterator[str]:
    for row in (head, ["---"] * len(head), *rows):
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
    yield ""


def _broker(entry: Mapping[str, Any]) -> str:
    return f"{TITLES[entry['flavour']]} {entry['version']}"


def _held(document: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    for version in document["versions"]:
        own = [OWN.get(version["own"][who], version["own"][who]) for who in ("argument", "policy")]
        if version["flavour"] != "rabbitmq":
            own = ["", ""]
        for row in version["takes_back"]:
            timeout = "none" if row["timeout_s"] is None else span(row["timeout_s"])
            after = (
                " to ".join(dict.fromkeys(map(span, row["after_s"])))
                or f"never (held for {span(row['held_s'])})"
            )
            yield _broker(version), row["queue"], timeout, after, ENDINGS[row["ending"]], *own
        if not version["takes_back"]:
            yield _broker(version), "", "not seen", "", "", *own


def _texts(versions: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    by_text: dict[str, list[str]] = {}
    for version in versions:
        for row in version["takes_back"]:
            for text in row["texts"]:
                by_text.setdefault(text, []).append(f"{version['version']} ({row['queue']})")
    if by_text:
        yield "The text of the 406, to the letter:\n"
        yield from (f"* {', '.join(who)}: `{text}`" for text, who in by_text.items())
        yield ""


def _lives(runs: Sequence[Mapping[str, Any]]) -> Iterator[Sequence[str]]:
    for run in runs:
        for life in run["lives"]:
            if life["requirement"] in PLAYED_AGAIN:
                continue
            countdown = "" if life["countdown_s"] is None else span(life["countdown_s"])
            delivered, executed = (_moments(life[key]) for key in ("delivered_after_s", "executed_after_s"))
            ended = ", ".join(f"exit {code}" for code in life["workers_ended"]) or "none"
            scenario = f"{life['requirement']} {life['check'].removeprefix('test_').replace('_', ' ')}"
            yield _broker(run), run["implementation"], scenario, countdown, delivered, executed, ended


def _moments(seconds: Sequence[float]) -> str:
    return ", ".join(map(span, seconds)) or "not seen"


def _verdicts(runs: Sequence[Mapping[str, Any]]) -> Iterator[Sequence[str]]:
    for run in runs:
        clock = (
            run["clock"] if run["clock_withdrawn"] is None else f"{run['clock']}: {run['clock_withdrawn']}"
        )
        counts = Counter(run["verdicts"].values())
        told = ", ".join(f"{number} {verdict}" for verdict, number in counts.most_common())
        notable = [
            name for name, verdict in run["verdicts"].items() if verdict not in ("pass", "not-applicable")
        ]
        requirements = told + (f" ({', '.join(notable)})" if notable else "")
        moved = "" if run["simulated_s"] is None else span(run["simulated_s"])
        yield (
            _broker(run),
            run["image"],
            run["implementation"],
            clock,
            requirements,
            moved,
            span(run["duration_s"]),
        )


def _not_run(missing: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if missing:
        yield "## Not run\n"
        rows = ((TITLES[run["flavour"]], run["image"], run["adapter"], run["why_not"]) for run in missing)
        yield from _table(("broker", "image", "adapter", "why"), iter(rows))


def _promises(promises: Sequence[Mapping[str, Any]]) -> Iterator[Sequence[str]]:
    for each in promises:
        yield each["says"], each["verdict"], ", ".join(each["kept_by"]), ", ".join(each["broken_by"])
