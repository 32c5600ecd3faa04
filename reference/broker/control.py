"""A running embedded broker in the hands of a test: its clock, its record, its queues, its faults.

    with BrokerProcess("rabbit-3.10") as broker:
        start_my_worker(broker.url)
        broker.wait("deliver", queue="celery")
        broker.advance(31 * 60)
        broker.wait("channel.close", code=406)

``Control`` speaks to any broker that was started with ``--control``; ``BrokerProcess`` starts one that ends with it.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self

from celeriac.reference.broker.control_requests import PROTOCOL, LeaseState, QueueState
from celeriac.reference.broker.events import Event
from celeriac.reference.broker.faults import FaultAction, FaultRule
from celeriac.reference.suggest import unknown

__all__ = ["BrokerProcess", "Control", "ControlError", "LeaseState", "QueueState"]

#: Seconds that a broker has for an answer, on top of those it was told to wait.
PATIENCE = 30.0
#: Seconds in which a broker ends when it is asked to.
LAST_WORDS = 10.0


class ControlError(RuntimeError):
    """The broker refuses a request, or has gone; the text says why."""


class Control:
    """A connection to the control channel of a running broker; for one thread, like the connection that it is.

    Args:
        port: where the channel listens on 127.0.0.1.
        token: what the broker printed beside it.

    Attributes:
        hello: what the broker said of itself: ``celeriac`` (its version), ``url``, ``dialect``, ``leases``.

    Raises:
        ControlError: nobody listens there, or the token is another broker's.
    """

    def __init__(self, port: int, token: str) -> None:
        self.port, self.token = port, token
        try:
            self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        except OSError as error:
            raise ControlError(f"no broker can be controlled at 127.0.0.1:{port}: {error}") from error
        self._lines = self._socket.makefile("rb")
        try:
            self.hello: Mapping[str, Any] = self._ask("hello", token=token)
        except BaseException:
            self._hang_up()
            raise
        if self.hello["protocol"] != PROTOCOL:
            self._hang_up()
            raise ControlError(f"the broker speaks protocol {self.hello['protocol']}, this client {PROTOCOL}")

    @property
    def url(self) -> str:
        """The AMQP URL of the broker."""
        return str(self.hello["url"])

    def now(self) -> float:
        """Answer the time on the broker's clock, epoch seconds."""
        return float(self._ask("now")["now"])

    def advance(self, seconds: float) -> int:
        """Move the broker's clock ahead, through everything that comes due on the way, each at its moment.

        Clients hear of it all at once, at the end; advance in steps where their reactions matter.

        Args:
            seconds: by how much; the clock goes on from there.

        Returns:
            The ``seq`` of the first event of this move, for ``wait`` and ``events``.
        """
        return int(self._ask("advance", seconds=seconds)["since"])

    def wait(self, kind: str, /, *, since: int = 0, timeout: float = 10.0, **where: Any) -> Event:
        """Answer the first event of a kind with these fields, from ``since`` on; one in the past counts.

        Args:
            kind: one of ``events.EVENT_KINDS``.
            since: the ``seq`` to begin at.
            timeout: how long to wait for it, in the machine's seconds.
            where: fields that it must have, ``session`` or those of its kind; of an object, at least what is given.

        Raises:
            TimeoutError: it did not come; the text says what came instead.
        """
        fields = {"kind": kind, "where": where, "since": since, "timeout": timeout}
        return _event(self._ask("wait", timeout, **fields)["event"])

    def events(self, *kinds: str, since: int = 0) -> list[Event]:
        """Answer the record from ``since`` on, or the events of some kinds in it.

        A body is ``{"size": ..., "sha256": ...}``, and a publish has no ``properties``.
        """
        return [_event(row) for page in self._pages(kinds, since) for row in page]

    def queues(self) -> list[QueueState]:
        """Answer every queue, in order of creation."""
        return [QueueState(**row) for row in self._ask("queues")["queues"]]

    def queue(self, name: str) -> QueueState:
        """Answer a queue.

        Raises:
            ControlError: there is none of that name.
        """
        queues = {queue.name: queue for queue in self.queues()}
        if name not in queues:
            raise ControlError(unknown("queue", name, queues))
        return queues[name]

    def leases(self) -> list[LeaseState]:
        """Answer every delivery that somebody holds."""
        return [LeaseState(**row) for row in self._ask("leases")["leases"]]

    def add_fault(
        self, point: str, action: FaultAction, *, after: int = 0, times: int | None = 1, **where: Any
    ) -> FaultRule:
        """Let the broker misbehave; see ``faults.FaultPlan.add``."""
        fields = {"point": point, "action": action, "after": after, "times": times, "where": where}
        return _rule(self._ask("add_fault", **fields))

    def faults(self) -> list[FaultRule]:
        """Answer the rules of misbehaviour, with the number of their firings."""
        return [_rule(row) for row in self._ask("faults")["faults"]]

    def clear_faults(self) -> None:
        """Remove them all."""
        self._ask("clear_faults")

    def close(self) -> None:
        """Hang up; the broker goes on."""
        self._hang_up()

    def _hang_up(self) -> None:
        self._lines.close()
        self._socket.close()

    def _pages(self, kinds: tuple[str, ...], since: int) -> Iterator[list[dict[str, Any]]]:
        more = True
        while more:
            page = self._ask("events", since=since, kinds=kinds)
            since, more = page["next"], page["more"]
            yield page["events"]

    def _ask(self, op: str, longer: float = 0.0, /, **fields: Any) -> dict[str, Any]:
        try:
            self._socket.settimeout(PATIENCE + longer)
            self._socket.sendall(json.dumps({"op": op, **fields}).encode() + b"\n")
            line = self._lines.readline()
        except OSError as error:
            raise ControlError(
                f"the broker at 127.0.0.1:{self.port} does not answer {op}: {error}"
            ) from error
        if not line:
            raise ControlError(f"the broker at 127.0.0.1:{self.port} has gone, and did not answer {op}")
        reply = json.loads(line)
        if "ok" in reply:
            return dict(reply["ok"])
        raise TimeoutError(reply["text"]) if reply["error"] == "timeout" else ControlError(reply["text"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class BrokerProcess(Control):
    """A broker in a process of its own, which ends when it is closed, or when this process does.

    Args:
        dialect: the version to behave like.
        consumer_timeout_ms: how long a delivery may stay unacknowledged, milliseconds; None is the dialect's default.
        tick_ms: how often that is checked, milliseconds; None is the dialect's default.

    Attributes:
        pid: its process id.

    Raises:
        ControlError: it did not start; what it said stands on standard error.
    """

    def __init__(
        self,
        dialect: str = "rabbit-3.10",
        *,
        consumer_timeout_ms: int | None = None,
        tick_ms: int | None = None,
    ) -> None:
        command = [sys.executable, "-m", "celeriac.reference", "broker", "--port=0", "--control=0"]
        times = {"--consumer-timeout": consumer_timeout_ms, "--tick": tick_ms}
        command += ["--until-stdin-closes", f"--dialect={dialect}"]
        command += [f"{option}={value}" for option, value in times.items() if value is not None]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pid = self._process.pid
        try:
            super().__init__(**self._printed())
        except BaseException:
            self._end()
            raise

    def close(self) -> None:
        """End the broker; once is enough, twice is harmless."""
        super().close()
        self._end()

    def _printed(self) -> dict[str, Any]:
        """Answer port and token of the control channel, from the second line that the process prints."""
        assert self._process.stdout is not None
        self._process.stdout.readline()
        line = self._process.stdout.readline()
        if not line:
            raise ControlError(
                f"the broker ended with exit status {self._process.wait()} instead of listening; "
                "why, stands on standard error"
            )
        return dict(json.loads(line)["control"])

    def _end(self) -> None:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        try:
            process.wait(LAST_WORDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def _event(row: Mapping[str, Any]) -> Event:
    data = dict(row)
    return Event(data.pop("seq"), data.pop("at"), data.pop("kind"), data.pop("session"), data)


def _rule(row: Mapping[str, Any]) -> FaultRule:
    rule = FaultRule(row["point"], row["action"], row["after"], row["times"], row["where"])
    rule.seen, rule.fired = row["seen"], row["fired"]
    return rule
