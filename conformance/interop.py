"""``celeriac interop``: every producer with every worker, on each broker, in one table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

from celeriac.conformance.claim import ClaimError, bundled, find_adapter
from celeriac.conformance.crossing import FEATURES, SIGNS, Crossing, Party
from celeriac.conformance.environments import Tell, is_made
from celeriac.conformance.guard import GuardedAdapter
from celeriac.conformance.providers import LINKS, Provider, find
from celeriac.conformance.verdicts import HarnessError
from celeriac.conformance.wall_stage import first_keeper

__all__ = ["Cells", "broker_list", "interop", "lines", "parties", "write"]

#: Broker, producer and worker -> the sign of each feature, or the reason why there is none.
Cells = dict[tuple[str, str, str], dict[str, str] | str]

#: Seconds that an adapter may take for an answer.
DEADLINE = 30.0


def parties(names: Sequence[str], tell: Tell) -> list[Party]:
    """Answer who takes part: these, or all bundled adapters that are usable without building anything.

    Raises:
        ClaimError: a name is nobody's.
    """
    found = []
    for name in names or bundled():
        candidate = find_adapter(name)
        if not names and (reason := _unusable(name)):
            tell(f"{name} is left out: {reason}")
            continue
        found.append(Party(candidate.claim, candidate.factory))
    return found


def _unusable(name: str) -> str | None:
    candidate = find_adapter(name)
    if candidate.claim.build is not None and not is_made(candidate.claim.build):
        return f"it is not built (celeriac build {name})"
    adapter = GuardedAdapter(candidate.factory(), DEADLINE)
    try:
        adapter.hello()
    except HarnessError as error:
        return str(error).splitlines()[0]
    finally:
        adapter.close()
    return None


def interop(there: Sequence[Party], brokers: Sequence[str], source: str | None, tell: Tell) -> Cells:
    """Cross everybody with everybody on each broker.

    Raises:
        Unavailable: a broker cannot be had here.
    """
    cells: Cells = {}
    for broker in brokers:
        with find(broker, source) as provider:
            link = LINKS[broker]
            speaking = [party for party in there if link in party.claim.links]
            with _Backends(provider, link) as backends:
                for producer, worker in _pairs(speaking):
                    tell(f"{broker}: {producer.claim.name} to {worker.claim.name}")
                    url = backends.shared(producer, worker)
                    cells[broker, producer.claim.name, worker.claim.name] = _cross(
                        producer, worker, backends.broker, url
                    )
    return cells


def _pairs(there: Sequence[Party]) -> Iterator[tuple[Party, Party]]:
    for producer in there:
        for worker in there:
            if "producer" in producer.claim.roles and "worker" in worker.claim.roles:
                yield producer, worker


def _cross(producer: Party, worker: Party, broker_url: str, backend_url: str | None) -> dict[str, str] | str:
    crossing = Crossing(_guarded(producer), _guarded(worker), broker_url, backend_url)
    try:
        return dict(crossing.run())
    except HarnessError as error:
        return str(error).splitlines()[0]
    finally:
        crossing.close()


def _guarded(party: Party) -> Party:
    return Party(party.claim, lambda: GuardedAdapter(party.make(), party.claim.patience(DEADLINE)))


class _Backends:
    """The broker's URL, and a result back end for each pair that has one in common."""

    def __init__(self, provider: Provider, link: str) -> None:
        self.broker = provider.node(None).url
        self._link = link
        self._keeper: tuple[Provider, str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._keeper is not None:
            self._keeper[0].close()

    def shared(self, *both: Party) -> str | None:
        """Answer the URL of a result back end that both claim, None where there is none."""
        if self._link == "redis":
            return self.broker if all(p.claim.claims("result:redis") for p in both) else None
        if all(p.claim.claims("result:rpc") for p in both):
            return "rpc://"
        if not all(p.claim.claims("result:redis") for p in both):
            return None
        if self._keeper is None:
            provider, node = first_keeper()
            self._keeper = (provider, node.url)
        return self._keeper[1]


def lines(cells: Cells) -> Iterator[str]:
    """Answer the table: a block for each broker and producer, a line for each feature, a column for each worker."""
    yield ", ".join(f"{sign} {meaning}" for sign, meaning in SIGNS.items())
    for broker in dict.fromkeys(key[0] for key in cells):
        workers = list(dict.fromkeys(key[2] for key in cells if key[0] == broker))
        for producer in dict.fromkeys(key[1] for key in cells if key[0] == broker):
            pairs = {worker: cells.get((broker, producer, worker)) for worker in workers}
            row = {worker: cell for worker, cell in pairs.items() if cell is not None}
            yield ""
            yield from _block(f"{broker}: {producer} calls", row)


def _block(title: str, row: Mapping[str, dict[str, str] | str]) -> Iterator[str]:
    width = max(len(title), *map(len, FEATURES))
    yield f"{title:<{width}}  {'  '.join(row)}".rstrip()
    for feature in FEATURES:
        signs = (_sign(cell, feature).center(len(worker)) for worker, cell in row.items())
        yield f"{feature:<{width}}  {'  '.join(signs)}".rstrip()
    for worker, cell in row.items():
        if isinstance(cell, str):
            yield f"{worker}: {cell}"


def _sign(cell: dict[str, str] | str, feature: str) -> str:
    return "E" if isinstance(cell, str) else cell[feature]


def write(cells: Cells, folder: Path) -> None:
    """Write ``interop.json`` and ``interop.md``."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {"broker": b, "producer": p, "worker": w, **({"error": c} if isinstance(c, str) else {"features": c})}
        for (b, p, w), c in cells.items()
    ]
    (folder / "interop.json").write_text(json.dumps({"pairs": rows}, indent=1) + "\n", encoding="utf-8")
    text = "\n".join(lines(cells))
    (folder / "interop.md").write_text(f"# Who works with whom\n\n```text\n{text}\n```\n", encoding="utf-8")


def broker_list(word: str) -> list[str]:
    """Answer the brokers that a word names.

    Raises:
        ClaimError: it names none.
    """
    if word == "all":
        return [flavour for flavour in LINKS if flavour != "embedded"]
    if word not in LINKS:
        raise ClaimError(f"--broker={word}: known are {', '.join(LINKS)} and all")
    return [word]
