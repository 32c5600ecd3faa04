"""The inside of a fork server: a process that has imported an implementation, and becomes a worker as often as asked.

Importing takes most of the time that a worker needs to start, and no orders.  So a driver starts one such process,
which imports once and then waits, without a thread, a connection or an application.  For each worker it forks; the
child gets three pipes as its standard streams, a process group of its own, and goes on as a process that was started
for it would.  The server is the parent, so it is the one who signals its children and learns how they end.

Requests and reports are records of a fixed size on a pair of connected sockets, the server's end of which is its
standard input; a request to fork comes with the child's ends of its three pipes.  When the driver goes away, so does
the server; the workers notice by themselves (``worker_child``).
"""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

__all__ = ["ENDED", "FORKED", "REPORT", "REQUEST", "fork_on_request"]

#: What is asked for: a signal for the group of a child, or, with process id 0, a child.
REQUEST = struct.Struct("=qq")  # process id, number of the signal
#: What is told: which child it is about, what has happened, its exit code as ``subprocess`` has it, epoch seconds.
REPORT = struct.Struct("=qqqd")
FORKED, ENDED = 0, 1

#: Signals that are for the worker alone, which sees to its own pool.
_FOR_THE_LEADER = frozenset({signal.SIGTERM, signal.SIGQUIT, signal.SIGINT})


def fork_on_request(main: Callable[[], Any]) -> Any:
    """Serve until standard input ends; in each process forked, answer what ``main`` answers.

    Raises:
        SystemExit: the driver has gone away.
        RuntimeError: something that was imported has started a thread, which a fork would not copy.
    """
    if threading.active_count() > 1:
        raise RuntimeError(f"cannot fork beside other threads: {threading.enumerate()}")
    with socket.socket(fileno=os.dup(0)) as control:
        _Server(control).serve()
    return main()


class _Server:
    """Forks, signals and buries."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._children: set[int] = set()
        self._woken, self._waker = socket.socketpair()
        self._waker.setblocking(False)

    def serve(self) -> None:
        """Return in each child; in the server itself, never."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._waker.fileno())
        while True:
            ready, _, _ = select.select([self._control, self._woken], [], [])
            if self._woken in ready:
                self._woken.recv(4096)
                self._bury()
            if self._control in ready and self._obey():
                return

    def _obey(self) -> bool:
        """Do what one request asks for; answer whether this is a child now."""
        data, descriptors, _, _ = socket.recv_fds(self._control, REQUEST.size, 3)
        if not data:
            raise SystemExit(0)
        pid, number = REQUEST.unpack(data)
        if pid:
            self._signal(pid, number)
            return False
        return self._fork(descriptors)

    def _signal(self, pid: int, number: int) -> None:
        if pid in self._children:  # and not buried yet, so that the number cannot be anybody else's
            with suppress(ProcessLookupError):
                (os.kill if number in _FOR_THE_LEADER else os.killpg)(pid, number)

    def _fork(self, descriptors: list[int]) -> bool:
        pid = os.fork()
        with suppress(PermissionError, ProcessLookupError):
            os.setpgid(pid, pid)  # on both sides: whoever comes first
        if not pid:
            self._become_a_worker(descriptors)
            return True
        for descriptor in descriptors:
            os.close(descriptor)
        self._children.add(pid)
        self._report(pid, FORKED, 0)
        return False

    def _become_a_worker(self, descriptors: list[int]) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._woken.close()
        self._waker.close()
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
            os.close(descriptor)

    def _bury(self) -> None:
        for pid in tuple(self._children):
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
                continue
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)  # its pool, while the group cannot yet be anybody else's
            _, status = os.waitpid(pid, 0)
            self._children.remove(pid)
            self._report(pid, ENDED, os.waitstatus_to_exitcode(status))

    def _report(self, pid: int, what: int, code: int) -> None:
        with suppress(BrokenPipeError):  # the driver is gone, which the next request would have told
            self._control.sendall(REPORT.pack(pid, what, code, time.time()))
