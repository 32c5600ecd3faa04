"""Worker processes that adapters start."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from celeriac.adapters.fork_server import ForkServer, ForkServerError
from celeriac.adapters.worker_process import WorkerProcess
from celeriac.conformance.adapter import Event, Ok, Raised, Scenario, WorkerSpec

SCENARIO = Scenario("s", "amqp://127.0.0.1:1//", None, "q", {"task_serializer": "json"})
SPEC = WorkerSpec("w1", "amqp://127.0.0.1:1//", ("q",), {"a": b"b"})

#: A worker that is ready at once and waits for signals.
IDLE = """
import signal, sys
from celeriac.adapters.worker_child import orders
from celeriac.conformance.adapter import Event
told = orders()
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
signal.signal(signal.SIGQUIT, lambda *_: sys.exit(3))
print("chatter")
told.emit(Event("ready", 1.0, {"worker": told.spec.name, "told": [told.scenario.settings, told.spec.settings]}))
while True:
    signal.pause()
"""

#: The same, deaf to requests to stop.
STUBBORN = IDLE.replace("lambda *_: sys.exit(0)", "signal.SIG_IGN")


class Recorder:
    """Collects events and knows when the worker has stopped."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.stopped = threading.Event()

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        if event.kind == "stopped":
            self.stopped.set()


#: Answers a started worker whose program is this source, and what records its events.
Start = Callable[[str], tuple[WorkerProcess, Recorder]]

#: A fork server; each worker runs the source that is given.
SERVER = """
from celeriac.adapters.forking import fork_on_request
fork_on_request(lambda: exec({source!r}, {{}}))
"""


@pytest.fixture
def serve() -> Iterator[Callable[[str], ForkServer]]:
    """Answer a function that answers the fork server of a program; all are closed at the end."""
    servers: list[ForkServer] = []

    def serve(program: str) -> ForkServer:
        servers.append(ForkServer([sys.executable, "-c", program]))
        return servers[-1]

    yield serve
    for server in servers:
        server.close()


@pytest.fixture
def start(serve: Callable[[str], ForkServer]) -> Start:
    """Answer a function that starts a worker."""

    def start(source: str) -> tuple[WorkerProcess, Recorder]:
        recorder = Recorder()
        process = serve(SERVER.format(source=source)).fork()
        return WorkerProcess(process, SCENARIO, SPEC, recorder), recorder

    return start


def test_worker_gets_its_orders_and_reports(start: Start) -> None:
    """A worker is told its scenario and its settings, and its events are passed on; chatter is not."""
    worker, recorder = start(IDLE)

    assert worker.wait_ready(20) == Ok()
    assert worker.stop("warm", 20) == Ok({"exit_code": 0})
    assert [event.kind for event in recorder.events] == ["ready", "stopped"]
    assert recorder.events[0].data["told"] == [{"task_serializer": "json"}, {"a": b"b"}]
    assert recorder.events[1].data == {"worker": "w1", "exit_code": 0}
    assert "chatter" in worker.log


def test_ways_to_stop_are_signals(start: Start) -> None:
    """A cold stop is SIGQUIT, a kill is SIGKILL."""
    cold, _ = start(IDLE)
    killed, _ = start(IDLE)

    assert cold.wait_ready(20) == Ok()
    assert killed.wait_ready(20) == Ok()
    assert cold.stop("cold", 20) == Ok({"exit_code": 3})
    assert killed.stop("kill", 20) == Ok({"exit_code": -9})


def test_pool_of_a_worker_ends_with_it(start: Start) -> None:
    """Processes that a worker leaves behind are ended, so that its end can be reported."""
    deaf_child = "import os\nif os.fork() == 0:\n    signal.signal(15, signal.SIG_IGN)\n"
    forking = IDLE.replace("while True:", deaf_child + "while True:")
    worker, recorder = start(forking)
    assert worker.wait_ready(20) == Ok()

    assert worker.stop("warm", 20) == Ok({"exit_code": 0})
    assert recorder.stopped.wait(20)


def test_worker_that_does_not_stop_is_killed(start: Start) -> None:
    """A worker that ignores a request to stop is killed after a while, which the answer says."""
    worker, recorder = start(STUBBORN)
    assert worker.wait_ready(20) == Ok()

    answer = worker.stop("warm", 0.3)

    assert isinstance(answer, Raised)
    assert answer.category == "timeout"
    assert recorder.stopped.wait(20)


def test_worker_that_dies_early_is_described(start: Start) -> None:
    """A worker that ends before it is ready is answered with its exit code and its last words."""
    worker, recorder = start("import sys; sys.exit('no such setting')")

    answer = worker.wait_ready(20)

    assert isinstance(answer, Raised)
    assert "exit code 1 before it consumed" in answer.text
    assert "no such setting" in answer.text
    assert recorder.events[-1].data["log"] == "no such setting"


