"""The stage of real processes whose clock the harness moves: brokers at their real defaults, in seconds.

It is the stage of real processes with another clock; ``travel`` has the theory.  Before it is used, broker and
implementation prove that they follow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celeriac.conformance.adapter import Adapter, Call, Ok, Unsupported, WorkerSpec
from celeriac.conformance.decoding import iso, moment
from celeriac.conformance.messages import task_message
from celeriac.conformance.providers import Node, Provider
from celeriac.conformance.tap import Ledger, Tap
from celeriac.conformance.tap.pulse import Pulse
from celeriac.conformance.travel import LONGEST, ControlFile, TravelClock
from celeriac.conformance.verdicts import HarnessError, WithdrawnError
from celeriac.conformance.wall_stage import WallStage

__all__ = ["TravelStage"]

#: Seconds by which the canary moves the clock: far more than anybody can be late.
PROOF = 3600.0
#: Seconds of a step that is as good as done, and by which stamps of the proof may differ.
NEAR = 30.0


class TravelStage(WallStage):
    """Real processes and brokers, on a clock that goes as fast as they can follow.

    Args:
        adapter_factory: makes the adapter, whose processes will read the control file.
        provider: of brokers that do so, too.
        control: the file; removed by ``close``.

    Raises:
        WithdrawnError: the adapter's processes or the broker do not follow.
    """

    kind = "travel"
    simulated_s: float = 0.0
    patience = 7_500.0
    grace = None
    horizon = 3 * 86_400.0

    def __init__(
        self, adapter_factory: Callable[[], Adapter], provider: Provider, control: ControlFile
    ) -> None:
        self._control = control
        self._clock_moved = TravelClock(
            control.write, self._wake, self._activity, self._lagging, self._is_alone
        )
        self._pulses: list[tuple[Tap, Pulse]] = []
        self._last_move = 0.0
        provider.follow(control)
        super().__init__(lambda: adapter_factory().preload(control.variables()), provider)
        try:
            self._prove()
        except BaseException:
            self.close()
            raise

    @property
    def clock(self) -> TravelClock:
        """Answer the clock of all scenarios: it never goes back, because no process would survive that."""
        return self._clock_moved

    def lateness_after(self, seconds: float) -> float:
        """Answer a few steps of the size that they have after so long a wait."""
        return max(self.lateness, min(6 * LONGEST, 0.3 * seconds))

    def end(self) -> None:
        """End the scenario."""
        super().end()
        self.simulated_s = self.clock.moved
        self._pulses = [(tap, pulse) for tap, pulse in self._pulses if tap.is_open]

    def close(self) -> None:
        """Release everything."""
        super().close()
        self._control.close()

    def _make_tap(self, node: Node, ledger: Ledger) -> Tap:
        pulse = Pulse(self.clock.monotonic)
        tap = Tap(node.host, node.port, node.link, self._log, ledger=ledger, on_frame=pulse, now=self.now)
        self._pulses.append((tap, pulse))
        return tap

    def _wake(self, seconds: float) -> None:
        self._last_move = seconds
        waits = [wait for tap, pulse in self._pulses for wait in pulse.longest_waits(tap.connections())]
        self._provider.moved(seconds, unblock=all(waits))
        if self._beside is not None:
            self._beside.provider.moved(seconds, unblock=all(waits))
        for tap, _ in self._pulses:
            if tap.is_open:
                tap.nudge()
        self._injector.ask()  # or a busy machine would leave the broker behind

    def _activity(self) -> int:
        return self._log.end

    def _is_alone(self) -> bool:
        return not any(tap.connections() for tap, _ in self._pulses)

    def _lagging(self) -> set[int]:
        move = self._last_move
        return {number for tap, pulse in self._pulses for number in pulse.lagging(tap.connections(), move)}

    # -- the proof --------------------------------------------------------------------------------------

    def _prove(self) -> None:
        """See that the clocks of broker, producer and worker move, by what they put on the wire.

        Raises:
            WithdrawnError: one of them does not.
        """
        for prove in (self._prove_broker, self._prove_producer, self._prove_worker):
            self.begin(settings={}, task_attributes={}, results=None, fresh=False, lease=None)
            try:
                prove()
            finally:
                self.end()

    def _prove_broker(self) -> None:
        if self._injector.outlives(PROOF, self.clock.leap):
            raise WithdrawnError(
                f"the clock of {self.broker.flavour} {self.broker.version} from {self.broker.source} did not follow: "
                f"what should have expired {PROOF:.0f} s later was still there"
            )

    def _prove_producer(self) -> None:
        before = self.now()
        if not self._did("call", Call("celeriac.add", (1, 1), options={"countdown": PROOF})):
            return
        self.clock.wait_for(lambda: bool(self.history.of("published")), NEAR)
        published = self.history.first("published")
        eta = None if published is None else moment(published.headers.get("eta"))
        if eta is None or not abs(eta - before - PROOF) < NEAR:
            seen = "nothing" if published is None else repr(published.headers.get("eta"))
            raise WithdrawnError(
                f"the producer's clock did not follow: a countdown of {PROOF:.0f} s at {iso(before)} "
                f"became the eta {seen}"
            )

    def _prove_worker(self) -> None:
        if not self._did("start_worker", WorkerSpec("canary", self.worker_url, (self.scenario.queue,))):
            return
        message = task_message(
            "celeriac.add", (1, 1), reply_to=self.reply_queue, eta=iso(self.now() + NEAR * 4)
        )
        self.inject(message, self.scenario.queue)
        self.clock.wait_for(lambda: bool(self.history.of("started")), NEAR * 6)
        if not self.history.of("started"):
            raise WithdrawnError(
                f"the worker's clock did not follow: a task that was due {NEAR * 4:.0f} s after it was sent had not "
                f"started {NEAR * 6:.0f} s after it"
            )

    def _did(self, operation: str, *arguments: Any) -> bool:
        """Ask the adapter for something plain; answer False where the implementation has no such thing."""
        answer = self.request(operation, *arguments)
        if not isinstance(answer, Ok | Unsupported):
            raise HarnessError(f"{operation!r}, asked for something plain, was answered with {answer}")
        return isinstance(answer, Ok)
