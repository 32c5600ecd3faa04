"""One adapter process and its three pipes.

The process leads a group of its own, so that whatever it starts ends with it.  Complete lines of its output go to
``on_line`` in the order in which they were written, from one reader thread; the end of the output, or a line beyond
the limit, goes to ``on_fault`` once.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from celeriac.conformance import leftovers
from celeriac.conformance.envelopes import LINE_LIMIT

__all__ = ["Child", "TooSlowError"]

#: How much of what the process wrote to standard error is kept, in bytes.
STDERR_TAIL = 64 * 1024

_CHUNK = 64 * 1024
_POLL = 0.01  # seconds between two looks at a process that is about to exit
_GRACE = 1.0  # seconds a process that closed its output has to exit by itself


class TooSlowError(TimeoutError):
    """The process did not take a request in time."""


class Child:
    """A started process.

    Args:
        command: the program and its arguments.
        env: variables on top of this process' own.
        on_line: called with each line, without its newline.
        on_fault: called once with a sentence that says why no more lines will come.

    Raises:
        OSError: the program cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        on_line: Callable[[bytes], None],
        on_fault: Callable[[str], None],
    ) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            bufsize=0,
            env={**os.environ, **env},
            start_new_session=True,
        )
        leftovers.enter_group(self._process.pid)  # it should end with its input, but who knows the program
        self._on_line = on_line
        self._on_fault = on_fault
        self._tail = bytearray()
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._read, self._read_stderr)]
        os.set_blocking(self._input, False)
        for thread in self._threads:
            thread.start()

    @property
    def exit_code(self) -> int | None:
        """The exit code once the process has been ended, negative for a signal."""
        return self._process.returncode

    @property
    def stderr(self) -> str:
        """The last of what the process wrote to standard error."""
        return bytes(self._tail).decode("utf-8", "replace")

    def send(self, line: bytes, deadline: float) -> None:
        """Write a line before the ``time.monotonic()`` moment ``deadline``.

        Raises:
            TooSlowError: the process does not read its input.
            BrokenPipeError: the process has closed its input.
        """
        rest = memoryview(line)
        poll = select.poll()
        poll.register(self._input, select.POLLOUT)
        while rest:
            if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise TooSlowError("the process does not read its input")
            with suppress(BlockingIOError):
                rest = rest[os.write(self._input, rest) :]

    def end(self, grace: float = _GRACE) -> None:
        """Close the input, wait ``grace`` seconds, then kill the process and everything it started."""
        if self._process.returncode is not None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._await_exit(grace)
        self._kill()

    def _kill(self) -> None:
        """Kill the group; the exit code of a process that had ended by itself is kept."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        leftovers.strike_group(self._process.pid)
        self._release()

    def _release(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        for thread, stream in zip(self._threads, (self._process.stdout, self._process.stderr), strict=True):
            thread.join(_GRACE)
            if stream is not None and not thread.is_alive():
                stream.close()

    @property
    def _input(self) -> int:
        assert self._process.stdin is not None
        return self._process.stdin.fileno()

    def _await_exit(self, grace: float) -> None:
        """Leave the process unreaped, so that its group cannot become somebody else's."""
        deadline = time.monotonic() + grace
        look = os.WEXITED | os.WNOWAIT | os.WNOHANG
        while not os.waitid(os.P_PID, self._process.pid, look) and time.monotonic() < deadline:
            time.sleep(_POLL)

    def _read(self) -> None:
        assert self._process.stdout is not None
        pending = bytearray()
        while chunk := os.read(self._process.stdout.fileno(), _CHUNK):
            pending += chunk
            if b"\n" in chunk:
                *lines, last = pending.split(b"\n")
                pending = last
                for line in lines:
                    self._on_line(bytes(line))
            if len(pending) > LINE_LIMIT:
                self._on_fault(f"the process wrote a line of more than {LINE_LIMIT} bytes")
                return
        self._on_fault("the process ended or closed its output" + _unfinished(pending))

    def _read_stderr(self) -> None:
        assert self._process.stderr is not None
        while chunk := os.read(self._process.stderr.fileno(), _CHUNK):
            self._tail += chunk
            del self._tail[:-STDERR_TAIL]


def _unfinished(pending: bytearray) -> str:
    return f", in the middle of the line {bytes(pending[:200])!r}" if pending else ""
