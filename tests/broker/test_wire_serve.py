"""The ``broker`` command, as a process."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import amqp
import amqp.exceptions
import pytest

from celeriac.reference.broker.control import BrokerProcess, Control, ControlError

COMMAND = (sys.executable, "-m", "celeriac.reference", "broker")

Serve = Callable[..., Any]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Answer a function that starts the command and gives the process and its AMQP URL."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen([*COMMAND, "--port", "0", *arguments], stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.fullmatch(
            r"Test broker \((\S+)\) listens on 127\.0\.0\.1:(\d+): (amqp://guest:guest@\S+//)\n", line
        )
        assert found is not None, line
        assert f":{found[2]}//" in found[3]
        return process, found[2]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def refused(*arguments: str) -> str:
    """Run the command with arguments it cannot use, and answer its one line."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.count("\n") == 1
    return done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_listens_and_ends_when_asked(serve: Serve, number: signal.Signals) -> None:
    """One line tells the address, clients can connect, and a signal ends it with status 0 whoever is connected."""
    process, port = serve()
    with amqp.Connection(f"127.0.0.1:{port}") as connection:
        assert connection.channel().queue_declare("q").queue == "q"
        process.send_signal(number)
        assert process.wait(10) == 0
        connection.collect()


def test_the_lease_can_be_shortened(serve: Serve) -> None:
    """--consumer-timeout and --tick give the guide's 406 in a fraction of a second."""
    _, port = serve("--consumer-timeout", "100", "--tick", "50", "--dialect", "rabbit-3.8")
    with amqp.Connection(f"127.0.0.1:{port}") as connection:
        channel = connection.channel()
        channel.queue_declare("q", auto_delete=False)
        channel.basic_publish(amqp.Message("x"), routing_key="q")
        assert channel.basic_get("q").body == "x"
        with pytest.raises(amqp.exceptions.PreconditionFailed, match="consumer ack timed out on channel 1"):
            connection.drain_events(timeout=10)


def test_the_trace_is_a_json_object_per_event(serve: Serve, tmp_path: Path) -> None:
    """--trace writes what happened in order, bodies by size and digest only."""
    trace = tmp_path / "trace.jsonl"
    process, port = serve("--trace", str(trace))
    with amqp.Connection(f"127.0.0.1:{port}") as connection:
        channel = connection.channel()
        channel.queue_declare("q", auto_delete=False)
        channel.basic_publish(amqp.Message("private", application_headers={"id": "1"}), routing_key="q")
        channel.basic_get("q")
    process.terminate()
    assert process.wait(10) == 0
    events = [json.loads(line) for line in trace.read_text().splitlines()]
    assert [event["seq"] for event in events] == list(range(len(events)))
    assert {"session.open", "queue.declare", "publish", "get", "session.close"} <= {
        event["kind"] for event in events
    }
    (published,) = [event for event in events if event["kind"] == "publish"]
    assert published["body"]["size"] == 7
    assert published["headers"] == {"id": "1"}
    assert "private" not in trace.read_text()


@pytest.mark.parametrize(("option", "others"), [("--port", []), ("--control", ["--port", "0"])])
def test_a_taken_port_is_named(option: str, others: list[str]) -> None:
    """A port in use is one line that says what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = refused(option, str(port), *others)
    assert f"cannot listen on 127.0.0.1:{port}: address already in use" in line
    assert f"{option} 0" in line


def test_the_second_line_is_for_programs(serve: Serve) -> None:
    """--control prints a line of JSON with the AMQP URL, and the port and the token of the control channel."""
    process, port = serve("--control", "0", "--host", "127.0.0.1")
    told = json.loads(process.stdout.readline())
    assert told["url"] == f"amqp://guest:guest@127.0.0.1:{port}//"
    with Control(**told["control"]) as control:
        assert control.url == told["url"]
        assert len(control.token) >= 20


def test_it_ends_with_standard_input() -> None:
    """--until-stdin-closes ends it with status 0 when standard input ends, and not when something is written there."""
    command = [*COMMAND, "--port", "0", "--until-stdin-closes"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        print("whatever", file=process.stdin, flush=True)
        with amqp.Connection(urlsplit(url).netloc.split("@")[1]) as connection:
            connection.channel()
        process.stdin.close()
        assert process.wait(10) == 0


#: A test run that has started a broker, and is killed.
RUN = """
import sys
from celeriac.reference.broker.control import BrokerProcess
broker = BrokerProcess()
print(broker.pid, flush=True)
sys.stdin.read()
"""


def test_a_broker_dies_with_the_test_that_started_it() -> None:
    """A killed test run leaves no broker behind."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", RUN], stdin=pipe, stdout=pipe, text=True) as run:
        assert run.stdout is not None
        watch = os.pidfd_open(int(run.stdout.readline()))
        run.kill()
    try:
        gone, _, _ = select.select([watch], [], [], 20)
    finally:
        os.close(watch)
    assert gone


def test_a_broker_that_does_not_start_is_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    """Arguments that the command refuses are an error at once, with its sentence on standard error."""
    with pytest.raises(ControlError, match="exit status 4"):
        BrokerProcess("rabbit-3.1")
    assert "did you mean rabbit-3.10" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--dialect", "rabbit-3.1"], ["'rabbit-3.1'", "did you mean rabbit-3.10", "redis-kombu"]),
        (["--port", "0", "--trace", "/nowhere/at/all"], ["/nowhere/at/all", "choose another --trace"]),
        (["--port", "65536"], ["'65536'", "0 to 65535"]),
        (["--consumer-timeout", "soon"], ["'soon'", "milliseconds"]),
        (["--control", "0", "--host", "0.0.0.0"], ["on loopback, not on 0.0.0.0", "leave out --host"]),  # noqa: S104
        (["--control", "0", "--host", "example.org"], ["on loopback, not on example.org"]),
        (["--control", "0.0.0.0:0"], ["'0.0.0.0:0'", "0 to 65535"]),
        (["--port", "0", "--until-stdin-closes"], ["wants a pipe as standard input"]),
    ],
    ids=["dialect", "trace", "port", "timeout", "everybody", "elsewhere", "control", "stdin"],
)
def test_unusable_arguments_are_named(arguments: list[str], words: list[str]) -> None:
    """Whatever cannot be used is one line that names it and what would do, and exit status 4."""
    line = refused(*arguments)
    for word in words:
        assert word in line


def test_it_starts_without_what_it_does_not_need() -> None:
    """Serving imports no client library, no schema validator and no test framework: it has to be up at once."""
    code = (
        "import sys; import celeriac.reference.broker.serve; "
        "print(*sorted({'kombu', 'amqp', 'jsonschema', 'pytest', 'hypothesis', 'redis', 'secrets', "
        "'celeriac.reference.broker.control_server'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.strip() == ""
