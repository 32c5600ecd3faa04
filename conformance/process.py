"""An adapter in a process of its own, used like any other ``Adapter``.

Whatever the process does, the run goes on: a crash, silence beyond the deadline, a line that is no message, an
answer to a question that was not asked, a line without end, each makes the request at hand ``Broken`` with what
was seen, and the process is killed; the next ``begin`` starts another.  Until then every request is ``Broken`` with
the same evidence, but ``end``, which has nothing left to end.
"""

from __future__ import annotations

import queue
import shlex
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal

from celeriac.conformance import envelopes
from celeriac.conformance.adapter import (
    Adapter,
    Answer,
    Broken,
    Call,
    Composition,
    Event,
    Ok,
    OnMessage,
    Scenario,
    Shared,
    Signature,
    Unsupported,
    WorkerSpec,
)
from celeriac.conformance.child import Child, TooSlowError
from celeriac.conformance.envelopes import ProtocolError
from celeriac.conformance.serving import serve
from celeriac.conformance.verdicts import HarnessError

__all__ = ["ProcessAdapter", "serve"]

#: Operations that start or stop processes and may take as long as a start.
_SLOW = frozenset({"hello", "begin", "end", "start_worker", "stop_worker"})

#: How much of the standard error of a process goes into the evidence, in characters.
_EVIDENCE = 4000