def test_worker_that_is_never_ready_is_killed(start: Start) -> None:
    """A worker that does not consume in time is ended, and the answer is a timeout."""
    worker, recorder = start("import time; time.sleep(3600)")

    answer = worker.wait_ready(0.2)

    assert isinstance(answer, Raised)
    assert answer.category == "timeout"
    assert recorder.stopped.wait(20)


def test_worker_that_writes_nonsense_is_killed(start: Start) -> None:
    """A line that is no event ends the worker, and is shown."""
    worker, _ = start("import os, time; os.write(1, b'nonsense\\n'); time.sleep(3600)")

    answer: Any = worker.wait_ready(20)

    assert isinstance(answer, Raised)
    assert "nonsense" in answer.text


def test_orphaned_worker_ends_itself(start: Start) -> None:
    """A worker whose adapter goes away ends at once."""
    worker, recorder = start(IDLE)
    assert worker.wait_ready(20) == Ok()

    worker._process.stdin.close()

    assert recorder.stopped.wait(20)
    assert recorder.events[-1].data["exit_code"] == -9


def test_workers_of_a_server_know_nothing_of_each_other(serve: Callable[[str], ForkServer]) -> None:
    """What is imported is imported once; each worker has its own pipes, its own group and its own end."""
    source = """
import os, sys, time
sys.stdin.readline()
print(imported, os.getpid() == os.getpgrp(), flush=True)
sys.exit(int(sys.stdin.readline()))
"""
    program = "imported = id(object())\n" + SERVER.format(source=source).replace(
        "{}", "{'imported': imported}"
    )
    server = serve(program)
    first, second = server.fork(), server.fork()
    for worker in (first, second):
        worker.stdin.write(b"go\n")
        worker.stdin.flush()
    said = {worker.stdout.readline() for worker in (first, second)}

    second.stdin.write(b"7\n")
    second.stdin.flush()

    assert second.ended.wait(20)
    assert not first.ended.is_set()
    first.send_signal(signal.SIGKILL)
    assert first.ended.wait(20)
    first.close()
    second.close()
    assert (first.exit_code, second.exit_code) == (-9, 7)
    assert len(said) == 1
    assert said.pop().endswith(b" True\n")


def test_server_that_cannot_import_says_so(serve: Callable[[str], ForkServer]) -> None:
    """Whoever wants a worker of a server that ends learns its exit code and its last words, each time."""
    server = serve("import sys; sys.exit('no such module')")

    for _ in range(2):
        with pytest.raises(ForkServerError, match=r"exit code 1 before it could\nno such module"):
            server.fork()


def test_server_refuses_to_fork_beside_threads(serve: Callable[[str], ForkServer]) -> None:
    """A thread that an import has started would be missing in the workers, so there are none."""
    thread = "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
    server = serve(thread + SERVER.format(source="pass"))

    with pytest.raises(ForkServerError, match="cannot fork beside other threads"):
        server.fork()


def test_workers_end_with_their_server(serve: Callable[[str], ForkServer]) -> None:
    """A server that is killed takes its workers along, and their driver learns it."""
    server = serve(SERVER.format(source=IDLE))
    recorder = Recorder()
    worker = WorkerProcess(server.fork(), SCENARIO, SPEC, recorder)
    assert worker.wait_ready(20) == Ok()

    server.close()

    assert recorder.stopped.wait(20)
    assert recorder.events[-1].data["exit_code"] == -9


#: A driver with a worker that waits for its orders, and one that has them; it tells all process ids.
DRIVER = """
import sys
from celeriac.adapters.fork_server import ForkServer
from celeriac.adapters.worker_process import WorkerProcess
from celeriac.conformance.adapter import Scenario, WorkerSpec
server = ForkServer([sys.executable, "-c", {program!r}])
waiting, working = server.fork(), server.fork()
spec = WorkerSpec("w1", "amqp://127.0.0.1:1//", ("q",))
worker = WorkerProcess(working, Scenario("s", "amqp://127.0.0.1:1//", None, "q", {{}}), spec, lambda event: None)
worker.wait_ready(20)
print(server._process.pid, waiting.pid, working.pid, flush=True)
sys.stdin.read()
"""


def test_nothing_survives_a_driver_that_is_killed() -> None:
    """The fork server, a worker without orders and a worker with orders end when their driver is killed."""
    program = DRIVER.format(program=SERVER.format(source=IDLE))
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", program], stdin=pipe, stdout=pipe) as driver:
        assert driver.stdout is not None
        watches = [os.pidfd_open(int(pid)) for pid in driver.stdout.readline().split()]
        driver.kill()

    try:
        gone = [bool(select.select([watch], [], [], 20)[0]) for watch in watches]
    finally:
        for watch in watches:
            os.close(watch)

    assert gone == [True, True, True]
