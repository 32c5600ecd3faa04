"""Drivers written for Node: the files that serve the protocol and keep workers for them, spoken to without npm."""

from __future__ import annotations

import json
import math
import queue
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from celeriac import adapters
from celeriac.conformance import envelopes
from celeriac.conformance.adapter import (
    Answer,
    Broken,
    Call,
    ErrorClass,
    Event,
    ExchangeRef,
    Ok,
    QueueRef,
    Raised,
    Router,
    Scenario,
    Signature,
    Unsupported,
    WorkerSpec,
)
from celeriac.conformance.process import ProcessAdapter
from celeriac.conformance.wire_values import TAGS, Opaque, to_json

pytestmark = pytest.mark.skipif(
    shutil.which("node") is None, reason="NO NODE: no node on the PATH runs a driver"
)

SOURCES = (Path(adapters.__path__[0]) / "javascript", Path(__file__).parent)
SCENARIO = Scenario("s1", "amqp://127.0.0.1:1//", None, "q")

#: Longer than anything here takes, in seconds: a wait this long is a failure.
PATIENCE = 60


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Answer the driver, beside the files that it imports, as a build would put them."""
    folder = tmp_path_factory.mktemp("node")
    for source in (path for place in SOURCES for path in place.glob("*.mjs")):
        shutil.copy(source, folder)
    return folder / "echo_driver.mjs"


@pytest.fixture
def events() -> queue.Queue[Event]:
    """Answer where the events of ``driver`` arrive."""
    return queue.Queue()


@pytest.fixture
def driver(program: Path, events: queue.Queue[Event]) -> Iterator[ProcessAdapter]:
    """Answer the driver, running."""
    adapter = ProcessAdapter(["node", str(program)], deadline=PATIENCE, start_deadline=PATIENCE)
    adapter.emit = events.put
    adapter.hello()
    yield adapter
    adapter.close()


def _say(program: Path, *lines: bytes) -> list[tuple[Any, Answer]]:
    """Answer the id and the answer of everything that the driver writes when it is told these lines."""
    command = ["node", str(program)]
    done = subprocess.run(command, input=b"\n".join(lines), capture_output=True, timeout=PATIENCE, check=True)
    messages = [envelopes.parse(line) for line in done.stdout.splitlines()]
    return [(message["id"], envelopes.answer_from_json(message)) for message in messages]


def _request(number: int, operation: str, **body: Any) -> bytes:
    return json.dumps({"id": number, "op": operation, "body": body}).encode()


def _next(events: queue.Queue[Event], kind: str) -> Event:
    while (event := events.get(timeout=PATIENCE)).kind != kind:
        pass
    return event


def test_hello_introduces_the_implementation(program: Path) -> None:
    """A driver says what it speaks and what it drives, whether or not it is told a version."""
    hello = {"protocol": 1, "implementation": "echo", "version": "1.0", "missing": {}}

    answers = _say(program, _request(1, "hello"), _request(2, "hello", protocol=1))

    assert answers == [(1, Ok(hello)), (2, Ok(hello))]


def test_version_of_the_future_is_broken(program: Path) -> None:
    """A harness that speaks another version is told which one is spoken here."""
    ((_, answer),) = _say(program, _request(1, "hello", protocol=2))

    assert isinstance(answer, Broken)
    assert "protocol 2 is asked for; celeriac.mjs speaks 1" in answer.detail


VALUES: list[Any] = [
    None,
    True,
    'text \u2028 "quoted" \\ 12345678901234567890 \U0001f955 \ud83e',
    0,
    2**53 - 1,
    2**53 + 1,
    -(2**200),
    0.1,
    1e300,
    1.2345678901234567,
    math.inf,
    -math.inf,
    complex(1, -0.5),
    b"\x00\xff",
    [],
    {},
    {"a": [1, {"b": (2.5, "c")}], "__proto__": 1, "constructor": {}},
    (1, (2,)),
    {3},
    {1: "one", "$": b"dollar"},
    datetime(2026, 1, 1, 12, 30, 0, 120, tzinfo=UTC),
    datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=-3, minutes=-30))),
    datetime(2026, 1, 1, 12, 30),
    date(2026, 1, 1),
    time(12, 30),
    timedelta(days=-2, seconds=3, microseconds=4),
    Decimal("1.10"),
    UUID(int=5),
    Signature("t", (1, b"x"), {"k": (2,)}, {"queue": "q"}, immutable=True),
    ErrorClass("timeout"),
    ExchangeRef("e", "topic"),
    QueueRef("q", ExchangeRef("e"), "key", {"x-max-priority": 9}),
    Router({"t": {"queue": "q"}}),
    Opaque("range", "range(2)"),
]


@pytest.mark.parametrize("value", VALUES, ids=ascii)
def test_value_survives_the_journey(driver: ProcessAdapter, value: Any) -> None:
    """Every value of the wire comes back from Node equal and of its type; a number is a number there."""
    driver.begin(SCENARIO)

    answer = driver.call(Call("t", [value], options={"option": value}))

    assert answer == Ok({"value": [[value], {"option": value}]})
    assert isinstance(answer, Ok)
    assert type(answer.value["value"][0][0]) is type(value)


def test_nan_survives_the_journey(driver: ProcessAdapter) -> None:
    """What is not a number comes back as it is, equal to nothing."""
    driver.begin(SCENARIO)

    answer = driver.call(Call("t", [math.nan]))

    assert isinstance(answer, Ok)
    assert math.isnan(answer.value["value"][0][0])


def test_there_is_a_value_for_every_tag() -> None:
    """The tables above leave no tag out."""
    wire = json.dumps(to_json([*VALUES, math.nan]))

    assert [tag for tag in TAGS if f'"$": "{tag}"' not in wire] == []


@pytest.mark.parametrize(
    ("line", "number"),
    [
        (b"nonsense", None),
        (b"", None),
        (b"[1]", None),
        (b"null", None),
        (b'{"id": 1, "op": "state", "body": {"task_id": NaN}}', None),
        (_request(1, "dance"), 1),
        (_request(1, "constructor"), 1),
        (b'{"id": 1, "body": {}}', 1),
        (b'{"id": 1, "op": "state"}', 1),
        (b'{"id": 1, "op": "state", "body": []}', 1),
        (b'{"id": 1, "op": "state", "body": {"$": "tuple"}}', None),
        (b'{"id": "x", "op": "dance", "body": {}}', None),
    ],
)
def test_request_nobody_can_read_is_broken(program: Path, line: bytes, number: int | None) -> None:
    """Garbage, an unknown operation and a body that is none are answered as broken; serving goes on."""
    (answered, answer), after = _say(program, line, _request(2, "state", task_id="t"))

    assert answered == number
    assert isinstance(answer, Broken)
    assert after == (2, Ok("t"))


def test_function_that_throws_is_broken_with_its_stack(program: Path) -> None:
    """What a driver did not expect is its own fault, and the answer shows where."""
    ((_, answer),) = _say(program, _request(1, "call", task="throws"))

    assert isinstance(answer, Broken)
    assert answer.detail.startswith("RangeError: oops\n")
    assert "echo_driver.mjs" in answer.detail


def test_error_of_the_implementation_travels_whole(program: Path) -> None:
    """What an implementation signals arrives with its category, effect and cause."""
    ((_, answer),) = _say(program, _request(1, "call", task="raised"))

    assert answer == Raised("encode", "TypeError", "no", "none", "SyntaxError")


def test_error_that_nobody_can_catch_ends_nothing(program: Path) -> None:
    """What the implementation throws where no caller is leaves the driver and the request at hand alone."""
    assert _say(program, _request(1, "call", task="stray")) == [(1, Ok({"value": "on"}))]


def test_what_is_not_there_is_unsupported(program: Path) -> None:
    """A driver may throw a refusal, and what it has no function for is refused for it."""
    asked = (
        _request(1, "call", task="refused"),
        _request(2, "compose", kind="pipe"),
        _request(3, "get_result"),
    )

    answers = [answer for _, answer in _say(program, *asked)]

    features = [answer.feature for answer in answers if isinstance(answer, Unsupported)]
    assert features == ["countdown", "pipe", "result-consumer"]


def test_value_without_a_form_is_opaque(driver: ProcessAdapter) -> None:
    """A value that cannot travel is reduced to its type and its looks, and nothing is null."""
    driver.begin(SCENARIO)

    answer = driver.call(Call("opaque"))

    assert isinstance(answer, Ok)
    opaque, nothing = answer.value["value"]
    assert (opaque.type, nothing) == ("URL", None)
    assert "localhost" in opaque.repr


def test_longest_line_is_read_and_answered(program: Path) -> None:
    """A line of 16 MiB is served, and an answer beyond that is replaced by the reason."""
    frame = len(_request(1, "state", task_id="")) + 1
    longest = _request(1, "state", task_id="x" * (envelopes.LINE_LIMIT - frame))

    served, (number, refused) = _say(program, longest, _request(2, "call", task="long"))

    assert served == (1, Ok("x" * (envelopes.LINE_LIMIT - frame)))
    assert number == 2
    assert isinstance(refused, Broken)
    assert "a line holds at most 16777216 bytes" in refused.detail


def test_chatter_is_no_message(driver: ProcessAdapter, events: queue.Queue[Event]) -> None:
    """Whatever is printed in between, events come whole and in order."""
    assert driver.begin(SCENARIO) == Ok()

    seen = [_next(events, "started").data["args"] for _ in range(50)]

    assert seen == [(number, "one") for number in range(50)]


def test_worker_reports_through_its_driver(driver: ProcessAdapter, events: queue.Queue[Event]) -> None:
    """A worker knows its scenario and its orders; its events carry its name, and it ends when it is told to."""
    driver.begin(SCENARIO)

    assert driver.start_worker(WorkerSpec("eternal", SCENARIO.broker_url, ("q", "r"))) == Ok()
    assert driver.stop_worker("eternal", "kill") == Ok({"exit_code": -9})

    reported = {"worker": "eternal", "task_id": "s1", "args": ("q", "r")}
    own = (event for event in iter(events.get, None) if event.data["worker"] == "eternal")
    assert next(event for event in own if "task_id" in event.data).data == reported
    assert _next(events, "ready").data == {"worker": "eternal"}
    assert _next(events, "stopped").data == {"worker": "eternal", "exit_code": -9}


def test_death_of_a_worker_is_reported(driver: ProcessAdapter, events: queue.Queue[Event]) -> None:
    """A worker that ends by itself is reported with its exit code, and the driver serves on."""
    driver.begin(SCENARIO)

    driver.start_worker(WorkerSpec("mortal", SCENARIO.broker_url, ()))

    assert _next(events, "stopped").data == {"worker": "mortal", "exit_code": 3}
    assert driver.stop_worker("mortal") == Ok({"exit_code": 3})


def test_worker_that_cannot_start_says_why(driver: ProcessAdapter) -> None:
    """A worker that ends before it consumes is an error with its exit code and the end of what it printed."""
    driver.begin(SCENARIO)

    answer = driver.start_worker(WorkerSpec("stillborn", SCENARIO.broker_url, ()))

    assert isinstance(answer, Raised)
    assert "ended with exit code 1 before it consumed" in answer.text
    assert "it cannot be" in answer.text


def test_scenario_takes_its_workers_along(driver: ProcessAdapter, events: queue.Queue[Event]) -> None:
    """At the end of a scenario no worker is left."""
    driver.begin(SCENARIO)
    driver.start_worker(WorkerSpec("eternal", SCENARIO.broker_url, ()))

    assert driver.end() == Ok()

    assert _next(events, "stopped").data["worker"] == "eternal"
