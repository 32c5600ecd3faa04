"""Where a scenario plays: what a world needs of its stage, and what both kinds of stage share.

``virtual_stage.py`` puts implementation, broker and clock into one process; ``wall_stage.py`` puts a real broker behind
the wire tap and the implementation into processes of its own.  A check cannot tell them apart: it sees the same
attributes, the same records and durations in ticks.
"""

from __future__ import annotations

import itertools
import traceback
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from celeriac.conformance import embedded
from celeriac.conformance.adapter import Adapter, Answer, Broken, Event, Scenario
from celeriac.conformance.history import History
from celeriac.conformance.providers import BrokerInfo, LeaseTimes
from celeriac.conformance.strategies import examples

if TYPE_CHECKING:
    from celeriac.conformance.calls import LeaseNeed
    from celeriac.conformance.messages import WireMessage

Case = TypeVar("Case")

__all__ = ["BaseStage", "Case", "Stage"]


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


class BaseStage:
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
