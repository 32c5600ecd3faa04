"""What crosses between real processes on the embedded broker, and what adapters that misbehave cost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from celeriac.adapters.reference.adapter import ReferenceAdapter
from celeriac.conformance import cli
from celeriac.conformance.adapter import Adapter, Answer, Broken, Call, Event, Raised, Scenario, Unsupported
from celeriac.conformance.claim import Claim, find_adapter
from celeriac.conformance.crossing import Party
from celeriac.conformance.interop import Interop
from celeriac.conformance.interop_features import FEATURES, NOT_EXECUTED
from celeriac.conformance.interop_table import Outcome, Pair

REFERENCE = find_adapter("reference").claim
DONE = Outcome("works")


class Altering(ReferenceAdapter):
    """A producer that changes arguments and forgets what follows a task."""

    def call(self, call: Call) -> Answer:
        """Call something else."""
        kept = {name: value for name, value in call.options.items() if not name.startswith("link")}
        args = tuple(arg for arg in call.args if arg != "é")
        return super().call(Call(call.task, args, call.kwargs, call.mode, kept))


class Honest(ReferenceAdapter):
    """A producer that refuses: options it does not have, and kwargs with an error."""

    def call(self, call: Call) -> Answer:
        """Refuse options and kwargs."""
        if call.options:
            return Unsupported(next(iter(call.options)), "there are no options")
        if call.kwargs:
            return Raised("bad-argument", "ValueError", "no kwargs", "none")
        return super().call(call)


class Failing(ReferenceAdapter):
    """An adapter with a defect of its own, in every call that has a link."""

    def call(self, call: Call) -> Answer:
        """Break."""
        return Broken("line 7 is wrong\nand so on") if "link" in call.options else super().call(call)


class Poisonous(ReferenceAdapter):
    """A producer whose compressed calls kill the worker, as a message does that it cannot stand."""

    victims: ClassVar[list[ReferenceAdapter]] = []

    def begin(self, scenario: Scenario) -> Answer:
        """Remember where the victim is."""
        self._place = scenario.id
        return super().begin(scenario)

    def call(self, call: Call) -> Answer:
        """Kill the worker in place of calling."""
        if "compression" in call.options:
            self.victims[-1].emit(Event("stopped", 0.0, {"worker": self._place, "exit_code": 11}))
        return super().call(call)


class Victim(ReferenceAdapter):
    """A worker that can be killed."""

    def __init__(self) -> None:
        super().__init__()
        Poisonous.victims.append(self)


class Stillborn(ReferenceAdapter):
    """A worker that does not start."""

    def start_worker(self, spec: Any) -> Answer:
        """Break."""
        return Broken("there is no such program")


def party(adapter: type[Adapter], name: str, features: Mapping[str, Any] | None = None, *roles: str) -> Party:
    """Answer an implementation that claims what the reference does, with some features changed."""
    claimed = {**REFERENCE.features, **(features or {})}
    claim = Claim(
        name, name, roles or REFERENCE.roles, ("amqp",), ("wall",), REFERENCE.modes, {}, features=claimed
    )
    return Party(claim, adapter)


def crossed(*parties: Party) -> Interop:
    """Answer what has become of everything between all of these, on the embedded broker."""
    interop = Interop(lambda line: None, list(parties))
    interop.cross(["embedded"], None)
    return interop


def outcomes(producer: Party, worker: Party) -> dict[str, Outcome]:
    """Answer what has become of each feature between two."""
    return dict(crossed(producer, worker).cells[Pair("embedded", producer.claim.name, worker.claim.name)])


def only(adapter: type[Adapter], role: str, features: Mapping[str, Any] | None = None) -> Party:
    """Answer an implementation with one role, named like it."""
    roles = (role, "result-consumer") if role == "producer" else (role,)
    return party(adapter, role, features, *roles)


def test_command_crosses_the_reference_with_itself_in_a_process(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command crosses whom it is told with the reference, in both roles, and says where the table is."""
    assert cli.main(["interop", "--adapter=reference-process", f"--report-dir={tmp_path}"]) == 0

    found = json.loads((tmp_path / "interop.json").read_text())
    names = ("reference", "reference-process")
    assert {(pair["producer"], pair["worker"]) for pair in found["pairs"]} == {
        (p, w) for p in names for w in names
    }
    assert all(
        pair["features"] == {name: {"outcome": "works"} for name in FEATURES} for pair in found["pairs"]
    )
    assert set(found["versions"]) == set(names)
    told = capsys.readouterr()
    assert "reference-process calls" in told.out
    assert told.out.endswith(f"\n\nreport: {tmp_path / 'interop.md'}\n")
    assert "embedded: everybody calls reference-process" in told.err


