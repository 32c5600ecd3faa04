"""However a run ends, nothing of it is left, once the next one has started; and nobody else is disturbed by it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

#: 127.0.0.1 and ::1 in the kernel's notation, the latter also as it maps the former.
LOOPBACK = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}
LISTENING = "0A"

Options = Callable[..., list[str]]

BROKERS = [("redis", "process"), ("rabbitmq", "process"), ("embedded", "thread")]


def listening(pids: list[int]) -> Iterator[tuple[str, int]]:
    """Answer address and port of everything at which one of these processes listens."""
    inodes: set[str] = set()
    for pid in pids:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            try:
                inodes.add(str(descriptor.readlink())[8:-1])
            except OSError:
                continue
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for row in map(str.split, Path(table).read_text().splitlines()[1:]):
            if row[3] == LISTENING and row[9] in inodes:
                address, _, port = row[1].partition(":")
                yield address, int(port, 16)


def listeners_of(run: Any) -> list[tuple[str, int]]:
    """Answer where the processes of a run listen while it is in the middle."""
    watch = run.reach_the_middle()
    watch.close()
    return list(listening([run.process.pid, *watch.pids]))


@pytest.mark.parametrize(("word", "status"), [("pass", 0), ("fail", 1)])
def test_a_run_that_reaches_its_end(place: Any, options_for: Options, word: str, status: int) -> None:
    """A run whose checks pass, and one of which a check fails, leave neither process nor folder nor register."""
    run = place.start(*options_for("redis", "process"))
    watch = run.reach_the_middle()
    run.go_on(word)
    code, text = run.end()
    assert code == status, text
    assert len(watch.pids) >= 4
    assert watch.ended()
    assert place.leftovers() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_is_interrupted(place: Any, options_for: Options, number: signal.Signals) -> None:
    """Ctrl-C, a request to terminate and a closed terminal end everything; the report is written."""
    run = place.start(*options_for("redis", "process"))
    watch = run.reach_the_middle()
    run.interrupt(number)
    code, text = run.end()
    assert code == pytest.ExitCode.INTERRUPTED, text
    assert (run.report / "results.json").exists()
    assert watch.ended()
    assert place.leftovers() == []


@pytest.mark.parametrize(
    ("flavour", "source", "time"),
    [*((*broker, "wall") for broker in BROKERS), ("redis", "process", "travel")],
)
def test_a_run_that_is_killed(place: Any, options_for: Options, flavour: str, source: str, time: str) -> None:
    """SIGKILL ends workers and servers with the run; folders and register are removed by the next, which says so."""
    run = place.start(*options_for(flavour, source, time))
    watch = run.reach_the_middle()
    run.interrupt(signal.SIGKILL)
    run.end()
    assert watch.ended()
    folders = any(name.startswith("celeriac-") for name in place.leftovers())
    assert folders or flavour == "embedded"

    after = place.start("--requirement=BAS-001")
    code, text = after.end()

    assert code == 0, text
    assert ("removed what a killed run had left: " in text) == folders, text
    assert place.leftovers() == []


def test_a_run_that_is_killed_while_its_broker_starts(place: Any, options_for: Options) -> None:
    """A node of RabbitMQ that does not serve yet ends as well."""
    run = place.start(*options_for("rabbitmq", "process"))
    watch = run.reach_the_start_of("beam")
    run.interrupt(signal.SIGKILL)
    run.end()
    assert watch.ended()


def test_two_runs_side_by_side(place: Any, options_for: Options) -> None:
    """A run that starts, passes and ends while another one is in the middle neither sees nor disturbs it."""
    options = options_for("redis", "process")
    first = place.start(*options)
    first.reach_the_middle()
    of_the_first = place.leftovers()
    second = place.start(*options)
    second.reach_the_middle()
    second.go_on()
    code, text = second.end()
    assert code == 0, text
    assert "removed" not in text
    assert place.leftovers() == of_the_first

    first.go_on()
    code, text = first.end()

    assert code == 0, text
    assert place.leftovers() == []


@pytest.mark.parametrize(("flavour", "source"), BROKERS)
def test_everything_listens_on_loopback(place: Any, options_for: Options, flavour: str, source: str) -> None:
    """Brokers, taps and workers listen on loopback only, at ports that no other run has."""
    runs = [place.start(*options_for(flavour, source)) for _ in range(2)]
    found = [listeners_of(run) for run in runs]
    ports = [{port for _, port in listeners} for listeners in found]
    assert {address for listeners in found for address, _ in listeners} <= LOOPBACK
    assert all(len(some) >= 2 for some in ports)
    assert ports[0].isdisjoint(ports[1])


def test_containers_of_a_run_that_is_killed(place: Any, options_for: Options) -> None:
    """The containers of a killed run are known by their label, and removed by the next run."""
    options = options_for("redis", "container")
    docker = pytest.importorskip("docker")
    run = place.start(*options)
    run.reach_the_middle().close()
    (name,) = (path.name for path in (place.cache / "runs").iterdir() if '"container"' in path.read_text())
    client = docker.from_env()
    try:
        chosen = {"all": True, "filters": {"label": f"org.celeriac.run={name}"}}
        assert len(client.containers.list(**chosen)) == 1
        run.interrupt(signal.SIGKILL)
        run.end()
        assert len(client.containers.list(**chosen)) == 1

        code, text = place.start("--requirement=BAS-001").end()

        assert code == 0, text
        assert "1 container" in text
        assert client.containers.list(**chosen) == []
        assert place.leftovers() == []
    finally:
        client.close()
