"""The adapter's end of the protocol: any ``Adapter`` served over a pair of pipes.

Requests are served one at a time, in order; events may be written by any thread in between.  Standard output
belongs to the protocol alone: the original is moved to a private descriptor and file descriptor 1 is pointed at
standard error, so that nothing the implementation prints can corrupt a message.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, BinaryIO

from celeriac.conformance import envelopes
from celeriac.conformance.adapter import Adapter, Answer, Broken, Event, Ok, Unsupported
from celeriac.conformance.envelopes import ProtocolError
from celeriac.conformance.verdicts import HarnessError

__all__ = ["Channel", "main", "private_stdin", "private_stdout", "serve"]


def private_stdin() -> BinaryIO:
    """Answer the process' standard input, and give everybody else an empty one."""
    own = os.dup(0)
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    return os.fdopen(own, "rb")


def private_stdout() -> BinaryIO:
    """Answer the process' standard output, and send what everybody else prints to standard error."""
    own = os.dup(1)
    os.dup2(2, 1)
    return os.fdopen(own, "wb")


class Channel:
    """Writes whole messages from any thread; a reader that has gone away is no error."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def send(self, message: Mapping[str, Any]) -> None:
        """Write one message.

        Raises:
            ProtocolError: the message is longer than a line may be.
        """
        encoded = envelopes.line(message)
        with self._lock, suppress(BrokenPipeError, ValueError):
            self._stream.write(encoded)
            self._stream.flush()

    def emit(self, event: Event) -> None:
        """Write one event."""
        self.send(envelopes.event_to_json(event))


def serve(adapter: Adapter, stdin: BinaryIO | None = None, stdout: BinaryIO | None = None) -> None:
    """Serve ``adapter`` until the input ends, then close it.

    Args:
        adapter: what performs the requests; its ``emit`` is set here.
        stdin: where requests come from; the process' own standard input when None.
        stdout: where messages go; the process' own standard output when None.
    """
    requests = private_stdin() if stdin is None else stdin
    channel = Channel(private_stdout() if stdout is None else stdout)
    adapter.emit = channel.emit
    try:
        while text := requests.readline(envelopes.LINE_LIMIT):
            _reply(channel, *_serve_line(adapter, text))
    finally:
        adapter.close()


def _serve_line(adapter: Adapter, text: bytes) -> tuple[Any, Answer]:
    request_id = None
    try:
        message = envelopes.parse(text)
        request_id = message.get("id")
        if message.get("op") not in envelopes.OPERATIONS:
            return request_id, Unsupported(str(message.get("op")), "this adapter knows no such operation")
        operation, arguments = envelopes.request_from_json(message)
    except ValueError as error:
        return request_id, Broken(f"the adapter cannot read a request: {error}")
    return request_id, _perform(adapter, operation, arguments)


def _perform(adapter: Adapter, operation: str, arguments: Mapping[str, Any]) -> Answer:
    try:
        if operation == "hello":
            return Ok({"protocol": envelopes.PROTOCOL, **adapter.hello()})
        answer = getattr(adapter, operation)(**arguments)
    except HarnessError as error:
        return Broken(str(error))
    except Exception:  # noqa: BLE001 - the adapter is somebody else's code
        return Broken(f"the adapter raised in {operation!r}:\n{traceback.format_exc()}")
    if isinstance(answer, Answer):
        return answer
    return Broken(f"{operation!r} answered {answer!r}, expected one of Ok, Raised, Unsupported, Broken")


def _reply(channel: Channel, request_id: Any, answer: Answer) -> None:
    try:
        channel.send(envelopes.answer_to_json(request_id, answer))
    except ProtocolError as error:
        channel.send(envelopes.answer_to_json(request_id, Broken(f"the answer cannot be sent: {error}")))


def main(arguments: Sequence[str]) -> None:
    """Serve the adapter that the first argument names: ``package.module:Class`` or ``path/to/file.py:Class``."""
    from celeriac.conformance.claim import import_class

    serve(import_class(arguments[0])())


if __name__ == "__main__":
    main(sys.argv[1:])
