"""The stage of real processes: a real broker, or the embedded one on TCP, behind the wire tap, on the machine's time.

The tap, the probes and the harness write the history; time-outs are short where the broker can be told so.
"""

from __future__ import annotations

import threading
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from celeriac.conformance import embedded
from celeriac.conformance.adapter import Adapter, Answer, Scenario
from celeriac.conformance.history import History
from celeriac.conformance.inject import AmqpInjector, RedisInjector
from celeriac.conformance.providers import Lease, Node, Provider, Unavailable, find
from celeriac.conformance.stage import Backend, Stage
from celeriac.conformance.tap import Ledger, Tap

if TYPE_CHECKING:
    from celeriac.conformance.calls import LeaseNeed

__all__ = ["WallStage", "first_keeper"]

#: Servers that can keep results beside a broker that cannot, the first that is there.
KEEPERS = ("redis", "valkey")

_MACHINE = embedded.WallClock()


class WallStage(Stage):
    """Real processes, a real broker behind a wire tap, the machine's own time."""

    kind = "wall"
    tick = 1.0
    lateness = 1.0
    jitter = 0.12
    patience = 20.0
    grace: float | None = 2.0
    answer = patience
    horizon = 60.0
    repeats = 3
    budget = 5
    samples = 6
    longest = 1.0

    def __init__(self, adapter_factory: Callable[[], Adapter], provider: Provider) -> None:
        super().__init__(adapter_factory)
        self.broker = provider.info()
        self._provider = provider
        self._log = self.history = History(slack=0.005)
        self._taps: dict[int, Tap] = {}
        self._ledgers: defaultdict[int, Ledger] = defaultdict(Ledger)
        self._beside: _Keeper | None = None
        self._store: RedisInjector | None = None
        self._timers: list[threading.Timer] = []
        self._run = uuid.uuid4().hex[:8]  # of all runs on this broker, not only of this machine

    @property
    def clock(self) -> embedded.WallClock:
        """Answer the machine's clock."""
        return _MACHINE

    def prepare(self, leases: Iterable[Lease]) -> None:
        """Start brokers with such time-outs ahead, where that takes long."""
        self._provider.prepare(leases)

    def begin(
        self,
        *,
        settings: Mapping[str, Any],
        task_attributes: Mapping[str, Mapping[str, Any]],
        results: Backend | None,
        fresh: bool,
        lease: LeaseNeed,
    ) -> Answer:
        """Begin a scenario on a queue of its own; a fresh one also gets a tap, hence a URL, of its own."""
        name = f"celeriac-{self._run}-{next(self._numbers)}"
        node = self._node = self._provider.node(lease)
        self.lease = node.lease
        self._gate = self._tap = self._tap_before(node, fresh)
        self.history = self._log.since(self._log.end)
        self.worker_url = node.url_at(self._tap.port)
        backend = self._backend(node, results)
        self._injector = AmqpInjector(node.url) if node.link == "amqp" else RedisInjector(node.url)
        self._injector.open(name)
        self.scenario = Scenario(
            id=name,
            broker_url=self.worker_url,
            backend_url=backend,
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
        self._tap.disarm()  # nobody is to wait for a goodbye out of a black hole
        self.request("end")
        declared = (str(record.name) for record in self.history.of("declared"))
        self._injector.close(name for name in declared if name.startswith((self.scenario.queue, "celeriac.")))
        if self._store is not None:
            self._store.close()
        if self._tap not in self._taps.values():
            self._tap.close()

    def store(self, record: Mapping[str, Any], reply_to: str) -> None:
        """Store a result record of the harness's own where the scenario keeps results."""
        (self._store or self._injector).store(record, reply_to)

    def set_policy(self, pattern: str, definition: Mapping[str, Any]) -> None:
        """Set a policy for the queues whose names match; it stays, and the names should be nobody else's."""
        self._provider.set_policy(self._node, f"celeriac-{pattern}", pattern, definition)

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Let something happen in ``seconds`` on a thread of its own."""
        timer = threading.Timer(seconds, action)
        timer.daemon = True
        timer.start()
        self._timers.append(timer)

    def close(self) -> None:
        """Release the adapter, the taps and the broker."""
        super().close()
        for tap in self._taps.values():
            tap.close()
        if self._beside is not None:
            self._beside.close()
        self._provider.close()

    def _tap_before(self, node: Node, fresh: bool) -> Tap:
        if not fresh and node.port in self._taps:
            return self._taps[node.port]
        tap = self._make_tap(node, self._ledgers[node.port])
        tap.start()
        if not fresh:
            self._taps[node.port] = tap
        return tap

    def _make_tap(self, node: Node, ledger: Ledger) -> Tap:
        return Tap(node.host, node.port, node.link, self._log, ledger=ledger)

    def _backend(self, node: Node, results: Backend | None) -> str | None:
        self._store = None
        if results == "redis" and node.link == "amqp":
            self._beside = self._beside or _Keeper(self._make_tap)
            self._store = RedisInjector(self._beside.node.url)
            return self._beside.url
        own = "rpc://" if node.link == "amqp" else self.worker_url
        return own if results else None


class _Keeper:
    """A Redis behind a tap of its own that keeps the results of an implementation which cannot send them by AMQP.

    Raises:
        Unavailable: no such server can be had here.
    """

    def __init__(self, make_tap: Callable[[Node, Ledger], Tap]) -> None:
        self.provider, self.node = first_keeper()
        self._tap = make_tap(self.node, Ledger())
        self._tap.start()
        self.url = self.node.url_at(self._tap.port)

    def close(self) -> None:
        """Stop it."""
        self._tap.close()
        self.provider.close()


def first_keeper() -> tuple[Provider, Node]:
    """Answer a Redis for results and what provides it, the first that can be had.

    Raises:
        Unavailable: none can be had here.
    """
    reasons = []
    for flavour in KEEPERS:
        provider = find(flavour)
        try:
            return provider, provider.node(None)
        except Unavailable as error:
            provider.close()
            reasons.append(str(error))
    raise Unavailable(f"results go to Redis, but no server can be had: {'; '.join(reasons)}")


def _with_visibility(settings: Mapping[str, Any], node: Node) -> dict[str, Any]:
    """Answer the settings with the visibility timeout that clients of this node have to be told."""
    if node.visibility is None:
        return dict(settings)
    options = {"visibility_timeout": node.visibility, **settings.get("broker_transport_options", {})}
    return {**settings, "broker_transport_options": options}
