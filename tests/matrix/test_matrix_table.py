"""The table of versions says what runs have measured, and nothing that they have not."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from celeriac.spec import validator
from tests.matrix.page import page, span
from tests.matrix.promises import PROMISES, judged
from tests.matrix.rows import PLACES, Place, document, failed_run, finished_run
from tests.matrix.samples import CANCELLED, CLOSED, HELD, REDELIVERED, results

ROOT = Path(__file__).resolve().parents[2]
RECORDED = Path(__file__).with_name("recorded")
RABBIT, REDIS = Place("rabbitmq", "celeriac-x"), Place("redis", "celeriac-y")

#: What is seen where a version closes the channel of a classic queue, and where it leaves it alone.
CLOSES = {
    "queue": "classic",
    "timeout_s": 1800.0,
    "ending": "channel-close",
    "texts": ["timed out on channel 1"],
}
LEAVES: dict[str, Any] = {"queue": "classic", "timeout_s": None, "ending": None, "texts": []}
CANCELS = {"queue": "quorum", "timeout_s": 1800.0, "ending": "consumer-cancel", "texts": []}


def table(*runs: Mapping[str, Any]) -> dict[str, Any]:
    """Answer the content of matrix.json for runs, which has to be valid."""
    made = document(runs)
    validator("matrix").validate(made)
    return made


def cells(text: str, start: str) -> list[list[str]]:
    """Answer the rows of a page whose first cell begins like this."""
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith(f"| {start}")]
    return [[cell.strip() for cell in row] for row in rows]


def recorded(name: str) -> dict[str, Any]:
    """Answer the row of a run that the suite has recorded."""
    report = json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))
    validator("report").validate(report)
    return finished_run(Place(report["broker"]["flavour"], "celeriac-x"), "celery", report)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("rabbitmq-3.8.9", {"classic": (None, None)}),
        ("rabbitmq-3.10.8", {"classic": (1800.0, "channel-close"), "quorum": (1800.0, "channel-close")}),
        ("rabbitmq-4.3.6", {"classic": (None, None), "quorum": (1800.0, "consumer-cancel")}),
        ("redis-7.0.15", {"list": (3600.0, "redeliver")}),
    ],
)
def test_recorded_runs_are_read(name: str, expected: Mapping[str, Any]) -> None:
    """What real brokers did, at default settings and as the suite has recorded it, is what the table says of them."""
    (version,) = table(recorded(name))["versions"]
    assert {row["queue"]: (row["timeout_s"], row["ending"]) for row in version["takes_back"]} == expected
    for row in version["takes_back"]:
        assert all(row["timeout_s"] <= after <= row["timeout_s"] + 120 for after in row["after_s"])


def test_a_close_is_told_with_its_timeout() -> None:
    """A version that closes the channel has its default, the times after which it did so, and its words."""
    made = table(
        finished_run(RABBIT, "celery", results(CLOSED)),
        finished_run(RABBIT, "reference", results(CLOSED, later=3.5)),
    )
    (version,) = made["versions"]
    (row,) = version["takes_back"]
    assert row == {**CLOSES, "held_s": None, "after_s": [1812.0, 1815.5], "texts": row["texts"]}
    assert len(row["texts"]) == 1


def test_the_timeout_of_a_queue_is_not_the_default() -> None:
    """What was measured with a timeout that the queue has of its own does not stand among the defaults."""
    own = finished_run(RABBIT, "celery", results({"TIM-021": CLOSED["TIM-001"]}))
    (version,) = table(own)["versions"]
    assert (version["takes_back"], version["own"]) == ([], {"argument": "pass", "policy": "not-run"})
    assert cells(page(table(own)), "RabbitMQ 3.10.8")[0][2] == "not seen"


def test_one_run_does_not_decide_against_another() -> None:
    """A timeout of a queue's own that counted in one run and not in another is told as undecided."""
    other = results({"TIM-021": {**CLOSED["TIM-001"], "verdict": "fail"}})
    runs = [
        finished_run(RABBIT, name, each)
        for name, each in (("celery", results({"TIM-021": CLOSED["TIM-001"]})), ("reference", other))
    ]
    assert table(*runs)["versions"][0]["own"]["argument"] == "inconclusive"
    assert cells(page(table(*runs)), "RabbitMQ 3.10.8")[0][5] == "runs disagree"


def test_what_is_never_taken_back_is_told() -> None:
    """A version without a timeout has the row "none", with how long a delivery was held in vain."""
    made = table(finished_run(RABBIT, "celery", results(HELD, version="3.8.9")))
    assert cells(page(made), "RabbitMQ 3.8.9")[0][1:5] == [
        "classic",
        "none",
        "never (held for 3 h)",
        "nothing",
    ]


def test_each_kind_of_queue_has_its_row() -> None:
    """A version that treats classic and quorum queues differently has a row for each."""
    made = table(finished_run(RABBIT, "celery", results({**HELD, **CANCELLED}, version="4.3.6")))
    rows = cells(page(made), "RabbitMQ 4.3.6")[:2]
    assert {row[1]: row[4] for row in rows} == {"classic": "nothing", "quorum": "cancels the consumer"}


