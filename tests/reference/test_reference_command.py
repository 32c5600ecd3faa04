"""The commands: a worker that obeys signals, one-line errors, a broker that starts without kombu."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from celeriac.reference import App
from celeriac.reference.__main__ import main

HERE = Path(__file__).parent
DEADLINE = 20.0


def appears(path: Path) -> bool:
    """Wait for a file."""
    end = time.monotonic() + DEADLINE
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.01)
    return path.exists()


@contextmanager
def worker(url: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run the command until the end of the block; it is ready when this answers."""
    command = [sys.executable, "-m", "celeriac.reference", "worker", "reference_sample_app:app", *arguments]
    environment = {**os.environ, "SAMPLE_BROKER": url}
    process = subprocess.Popen(command, cwd=HERE, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("ready: "), line
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@pytest.mark.parametrize("flavour", ["embedded", "redis"])
def test_a_worker_finishes_its_task_and_returns_the_rest(
    node_url: Callable[[str], str], tmp_path: Path, flavour: str
) -> None:
    """SIGTERM lets the running task end; what waits goes to the next worker; the exit status is 0."""
    url, queue = node_url(flavour), f"warm-{os.getpid()}"
    running, go, touched = tmp_path / "running", tmp_path / "go", tmp_path / "touched"
    with App("caller", url, task_default_queue=queue) as app:
        with worker(url, "-Q", queue, "-n", "first") as process:
            app.send_task("hold", (str(running), str(go)))
            app.send_task("touch", (str(touched),))
            assert appears(running)
            process.send_signal(signal.SIGTERM)
            go.touch()
            assert process.wait(DEADLINE) == 0
            assert (tmp_path / "running.done").exists()
            assert not touched.exists()
        with worker(url, "-Q", queue) as process:
            assert appears(touched)
            process.send_signal(signal.SIGINT)
            assert process.wait(DEADLINE) == 0


@pytest.mark.parametrize("signals", [[signal.SIGQUIT], [signal.SIGTERM, signal.SIGINT]], ids=str)
def test_a_cold_stop_does_not_wait(
    node_url: Callable[[str], str], tmp_path: Path, signals: list[signal.Signals]
) -> None:
    """SIGQUIT, or a second signal, ends the running task."""
    url, queue = node_url("embedded"), f"cold-{os.getpid()}-{len(signals)}"
    running = tmp_path / "running"
    with (
        worker(url, "-Q", queue, "--prefetch", "1") as process,
        App("caller", url, task_default_queue=queue) as app,
    ):
        app.send_task("hold", (str(running), str(tmp_path / "never")))
        assert appears(running)
        for number in signals:
            process.send_signal(number)
        assert process.wait(DEADLINE) == 0
    assert not (tmp_path / "running.done").exists()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["worker", "no_such_module_at_all"], "give APP as module:attribute"),
        (["worker", "reference_sample_app:ap"], "did you mean app?"),
        (["worker", "json"], "module json has 0 applications"),
        (["worker", "x", "--prefetch", "-1"], "less than 0"),
        (["worker", "x", "-l", "loud"], "invalid choice"),
        (["worker"], "APP"),
        (["wrker"], "wrker"),
        ([], "worker | broker"),
    ],
    ids=str,
)
def test_a_command_line_that_makes_no_sense_is_one_line_and_exit_4(
    arguments: list[str], text: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line says what is wrong and what to do."""
    monkeypatch.chdir(HERE)
    monkeypatch.syspath_prepend(HERE)
    try:
        status: object = main(arguments)
    except SystemExit as exit_:
        status = exit_.code
    captured = capsys.readouterr()
    assert (status, captured.err.count("\n")) == (4, 1)
    assert text in captured.err


def test_the_broker_starts_without_the_client_libraries() -> None:
    """What makes start-up slow is imported only by those who need it."""
    script = (
        "import sys, celeriac.reference, celeriac.reference.__main__ as m\n"
        "import celeriac.reference.broker.serve\n"
        "print(sorted(set(sys.modules) & {'kombu', 'amqp', 'redis', 'jsonschema', 'hypothesis'}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
