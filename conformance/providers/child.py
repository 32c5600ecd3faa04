"""A server as a child process: a private folder, a process group of its own, and nothing left behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from celeriac.conformance.providers.base import Unavailable

__all__ = ["Child", "free_port", "private_folder"]

#: Seconds for a polite end, and lines of a log worth showing.
GRACE = 15.0
TAIL = 20

HOST = "127.0.0.1"


def free_port() -> int:
    """Answer a port of loopback that nobody listens on; the kernel chooses."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


def private_folder() -> Path:
    """Make a folder that only this user may enter."""
    return Path(tempfile.mkdtemp(prefix="celeriac-"))


class Child:
    """A running server.

    Args:
        command: what to run.
        folder: its working directory and its log; removed by ``stop``.
        env: variables beside those of this process.
    """

    def __init__(self, command: Sequence[str], folder: Path, env: Mapping[str, str] | None = None) -> None:
        self.command = command
        self.folder = folder
        self._log = folder / "output.log"
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id, which is also that of the group."""
        return self._process.pid

    def pause(self, seconds: float) -> None:
        """Wait, but not for somebody who is gone.

        Raises:
            Unavailable: the server has ended; with the end of its log.
        """
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self._process.wait(seconds)
            name = Path(self.command[0]).name
            raise Unavailable(
                f"{name} ended with exit status {code} while starting; its log ends:\n{self.log()}"
            )

    def log(self) -> str:
        """Answer the last lines of what the server printed."""
        lines = self._log.read_text("utf-8", "replace").splitlines() if self._log.exists() else []
        return "\n".join(lines[-TAIL:])

    def stop(self) -> None:
        """End the whole group, politely first, and remove the folder."""
        for number, patience in ((signal.SIGTERM, GRACE), (signal.SIGKILL, GRACE)):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(patience)
                break
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)  # what the leader left behind
        shutil.rmtree(self.folder, ignore_errors=True)
