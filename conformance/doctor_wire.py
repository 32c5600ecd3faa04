"""One process of an adapter, spoken to line by line: what it answers, and whether it says nothing else.

``process.py`` holds this conversation for the checks and knows only requests that exist.  The doctor also asks for
something that does not, and wants to show every line as it was.
"""

from __future__ import annotations

import queue
import shlex
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from celeriac.conformance import envelopes
from celeriac.conformance.child import Child, TooSlowError
from celeriac.conformance.envelopes import ProtocolError

__all__ = ["Wire", "WireError"]

#: Seconds that a process may take to end after its input.
GRACE = 5.0


class WireError(Exception):
    """The process does not answer as it should.

    Attributes:
        got: the line that it wrote instead, empty when there is none.
    """

    def __init__(self, text: str, got: str = "") -> None:
        super().__init__(text)
        self.got = got


class Wire:
    """A process and what it writes.

    Args:
        command: the program and its arguments.
        env: variables on top of this process' own.

    Raises:
        WireError: it cannot be started.
    """

    def __init__(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        self._said: queue.SimpleQueue[bytes | str] = queue.SimpleQueue()
        try:
            self._child = Child(command, env, self._said.put, self._said.put)
        except OSError as error:
            raise WireError(f"The command cannot be started: {shlex.join(command)}: {error}") from None

    def ask(self, request: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """Send a request and answer the message that answers it, within ``seconds``.

        Raises:
            WireError: it ended, said nothing, or something that is no answer to this request.
        """
        deadline = time.monotonic() + seconds
        try:
            with suppress(BrokenPipeError):  # what it said last is in the queue
                self._child.send(envelopes.line(request), deadline)
        except TooSlowError as error:
            raise WireError(f"Within {seconds:g} s {error}.") from None
        while "ev" in (message := self._next(deadline, seconds)):
            pass
        if message.get("id") != request["id"]:
            raise WireError(
                f"It answered with the id {message.get('id')!r}; asked was {request['id']}, once, and every request "
                "gets one answer with its own id.",
                envelopes.line(message).decode().rstrip(),
            )
        return message

    def end(self) -> bool:
        """Close its input and answer whether it ended by itself; it is killed if it does not."""
        self._child.end(GRACE)
        return self._child.exit_code != -9

    def _next(self, deadline: float, seconds: float) -> dict[str, Any]:
        try:
            said = self._said.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise WireError(f"It has said nothing for {seconds:g} s.{self._told()}") from None
        if isinstance(said, str):
            self._child.end()
            raise WireError(f"{said.capitalize()}, exit code {self._child.exit_code}.{self._told()}")
        try:
            return envelopes.parse(said)
        except ProtocolError:
            raise WireError(
                "It wrote a line to standard output that is no message. Standard output belongs to the protocol: "
                "whatever else there is to say goes to standard error, also what libraries print.",
                said.decode("utf-8", "replace")[:400],
            ) from None

    def _told(self) -> str:
        told = self._child.stderr.strip()
        return f"\nStandard error:\n{told[-2000:]}" if told else ""