def test_redis_is_told_by_its_redeliveries() -> None:
    """On Redis the time between the first two deliveries is what counts."""
    made = table(finished_run(REDIS, "celery", results(REDELIVERED, flavour="redis", version="7.0.15")))
    row = cells(page(made), "Redis 7.0.15")[0]
    assert row[1:4] == ["list", "1 h", "1 h 14 s"]


def test_short_settings_say_nothing_about_defaults() -> None:
    """A run whose clock could not be moved has its verdicts and the reason, and no times."""
    run = finished_run(RABBIT, "celery", results(CLOSED, clock="wall", withdrawn="the broker did not follow"))
    made = table(run)
    assert (run["leases"], run["lives"], made["versions"][0]["takes_back"]) == ([], [], [])
    assert "wall: the broker did not follow" in page(made)


def test_what_could_not_be_run_is_a_row() -> None:
    """A place without results stands in the table with the reason, and is no version."""
    made = table(failed_run(RABBIT, "celery", "the image celeriac-x is not there"))
    assert made["versions"] == []
    assert cells(page(made), "RabbitMQ") == [
        ["RabbitMQ", "celeriac-x", "celery", "the image celeriac-x is not there"]
    ]


def test_runs_of_one_version_have_to_agree() -> None:
    """Two runs that give one version two defaults are an error, not an average."""
    other = results(CLOSED)
    other["requirements"]["TIM-001"]["checks"][0]["notes"][0]["value"]["timeout_s"] = 900.0
    runs = [finished_run(RABBIT, "celery", results(CLOSED)), finished_run(RABBIT, "reference", other)]
    with pytest.raises(ValueError, match="runs of one version disagree on classic queues"):
        document(runs)


def test_the_worker_is_told() -> None:
    """What became of the task, and how workers ended, has a row for each scenario."""
    made = table(finished_run(RABBIT, "celery", results(CLOSED)))
    (row,) = [row for row in cells(page(made), "RabbitMQ 3.10.8") if row[2].startswith("TIM-007")]
    assert row[1:] == [
        "Celery 5.5.3",
        "TIM-007 task beyond consumer timeout runs once",
        "46 min",
        "0.1 s, 30 min 13 s",
        "46 min",
        "exit 1",
    ]


def test_verdicts_are_counted_and_the_odd_ones_named() -> None:
    """The row of a run has the number of each verdict, and names what neither passes nor is inapplicable."""
    made = table(finished_run(RABBIT, "celery", results(CLOSED)))
    (row,) = [row for row in cells(page(made), "RabbitMQ 3.10.8") if row[1] == "celeriac-x"]
    assert row[4] == "2 pass, 1 known-failure (TIM-009)"


@pytest.mark.parametrize(
    ("seen", "verdicts"),
    [
        ({}, ["cannot be judged"] * 5),
        ({"3.8.9": [LEAVES]}, ["holds", *["cannot be judged"] * 4]),
        (
            {"3.8.16": [CLOSES]},
            ["cannot be judged", "does not hold", "cannot be judged", "holds", "does not hold"],
        ),
        (
            {"3.8.16": [{**CLOSES, "timeout_s": 900.0}]},
            ["cannot be judged", "holds", "cannot be judged", "holds", "does not hold"],
        ),
        ({"3.8.17": [CLOSES]}, ["cannot be judged", "cannot be judged", "holds", "holds", "does not hold"]),
        (
            {"4.0.5": [CLOSES], "4.3.6": [LEAVES, CANCELS]},
            ["cannot be judged", "cannot be judged", "holds in part", "holds in part", "does not hold"],
        ),
    ],
)
def test_the_guides_versions_are_judged_by_what_was_run(seen: Mapping[str, Any], verdicts: list[str]) -> None:
    """Each of the guide's statements is judged by the versions it is about, and by none where none was run."""
    versions = [{"flavour": "rabbitmq", "version": name, "takes_back": rows} for name, rows in seen.items()]
    assert [each["verdict"] for each in judged(versions)] == verdicts


def test_every_promise_is_on_the_page() -> None:
    """The page shows every statement of the guide, also when nothing was run."""
    text = page(table())
    assert [promise.says for promise in PROMISES if promise.says not in text] == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0 s"), (12.34, "12.3 s"), (1812.2, "30 min 12 s"), (7200.0, "2 h"), (90_000.0, "1 d 1 h")],
)
def test_times_are_readable(seconds: float, text: str) -> None:
    """Times are told in the units of a reader."""
    assert span(seconds) == text


def test_every_table_of_the_page_is_regular() -> None:
    """Every row of a table has as many cells as its head."""
    text = page(
        table(finished_run(RABBIT, "celery", results(CLOSED)), failed_run(REDIS, "celery", "no | image"))
    )
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1, block


def test_places_are_those_that_images_makes() -> None:
    """Every image of the table is one that scripts/images makes, with the server that it is there for."""
    script = (ROOT / "scripts" / "images").read_text()
    made = dict(re.findall(r"^  \[(\w+)\]=(\S+)$", script, re.MULTILINE))
    for place in PLACES:
        assert f"{place.flavour}-server" in made[place.image.removeprefix("celeriac-")].split(",")
