"""Where a scenario plays.

``VirtualStage`` puts implementation, broker and clock into one process: the broker is the embedded one behind
a function-call socket, and its own event record is the history.

``WallStage`` puts a real broker (or the embedded one on TCP) behind the wire tap; the implementation runs in
processes of its own, and the tap, the probes and the harness write the history.

A check cannot tell them apart: it sees the same attributes, the same records and durations in ticks.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from celeriac.conformance import embedded
from celeriac.conformance.adapter import Adapter, Answer, Broken, Event, Scenario
from celeriac.conformance.history import History
from celeriac.conformance.inject import AmqpInjector, RedisInjector
from celeriac.conformance.providers import BrokerInfo, LeaseTimes, Node, Provider
from celeriac.conformance.recorder import Recorder
from celeriac.conformance.strategies import examples
from celeriac.conformance.tap import Tap
from celeriac.conformance.verdicts import NotApplicable

if TYPE_CHECKING:
    from celeriac.conformance.messages import WireMessage
    from celeriac.conformance.world import LeaseNeed

Case = TypeVar("Case")

__all__ = ["Stage", "VirtualStage", "WallStage"]


class Stage(Protocol):
    """What a world needs of its stage."""

    kind: str
    tick: float
    lateness: float
    jitter: float
    patience: float
    repeats: int
    longest: float
    broker: BrokerInfo
    lease: LeaseTimes | None
    missing: Mapping[str, str]
    identity: Mapping[str, Any]
    history: History
    scenario: Scenario
    worker_url: str
    reply_queue: str

    @property
    def clock(self) -> embedded.Clock:
        """Answer the clock of the present scenario."""

    def now(self) -> float:
        """Answer epoch seconds."""

    def begin(
        self,
        *,
        settings: Mapping[str, Any],
        task_attributes: Mapping[str, Mapping[str, Any]],
        results: bool,
        fresh: bool,
        lease: LeaseNeed,
    ) -> Answer:
        """Begin a scenario."""

    def end(self) -> None:
        """End it."""

    def request(self, operation: str, *args: Any, **kwargs: Any) -> Answer:
        """Ask the adapter; whatever it raises is ``Broken``."""

    def log(self, kind: str, **data: Any) -> None:
        """Write a record of the harness's own."""

    def inject(self, message: WireMessage) -> None:
        """Send a message of the harness's own to the scenario's queue."""

    def broker_down(self) -> None:
        """Cut the implementation off from the broker."""

    def broker_up(self) -> None:
        """Let it connect again."""

    def drop_connections(self) -> None:
        """Cut its connections once."""

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Let something happen later."""

    def cut_next_publish(self) -> None:
        """Cut the connection that carries the next message before the broker has taken it."""

    def sample(self, cases: Sequence[Case]) -> Sequence[Case]:
        """Answer the cases that this stage can afford."""

    def properties(self, body: Callable[..., None]) -> Callable[..., None]:
        """Apply hypothesis settings that this stage can afford."""

    def close(self) -> None:
        """Release everything."""


class _Stage:
    """What both stages share: the adapter, its events and its answers."""

    kind: str
    tick: float
    lateness: float
    jitter: float
    patience: float
    repeats: int
    budget: int  # examples of one property
    samples: int  # cases of one table
    longest: float

    def __init__(self, adapter_factory: Callable[[], Adapter]) -> None:
        self.adapter = adapter_factory()
        self.adapter.emit = self._event
        self.history = History()
        self.lease: LeaseTimes | None = None
        self.reply_queue = f"celeriac.reply.{uuid.uuid4()}"
        self.identity: Mapping[str, Any] = self.adapter.hello()
        self.missing: Mapping[str, str] = self.identity.get("missing", {})
        self._numbers = itertools.count(1)

    def request(self, operation: str, *args: Any, **kwargs: Any) -> Answer:
        """Ask the adapter; whatever it raises is ``Broken``."""
        try:
            return getattr(self.adapter, operation)(*args, **kwargs)  # type: ignore[no-any-return]
        except Exception:  # noqa: BLE001 - the adapter is somebody else's code
            return Broken(f"the adapter raised in {operation}:\n{traceback.format_exc()}")

    def sample(self, cases: Sequence[Case]) -> Sequence[Case]:
        """Answer the cases that this stage can afford, evenly spread over all."""
        return cases[:: -(-len(cases) // self.samples) or 1]

    def properties(self, body: Callable[..., None]) -> Callable[..., None]:
        """Apply hypothesis settings that this stage can afford; the examples are the same in every run."""
        return examples(self.budget, shrink=self.kind == "virtual")(body)

    def _event(self, event: Event) -> None:
        self.history.add(event.kind, event.at, "probe", **event.data)


class VirtualStage(_Stage):
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


class WallStage(_Stage):
    """Real processes, a real broker behind a wire tap, the machine's own time."""

    kind = "wall"
    tick = 1.0
    lateness = 1.0
    jitter = 0.12
    patience = 20.0
    repeats = 3
    budget = 5
    samples = 6
    longest = 2.0

    scenario: Scenario
    worker_url: str

    def __init__(self, adapter_factory: Callable[[], Adapter], provider: Provider) -> None:
        super().__init__(adapter_factory)
        self.clock = embedded.WallClock()
        self.broker = provider.info()
        self._provider = provider
        self._log = self.history = History(slack=0.005)
        self._taps: dict[int, Tap] = {}
        self._timers: list[threading.Timer] = []
        self._run = f"{os.getpid():x}"

    def now(self) -> float:
        """Answer epoch seconds."""
        return time.time()

    def begin(
        self,
        *,
        settings: Mapping[str, Any],
        task_attributes: Mapping[str, Mapping[str, Any]],
        results: bool,
        fresh: bool,
        lease: LeaseNeed,
    ) -> Answer:
        """Begin a scenario on a queue of its own; a fresh one also gets a tap, hence a URL, of its own."""
        name = f"celeriac-{self._run}-{next(self._numbers)}"
        node = self._provider.node(lease)
        self.lease = node.lease
        self._tap = self._tap_before(node, fresh)
        self.history = self._log.since(self._log.end)
        self._injector = AmqpInjector(node.url) if node.link == "amqp" else RedisInjector(node.url)
        self._injector.open(name)
        self.worker_url = node.url_at(self._tap.port)
        self.scenario = Scenario(
            id=name,
            broker_url=self.worker_url,
            backend_url=self._backend(node) if results else None,
            queue=name,
            settings=_with_visibility(settings, node),
            task_attributes=task_attributes,
            fresh=fresh,
        )
        return self.request("begin", self.scenario)

    def end(self) -> None:
        """End the scenario and remove its queue."""
        while self._timers:
            self._timers.pop().cancel()
        self.request("end")
        self._injector.close()
        if self._tap not in self._taps.values():
            self._tap.close()
        else:
            self._tap.refuse(False)

    def log(self, kind: str, **data: Any) -> None:
        """Write a record of the harness's own."""
        self.history.add(kind, self.now(), "harness", **data)

    def inject(self, message: WireMessage) -> None:
        """Send a message of the harness's own to the scenario's queue."""
        self._injector.send(message, self.scenario.queue)

    def broker_down(self) -> None:
        """Refuse connections and drop the present ones."""
        self._tap.refuse(True)
        self._tap.drop()

    def broker_up(self) -> None:
        """Accept connections again."""
        self._tap.refuse(False)

    def drop_connections(self) -> None:
        """Drop the present connections."""
        self._tap.drop()

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Let something happen in ``seconds`` on a thread of its own."""
        timer = threading.Timer(seconds, action)
        timer.daemon = True
        timer.start()
        self._timers.append(timer)

    def cut_next_publish(self) -> None:
        """Refuse: the tap only observes."""
        message = "the wire tap cannot cut a connection in the middle of a publish yet"
        raise NotApplicable(message)

    def close(self) -> None:
        """Release the adapter, the taps and the broker."""
        self.adapter.close()
        for tap in self._taps.values():
            tap.close()
        self._provider.close()

    def _tap_before(self, node: Node, fresh: bool) -> Tap:
        if not fresh and node.port in self._taps:
            return self._taps[node.port]
        tap = Tap(node.host, node.port, node.link, self._log)
        tap.start()
        if not fresh:
            self._taps[node.port] = tap
        return tap

    def _backend(self, node: Node) -> str:
        return "rpc://" if node.link == "amqp" else self.worker_url


def _with_visibility(settings: Mapping[str, Any], node: Node) -> dict[str, Any]:
    """Answer the settings with the visibility timeout of a lease that the client must be told of."""
    if node.lease is None or node.link != "redis":
        return dict(settings)
    options = {"visibility_timeout": node.lease.timeout, **settings.get("broker_transport_options", {})}
    return {**settings, "broker_transport_options": options}