def test_what_a_producer_changes_or_forgets_is_lost() -> None:
    """Changed arguments and links that never run are losses; everything beside them is seen to work."""
    found = outcomes(only(Altering, "producer"), only(ReferenceAdapter, "worker"))

    assert {name: outcome for name, outcome in found.items() if outcome != DONE} == {
        "args": Outcome("lost", "the arguments arrived changed"),
        "link": Outcome("lost", "the link was not called"),
        "errback": Outcome("lost", "the errback was not called"),
    }


def test_what_is_refused_or_not_claimed_is_not_lost() -> None:
    """A refusal is told with its words, and what need not work is told with the side that does not claim it."""
    producer = only(Honest, "producer", {"chain": False, "results": []})
    worker = only(ReferenceAdapter, "worker", {"task_retry": False})

    found = outcomes(producer, worker)

    assert found["countdown"] == Outcome("refused", "countdown: there are no options")
    assert found["kwargs"] == Outcome("refused", "ValueError was raised")
    assert found["chain"] == Outcome("not-claimed-by-producer")
    assert found["retries"] == Outcome("not-claimed-by-worker")
    assert found["result"] == Outcome("no-common-backend")
    assert found["args"] == DONE


def test_death_of_a_worker_ends_nothing() -> None:
    """The feature that kills a worker is found among all, another producer's survives, and the worker starts anew."""
    parties = (
        only(Poisonous, "producer"),
        party(ReferenceAdapter, "other", None, "producer"),
        only(Victim, "worker"),
    )

    cells = crossed(*parties).cells

    deadly, other = (cells[Pair("embedded", name, "worker")] for name in ("producer", "other"))
    assert deadly["compression"] == Outcome("died", "the worker ended with status 11")
    assert other["compression"] == DONE
    assert set(deadly.values()) == {DONE, deadly["compression"]}


def test_broken_producer_is_named_and_ends_nothing() -> None:
    """An adapter that breaks is asked no more at this worker, its first words are told, and the run is not sound."""
    interop = crossed(only(Failing, "producer"), only(ReferenceAdapter, "worker"))

    found = interop.cells[Pair("embedded", "producer", "worker")]
    assert found["args"] == DONE
    assert found["link"] == Outcome("broken", "'call': line 7 is wrong")
    assert not interop.is_sound


def test_worker_that_does_not_start_is_named_and_ends_nothing() -> None:
    """A worker that cannot be started has its reason in every cell, and the others are crossed."""
    interop = crossed(
        only(ReferenceAdapter, "producer"),
        only(Stillborn, "worker"),
        party(ReferenceAdapter, "fine", None, "worker"),
    )

    broken = Outcome("broken", "worker: 'start_worker': there is no such program")
    assert set(interop.cells[Pair("embedded", "producer", "worker")].values()) == {broken}
    assert set(interop.cells[Pair("embedded", "producer", "fine")].values()) == {DONE}


def test_producer_of_whom_nothing_arrives_is_not_tried_on() -> None:
    """Where not even a plain call is executed, the other features are lost with it, without being waited for."""

    class Mute(ReferenceAdapter):
        calls = 0

        def call(self, call: Call) -> Answer:
            Mute.calls += 1
            return super().call(Call(call.task, call.args, call.kwargs, call.mode, {"queue": "nowhere"}))

    found = outcomes(only(Mute, "producer"), only(ReferenceAdapter, "worker"))

    assert set(found.values()) == {Outcome("lost", NOT_EXECUTED)}
    assert Mute.calls == 1


def test_adapter_that_is_not_built_is_left_out_and_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without names everybody takes part who can without a build; whoever cannot is named with the command."""
    monkeypatch.setenv("CELERIAC_CACHE", str(tmp_path))
    said: list[str] = []
    interop = Interop(said.append)

    interop.gather(())

    assert interop.parties[0].claim.name == "reference"
    assert interop.missing["celery-5.7"] == "it is not built (celeriac build celery-5.7)"
    assert "celery-5.7 is left out: it is not built (celeriac build celery-5.7)" in said


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--broker=rabit"], "celeriac interop: unknown --broker 'rabit'"),
        (
            ["--broker-from=process"],
            "celeriac interop: --broker-from=process: the embedded broker is our own",
        ),
        (["--adapter=refrence"], "celeriac interop: unknown adapter 'refrence'; did you mean reference"),
    ],
)
def test_wrong_words_are_one_line(words: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong broker, source or adapter is one line and status 4."""
    assert cli.main(["interop", *words]) == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(text)


def test_named_adapter_that_does_not_answer_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A named adapter that cannot say hello is one line and status 3: its driver broke."""
    claim = 'name = "mute"\ntitle = "Mute"\nroles = ["producer"]\nlinks = ["amqp"]\nclocks = ["wall"]\n'
    place = tmp_path / "adapter.toml"
    place.write_text(claim + 'modes = ["apply_async"]\n[driver]\ncommand = ["false"]\n', encoding="utf-8")

    assert cli.main(["interop", f"--adapter={place}"]) == 3
    assert capsys.readouterr().err.splitlines()[-1].startswith("celeriac interop: ")
