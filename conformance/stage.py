"""Where a scenario plays: what a world needs of its stage, and what both kinds of stage share.

``virtual_stage.py`` puts implementation, broker and clock into one process; ``wall_stage.py`` puts a real broker behind
the wire tap and the implementation into processes of its own.  A check cannot tell them apart: it sees the same
attributes, the same records and durations in ticks.
"""

from __future__ import annotations

import itertools
import traceback
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from celeriac.conformance import embedded
from celeriac.conformance.adapter import Adapter, Answer, Broken, Event, Scenario
from celeriac.conformance.history import History
from celeriac.conformance.inject import Injector
from celeriac.conformance.progress import waiting
from celeriac.conformance.providers import BrokerInfo, Lease, LeaseTimes
from celeriac.conformance.strategies import examples
from celeriac.conformance.tap import BlackHole, Fault

if TYPE_CHECKING:
    from celeriac.conformance.calls import LeaseNeed
    from celeriac.conformance.messages import WireMessage

Case = TypeVar("Case")

#: Where results go: with the broker (``rpc`` over AMQP, the same server over Redis), or to a Redis in any case.
Backend = Literal["own", "redis"]

__all__ = ["Backend", "Case", "Gate", "Stage"]

HERE = Path(__file__).parent


class Gate(Protocol):
    """What stands between implementation and broker."""

    def refuse(self, yes: bool) -> None:
        """Turn away new connections, or accept them again."""

    def drop(self) -> None:
        """Cut every connection."""

    def arm(self, *faults: Fault) -> None:
        """Let something go wrong."""

    def disarm(self, *faults: Fault) -> None:
        """End faults, all of them when none is named."""


