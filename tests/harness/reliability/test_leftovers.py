"""The register: what a process has started is ended by itself, by the end of the interpreter, or by the next run."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Self

import pytest

from celeriac.conformance import ending, leftovers
from celeriac.conformance.ending import Entry, Swept, born, lives
from celeriac.conformance.environments import VARIABLE
from celeriac.conformance.leftovers import private_folder, reap, remove_folder
from celeriac.conformance.providers import engine
from celeriac.conformance.providers.base import Unavailable

#: Starts a program of its own that minds nothing, enters it and a folder, says so, and waits.
OWNER = """
import subprocess, sys
from celeriac.conformance import leftovers
folder = leftovers.private_folder()
(folder / "deep").mkdir()
program = "import time; time.sleep(3600)"
child = subprocess.Popen([sys.executable, "-c", program], start_new_session=True, stdout=subprocess.DEVNULL)
leftovers.enter_group(child.pid)
print(folder, child.pid, flush=True)
sys.stdin.read()
"""

#: Ends while what it has entered is still there.
FORGETFUL = OWNER.replace("sys.stdin.read()", "child.returncode = 0")

#: Has a folder, and a child that has one, too, ends what it has, and looks for its parent's.
FORKING = """
import os
from celeriac.conformance import leftovers
folder = leftovers.private_folder()
child = os.fork()
if not child:
    other = leftovers.private_folder()
    leftovers._close()
    os._exit(0 if folder.exists() and not other.exists() else 1)
assert os.waitpid(child, 0)[1] == 0
assert not leftovers.reap().ended
assert folder.exists()
"""


class Owner:
    """A process with a register of its own."""

    def __init__(self, program: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        folder, pid = stream(self.process.stdout).readline().split()
        self.folder, self.pid = Path(folder), int(pid)
        self.watch = os.pidfd_open(self.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.watch, signal.SIGKILL)
        os.close(self.watch)

    def kill(self) -> None:
        """Kill it, and only it."""
        self.process.kill()
        self.process.communicate()


def stream(pipe: IO[str] | None) -> IO[str]:
    """Answer a stream that is there."""
    assert pipe is not None
    return pipe


def runs(tmp_path: Path) -> list[Path]:
    """Answer the registers that there are."""
    folder = tmp_path / "cache" / "runs"
    return sorted(folder.iterdir()) if folder.exists() else []


def write(tmp_path: Path, *entries: Entry, end: str = "\n") -> Path:
    """Write the register of a run that is dead."""
    path = tmp_path / "cache" / "runs" / "dead"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lines = [json.dumps(["+", entry.kind, entry.name, entry.born]) for entry in entries]
    path.write_text("\n".join(lines) + end)
    return path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep the registers of a test, and that of this process, in a folder of the test's."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(leftovers, "_mine", None)
    yield
    register = leftovers._mine
    if register is not None:
        register.close()


@pytest.fixture
def owner() -> Iterator[Callable[[str], Owner]]:
    """Start owners, which are killed at the end of the test."""
    with ExitStack() as stack:
        yield lambda program: stack.enter_context(Owner(program))


# -- the three occasions ----------------------------------------------------------------------------------------


def test_what_is_struck_out_is_forgotten(tmp_path: Path) -> None:
    """A folder is for this user alone; once it is removed, the register is empty, and goes with its process."""
    folder = private_folder()
    assert folder.stat().st_mode & 0o777 == 0o700
    (register,) = runs(tmp_path)
    assert register.stat().st_mode & 0o777 == 0o600
    assert register.parent.stat().st_mode & 0o777 == 0o700
    (folder / "file").touch()
    remove_folder(folder)
    assert not folder.exists()
    assert [json.loads(line)[0] for line in register.read_text().splitlines()] == ["+", "-"]
    leftovers._close()
    assert runs(tmp_path) == []


def test_the_end_of_the_interpreter_sweeps(owner: Callable[[str], Owner], tmp_path: Path) -> None:
    """What nobody has ended is ended with the interpreter, and its register is removed."""
    forgetful = owner(FORGETFUL)
    forgetful.process.communicate()
    assert forgetful.process.returncode == 0
    assert not lives(forgetful.pid)
    assert not forgetful.folder.exists()
    assert runs(tmp_path) == []


def test_the_next_run_reaps(owner: Callable[[str], Owner], tmp_path: Path) -> None:
    """What a killed process has left is ended and told in a line; a second look finds nothing."""
    killed = owner(OWNER)
    killed.kill()
    assert lives(killed.pid)
    assert str(reap()) == "removed what a killed run had left: 1 process, 1 folder"
    assert not lives(killed.pid)
    assert not killed.folder.exists()
    assert runs(tmp_path) == []
    assert reap() == Swept()
    assert str(Swept()) == ""


def test_who_lives_is_left_alone(owner: Callable[[str], Owner]) -> None:
    """Neither another run that lives nor this process itself is reaped."""
    other, folder = owner(OWNER), private_folder()
    assert reap() == Swept()
    assert lives(other.pid)
    assert other.folder.exists()
    assert folder.exists()


@pytest.mark.parametrize("how", ["struck out", "reaped", "gone"])
def test_shared_memory_goes_with_its_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: Callable[[str], Owner], how: str
) -> None:
    """What libfaketime has named after a process is removed when that has ended, whoever notices; others' stays."""
    monkeypatch.setattr(ending, "SHARED_MEMORY", tmp_path)
    killed = owner(OWNER)
    names = [f"faketime_shm_{killed.pid}", f"sem.faketime_sem_{killed.pid}", f"faketime_shm_{os.getpid()}"]
    for name in names:
        (tmp_path / name).touch()
    killed.kill()
    if how != "reaped":
        signal.pidfd_send_signal(killed.watch, signal.SIGKILL)
        select.select([killed.watch], [], [])
    if how == "struck out":
        leftovers.strike_group(killed.pid)
    else:
        reap()
    assert [(tmp_path / name).exists() for name in names] == [False, False, True]


