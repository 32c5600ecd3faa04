"""``celeriac interop``: who takes part, on which brokers, and every producer with every worker."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

from celeriac.conformance.claim import Candidate, ClaimError, bundled, find_adapter
from celeriac.conformance.crossing import Caller, Party, Place
from celeriac.conformance.environments import BuildError, Tell, is_made
from celeriac.conformance.interop_features import FEATURES
from celeriac.conformance.interop_table import Outcome, Pair
from celeriac.conformance.interop_trials import crossed
from celeriac.conformance.providers import LINKS, Provider, Unavailable, find
from celeriac.conformance.verdicts import HarnessError
from celeriac.conformance.wall_stage import first_keeper

__all__ = ["REFERENCE", "Interop"]

#: Crosses with everybody.
REFERENCE = "reference"

Row = Mapping[str, Outcome]


@dataclass
class Interop:
    """Implementations that are crossed with each other.

    Attributes:
        tell: is told, in a line, what is being done and who is left out.
        parties: who takes part.
        versions: name of an adapter -> the version of what it drives.
        missing: name of an adapter that is left out, or of a broker that cannot be had -> the reason.
        cells: what has become of each feature between whom.
    """

    tell: Tell
    parties: list[Party] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    cells: dict[Pair, Row] = field(default_factory=dict)

    @property
    def is_sound(self) -> bool:
        """Answer whether no adapter has broken."""
        return not any(o.kind == "broken" for row in self.cells.values() for o in row.values())

    def gather(self, names: Collection[str]) -> None:
        """Let these take part, and the reference; without names all bundled adapters that need not be built.

        Raises:
            ClaimError: a name is nobody's.
            BuildError: the environment of a named one cannot be made.
            HarnessError: a named one does not answer.
        """
        for name in dict.fromkeys((REFERENCE, *(names or bundled()))):
            try:
                candidate = find_adapter(name)
                if names:
                    candidate.prepare(self.tell)
                self.join(candidate)
            except (ClaimError, HarnessError) as error:
                if names:
                    raise
                self.leave_out(name, str(error))

    def join(self, candidate: Candidate) -> None:
        """Let one take part whose environment is there and who answers.

        Raises:
            HarnessError: it does not.
        """
        claim = candidate.claim
        if claim.build is not None and not is_made(claim.build):
            raise BuildError(f"it is not built (celeriac build {candidate.spelling})")
        party = Party(claim, candidate.factory)
        with closing(party.adapter()) as adapter:
            self.versions[claim.name] = str(adapter.hello()["version"])
        self.parties.append(party)

    def leave_out(self, name: str, reason: str) -> None:
        """Note who does not take part, and say so."""
        self.missing[name] = (reason.splitlines() or ["it did not say why"])[0]
        self.tell(f"{name} is left out: {self.missing[name]}")

    def cross(self, brokers: Sequence[str], source: str | None) -> None:
        """Cross everybody with everybody on each broker; of several, one that cannot be had is left out.

        Raises:
            Unavailable: the only broker cannot be had here.
        """
        for broker in brokers:
            try:
                with find(broker, source) as provider, _Backends(provider, self.tell) as backends:
                    self._cross(broker, backends)
            except Unavailable as error:
                if len(brokers) == 1:
                    raise
                self.leave_out(broker, str(error))

    def _cross(self, broker: str, backends: _Backends) -> None:
        there = [party for party in self.parties if LINKS[broker] in party.claim.links]
        with ExitStack() as stack:
            callers = [
                stack.enter_context(closing(Caller(party)))
                for party in there
                if "producer" in party.claim.roles
            ]
            for worker in (party for party in there if "worker" in party.claim.roles):
                self.tell(f"{broker}: everybody calls {worker.claim.name}")
                for caller, row in self._executes(worker, callers, backends):
                    self.cells[Pair(broker, caller.party.claim.name, worker.claim.name)] = row

    def _executes(
        self, worker: Party, callers: Sequence[Caller], backends: _Backends
    ) -> Iterator[tuple[Caller, Row]]:
        """Start the worker for all with whom it shares a result back end, and answer what has become of their calls."""
        by_backend: dict[str | None, list[Caller]] = {}
        for caller in callers:
            by_backend.setdefault(backends.shared(caller.party, worker), []).append(caller)
        for backend, these in by_backend.items():
            try:
                with closing(Place(worker, backends.broker, backend)) as place:
                    yield from crossed(place, these).items()
            except HarnessError as error:
                broken = Outcome("broken", f"{worker.claim.name}: {str(error).splitlines()[0]}")
                yield from ((caller, dict.fromkeys(FEATURES, broken)) for caller in these)


class _Backends:
    """A broker's URL, and a result back end for each pair that has one in common."""

    def __init__(self, provider: Provider, tell: Tell) -> None:
        self.broker = provider.node().url
        self._link = provider.link
        self._tell = tell
        self._keeper: Provider | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._keeper is not None:
            self._keeper.close()

    def shared(self, *both: Party) -> str | None:
        """Answer the URL of a result back end that both claim, None where there is none."""
        if self._link == "amqp" and _all_claim(both, "result:rpc"):
            return "rpc://"
        if not _all_claim(both, "result:redis"):
            return None
        return self.broker if self._link == "redis" else self._beside

    @cached_property
    def _beside(self) -> str | None:
        """A Redis beside the broker, None where no server can be had."""
        try:
            self._keeper, node = first_keeper()
        except Unavailable as error:
            self._tell(str(error))
            return None
        return node.url


def _all_claim(parties: Iterable[Party], feature: str) -> bool:
    return all(party.claim.claims(feature) for party in parties)
