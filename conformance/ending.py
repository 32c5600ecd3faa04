"""How what a run has started ends: groups of processes, containers and folders.

A process is killed only if its number *and* the moment of its start are those of the entry, so that a number given to
somebody else since then is safe; a folder is removed only if it has our name and belongs to this user.
"""

from __future__ import annotations

import os
import shutil
import signal
import stat
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["PREFIX", "Entry", "Kind", "Swept", "born", "forget", "lives", "sweep"]

Kind = Literal["group", "container", "folder"]

#: How the names of folders begin, and those of containers.
PREFIX = "celeriac-"

#: In which order things end, and what one of them and several are called.
KINDS: Mapping[Kind, tuple[str, str]] = {
    "group": ("process", "processes"),
    "container": ("container", "containers"),
    "folder": ("folder", "folders"),
}

#: Where the system shows the shared memory that has a name.
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - nothing is made there

#: Seconds that a killed process may take to vanish.
_PATIENCE = 5.0
_POLL = 0.005


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that a run has started.

    Attributes:
        kind: what it is.
        name: the number of the process that leads the group, the container's name, or the folder's path.
        born: when that process was started, as the kernel counts it; empty for the others.
    """

    kind: Kind
    name: str
    born: str = ""


@dataclass(frozen=True, slots=True)
class Swept:
    """What became of the entries of runs that have ended.

    Attributes:
        ended: those that were still there, and are not any more.
        kept: those that could not be ended now, each with the reason.
    """

    ended: tuple[Entry, ...] = ()
    kept: tuple[tuple[Entry, str], ...] = ()

    def __str__(self) -> str:
        """Answer a line for whoever starts the next run; empty if there was nothing to do."""
        found = Counter(entry.kind for entry in self.ended)
        counted = [f"{found[kind]} {KINDS[kind][found[kind] > 1]}" for kind in KINDS if found[kind]]
        said = [f"removed what a killed run had left: {', '.join(counted)}"] if counted else []
        said += [
            f"a killed run has left the {KINDS[entry.kind][0]} {entry.name}: {why}"
            for entry, why in self.kept
        ]
        return "; ".join(said)


# -- how each kind ends ---------------------------------------------------------------------------------------------


def sweep(entries: Collection[Entry]) -> Swept:
    """End what is still there of it."""
    ended: list[Entry] = []
    kept: list[tuple[Entry, str]] = []
    for entry in [entry for kind in KINDS for entry in entries if entry.kind == kind]:
        try:
            if _ENDERS[entry.kind](entry):
                ended.append(entry)
        except Exception as error:  # noqa: BLE001 - one that cannot be ended must not keep the others
            kept.append((entry, " ".join(str(error).split())))
    return Swept(tuple(ended), tuple(kept))


def _end_group(entry: Entry) -> bool:
    pid = int(entry.name)
    if born(pid) != entry.born:
        if not born(pid):
            forget(pid)
        return False
    was_there = lives(pid)
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    deadline = time.monotonic() + _PATIENCE
    while born(pid) == entry.born and lives(pid):
        if time.monotonic() > deadline:
            raise TimeoutError(f"it survives SIGKILL by {_PATIENCE:g} s")
        time.sleep(_POLL)
    forget(pid)
    return was_there


def _end_container(entry: Entry) -> bool:
    from celeriac.conformance.providers import engine

    return engine.remove(entry.name)


def _end_folder(entry: Entry) -> bool:
    path = Path(entry.name)
    try:
        about = path.lstat()
    except FileNotFoundError:
        return False
    ours = stat.S_ISDIR(about.st_mode) and about.st_uid == os.getuid()
    if not ours or not path.is_absolute() or not path.name.startswith(PREFIX):
        return False
    shutil.rmtree(path, ignore_errors=True)
    if path.exists():
        raise OSError("it cannot be removed")
    return True


_ENDERS: Mapping[Kind, Callable[[Entry], bool]] = {
    "group": _end_group,
    "container": _end_container,
    "folder": _end_folder,
}


def forget(pid: int) -> None:
    """Remove what libfaketime has named after a process that has ended, and leaves where that was killed."""
    for name in (f"faketime_shm_{pid}", f"sem.faketime_sem_{pid}"):
        path = SHARED_MEMORY / name
        with suppress(OSError):
            if path.lstat().st_uid == os.getuid():
                path.unlink()


def born(pid: int) -> str:
    """Answer when a process was started, in the kernel's ticks since boot; empty if there is none or no /proc."""
    return _stat(pid, 22)


def lives(pid: int) -> bool:
    """Answer whether a process runs; one that has ended and was not waited for does not."""
    return _stat(pid, 3) not in {"", "Z", "X"}


def _stat(pid: int, field: int) -> str:
    """Answer a field of ``/proc/PID/stat``, counted as in proc(5); the name before the third may hold anything."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return ""
    return text.rpartition(")")[2].split()[field - 3]
