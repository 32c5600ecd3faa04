"""Worker processes that adapters start."""

from __future__ import annotations

import sys
import threading
from typing import Any

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


def _start(source: str) -> tuple[WorkerProcess, Recorder]:
    recorder = Recorder()
    return WorkerProcess([sys.executable, "-c", source], SCENARIO, SPEC, recorder), recorder


def test_worker_gets_its_orders_and_reports() -> None:
    """A worker is told its scenario and its settings, and its events are passed on; chatter is not."""
    worker, recorder = _start(IDLE)

    assert worker.wait_ready(20) == Ok()
    assert worker.stop("warm", 20) == Ok({"exit_code": 0})
    assert [event.kind for event in recorder.events] == ["ready", "stopped"]
    assert recorder.events[0].data["told"] == [{"task_serializer": "json"}, {"a": b"b"}]
    assert recorder.events[1].data == {"worker": "w1", "exit_code": 0}
    assert "chatter" in worker.log


def test_ways_to_stop_are_signals() -> None:
    """A cold stop is SIGQUIT, a kill is SIGKILL."""
    cold, _ = _start(IDLE)
    killed, _ = _start(IDLE)

    assert cold.wait_ready(20) == Ok()
    assert killed.wait_ready(20) == Ok()
    assert cold.stop("cold", 20) == Ok({"exit_code": 3})
    assert killed.stop("kill", 20) == Ok({"exit_code": -9})


def test_pool_of_a_worker_ends_with_it() -> None:
    """Processes that a worker leaves behind are ended, so that its end can be reported."""
    deaf_child = "import os\nif os.fork() == 0:\n    signal.signal(15, signal.SIG_IGN)\n"
    forking = IDLE.replace("while True:", deaf_child + "while True:")
    worker, recorder = _start(forking)
    assert worker.wait_ready(20) == Ok()

    assert worker.stop("warm", 20) == Ok({"exit_code": 0})
    assert recorder.stopped.wait(20)


def test_worker_that_does_not_stop_is_killed() -> None:
    """A worker that ignores a request to stop is killed after a while, which the answer says."""
    worker, recorder = _start(STUBBORN)
    assert worker.wait_ready(20) == Ok()

    answer = worker.stop("warm", 0.3)

    assert isinstance(answer, Raised)
    assert answer.category == "timeout"
    assert recorder.stopped.wait(20)


def test_worker_that_dies_early_is_described() -> None:
    """A worker that ends before it is ready is answered with its exit code and its last words."""
    worker, recorder = _start("import sys; sys.exit('no such setting')")

    answer = worker.wait_ready(20)

    assert isinstance(answer, Raised)
    assert "exit code 1 before it consumed" in answer.text
    assert "no such setting" in answer.text
    assert recorder.events[-1].data["log"] == "no such setting"


def test_worker_that_is_never_ready_is_killed() -> None:
    """A worker that does not consume in time is ended, and the answer is a timeout."""
    worker, recorder = _start("import time; time.sleep(3600)")

    answer = worker.wait_ready(0.2)

    assert isinstance(answer, Raised)
    assert answer.category == "timeout"
    assert recorder.stopped.wait(20)


def test_worker_that_writes_nonsense_is_killed() -> None:
    """A line that is no event ends the worker, and is shown."""
    worker, _ = _start("import os, time; os.write(1, b'nonsense\\n'); time.sleep(3600)")

    answer: Any = worker.wait_ready(20)

    assert isinstance(answer, Raised)
    assert "nonsense" in answer.text


def test_orphaned_worker_ends_itself() -> None:
    """A worker whose adapter goes away ends at once."""
    worker, recorder = _start(IDLE)
    assert worker.wait_ready(20) == Ok()

    worker._stdin.close()

    assert recorder.stopped.wait(20)
    assert recorder.events[-1].data["exit_code"] == -9
