"""Drivers written in Go: the package that serves the protocol for them, built and spoken to."""

from __future__ import annotations

import json
import math
import os
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
)
from celeriac.conformance.environments import Build
from celeriac.conformance.process import ProcessAdapter
from celeriac.conformance.wire_values import TAGS, Opaque, from_json, to_json

pytestmark = pytest.mark.skipif(shutil.which("go") is None, reason="NO GO: no go on the PATH builds a driver")

PACKAGE = Path(adapters.__path__[0]) / "golang" / "celeriac"
DRIVER = Path(__file__).with_name("echo_driver.go")
SCENARIO = Scenario("s1", "amqp://127.0.0.1:1//", None, "q")

#: Nothing is fetched: the package needs no module, and the machine's own Go will do.
OFFLINE = {"GOPROXY": "off", "GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false"}


def _go(folder: Path, *command: str) -> str:
    """Answer what a command of Go says; it fails the test unless it ends well."""
    environment = {**os.environ, **OFFLINE}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Answer the folder of a module with the package and the driver, as a build step would see it."""
    folder = tmp_path_factory.mktemp("go")
    shutil.copytree(PACKAGE, folder / "celeriac")
    shutil.copy(DRIVER, folder / "main.go")
    (folder / "go.mod").write_text("module driver\n\ngo 1.22\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def program(module: Path) -> Path:
    """Answer the built driver."""
    _go(module, "go", "build", "-o", "echo", ".")
    return module / "echo"


@pytest.fixture
def driver(program: Path) -> Iterator[ProcessAdapter]:
    """Answer the driver, running."""
    adapter = ProcessAdapter([str(program)])
    adapter.hello()
    yield adapter
    adapter.close()


def _say(program: Path, *lines: bytes) -> list[tuple[Any, Answer]]:
    """Answer the id and the answer of everything that the driver writes when it is told these lines."""
    done = subprocess.run([program], input=b"\n".join(lines), capture_output=True, timeout=60, check=True)
    messages = [envelopes.parse(line) for line in done.stdout.splitlines()]
    return [(message["id"], envelopes.answer_from_json(message)) for message in messages]


def _request(number: int, operation: str, **body: Any) -> bytes:
    return json.dumps({"id": number, "op": operation, "body": body}).encode()


def _broken(program: Path, *lines: bytes) -> list[tuple[Any, str]]:
    """Answer the ids and details of the broken answers to these lines, having seen that the driver still serves."""
    *answers, last = _say(program, *lines, _request(99, "state", task_id="t"))
    assert last == (99, Ok("t"))
    return [(number, answer.detail) for number, answer in answers if isinstance(answer, Broken)]


def test_sources_please_the_tools_of_go(module: Path) -> None:
    """The package and the driver are formatted by gofmt and raise no doubts of go vet."""
    root = Path(_go(module, "go", "env", "GOROOT").strip())

    assert _go(module, str(root / "bin" / "gofmt"), "-l", ".") == ""
    assert _go(module, "go", "vet", "./...") == ""


def test_package_builds_where_dup2_is_called_otherwise(module: Path) -> None:
    """The package compiles for the other systems on which the harness runs, without anything of Go's to fetch."""
    for system, processor in (("linux", "arm64"), ("darwin", "arm64")):
        _go(
            module, "env", f"GOOS={system}", f"GOARCH={processor}", "CGO_ENABLED=0", "go", "vet", "./celeriac"
        )


def test_claim_takes_the_package_to_where_a_driver_imports_it() -> None:
    """A claim in a folder beside the package's finds it as the subfolder that the driver's module expects."""
    build = Build((), PACKAGE.parent.parent / "celery", files=("../golang/celeriac/*.go",))

    assert {Path(place) for place in build.sources()} == {
        Path("celeriac") / source.name for source in PACKAGE.iterdir()
    }


def test_hello_introduces_the_implementation(program: Path) -> None:
    """A driver says what it speaks, what it drives and what is missing, whether or not it is told a version."""
    hello = {"implementation": "echo", "version": "1.0", "missing": {"yaml": "not here"}, "protocol": 1}

    answers = _say(program, _request(1, "hello"), _request(2, "hello", protocol=1))

    assert answers == [(1, Ok(hello)), (2, Ok(hello))]


