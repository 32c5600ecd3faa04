"""The stage in one process: a virtual clock, and the embedded broker behind a function-call socket.

The broker's own event record is the history, its time-outs are the real brokers' defaults, and nothing waits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from celeriac.conformance import embedded
from celeriac.conformance.adapter import Answer, Scenario
from celeriac.conformance.history import History
from celeriac.conformance.inject import AmqpInjector
from celeriac.conformance.recorder import Recorder
from celeriac.conformance.stage import BaseStage

if TYPE_CHECKING:
    from celeriac.conformance.calls import LeaseNeed
    from celeriac.conformance.messages import WireMessage

__all__ = ["VirtualStage"]


class VirtualStage(BaseStage):
    """One process, one virtual clock, the embedded broker at its default time-outs."""

    kind = "virtual"
    tick = 60.0
    lateness = 0.0
    jitter = 1e-5  # of epoch seconds as floats
    patience = 2 * 86_400.0
    repeats = 1
    budget = 50
    samples = 10_000
    longest = 1e6
    broker = embedded.IN_PROCESS

    clock: embedded.VirtualClock
    scenario: Scenario
    worker_url: str

    def now(self) -> float:
        """Answer the virtual moment in epoch seconds."""
        return self.clock.now().timestamp()

    def begin(
        self,
        *,
        settings: Mapping[str, Any],
        task_attributes: Mapping[str, Mapping[str, Any]],
        results: bool,
        fresh: bool,
        lease: LeaseNeed,
    ) -> Answer:
        """Begin a scenario with a clock, a broker and a history of its own."""
        name = f"scenario-{next(self._numbers)}"
        self.clock = embedded.VirtualClock()
        self.history = History()
        recorder = Recorder(self.history)
        self._site = embedded.InProcessSite(name, self.clock, lease, recorder, self._refused)
        self._injector = AmqpInjector(self._site.url)
        with recorder.muted():
            self._injector.open(name)
        self.lease = self._site.lease
        self.worker_url = self._site.url
        self.scenario = Scenario(
            id=name,
            broker_url=self._site.url,
            backend_url="rpc://" if results else None,
            queue=name,
            settings=settings,
            task_attributes=task_attributes,
            fresh=fresh,
            clock=self.clock,
        )
        return self.request("begin", self.scenario)

    def end(self) -> None:
        """End the scenario."""
        self.request("end")
        self._injector.close()
        self._site.close()

    def _refused(self, at: float) -> None:
        self.history.add("refused", at, "broker")

    def log(self, kind: str, **data: Any) -> None:
        """Write a record of the harness's own."""
        self.history.add(kind, self.now(), "harness", **data)

    def inject(self, message: WireMessage) -> None:
        """Send a message of the harness's own to the scenario's queue."""
        self._injector.send(message, self.scenario.queue)

    def broker_down(self) -> None:
        """Refuse connections and drop the present ones."""
        self._site.refuse(True)
        self._site.drop()

    def broker_up(self) -> None:
        """Accept connections again."""
        self._site.refuse(False)

    def drop_connections(self) -> None:
        """Drop the present connections."""
        self._site.drop()

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Let something happen in ``seconds`` of virtual time."""
        self.clock.attach(_Alarm(self.clock, seconds, action))

    def cut_next_publish(self) -> None:
        """Cut the connection that carries the next message before the broker has taken it."""
        self._site.cut_next_publish()

    def close(self) -> None:
        """Release the adapter."""
        self.adapter.close()


class _Alarm:
    """A party of the virtual clock that does one thing, once."""

    def __init__(self, clock: embedded.VirtualClock, seconds: float, action: Callable[[], None]) -> None:
        self._clock = clock
        self._due = clock.monotonic() + seconds
        self._action = action

    def step(self) -> bool:
        if not self._clock.reached(self._due):
            return False
        self._clock.detach(self)
        self._action()
        return True

    def next_due(self) -> float | None:
        return self._due
