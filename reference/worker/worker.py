"""The worker.

Theory of operation
-------------------
The life of a message, each line a method below:

    receive    everything that has arrived is taken in without blocking
    intake     it is a request, or it is refused and settled at once
    hold       an expired request is revoked; one with an ETA waits in a heap, the others are ready
    release    requests whose ETA has come become ready
    begin      the oldest ready request is acknowledged (or not yet, if it is late) and executed
    settle     a late request is acknowledged, or given back

A held request is not acknowledged, so the broker counts it against the prefetch limit.  The limit is
therefore raised by one for each request in the heap; otherwise a few long countdowns would stop all work.

Everything that is held belongs to the connection it came by.  When that is lost, or the broker closes its
channel because a countdown outlived ``consumer_timeout``, the broker delivers the messages again, so the worker
forgets what it holds, connects again and goes on (TIM-007 to TIM-010).  The ETA travels as a moment, so nothing is
late for it.  A broker that delivers a copy while the first is still held is answered by holding the newer delivery
in place of the older one: the task runs once (TIM-016).

A worker runs one task at a time, in the thread that calls ``step``.  On a virtual clock it is a party: a task
that sleeps lets the world go on, and the clock leaves the busy worker out.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from celeriac.reference.app import App
from celeriac.reference.codecs import accepted_types
from celeriac.reference.retry import RetryPolicy, waits
from celeriac.reference.worker.consumer import Consumer, ConsumerLost
from celeriac.reference.worker.execution import Outcome, execute, revoke, store_safely
from celeriac.reference.worker.intake import Refusal, Request, admit, unreadable
from celeriac.reference.worker.schedule import Schedule

__all__ = ["Worker"]

logger = logging.getLogger(__name__)

#: When to connect again: at once, then after 2, 4, ... 30 seconds, for ever.
_RECONNECT = RetryPolicy(None, 0, 2, 30)

#: How many executions a worker remembers, to know a copy when it sees one.
_MEMORY = 10_000


class Worker:
    """Consumes queues and executes tasks.

    Args:
        app: the application whose tasks are executed.
        queues: names of the queues; those of the setting ``task_queues``, or the default queue, when empty.
        hostname: the worker's name, ``celeriac@<host>`` by default.
        prefetch: deliveries to have outstanding, 0 for no limit; ``worker_prefetch_multiplier`` by default.
        observer: called with (kind, data) for ready, received, started, ended, retried, revoked, refused, lost
            and stopped; the observers of the application hear the same.
    """

    def __init__(
        self,
        app: App,
        queues: Sequence[str] = (),
        hostname: str | None = None,
        prefetch: int | None = None,
        observer: Callable[[str, Mapping[str, Any]], None] | None = None,
    ) -> None:
        self.app = app
        self.queues = tuple(queues) or app.queues.consumed
        self.hostname = hostname or f"celeriac@{socket.gethostname()}"
        self._accept = accepted_types(app.conf.accept_content)
        self._observer = observer
        limit = app.conf.worker_prefetch_multiplier if prefetch is None else prefetch
        self._consumer = Consumer(app, self.queues, limit)
        self._schedule = Schedule()
        self._finished: dict[tuple[str | None, int], None] = {}
        self._reconnect_at: float | None = None
        self._pauses: Iterator[float] = waits(_RECONNECT)
        self._running = False
        self._stepping = False
        self._announced = False

    # -- life ---------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to consume (ROU-004, ROU-005); a broker that cannot be reached is tried again by ``step``."""
        self._running = True
        self._reconnect_at = self.app.clock.monotonic()
        self._guarded(self._connect)
        self.app.clock.attach(self)

    def stop(self, how: Literal["warm", "cold", "kill"] = "warm") -> None:
        """Stop consuming; what is held goes back to the broker (ETA-018).

        Args:
            how: a killed worker does not say goodbye; warm and cold differ only while a task is running.
        """
        self.app.clock.detach(self)
        self._running = False
        self._schedule.clear()
        if how == "kill":
            self._consumer.abandon()
        else:
            self._consumer.close()
        self._tell("stopped", exit_code=0)

    def request_stop(self) -> None:
        """Let ``run`` return after the task that is running; safe to call in a signal handler."""
        self._running = False

    def run(self) -> None:
        """Work on wall time until ``request_stop``; returns after a warm stop."""
        self.start()
        how: Literal["warm", "cold"] = "cold"
        try:
            while self._running:
                self.step(self._patience())
            how = "warm"
        finally:
            self.stop(how)

    # -- the party ----------------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Answer whether the worker consumes."""
        return self._consumer.connected

    def step(self, patience: float = 0.0) -> bool:
        """Do what can be done now, at most one task (ETA-004, ETA-017); answer whether anything was done.

        Args:
            patience: seconds to wait for a delivery, if nothing else can be done.
        """
        if self._stepping or not self._running:
            return False
        self._stepping = True
        try:
            return self._guarded(self._work if self._consumer.connected else self._connect, patience)
        finally:
            self._stepping = False

    def next_due(self) -> float | None:
        """Answer the clock time (seconds) of the next ETA or attempt to connect."""
        if not self._running:
            return None
        if not self._consumer.connected:
            return self._reconnect_at
        eta = self._schedule.next_eta
        clock = self.app.clock
        return None if eta is None else clock.monotonic() + (eta - clock.now()).total_seconds()

    def _patience(self) -> float:
        if self._schedule.has_ready:
            return 0.0
        due = self.next_due()
        glance = self._consumer.glance
        return glance if due is None else min(glance, max(0.0, due - self.app.clock.monotonic()))

    def _guarded(self, action: Callable[[float], bool], patience: float = 0.0) -> bool:
        try:
            return action(patience)
        except ConsumerLost as error:
            self._lost(error)
            return True

    # -- the connection -------------------------------------------------------------------------------

    def _connect(self, patience: float) -> bool:
        if self._reconnect_at is None or self.app.clock.monotonic() < self._reconnect_at - 5e-7:
            if patience:
                self.app.clock.sleep(patience)
            return False
        self._consumer.connect()
        self._pauses = waits(_RECONNECT)
        if not self._announced:
            self._announced = True
            self._tell("ready", queues=self.queues, pid=os.getpid())
        logger.info("%s consumes %s", self.hostname, ", ".join(self.queues))
        return True

    def _lost(self, error: ConsumerLost) -> None:
        """Forget what the broker has taken back, and plan to connect again (TIM-009)."""
        self._schedule.clear()
        pause = next(self._pauses)
        self._reconnect_at = self.app.clock.monotonic() + pause
        logger.warning("lost the broker, connecting again in %g s: %s", pause, error)
        self._tell("lost", reason=str(error))

    # -- the life of a message ------------------------------------------------------------------------

    def _work(self, patience: float) -> bool:
        progress = self._receive(patience)
        progress = self._schedule.release(self.app.clock.now()) or progress
        progress = self._consumer.extend_prefetch(self._schedule.waiting) or progress
        request = self._schedule.pop_ready()
        if request is None:
            return progress
        self._begin(request)
        return True

    def _receive(self, patience: float) -> bool:
        deliveries = self._consumer.receive(patience)
        for message, error in deliveries:
            self._intake(message, error)
        return bool(deliveries)

    def _intake(self, message: Any, error: BaseException | None) -> None:
        try:
            if error is not None:
                raise unreadable(error)
            request = admit(message, self.app, self._accept, self.hostname)
        except Refusal as refusal:
            self._refuse(message, refusal)
        else:
            self._hold(request)

    def _refuse(self, message: Any, refusal: Refusal) -> None:
        """Settle a message that cannot be executed, and say why, once (MSG-023 to MSG-033)."""
        logger.error("message refused (%s): %s", refusal.fate, refusal.reason)
        if refusal.context is not None:
            store_safely(self.app, refusal.context, "FAILURE", refusal.error)
        self._tell("refused", reason=refusal.reason, fate=refusal.fate)
        if refusal.fate == "ack":
            self._consumer.ack(message)
        else:
            self._consumer.reject(message)

    def _hold(self, request: Request) -> None:
        if self._is_known(request):
            return
        if self._has_expired(request):
            self._revoke(request)
        else:
            self._tell("received", **_about(request))
            self._schedule.add(request)

    def _is_known(self, request: Request) -> bool:
        """Settle all but one delivery of a message, so that it is executed once (TIM-016).

        Of two that are held, the older goes.  One that comes after the execution, because the connection was lost
        before the broker had read its acknowledgement, goes itself.
        """
        tag = request.message.delivery_tag
        held = self._schedule.find(request)
        if held is not None and held.message.delivery_tag == tag:
            held.message = request.message  # Redis: the lease is renewed, the tag is the same
            return True
        if not request.context.delivery_info["redelivered"]:
            return False
        if held is not None:
            older, held.message = held.message, request.message
            self._consumer.ack(older)
            return True
        if request.key in self._finished:
            self._consumer.ack(request.message)
            return True
        return False

    def _has_expired(self, request: Request) -> bool:
        return request.expires is not None and self.app.clock.now() > request.expires

    def _revoke(self, request: Request) -> None:
        """Give up a task that has expired (EXP-008 to EXP-011)."""
        logger.info("task %s[%s] has expired", request.context.task, request.context.id)
        revoke(self.app, request)
        self._tell("revoked", **_about(request))
        self._consumer.ack(request.message)

    def _begin(self, request: Request) -> None:
        if self._has_expired(request):
            self._revoke(request)
            return
        if not request.late:
            self._consumer.ack(request.message)
        if self._tracks_start(request):
            store_safely(
                self.app, request.context, "STARTED", {"pid": os.getpid(), "hostname": self.hostname}
            )
        self._tell("started", **_about(request))
        outcome = execute(self.app, request)
        if not outcome.requeue:
            self._remember(request)
        kind = "retried" if outcome.state == "RETRY" else "ended"
        self._tell(kind, **_about(request), state=outcome.state, value=outcome.value)
        if request.late:
            self._settle(request, outcome)

    def _settle(self, request: Request, outcome: Outcome) -> None:
        """Settle a request that is acknowledged late."""
        if outcome.state == "REJECTED":
            self._consumer.reject(request.message, requeue=outcome.requeue)
        elif outcome.state == "FAILURE" and not self._acks_failures(request):
            self._consumer.reject(request.message)
        else:
            self._consumer.ack(request.message)

    def _remember(self, request: Request) -> None:
        self._finished[request.key] = None
        if len(self._finished) > _MEMORY:
            del self._finished[next(iter(self._finished))]

    def _acks_failures(self, request: Request) -> bool:
        attribute = request.task.attributes.acks_on_failure_or_timeout
        setting = self.app.conf.task_acks_on_failure_or_timeout
        return bool(setting if attribute is None else attribute)

    def _tracks_start(self, request: Request) -> bool:
        attribute = request.task.attributes.track_started
        return bool(self.app.conf.task_track_started if attribute is None else attribute)

    def _tell(self, kind: str, **data: Any) -> None:
        event = {"worker": self.hostname, **data}
        if self._observer is not None:
            self._observer(kind, event)
        self.app.tell(kind, **event)


def _about(request: Request) -> dict[str, Any]:
    context = request.context
    return {
        "task_id": context.id,
        "task": context.task,
        "args": context.args,
        "kwargs": context.kwargs,
        "attempt": context.retries,
    }