class _Conversation:
    """Requests to and answers from one process."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], adapter: ProcessAdapter) -> None:
        self._adapter = adapter
        self._inbox: queue.SimpleQueue[Mapping[str, Any] | str] = queue.SimpleQueue()
        self._asked = 0
        self.scenarios = 0
        self.failure: str | None = None
        self._command = command
        self._child = Child(command, env, self._take, self._inbox.put)

    def ask(self, operation: str, body: Mapping[str, Any], seconds: float) -> Answer:
        """Answer what the process answers within ``seconds``, or Broken and the process is dead."""
        if self.failure is not None:
            return Broken(self.failure)
        try:
            message = envelopes.request_to_json(self._asked + 1, operation, body)
            envelopes.validate(message, "request")
            request = envelopes.line(message)
        except (ValueError, RecursionError) as error:
            return Broken(f"the request {operation!r} cannot be sent: {error}")
        self._asked += 1
        try:
            return self._converse(operation, request, seconds)
        except (ProtocolError, TooSlowError) as error:
            return Broken(self._fail(f"{operation!r}: {error}"))

    def is_sound(self) -> bool:
        """Answer whether no request has failed, and the process runs and said nothing that no request explains."""
        return self.failure is None and self._inbox.empty()

    def end(self, grace: float) -> None:
        """Let the process finish within ``grace`` seconds, then kill it."""
        self._child.end(grace)

    def _converse(self, operation: str, request: bytes, seconds: float) -> Answer:
        deadline = time.monotonic() + seconds
        with suppress(BrokenPipeError):  # the reader has the reason, or will have it in a moment
            self._child.send(request, deadline)
        try:
            message = self._inbox.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise TooSlowError(f"no answer within {seconds:g} s") from None
        if isinstance(message, str):
            raise ProtocolError(message)
        return self._accept(operation, message)

    def _accept(self, operation: str, message: Mapping[str, Any]) -> Answer:
        answered = message.get("id")
        if answered != self._asked:
            past = isinstance(answered, int) and 0 < answered < self._asked
            what = "answered a second time" if past else "answers no request"
            raise ProtocolError(f"id {answered!r} {what} (asked: {self._asked}): {str(message)[:200]}")
        answer = envelopes.answer_from_json(message)
        envelopes.validate(message, "answer")
        envelopes.validate_value(operation, message)
        return answer

    def _take(self, text: bytes) -> None:
        """Sort one line (reader thread)."""
        try:
            message = envelopes.parse(text)
            if "ev" in message:
                event = envelopes.event_from_json(message)
                envelopes.validate(message, "event")
                self._adapter.emit(event)
            else:
                self._inbox.put(message)
        except ValueError as error:
            self._inbox.put(str(error))

    def _fail(self, reason: str) -> str:
        self._child.end()
        code = self._child.exit_code
        self.failure = (
            f"the adapter process failed at {reason}\n"
            f"command: {shlex.join(self._command)}\n"
            f"exit code: {code} ({'killed' if code == -9 else 'by itself'})\n"
            f"standard error: {self._child.stderr[-_EVIDENCE:].strip() or '(nothing)'}"
        )
        return self.failure


class ProcessAdapter(Adapter):
    """An adapter behind the JSON lines protocol.

    Args:
        command: the program and its arguments.
        env: variables on top of this process' own.
        deadline: seconds within which a request must be answered; a wait for a result adds its own timeout.
        start_deadline: the same for requests that start or stop something.
        ahead: start the next process once a scenario wanted a fresh one, and let the last one finish meanwhile; for
            programs that take long to start and do not mind that several of them run.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        deadline: float = 10.0,
        start_deadline: float = 30.0,
        ahead: bool = False,
    ) -> None:
        self.command = tuple(command)
        self.env = dict(env or {})
        self.deadline = deadline
        self.start_deadline = start_deadline
        self.emit = _ignore
        self._ahead = ahead
        self._conversation: _Conversation | None = None
        self._next: _Conversation | None = None
        self._leaving: threading.Thread | None = None

    def hello(self) -> Mapping[str, Any]:
        """Answer what the process says of itself; starts it if need be.

        Raises:
            HarnessError: the process cannot be started or does not introduce itself.
        """
        answer = self._hello()
        if isinstance(answer, Broken):
            raise HarnessError(answer.detail)
        if not isinstance(answer, Ok):
            raise HarnessError(f"'hello' must be answered ok, not {answer!r}")
        value: Mapping[str, Any] = answer.value
        return value

    def preload(self, variables: Mapping[str, str]) -> Adapter:
        """Answer this adapter, which from now on starts its processes with these variables, too."""
        self.env.update(variables)
        return self

    def begin(self, scenario: Scenario) -> Answer:
        """Start a scenario, in a new process when the last one failed or the scenario wants a fresh one."""
        if scenario.clock is not None:
            return Unsupported("virtual", "a process of its own lives on wall time")
        if not self._is_usable(scenario):
            self._replace()
            introduced = self._hello()
            if not isinstance(introduced, Ok):
                return introduced
        if scenario.fresh and self._ahead and self._next is None:
            self._next = _Conversation(self.command, self.env, self)
        assert self._conversation is not None
        self._conversation.scenarios += 1
        return self._ask("begin", scenario=scenario)

    def end(self) -> Answer:
        """End the scenario; nothing is left of one whose process failed."""
        if self._conversation is None or self._conversation.failure is not None:
            return Ok()
        return self._ask("end")

    def call(self, call: Call) -> Answer:
        """Call a task."""
        return self._ask("call", call=call)

    def compose(self, kind: Composition, tasks: Sequence[Signature], options: Mapping[str, Any]) -> Answer:
        """Call several tasks as one."""
        return self._ask("compose", kind=kind, tasks=list(tasks), options=options)

    def call_together(self, calls: Sequence[Call], over: Shared) -> Answer:
        """Make several calls over one connection that the caller holds."""
        return self._ask("call_together", calls=list(calls), over=over)

    def start_worker(self, spec: WorkerSpec) -> Answer:
        """Start a worker and answer once it consumes."""
        return self._ask("start_worker", spec=spec)

    def stop_worker(self, name: str, how: Literal["warm", "cold", "kill"] = "warm") -> Answer:
        """Stop a worker."""
        return self._ask("stop_worker", name=name, how=how)

    def get_result(
        self, task_id: str, *, timeout: float | None, propagate: bool = True, on_message: OnMessage = False
    ) -> Answer:
        """Wait for a result at most ``timeout`` seconds."""
        body = {"task_id": task_id, "timeout": timeout, "propagate": propagate, "on_message": on_message}
        return self._ask("get_result", timeout or 0.0, **body)

    def state(self, task_id: str) -> Answer:
        """Answer the state of a task."""
        return self._ask("state", task_id=task_id)

    def close(self) -> None:
        """Let every process finish by closing its input; kill those that do not."""
        for conversation in (self._conversation, self._next):
            if conversation is not None:
                conversation.end(self.deadline)
        self._conversation = self._next = None
        self._await_the_last()

    def _replace(self) -> None:
        """Turn to the process that was started ahead, if there is one and it still runs."""
        last, waiting = self._conversation, self._next
        if waiting is None or not waiting.is_sound():
            self.close()
            return
        self._conversation, self._next = waiting, None
        self._await_the_last()
        if last is not None:
            self._leaving = threading.Thread(target=last.end, args=(self.deadline,))
            self._leaving.start()
            if not last.is_sound():  # it may still talk
                self._await_the_last()

    def _await_the_last(self) -> None:
        if self._leaving is not None:
            self._leaving.join()
            self._leaving = None

    def _is_usable(self, scenario: Scenario) -> bool:
        current = self._conversation
        if current is None or not current.is_sound():
            return False
        return not (scenario.fresh and current.scenarios)

    def _hello(self) -> Answer:
        if self._conversation is None:
            try:
                self._conversation = _Conversation(self.command, self.env, self)
            except OSError as error:
                return Broken(f"the adapter cannot be started: {shlex.join(self.command)}: {error}")
        return self._ask("hello", protocol=envelopes.PROTOCOL)

    def _ask(self, operation: str, extra: float = 0.0, /, **body: Any) -> Answer:
        if self._conversation is None:
            return Broken(f"{operation!r} before 'begin': no adapter process is running")
        seconds = self.start_deadline if operation in _SLOW else self.deadline
        return self._conversation.ask(operation, body, seconds + extra)


def _ignore(event: Event) -> None:
    """Drop an event that comes before anybody listens."""