# -- what must not be touched -----------------------------------------------------------------------------------


def test_a_number_that_is_somebody_elses_is_not_killed(tmp_path: Path, owner: Callable[[str], Owner]) -> None:
    """A process with the number that was entered, started at another moment, lives on."""
    other = owner(OWNER)
    write(tmp_path, Entry("group", str(other.pid), str(int(born(other.pid)) - 1)))
    assert reap() == Swept()
    assert lives(other.pid)


@pytest.mark.parametrize("name", ["valuable", "celeriac-link", "celeriac-file", "celeriac-none"])
def test_a_folder_that_is_not_ours_stays(tmp_path: Path, name: str) -> None:
    """A folder without our name, a link and a file stay, whatever a register says; one that is gone is no error."""
    valuable = tmp_path / "valuable"
    valuable.mkdir()
    (tmp_path / "celeriac-link").symlink_to(valuable)
    (tmp_path / "celeriac-file").touch()
    before = sorted(tmp_path.iterdir())
    register = write(tmp_path, Entry("folder", str(tmp_path / name)))
    assert reap() == Swept()
    assert not register.exists()
    assert sorted(path for path in tmp_path.iterdir() if path.name != "cache") == before


@pytest.mark.parametrize("end", ["", '\n["+", "fol', "\nnonsense", "\n[]", '\n["+", "planet", "x", ""]\n'])
def test_a_register_that_breaks_off_is_read_as_far_as_it_goes(tmp_path: Path, end: str) -> None:
    """A last line that is incomplete or senseless does not keep what stands before it."""
    folder = tmp_path / "celeriac-here"
    folder.mkdir()
    write(tmp_path, Entry("folder", str(folder)), end=end)
    assert [entry.name for entry in reap().ended] == [str(folder)]
    assert not folder.exists()


def test_a_forked_child_is_another_run(tmp_path: Path) -> None:
    """A child that is forked has a register of its own, and its end leaves alone what the parent has started."""
    done = subprocess.run([sys.executable, "-c", FORKING], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert runs(tmp_path) == []


# -- where it cannot do its work --------------------------------------------------------------------------------


def test_without_a_place_for_registers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the cache folder cannot be written to, everything works but reaping."""
    (tmp_path / "file").touch()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "file"))
    folder = private_folder()
    assert reap() == Swept()
    leftovers._close()
    assert not folder.exists()


def test_without_proc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, owner: Callable[[str], Owner]) -> None:
    """Where the kernel does not tell when a process was started, none is entered, and none is killed."""
    other = owner(OWNER)
    monkeypatch.setattr(ending, "_stat", lambda pid, field: "")
    leftovers.enter_group(other.pid)
    leftovers.strike_group(other.pid)
    assert leftovers._register().entries == {}
    write(tmp_path, Entry("group", str(other.pid), "1"))
    assert reap() == Swept()


def test_what_cannot_be_ended_now_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container of an engine that does not answer stays in the register, is told, and is removed another time."""

    def silent(name: str) -> bool:
        raise Unavailable("no container engine\nanswers")

    folder = tmp_path / "celeriac-here"
    folder.mkdir()
    register = write(tmp_path, Entry("folder", str(folder)), Entry("container", "celeriac-12ab"))
    monkeypatch.setattr(engine, "remove", silent)
    assert str(reap()) == (
        "removed what a killed run had left: 1 folder; "
        "a killed run has left the container celeriac-12ab: no container engine answers"
    )
    assert register.exists()
    monkeypatch.setattr(engine, "remove", lambda name: True)
    assert str(reap()) == "removed what a killed run had left: 1 container"
    assert not register.exists()


def test_several_are_counted() -> None:
    """The line for whoever starts the next run counts what was found, kind by kind."""
    ended = [Entry("folder", "a"), Entry("folder", "b"), Entry("group", "1", "2"), Entry("group", "3", "4")]
    assert str(Swept(tuple(ended))) == "removed what a killed run had left: 2 processes, 2 folders"