VALUES: list[Any] = [
    None,
    True,
    "text \u2028 <&> \U0001f955",
    0,
    -(2**63),
    2**200,
    1.0,
    -0.0,
    1e300,
    0.1,
    math.nan,
    math.inf,
    -math.inf,
    complex(1, -0.5),
    b"\x00\xff",
    [],
    {},
    {"a": [1, {"b": (2.0, "c")}]},
    (1, (2,)),
    {3},
    {1: "one", "$": b"dollar"},
    datetime(2026, 1, 1, 12, 30, 0, 5000, tzinfo=UTC),
    datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=-3, minutes=-30))),
    datetime(2026, 1, 1, 12, 30, 0, 120),
    date(2026, 1, 1),
    time(12, 30),
    timedelta(days=2, seconds=3, microseconds=4),
    timedelta(microseconds=-1),
    timedelta(days=-999_999_999),
    Decimal("1.10"),
    UUID(int=5),
    Signature("t", (1, b"x"), {"k": (2,)}, {"queue": "q"}, immutable=True),
    Signature("t"),
    ErrorClass("timeout"),
    ExchangeRef("e", "topic"),
    QueueRef("q", ExchangeRef("e"), "key", {"x-max-priority": 9}),
    Router({"t": {"queue": "q"}}),
    Opaque("range", "range(2)"),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_value_survives_the_journey(driver: ProcessAdapter, value: Any) -> None:
    """Every value of the wire comes back from Go as it was, to the type of its numbers."""
    answer = driver.begin(SCENARIO), driver.call(Call("t", (value,), options={"option": value}))

    assert answer[0] == Ok()
    assert repr(answer[1]) == repr(Ok({"value": [[value], "apply_async", {"option": value}]}))


def test_there_is_a_value_for_every_tag() -> None:
    """The table above leaves no tag out."""
    wire = json.dumps(to_json(VALUES))

    assert [tag for tag in TAGS if f'"$": "{tag}"' not in wire] == []


def test_defaults_of_the_protocol_are_known(program: Path) -> None:
    """What a request leaves out is what the protocol says it is."""
    asked = [
        _request(1, "get_result", task_id="t", timeout=None),
        _request(2, "get_result", task_id="t", timeout=3, propagate=False, on_message="raise"),
        _request(3, "call", task="t"),
    ]

    first, second, third = (answer for _, answer in _say(program, *asked))

    assert first == Ok({"value": [True, True, False]})
    assert second == Ok({"value": [False, False, "raise"]})
    assert third == Ok({"value": [[], "apply_async", {}]})


@pytest.mark.parametrize(
    ("line", "number", "detail"),
    [
        (b"nonsense", None, "not a line with a JSON object"),
        (b"", None, "not a line with a JSON object"),
        (b"[1]", None, "not a line with a JSON object"),
        (b"null", None, "a message is a JSON object"),
        (b'{"id": 1} {}', None, "something follows"),
        (b'{"id": 1, "op": "state", "body": {"task_id": NaN}}', None, "not a line with a JSON object"),
        (_request(1, "dance"), 1, 'unknown operation "dance"; known: hello, begin'),
        (b'{"id": 1, "body": {}}', 1, "unknown operation"),
        (b'{"id": 1, "op": "state", "body": []}', 1, 'the body of "state" is an object'),
        (b'{"id": 1, "op": "state"}', 1, 'the body of "state" is an object'),
        (_request(1, "state"), 1, 'incomplete: it has no "task_id"'),
        (_request(1, "state", task_id="t", colour="red"), 1, 'has no "colour"'),
        (_request(1, "state", task_id=5), 1, '"task_id": expected string, not the int64 5'),
        (_request(1, "state", task_id=None), 1, '"task_id": expected string, not null'),
        (b'{"id": "x", "op": "dance", "body": {}}', None, "unknown operation"),
    ],
)
def test_request_nobody_can_read_is_broken(program: Path, line: bytes, number: Any, detail: str) -> None:
    """Garbage, an unknown operation and a body that does not fit are answered as broken; serving goes on."""
    ((answered, said),) = _broken(program, line)

    assert answered == number
    assert detail in said


@pytest.mark.parametrize(
    "tagged",
    [
        {"$": "spaceship", "v": 1},
        {"$": "bytes", "v": "not base64!"},
        {"$": "complex", "v": [1]},
        {"$": "timedelta", "v": [1, 2]},
        {"$": "map", "v": [[1]]},
        {"$": "tuple", "v": 3},
        {"$": "tuple"},
        {"$": "tuple", "v": [], "w": []},
    ],
)
def test_tag_that_cannot_be_read_is_broken(program: Path, tagged: Any) -> None:
    """An unknown tag or a payload that does not fit is answered as broken, and the value is shown."""
    ((_, said),) = _broken(program, _request(1, "call", task="t", args=[tagged]))

    assert "tagged value" in said
    assert str(tagged["$"]) in said


