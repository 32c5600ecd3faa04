"""A fork server and its workers, as their driver sees them; ``forking`` is the other end."""

from __future__ import annotations

import os
import queue
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO

from celeriac.adapters.forking import FORKED, REPORT, REQUEST
from celeriac.conformance import leftovers

__all__ = ["ForkServer", "ForkServerError", "Forked"]

_PATIENCE = 20.0  # seconds that importing an implementation may take
_LOG = 2000  # bytes of the server's standard error that an error shows

Streams = tuple[IO[bytes], IO[bytes], IO[bytes]]


class ForkServerError(Exception):
    """There is no worker; the text says what became of the server."""


class Forked:
    """A process that a server has forked.

    Attributes:
        pid: its process id, which is also that of its group.
        stdin: what it reads.
        stdout: what it writes.
        stderr: what it complains of.
        ended: set once it has ended.
        exit_code: its exit code then, negative for a signal.
        ended_at: the moment, in epoch seconds.
    """

    def __init__(self, server: ForkServer, pid: int, streams: Streams) -> None:
        self.pid = pid
        self.stdin, self.stdout, self.stderr = streams
        self.ended = threading.Event()
        self.exit_code = 0
        self.ended_at = 0.0
        self._server = server

    def send_signal(self, number: signal.Signals) -> None:
        """Signal the process, with SIGKILL its whole group; one that has ended does not mind."""
        if not self.ended.is_set():
            self._server.request(self.pid, number)

    def close(self) -> None:
        """Close the three streams."""
        for stream in (self.stdin, self.stdout, self.stderr):
            with suppress(BrokenPipeError):
                stream.close()

    def bury(self, code: int, moment: float) -> None:
        """Take note of its end."""
        self.exit_code, self.ended_at = code, moment
        self.ended.set()


class ForkServer:
    """Starts a fork server when the first worker is wanted, and has it fork each.

    Args:
        command: a program that calls ``forking.fork_on_request``.
        env: variables on top of this process' own.
    """

    def __init__(self, command: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        self._command = tuple(command)
        self._env = dict(env or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._workers: dict[int, Forked] = {}
        self._forked: queue.SimpleQueue[Forked | None] = queue.SimpleQueue()

    def fork(self) -> Forked:
        """Answer a new process, which waits for its ``worker_child.orders``.

        Raises:
            ForkServerError: the server has ended, or does not answer.
        """
        if self._process is None:
            self._launch()
        theirs, self._streams = _pipes()
        self.request(0, 0, theirs)
        for descriptor in theirs:
            os.close(descriptor)
        with suppress(queue.Empty):
            forked = self._forked.get(timeout=_PATIENCE)
            if forked is not None:
                return forked
        for stream in self._streams:
            stream.close()
        raise ForkServerError(self._give_up())

    def request(self, pid: int, number: int, descriptors: Sequence[int] = ()) -> None:
        """Send a request; see ``forking.REQUEST``.  A server that has gone is noticed by whoever reads."""
        with suppress(OSError):
            socket.send_fds(self._control, [REQUEST.pack(pid, number)], list(descriptors))

    def close(self) -> None:
        """End the server, and the workers that it still has."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        leftovers.strike_group(self._process.pid)
        self._reader.join()
        self._control.close()
        self._log.close()
        self._process = None

    def _launch(self) -> None:
        self._control, theirs = socket.socketpair()
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the server lives
        with theirs:
            self._process = subprocess.Popen(
                self._command,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=self._log,
                env={**os.environ, **self._env},
                start_new_session=True,
            )
        leftovers.enter_group(self._process.pid)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with self._control.makefile("rb") as reports, suppress(OSError):
            while len(report := reports.read(REPORT.size)) == REPORT.size:
                pid, what, code, moment = REPORT.unpack(report)
                if what == FORKED:
                    self._workers[pid] = Forked(self, pid, self._streams)
                    self._forked.put(self._workers[pid])
                else:
                    self._workers.pop(pid).bury(code, moment)
        self._bury_all()
        self._forked.put(None)

    def _bury_all(self) -> None:
        """End the workers of a server that has gone; nobody will tell how they ended."""
        while self._workers:
            pid, worker = self._workers.popitem()
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            worker.bury(-signal.SIGKILL, time.time())

    def _give_up(self) -> str:
        """End a server that forks nobody, and answer what can be said of it."""
        assert self._process is not None
        self._process.kill()
        code = self._process.wait()
        self._log.seek(max(0, self._log.seek(0, os.SEEK_END) - _LOG))
        said = self._log.read().decode("utf-8", "replace").strip()
        self.close()
        self._forked = queue.SimpleQueue()
        return f"the server that forks workers ended with exit code {code} before it could\n{said}"


def _pipes() -> tuple[list[int], Streams]:
    """Answer the three ends for a child's standard streams, and the other ends as files."""
    (stdin, into), (out, stdout), (err, stderr) = (os.pipe() for _ in range(3))
    return [stdin, stdout, stderr], (os.fdopen(into, "wb"), os.fdopen(out, "rb"), os.fdopen(err, "rb"))
