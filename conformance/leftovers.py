"""What a run has started, on disk, so that somebody can end it when the run cannot.

Theory of operation
-------------------
Whatever outlives the process that made it, a group of processes, a container or a temporary folder, is *entered* in
the run's register before or at its start, and *struck out* once it is gone.  The register is a file::

    runs/RUN          in the cache folder, for this user only; locked as long as the run's process lives
    ["+", "folder", "/tmp/celeriac-9f2c", ""]          one line per event, written at once, never rewritten
    ["+", "group", "4711", "8125230"]                  a process, and when it was started, in ticks since boot
    ["-", "group", "4711", "8125230"]

Three occasions end what is in it:

* its owner, who then strikes it out (``providers.child``, ``providers.container``);
* the end of the interpreter, for what an interrupted owner has missed;
* ``reap``, at the start of the next run, for runs whose lock is free: the kernel frees it with the process, whatever
  killed that.  A run that lives is left alone, so any number of them may be side by side.

Where there is no ``/proc``, processes are not entered (``ending`` says why).  Where the cache folder cannot be written
to, or files cannot be locked, the register is in memory: only a killed run then leaves something behind.
"""

from __future__ import annotations

import atexit
import json
import os
import secrets
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from celeriac.conformance.ending import PREFIX, Entry, Swept, born, forget, sweep
from celeriac.conformance.environments import cache_folder

__all__ = [
    "LABEL",
    "enter_container",
    "enter_group",
    "private_folder",
    "reap",
    "remove_folder",
    "run_name",
    "scratch_folder",
    "strike_container",
    "strike_group",
]

#: What the label of every container of a run is called; its value is ``run_name()``.
LABEL = "org.celeriac.run"

#: What says that there is no register to keep or to read: no home, no rights, no space, no locks.
_NOT_HERE = (OSError, ImportError, RuntimeError)


# -- for those who start something ----------------------------------------------------------------------------------


def run_name() -> str:
    """Answer a name for this run that no other has; it is also the value of ``LABEL``."""
    return _register().name


def private_folder() -> Path:
    """Make a folder that only this user may enter; ``remove_folder`` ends it."""
    path = Path(tempfile.gettempdir(), f"{PREFIX}{secrets.token_hex(6)}").absolute()
    _register().enter(Entry("folder", str(path)))
    path.mkdir(mode=0o700)
    return path


def remove_folder(path: Path) -> None:
    """Remove a private folder with all that is in it."""
    shutil.rmtree(path, ignore_errors=True)
    _register().strike(Entry("folder", str(path)))


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Give a private folder until the end of the block."""
    path = private_folder()
    try:
        yield path
    finally:
        remove_folder(path)


def enter_group(pid: int) -> None:
    """Enter the group of processes that the child ``pid`` of this process leads."""
    if moment := born(pid):
        _register().enter(Entry("group", str(pid), moment))


def strike_group(pid: int) -> None:
    """Strike out a group that has ended, and whose leader was waited for."""
    forget(pid)
    _register().strike_group(str(pid))


def enter_container() -> str:
    """Answer a name for a container, which is entered."""
    name = f"{PREFIX}{secrets.token_hex(6)}"
    _register().enter(Entry("container", name))
    return name


def strike_container(name: str) -> None:
    """Strike out a container that has been removed."""
    _register().strike(Entry("container", name))


def reap() -> Swept:
    """End what runs have left that do not live any more; those that do are left alone."""
    ended: list[Entry] = []
    kept: list[tuple[Entry, str]] = []
    with suppress(*_NOT_HERE):
        for path in sorted((cache_folder() / "runs").iterdir()):
            swept = _reap(path)
            ended += swept.ended
            kept += swept.kept
    return Swept(tuple(ended), tuple(kept))


# -- the register ---------------------------------------------------------------------------------------------------


class _Register:
    """What this process has started."""

    def __init__(self) -> None:
        self.entries: dict[Entry, None] = {}
        self._lock = threading.RLock()
        self.name = secrets.token_hex(8)
        self._file: int | None = None
        with suppress(*_NOT_HERE):
            self._path = cache_folder() / "runs" / self.name
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = _locked_file(self._path)

    def enter(self, entry: Entry) -> None:
        """Add an entry."""
        with self._lock:
            self.entries[entry] = None
            self._write("+", entry)

    def strike(self, entry: Entry) -> None:
        """Remove an entry, if it is there."""
        with self._lock:
            if entry in self.entries:
                del self.entries[entry]
                self._write("-", entry)

    def strike_group(self, pid: str) -> None:
        """Remove the entry of a group."""
        with self._lock:
            for entry in [entry for entry in self.entries if (entry.kind, entry.name) == ("group", pid)]:
                self.strike(entry)

    def close(self) -> None:
        """End what is still there, and remove the file, unless something could not be ended."""
        if not sweep(self.entries).kept and self._file is not None:
            self._path.unlink(missing_ok=True)
        self.release()

    def release(self) -> None:
        """Close the file; in a forked child this does not free the lock."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _write(self, sign: str, entry: Entry) -> None:
        if self._file is not None:
            with suppress(OSError):  # the disk is full: what follows is known to this process alone
                os.write(self._file, f"{json.dumps([sign, entry.kind, entry.name, entry.born])}\n".encode())


_mine: _Register | None = None
_making = threading.Lock()


def _register() -> _Register:
    global _mine  # noqa: PLW0603 - a process is one run
    with _making:
        if _mine is None:
            _mine = _Register()
        return _mine


@atexit.register
def _close() -> None:
    # Providers are registered after this module was imported, so they have been closed before.
    global _mine
    register, _mine = _mine, None
    if register is not None:
        register.close()


def _forget() -> None:
    """Let a forked child begin a register of its own: what its parent has started is the parent's."""
    global _mine, _making
    register, _mine, _making = _mine, None, threading.Lock()
    if register is not None:
        register.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def _locked_file(path: Path) -> int:
    """Make a file and lock it; answer its descriptor.

    Raises:
        OSError: that is not possible here.
        ImportError: files cannot be locked on this system.
    """
    import fcntl

    while True:
        file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:
            os.close(file)
            path.unlink(missing_ok=True)
            raise
        if os.fstat(file).st_nlink:
            return file
        os.close(file)  # somebody who reaps took it, while it was not locked yet, for that of a dead run


def _reap(path: Path) -> Swept:
    import fcntl

    with suppress(OSError):
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(file).st_nlink and os.fstat(file).st_uid == os.getuid():
                swept = sweep(_read(path.read_text("utf-8", "replace")))
                if not swept.kept:
                    path.unlink()
                return swept
        finally:
            os.close(file)
    return Swept()


def _read(text: str) -> dict[Entry, None]:
    """Answer the entries of a register that were not struck out; a line that is not complete ends it."""
    entries: dict[Entry, None] = {}
    with suppress(ValueError):
        for line in text.splitlines():
            sign, kind, name, born = json.loads(line)
            if sign == "+":
                entries[Entry(kind, name, born)] = None
            else:
                entries.pop(Entry(kind, name, born), None)
    return entries
