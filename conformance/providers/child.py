"""A server as a child process: a private folder, a process group of its own, and nothing left behind.

It holds one end of a pipe, and its group is killed as soon as the other end is closed, which the kernel does for a
harness that was killed.  ``leftovers`` knows of its folder, and of the group, too, should that have failed.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

from celeriac.conformance import leftovers
from celeriac.conformance.leftovers import private_folder
from celeriac.conformance.providers.base import Unavailable

__all__ = ["Child", "free_port", "private_folder"]

#: Seconds for a polite end, and lines of a log worth showing.
GRACE = 15.0
TAIL = 20

HOST = "127.0.0.1"


#: Becomes its arguments, and leaves somebody in their group who kills it when standard input ends.
TETHER = 'exec 3<&0 </dev/null; (read -r _ <&3; kill -KILL 0) & exec 3<&-; exec "$@"'

#: How many ports that were handed out are kept from others at the same time.
KEPT = 64

_keepers: deque[socket.socket] = deque()


def free_port() -> int:
    """Answer a port of loopback that nobody listens on; the kernel chooses.

    On Linux nobody else is given it before a server listens there, not even another run: a bound socket that does not
    listen keeps it, and lets in only servers that ask for this very port, as all of them do that set ``SO_REUSEADDR``.
    """
    keeper = socket.socket()
    if sys.platform == "linux":
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    keeper.bind((HOST, 0))
    port: int = keeper.getsockname()[1]
    _keepers.append(keeper)
    _let_go(KEPT if sys.platform == "linux" else 0)
    return port


def _let_go(number: int) -> None:
    while len(_keepers) > number:
        _keepers.popleft().close()


atexit.register(_let_go, 0)


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
                ["/bin/sh", "-c", TETHER, "sh", *command],
                cwd=folder,
                env={**os.environ, **(env or {})},
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        leftovers.enter_group(self.pid)

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
        assert self._process.stdin is not None
        self._process.stdin.close()
        leftovers.strike_group(self.pid)
        leftovers.remove_folder(self.folder)
