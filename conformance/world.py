"""What a check sees of the world: an implementation, a broker, a clock and the history of what happened.

A check begins a scenario, calls tasks or sends messages, starts workers, waits for records and judges the
history.  It never says which broker or which clock it plays on: durations are in ticks (``world.tick``), and
moments are read from ``world.now()``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from hypothesis import assume, given

from celeriac.conformance.adapter import (
    Ok,
    Raised,
    WorkerSpec,
)
from celeriac.conformance.calling import Calling
from celeriac.conformance.calls import Called, Composed, LeaseNeed, Sent
from celeriac.conformance.decoding import iso
from celeriac.conformance.messages import WireMessage, result_record, task_message
from celeriac.conformance.progress import waiting
from celeriac.conformance.strategies import execution_options
from celeriac.conformance.tap import CLIENT, PUBLISH, Census, Cut
from celeriac.conformance.verdicts import Inconclusive, Judgement, Violation

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

    from celeriac.conformance.adapter import OnMessage
    from celeriac.conformance.claim import Claim
    from celeriac.conformance.history import History, Record
    from celeriac.conformance.providers import BrokerInfo, LeaseTimes
    from celeriac.conformance.stage import Backend, Stage
    from celeriac.conformance.tap.faults import When

__all__ = ["World"]

Case = TypeVar("Case")


class World(Calling):
    """The world of one check.

    Args:
        stage: where the scenario plays.
        claim: what the adapter says the implementation can do.
    """

    def __init__(self, stage: Stage, claim: Claim) -> None:
        super().__init__(stage, claim)
        self._began = False
        self._workers = 0

    # -- what there is ------------------------------------------------------------------------------

    @property
    def broker(self) -> BrokerInfo:
        """Answer which broker is in use."""
        return self.stage.broker

    @property
    def link(self) -> str:
        """Answer how implementation and broker meet: ``amqp`` or ``redis``."""
        return self.stage.broker.link

    @property
    def history(self) -> History:
        """Answer what has happened in this scenario."""
        return self.stage.history

    @property
    def tick(self) -> float:
        """Answer a duration in seconds that is long against the noise of this clock, and cheap to wait for."""
        return self.stage.tick

    @property
    def lateness(self) -> float:
        """Answer the seconds by which a punctual party may be seen late (0 on a virtual clock)."""
        return self.stage.lateness

    def lateness_after(self, seconds: float) -> float:
        """Answer the same for what comes ``seconds`` after the event before it."""
        return self.stage.lateness_after(seconds)

    @property
    def lease(self) -> LeaseTimes:
        """Answer the lease that ``begin(lease=...)`` asked for."""
        assert self.stage.lease is not None, "begin(lease=...) first"
        return self.stage.lease

    @property
    def queue(self) -> str:
        """Answer the queue of the scenario, where calls go by default and workers consume."""
        return self.stage.scenario.queue

    def has(self, feature: str) -> bool:
        """Answer whether the implementation has a feature here: claimed, and nothing it needs is missing."""
        return self.claim.claims(feature) and feature not in self.stage.missing

    # -- the scenario ---------------------------------------------------------------------------------

    def begin(
        self,
        *,
        settings: Mapping[str, Any] | None = None,
        task_attributes: Mapping[str, Mapping[str, Any]] | None = None,
        results: bool = True,
        fresh: bool = False,
        lease: LeaseNeed = None,
    ) -> None:
        """Begin a scenario; a running one is ended first.

        Args:
            settings: settings of the implementation under their Celery names.
            task_attributes: attributes of probe tasks, ``{"celeriac.add": {"serializer": "yaml"}}``.
            results: whether there is a result back end.
            fresh: nothing may be left over in the implementation from earlier scenarios.
            lease: which kind of broker time-out the scenario needs; see ``lease``.
        """
        self.end()
        answer = self.stage.begin(
            settings=settings or {},
            task_attributes=task_attributes or {},
            results=self._backend() if results else None,
            fresh=fresh,
            lease=lease,
        )
        self._began = True
        self._accept(answer)

    def end(self) -> None:
        """End the scenario: workers stop, connections close, the queue is removed."""
        if self._began:
            self._began = False
            self.stage.end()

    # -- the producer ------------------------------------------------------------------------------

    def published(self, called: Called) -> Record:
        """Wait for the message of a call on the wire and answer its record.

        Raises:
            Violation: no message appears.
        """
        return self.expect("published", task_id=called.id)

    def published_or_skipped(self, called: Called) -> Record:
        """Answer the record of a generated call like ``published``; a refused one is another check's business.

        For use in ``for_all`` only: whether valid options are accepted is what BAS-011 decides.
        """
        assume(called.task_id is not None)
        return self.published(called)

    # -- the worker -----------------------------------------------------------------------------------

    def send(
        self,
        task: str = "celeriac.add",
        args: Sequence[Any] = (2, 2),
        kwargs: Mapping[str, Any] | None = None,
        *,
        eta: float | None = None,
        expires: float | None = None,
        queue: str | None = None,
        **fields: Any,
    ) -> Sent:
        """Send a message that the harness wrote to the scenario's queue, or to another one that is there.

        Args:
            task: name of the task.
            args: JSON values.
            kwargs: JSON values.
            eta: seconds from now, may be negative.
            expires: seconds from now, may be negative.
            queue: see ``places.declare``.
            fields: further arguments of ``messages.task_message``.
        """
        now = self.now()
        eta_at = None if eta is None else now + eta
        expires_at = None if expires is None else now + expires
        message = self.message(task, args, kwargs, eta=eta_at, expires=expires_at, **fields)
        self.inject(message, queue)
        return Sent(message.task_id, message, now, eta_at, expires_at)

    def message(
        self,
        task: str = "celeriac.add",
        args: Sequence[Any] = (2, 2),
        kwargs: Mapping[str, Any] | None = None,
        *,
        eta: float | None = None,
        expires: float | None = None,
        **fields: Any,
    ) -> WireMessage:
        """Answer a message as ``send`` would send it; ``eta`` and ``expires`` in epoch seconds."""
        self._require_scenario()
        self._require_task(task)
        return task_message(
            task,
            args,
            kwargs,
            reply_to=self.stage.reply_queue,
            eta=None if eta is None else iso(eta),
            expires=None if expires is None else iso(expires),
            **fields,
        )

    def inject(self, message: WireMessage, queue: str | None = None) -> None:
        """Send any message, lawful or not, to the scenario's queue, or to another one that is there."""
        self._require_scenario()
        self.stage.inject(message, queue or self.queue)

    def worker(self, queues: Sequence[str] | None = None, **settings: Any) -> str:
        """Start a worker on the scenario's queue, wait until it consumes, answer its name.

        Args:
            queues: other queues in its place; none of them starts a worker that is told of no queue.
            settings: of this worker alone.
        """
        self._require_scenario()
        self._workers += 1
        name = f"worker-{self._workers}"
        spec = WorkerSpec(
            name, self.stage.worker_url, tuple((self.queue,) if queues is None else queues), settings
        )
        answer = self._accept(self.stage.request("start_worker", spec))
        if isinstance(answer, Raised):
            raise Violation("", Judgement("fail", "the worker starts", f"{answer.type}: {answer.text}"))
        return name

    def stop(self, worker: str, how: Literal["warm", "cold", "kill"] = "warm") -> None:
        """Stop a worker."""
        self._accept(self.stage.request("stop_worker", worker, how))

    # -- results --------------------------------------------------------------------------------------

    def get(
        self,
        called: Called | Composed,
        *,
        timeout: float | None = None,
        propagate: bool = True,
        on_message: OnMessage = False,
    ) -> Ok | Raised:
        """Wait for the result as the implementation's caller would; ``timeout`` in seconds."""
        patience = self.stage.answer if timeout is None else timeout
        return self._accept(
            self.stage.request(
                "get_result", called.id, timeout=patience, propagate=propagate, on_message=on_message
            )
        )

    def store(
        self, called: Called, status: str, result: Any, *, awaited_by: Called | None = None, **members: Any
    ) -> None:
        """Store a state of a called task in a worker's place; ``members`` are further ones of the record.

        Args:
            called: the task.
            status: its state.
            result: its value, or its error as data.
            awaited_by: the call whose message says where the result is awaited, when the task has none itself.
            members: further members of the record.

        Raises:
            Violation: no message of the call appears.
        """
        reply_to = self.published(awaited_by or called).properties.get("reply_to")
        self.stage.store(result_record(called.id, status, result, **members), str(reply_to))

    def state(self, called: Called) -> Ok | Raised:
        """Answer the state of the task as the implementation's caller sees it."""
        return self._accept(self.stage.request("state", called.id))

    def any_options(self) -> SearchStrategy[dict[str, Any]]:
        """Answer valid execution options, as far as the implementation has their values.

        A queue is always the scenario's, lest a broker that somebody else runs keeps dozens of queues, and
        exchanges are left out, because they would have to exist.  Links in YAML are left to LNK-005, which
        decides nothing else, so that one defect does not turn every generated call red or not by chance.
        """
        moment = datetime.fromtimestamp(self.now(), UTC)
        drawn = execution_options(now=moment, has=self.has, queues=(self.queue,))
        return drawn.filter(lambda options: not (options.get("serializer") == "yaml" and _links(options)))

    def sample(self, cases: Sequence[Case]) -> Sequence[Case]:
        """Answer all cases where time costs nothing, else a few, evenly spread."""
        return self.stage.sample(cases)

    # -- properties -----------------------------------------------------------------------------------

    def for_all(self, *strategies: SearchStrategy[Any]) -> Callable[[Callable[..., None]], None]:
        """Run the decorated function at once, with many values of the strategies.

        The values are the same in every run (``--explore`` takes new ones), and fewer where time is real.
        """

        def run(body: Callable[..., None]) -> None:
            given(*strategies)(self.stage.properties(body))()

        return run

    # -- time and the network -------------------------------------------------------------------------

    def advance(self, seconds: float) -> None:
        """Let time pass, for everybody."""
        with waiting("letting time pass", limit=seconds, now=self.stage.now):
            self.stage.clock.advance(seconds)

    def wait(self, *kinds: str, timeout: float | None = None, count: int = 1, **fields: Any) -> Record | None:
        """Wait for ``count`` such records; answer the last, None after ``timeout`` s or when all workers have ended."""
        self._require_results(kinds)
        patience = self.stage.patience if timeout is None else timeout

        def there() -> bool:
            return len(self.history.of(*kinds, **fields)) >= count

        with waiting(_awaited(kinds, fields), limit=patience, now=self.stage.now):
            self.stage.clock.wait_for(lambda: there() or self.stage.nothing_follows(kinds), patience)
        records = self.history.of(*kinds, **fields)
        return records[count - 1] if len(records) >= count else None

    def until(self, predicate: Callable[[], bool], timeout: float | None = None) -> bool:
        """Wait until ``predicate()`` holds; answer False when ``timeout`` seconds passed first."""
        patience = self.stage.patience if timeout is None else timeout
        with waiting("waiting for a condition", limit=patience, now=self.stage.now):
            return self.stage.clock.wait_for(predicate, patience)

    def expect(self, *kinds: str, timeout: float | None = None, count: int = 1, **fields: Any) -> Record:
        """Wait like ``wait`` for something that must happen.

        Raises:
            Violation: it does not happen in time.
        """
        record = self.wait(*kinds, timeout=timeout, count=count, **fields)
        if record is None:
            what = " or ".join(kinds) + ("" if count == 1 else f" ({count} times)")
            about = ", ".join(f"{name}={value!r}" for name, value in fields.items())
            seen = self.history.task(fields["task_id"]) if "task_id" in fields else list(self.history)[-8:]
            observed = "only: " + (", ".join(r.kind for r in seen) or "nothing")
            raise Violation(
                "", Judgement("fail", f"{what} with {about or 'any fields'}", observed, tuple(seen))
            )
        return record

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Let ``action`` happen in ``seconds``, also while a call of the implementation blocks."""
        self.stage.after(seconds, action)

    def cut_next_publish(self, when: When = "before", times: int | None = 1) -> Cut:
        """Cut the connection that carries the next message; answer the fault, which counts how often it was.

        Args:
            when: before the broker has the message, in the middle of it; or after, before it has said so.
            times: how many messages in a row have this fate, None for all until ``broker_up``.
        """
        cut = Cut(CLIENT, PUBLISH, when=when, times=times)
        self.stage.spoil(cut)
        return cut

    def count_frames(self) -> Census:
        """Count what passes between the implementation and the broker; the answer knows each place to cut there."""
        census = Census()
        self.stage.spoil(census)
        return census

    def cut_at(self, place: Cut) -> None:
        """Cut a connection at a place that ``count_frames`` has found."""
        self.stage.spoil(place)

    def black_hole(self) -> None:
        """Let the broker fall silent: connections are accepted and never answered, open ones too, until ``broker_up``.

        A connection that has said something meanwhile is cut then.
        """
        self.stage.black_hole()

    def broker_down(self, attempts: int | None = None) -> None:
        """Cut every connection of the implementation and turn away new ones: all, or the first ``attempts``."""
        self.stage.broker_down(attempts)

    def broker_up(self) -> None:
        """Accept connections again, and answer; nothing goes wrong any more."""
        self.stage.broker_up()

    def drop_connections(self) -> None:
        """Cut every connection of the implementation once; the broker stays reachable."""
        self.stage.drop_connections()

    def note(self, name: str, value: Any) -> None:
        """Keep a measurement for the report; ``value`` is JSON."""
        self.stage.notes.append((name, value))

    # -- verdicts -------------------------------------------------------------------------------------

    def judge(self, requirement: str, judgement: Judgement) -> None:
        """Turn a judgement into the check's verdict.

        Raises:
            Violation: the judgement is a fail.
            Inconclusive: it is inconclusive.
        """
        if judgement.verdict == "fail":
            raise Violation(requirement, judgement)
        if judgement.verdict == "inconclusive":
            message = f"{requirement}: {judgement.observed}"
            raise Inconclusive(message)

    def require(self, requirement: str, holds: bool, expected: str, observed: str, *evidence: Record) -> None:
        """Fail the requirement unless ``holds``."""
        if not holds:
            raise Violation(requirement, Judgement("fail", expected, observed, evidence))

    def require_refusal(self, requirement: str, **call: Any) -> None:
        """Call a task; fail the requirement unless the call raises and nothing at all has been published.

        An error of the connection does not count: what is refused must be refused by its value.
        """
        called = self.call(**call)
        refused = isinstance(called.answer, Raised) and called.answer.category != "connection"
        about = ", ".join(f"{name}={value!r}" for name, value in call.items())
        self.require(requirement, refused, f"{about} is refused", f"answered: {called.answer}")
        published = self.history.of("published")
        self.require(
            requirement, not published, "nothing is published", f"{len(published)} messages", *published
        )

    def _backend(self) -> Backend:
        """Answer the broker's own kind of result back end, unless the implementation has none but Redis."""
        return "redis" if self.has("result:redis") and not self.has("result:rpc") else "own"

    def _require_scenario(self) -> None:
        if not self._began:
            self.begin()


def _awaited(kinds: Sequence[str], fields: Collection[str]) -> str:
    about = f" ({', '.join(fields)})" if fields else ""
    return f"waiting for {' or '.join(map(repr, kinds))}{about}"


def _links(options: Mapping[str, Any]) -> bool:
    return bool(options.get("link") or options.get("link_error"))
