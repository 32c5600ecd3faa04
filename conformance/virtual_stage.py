"""The stage in one process: a virtual clock, and the embedded broker behind a function-call socket.

The broker's own event record is the history, its time-outs are the real brokers' defaults, and nothing waits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from celeriac.conformance import embedded
from celeriac.conformance.adapter import Adapter, Answer, Scenario
from celeriac.conformance.history import History
from celeriac.conformance.inject import AmqpInjector
from celeriac.conformance.recorder import Recorder
from celeriac.conformance.site_gate import SiteGate
from celeriac.conformance.stage import Backend, Stage

if TYPE_CHECKING:
    from celeriac.conformance.calls import LeaseNeed

__all__ = ["VirtualStage"]


class VirtualStage(Stage):
    """One process, one virtual clock, the embedded broker at its default time-outs."""

    simulated_s: float = 0.0
    kind = "virtual"
    tick = 60.0
    lateness = 0.0
    jitter = 1e-5  # of epoch seconds as floats
    patience = 2 * 86_400.0
    answer = patience
    horizon = 1e8
    repeats = 1
    budget = 50
    samples = 10_000
    longest = 1e6
    broker = embedded.IN_PROCESS

    def __init__(self, adapter_factory: Callable[[], Adapter], dialect: str | None = None) -> None:
        super().__init__(adapter_factory)
        self._dialect = dialect
        if dialect is not None:
            self.broker = replace(self.broker, version=dialect)
        self._clock = embedded.VirtualClock()

    @property
    def clock(self) -> embedded.VirtualClock:
        """Answer the clock of the present scenario."""
        return self._clock

    def begin(
        self,
        *,
        settings: Mapping[str, Any],
        task_attributes: Mapping[str, Mapping[str, Any]],
        results: Backend | None,
        fresh: bool,
        lease: LeaseNeed,
    ) -> Answer:
        """Begin a scenario with a clock, a broker and a history of its own."""
        name = f"scenario-{next(self._numbers)}"
        self._clock = embedded.VirtualClock()
        self.history = History()
        recorder = Recorder(self.history)
        self._site = embedded.InProcessSite(name, self.clock, lease, recorder, self._refused, self._dialect)
        self._gate = SiteGate(self._site)
        self._injector = _LateInjector(self._site, name, recorder)
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
        self._site.close()
        self.simulated_s += self._clock.monotonic()

    def set_policy(self, pattern: str, definition: Mapping[str, Any]) -> None:
        """Set a policy for the queues whose names match."""
        self._site.set_policy(pattern, definition)

    def _refused(self, at: float) -> None:
        self.history.add("refused", at, "broker")

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Let something happen in ``seconds`` of virtual time."""
        self.clock.attach(_Alarm(self.clock, seconds, action))


class _LateInjector(AmqpInjector):
    """Connects, unheard, when it first has something to say: most scenarios never hear from it."""

    def __init__(self, site: embedded.InProcessSite, queue: str, recorder: Recorder) -> None:
        super().__init__(site.url)
        self._queues.add(queue)
        self._recorder = recorder
        with recorder.muted():
            site.declare(queue)

    @cached_property
    def _channel(self) -> Any:
        with self._recorder.muted():
            return self._connection.channel()


class _Alarm:
    """A party of the virtual clock that does one thing, once."""

    def __init__(self, clock: embedded.VirtualClock, seconds: float, action: Callable[[], None]) -> None:
        self._clock = clock
        self._due = clock.monotonic() + seconds
        self._action = action
        self._done = False

    def step(self) -> bool:
        # whoever slept while it happened may still have it in its round
        if self._done or not self._clock.reached(self._due):
            return False
        self._done = True
        self._clock.detach(self)
        self._action()
        return True

    def next_due(self) -> float | None:
        return self._due