class Stage(ABC):
    """A place for scenarios, one after the other.

    Attributes:
        kind: of clock: virtual, travel or wall.
        tick: seconds that are long against the noise of the clock, and cheap to wait for.
        lateness: seconds by which something punctual may be seen late.
        jitter: the same for the shortest of several gaps.
        patience: seconds after which something that has not happened never will.
        grace: seconds after the end of the last worker in which its traces may still be noted, None where time is free.
        answer: seconds that an implementation may wait for something within one request.
        horizon: seconds that can pass in one check at the most.
        repeats: how often a gap is measured at the most.
        budget: examples of one property.
        samples: cases of one table.
        longest: seconds that one case may wait.
        broker: what the implementation is judged on.
        lease: the time-out that the present scenario asked for.
        missing: feature that the implementation lacks here -> why.
        identity: what the adapter says of its implementation.
        history: what has happened in the present scenario.
        notes: what the present check has measured beside its verdict.
        scenario: the present one.
        simulated_s: seconds by which the clocks of all scenarios so far were moved, None when time is real.
        withdrawn: why the clock cannot be moved here, although the adapter claims that it can; None when it is moved,
            or nobody expected it.
        worker_url: what its workers connect to.
        reply_queue: where the harness's own messages want their results.
    """

    kind: str
    tick: float
    lateness: float
    jitter: float
    patience: float
    grace: float | None = None
    answer: float
    horizon: float
    repeats: int
    budget: int
    samples: int
    longest: float

    simulated_s: float | None = None
    withdrawn: str | None = None
    broker: BrokerInfo
    scenario: Scenario
    worker_url: str

    _injector: Injector
    _gate: Gate

    def __init__(self, adapter_factory: Callable[[], Adapter]) -> None:
        self.adapter = adapter_factory()
        self.adapter.emit = self._event
        self.history = History()
        self.lease: LeaseTimes | None = None
        self.reply_queue = f"celeriac.reply.{uuid.uuid4()}"
        self.identity: Mapping[str, Any] = self.adapter.hello()
        self.missing: Mapping[str, str] = self.identity.get("missing", {})
        self.notes: list[tuple[str, Any]] = []
        self._numbers = itertools.count(1)
        self._workers: set[str] = set()

    @property
    @abstractmethod
    def clock(self) -> embedded.Clock:
        """Answer the clock of the present scenario."""

    def now(self) -> float:
        """Answer epoch seconds."""
        return self.clock.now().timestamp()

    def lateness_after(self, seconds: float) -> float:
        """Answer the seconds by which something punctual may be seen late that comes so long after what preceded."""
        return self.lateness

    def nothing_follows(self, kinds: Collection[str]) -> bool:
        """Answer whether no such record can come any more, because every worker of the scenario has ended."""
        return self.grace is not None and self.history.is_over(kinds, self._workers, self.now() - self.grace)

    def prepare(self, leases: Iterable[Lease]) -> None:  # noqa: B027 - a stage may have nothing to prepare
        """Learn which kinds of broker time-outs scenarios will ask for."""

    @abstractmethod
    def begin(
        self,
        *,
        settings: Mapping[str, Any],
        task_attributes: Mapping[str, Mapping[str, Any]],
        results: Backend | None,
        fresh: bool,
        lease: LeaseNeed,
    ) -> Answer:
        """Begin a scenario; see ``World.begin``."""

    @abstractmethod
    def end(self) -> None:
        """End the scenario: nothing of it may reach the next."""

    @abstractmethod
    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Let something happen in ``seconds``, whoever is blocked then."""

    def request(self, operation: str, *args: Any, **kwargs: Any) -> Answer:
        """Ask the adapter; whatever it raises is ``Broken``."""
        if operation == "begin":
            self._workers.clear()
        elif operation == "start_worker":
            self._workers.add(args[0].name)
        try:
            with waiting(f"waiting for the adapter to answer {operation!r}", now=self.now):
                return getattr(self.adapter, operation)(*args, **kwargs)  # type: ignore[no-any-return]
        except Exception as error:  # noqa: BLE001 - the adapter is somebody else's code
            return Broken(f"the adapter raised in {operation}: {_told(error)}")

    def log(self, kind: str, **data: Any) -> None:
        """Write a record of the harness's own."""
        self.history.add(kind, self.now(), "harness", **data)

    def inject(self, message: WireMessage, queue: str) -> None:
        """Send a message of the harness's own."""
        self._injector.send(message, queue)

    def declare(self, queue: str, arguments: Mapping[str, Any]) -> None:
        """Make sure that a queue is there before anybody sends to it."""
        self._injector.declare(queue, arguments)

    @abstractmethod
    def set_policy(self, pattern: str, definition: Mapping[str, Any]) -> None:
        """Set a policy of RabbitMQ for the queues whose names match.

        Raises:
            NotApplicable: this broker has no policies.
        """

    def waiting(self) -> Mapping[str, Collection[str]]:
        """Answer the ids of the tasks that wait in each queue of the harness's own; over AMQP they are taken out."""
        return self._injector.waiting()

    def unacked(self) -> Mapping[str, str]:
        """Answer what is noted as held over Redis, delivery tag to the id of the task; nothing over AMQP."""
        return self._injector.unacked()

    def store(self, record: Mapping[str, Any], reply_to: str) -> None:
        """Store a result record of the harness's own."""
        self._injector.store(record, reply_to)

    def broker_down(self, attempts: int | None = None) -> None:
        """Cut the implementation off from the broker, for so many attempts to connect if a number is given."""
        self._gate.refuse(True)
        self._gate.drop()
        scenario = self.history

        def again() -> None:
            if self.history is scenario:
                self.broker_up()

        if attempts is not None:
            scenario.when("refused", attempts, again)

    def black_hole(self) -> None:
        """Let it connect, and never answer."""
        self._gate.arm(BlackHole())

    def broker_up(self) -> None:
        """Let it connect again; nothing goes wrong any more."""
        self._gate.refuse(False)
        self._gate.disarm()

    def spoil(self, fault: Fault) -> None:
        """Let something go wrong on its connections until the broker is up again."""
        self._gate.arm(fault)

    def drop_connections(self) -> None:
        """Cut its connections once."""
        self._gate.drop()

    def sample(self, cases: Sequence[Case]) -> Sequence[Case]:
        """Answer the cases that this stage can afford, evenly spread over all."""
        return cases[:: -(-len(cases) // self.samples) or 1]

    def properties(self, body: Callable[..., None]) -> Callable[..., None]:
        """Apply hypothesis settings that this stage can afford; the examples are the same in every run."""
        return examples(self.budget, shrink=self.kind == "virtual")(body)

    def close(self) -> None:
        """Release the adapter."""
        self.adapter.close()

    def _event(self, event: Event) -> None:
        self.history.add(event.kind, event.at, "probe", **event.data)


def _told(error: Exception) -> str:
    """Answer an exception in a line, and below it its traceback from where the harness ends."""
    own = trace = error.__traceback__
    while trace is not None and Path(trace.tb_frame.f_code.co_filename).parent == HERE:
        trace = trace.tb_next
    lines = traceback.format_exception(type(error), error, trace or own)
    return "".join([lines[-1], *lines])