def test_panic_is_broken_with_its_stack(program: Path) -> None:
    """A handler that panics is the driver's fault; the answer shows where, and serving goes on."""
    ((number, said),) = _broken(program, _request(1, "call", task="panic"))

    assert number == 1
    assert 'panicked in "call": oops' in said
    assert "main.go" in said


def test_handler_without_an_answer_is_broken(program: Path) -> None:
    """A handler that answers nothing is named."""
    assert _broken(program, _request(1, "call", task="nil")) == [
        (1, '"call" answered nil, expected one of Ok, Raised, Unsupported, Broken')
    ]


def test_operation_without_a_handler_is_unsupported(program: Path) -> None:
    """What the protocol has and the driver has not is unsupported."""
    ((_, answer),) = _say(program, _request(1, "compose", kind="group", tasks=[], options={}))

    assert isinstance(answer, Unsupported)
    assert answer.feature == "compose"


def test_error_of_the_implementation_travels_whole(driver: ProcessAdapter) -> None:
    """What an implementation signals arrives with its category, effect and cause, in UTF-8 whatever it was."""
    driver.begin(SCENARIO)

    assert driver.call(Call("raised")) == Raised("encode", "json.Error", "no\ufffd", "none", "chan")


def test_value_without_a_form_is_opaque(driver: ProcessAdapter) -> None:
    """A value that cannot travel is reduced to its type and its looks."""
    driver.begin(SCENARIO)

    looks = [Opaque("struct { X int }", "struct { X int }{X:7}"), Opaque("string", '"\\xff"')]

    assert driver.call(Call("opaque")) == Ok({"value": looks})


def test_longest_line_is_read_and_a_longer_one_skipped(program: Path) -> None:
    """A line of 16 MiB is served; of a longer one nothing is kept but that it came."""
    frame = len(_request(1, "state", task_id="")) + 1
    longest = _request(1, "state", task_id="x" * (envelopes.LINE_LIMIT - frame))
    assert len(longest) + 1 == envelopes.LINE_LIMIT

    (number, answer), too_long, after = _say(
        program, longest, b"y" + longest, _request(2, "state", task_id="t")
    )

    assert (number, answer) == (1, Ok("x" * (envelopes.LINE_LIMIT - frame)))
    assert too_long == (None, Broken("the driver cannot read a request: a line of more than 16777216 bytes"))
    assert after == (2, Ok("t"))


def test_answer_that_is_too_long_is_broken(program: Path) -> None:
    """An answer beyond the limit of a line is replaced by the reason."""
    assert _broken(program, _request(1, "call", task="long")) == [
        (1, "the answer cannot be sent: a line of more than 16777216 bytes")
    ]


def test_chatter_on_standard_output_is_no_message(program: Path) -> None:
    """Whatever a driver or its child prints goes to standard error; events of many goroutines come whole, in order."""
    adapter = ProcessAdapter([str(program)])
    events: list[Event] = []
    adapter.emit = events.append
    try:
        assert adapter.begin(SCENARIO) == Ok()
    finally:
        adapter.close()

    assert len(events) == 200
    for worker in ("w0", "w3"):
        numbers = [event.data["attempt"] for event in events if event.data["worker"] == worker]
        assert numbers == list(range(50))
    assert {type(event.data["args"]) for event in events} == {tuple}
    assert from_json(to_json(events[0].data)) == events[0].data


def test_chatter_is_kept_for_the_evidence(program: Path) -> None:
    """What was printed on standard output can be read on standard error, and a child's standard input is empty."""
    scenario = {"id": "s", "broker_url": "amqp://127.0.0.1:1//", "backend_url": None, "queue": "q"}
    lines = [_request(1, "begin", **scenario), _request(2, "state", task_id="t")]

    done = subprocess.run([program], input=b"\n".join(lines), capture_output=True, timeout=60, check=True)

    assert done.stderr.count(b"chatter of the driver\n") == 200
    assert done.stderr.count(b"chatter of a child\n") == 1
    assert [json.loads(line).get("id") for line in done.stdout.splitlines() if b'"ev"' not in line] == [1, 2]
