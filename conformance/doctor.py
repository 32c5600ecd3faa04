"""``celeriac doctor``: walks the author of an adapter from nothing to a complete one.

The walk ends at the first step that is missing.  It says what is missing next and shows the exchange: what was asked,
what was answered, and what would satisfy.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from celeriac.conformance import doctor_first as first
from celeriac.conformance.adapter import Adapter, Broken, Ok
from celeriac.conformance.claim import Candidate, Claim, ClaimError
from celeriac.conformance.doctor_steps import STEPS, WANTED, Step, plainly
from celeriac.conformance.doctor_talk import AsClass, AsLines, Exhibit, Form, Missing, Overheard, Skipped
from celeriac.conformance.evidence import printable
from celeriac.conformance.guard import GuardedAdapter
from celeriac.conformance.providers import LINKS
from celeriac.conformance.stage import Stage
from celeriac.conformance.stages import open_stage
from celeriac.conformance.travel import library
from celeriac.conformance.verdicts import HarnessError, NotApplicable, Violation
from celeriac.conformance.world import World

__all__ = ["Doctor"]

#: Seconds that an adapter may take for one answer, unless its claim has limits.
PATIENCE = 20.0

#: Columns of a line of text; an exchange is shown as it is, however long.
WIDTH = 96

#: What became of a step -> how the word is coloured.
COLOURS: Mapping[str, str] = {"ok": "32", "skipped": "2", "missing": "1;31"}

#: A traceback in the text of an error, of which its author needs the last place alone.
TRACEBACK = re.compile(r"Traceback \(most recent call last\):\n(?:.*\n)*?(  File .*\n(?:    .*\n)*)(?=\S)")


@dataclass
class Doctor:
    """A walk through the steps of one adapter.

    Attributes:
        spelling: the value of ``--adapter``.
        say: is told every line.
        broker: flavour of the broker, None for the embedded one, or for Redis where AMQP is not claimed.
        source: where the broker comes from, None for the provider's default.
        colour: whether lines may be coloured.
    """

    spelling: str
    say: Callable[[str], None]
    broker: str | None = None
    source: str | None = None
    colour: bool = False
    _form: Form = field(default_factory=AsClass)
    _heard: Overheard | None = None

    def walk(self) -> bool:
        """Take every step up to the first that is missing; answer whether none is.

        Raises:
            ClaimError: there is no adapter of this name, or it does not claim this broker.
            Unavailable: the broker cannot be had here.
        """
        with ExitStack() as stack:
            if not all(self._take(name, step) for name, step in self._steps(stack)):
                return False
        self.say("")
        self.say(f"The adapter is complete. Judge what it drives: celeriac run --adapter={self.spelling}")
        return True

    def _steps(self, stack: ExitStack) -> Iterator[tuple[str, Callable[[], str]]]:
        """Answer the steps, each made when the one before it has been taken."""
        found: list[Any] = []

        def claim() -> str:
            candidate = first.claim(self.spelling)
            self._form = AsLines() if "command" in candidate.claim.driver else AsClass()
            found.append(candidate)
            parts = (candidate.claim.roles, candidate.claim.links, candidate.claim.clocks)
            return f"{candidate.claim.title}: {'; '.join(map(', '.join, parts))}"

        def hello() -> str:
            adapter = first.made(found[0])
            told, wire = first.hello(found[0], adapter)
            stack.callback(_close, adapter)
            found.extend((adapter, wire))
            return told

        yield "claim", claim
        yield "build", lambda: first.build(found[0], lambda line: self.say(f"{'':<20}{line}"))
        yield "hello", hello
        yield "canary", lambda: first.canary(found[2], found[1])
        yield from self._scenes(stack, found[0], found[1])

    def _scenes(
        self, stack: ExitStack, candidate: Candidate, adapter: Adapter
    ) -> Iterator[tuple[str, Callable[[], str]]]:
        claim = candidate.claim
        heard = self._heard = Overheard(GuardedAdapter(adapter, claim.patience(PATIENCE)))
        stage: list[Stage] = []

        def played(step: Step) -> str:
            if absent := [role for role in step.roles if role not in claim.roles]:
                raise Skipped(f"the claim has no role {absent[0]}")
            if not stage:
                stage.append(self._open(lambda: heard, claim, _clock(claim)))
                stack.callback(_close, stage[0])
            return self._played(step, World(stage[0], claim))

        for step in STEPS:
            yield step.name, partial(played, step)
        yield "clock", lambda: self._clock(candidate)

    def _open(self, factory: Callable[[], Adapter], claim: Claim, clock: str) -> Stage:
        flavour = self.broker or ("redis" if set(claim.links) == {"redis"} else "embedded")
        if clock != "virtual" and LINKS[flavour] not in claim.links:
            raise ClaimError(f"--broker={flavour}: {claim.name} does not claim the link {LINKS[flavour]}")
        return open_stage(factory, flavour, self.source, clock)

    def _played(self, step: Step, world: World) -> str:
        try:
            told = step.take(world, world.claim)
        finally:
            world.end()
        end = self._heard.last("end") if self._heard else None
        if end is not None and not isinstance(end.answer, Ok):
            raise Missing(_told(end.answer), "end")
        return told

    def _clock(self, candidate: Candidate) -> str:
        claim = candidate.claim
        if "travel" not in claim.clocks:
            raise Skipped("the claim does not name the clock travel")
        if library() is None:
            raise Skipped("libfaketime is not installed here")
        heard = self._heard = Overheard(GuardedAdapter(candidate.factory(), claim.patience(PATIENCE)))
        stage = self._open(lambda: heard, claim, "travel")
        _close(stage)
        if stage.withdrawn is not None:
            raise Missing(f"The clock cannot be moved: {stage.withdrawn}.")
        return "everybody follows a clock that is moved by an hour"

    # -- what is said -----------------------------------------------------------------------------------

    def _take(self, name: str, step: Callable[[], str]) -> bool:
        """Take one step and say what became of it."""
        try:
            said, *remarks = step().splitlines()
        except (Skipped, NotApplicable) as skipped:
            self._line("skipped", name, str(skipped))
            return True
        except (Missing, HarnessError, Violation) as error:
            missing = _missing(error, self._heard)
            exhibit = missing.exhibit or self._exhibit(missing)
            self._line("missing", name, "")
            self._next(name, str(missing), exhibit)
            return False
        self._line("ok", name, said)
        for remark in remarks:
            self.say(f"{'':<20}{printable(remark)}")
        return True

    def _exhibit(self, missing: Missing) -> Exhibit | None:
        exchange = self._heard.last(missing.operation) if self._heard else None
        if exchange is None:
            return None
        was, more = exchange.answer, [*map(self._form.event, missing.events), *missing.wanted]
        answer = (
            [] if isinstance(was, Ok) and more else [self._form.answer(exchange, WANTED[missing.operation])]
        )
        return Exhibit(
            [self._form.request(exchange), *missing.given],
            "" if was is None or isinstance(was, Broken) else self._form.answer(exchange, was),
            [*answer, *more],
        )

    def _next(self, name: str, text: str, exhibit: Exhibit | None) -> None:
        self.say("")
        self.say(f"What is missing next: {name}")
        lines = [
            part
            for line in text.splitlines()
            for part in (textwrap.wrap(line, WIDTH) if len(line) > WIDTH else [line])
        ]
        for line in lines:
            self.say(f"  {printable(line)}".rstrip())
        if exhibit is None:
            return
        for word, shown in (("asked", exhibit.asked), ("got", [exhibit.got]), ("wanted", exhibit.wanted)):
            for number, line in enumerate(shown if any(shown) else ()):
                if not number:
                    self.say("")
                self.say(f"  {'' if number else word:<8}{printable(line)}".rstrip())

    def _line(self, became: str, name: str, told: str) -> None:
        word = f"\x1b[{COLOURS[became]}m{became:<8}\x1b[0m" if self.colour else f"{became:<8}"
        self.say(f"  {word}  {name:<9} {printable(told)}".rstrip())


def _clock(claim: Claim) -> str:
    return next(clock for clock in ("wall", "virtual", "travel") if clock in claim.clocks)


def _close(thing: Adapter | Stage) -> None:
    with suppress(HarnessError):  # the walk has its result
        thing.close()


def _missing(error: Missing | HarnessError | Violation, heard: Overheard | None) -> Missing:
    """Answer what is missing, whoever noticed it: a step, or the world that it plays in."""
    if isinstance(error, Missing):
        return error
    asked = [each for each in heard.exchanges if each.operation != "end"] if heard else []
    operation = asked[-1].operation if asked else ""
    if isinstance(error, Violation):
        return Missing(plainly(error, operation), operation)
    return Missing(TRACEBACK.sub(r"\1", str(error)), operation)


def _told(answer: object) -> str:
    return answer.detail if isinstance(answer, Broken) else f"`end` has to be answered ok, not {answer!r}."
