"""Every feature of every producer at one worker: in which order, and what has become of each.

The worker is called by all producers side by side.  When it dies or hangs, it is started anew, and what was sent is
tried again in two halves, and so on until it is known what the worker dies of.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from celeriac.conformance.adapter import Event
from celeriac.conformance.crossing import Caller, Place
from celeriac.conformance.interop_features import FEATURES, NOT_EXECUTED, PHASES, Sent
from celeriac.conformance.interop_table import Outcome

__all__ = ["crossed"]


class Trial(NamedTuple):
    """One feature of one producer, at the worker of a place."""

    caller: Caller
    feature: str

    def unclaimed(self, place: Place) -> Outcome | None:
        """Answer the outcome of what need not be tried, because somebody has no such thing."""
        feature = FEATURES[self.feature]
        if any(map(self.caller.party.claim.denies, feature.producer)):
            return Outcome("not-claimed-by-producer")
        if any(map(place.party.claim.denies, feature.worker)):
            return Outcome("not-claimed-by-worker")
        if feature.reading is not None and place.backend_url is None:
            return Outcome("no-common-backend")
        return None


Outcomes = dict[Trial, Outcome]


def crossed(place: Place, callers: Iterable[Caller]) -> dict[Caller, dict[str, Outcome]]:
    """Try every feature of every producer at one worker, and answer what has become of each.

    Raises:
        HarnessError: the worker's adapter broke.
    """
    trials = [Trial(caller, feature) for caller in callers for feature in FEATURES]
    found: Outcomes = {t: outcome for t in trials if (outcome := t.unclaimed(place)) is not None}
    for phase in PHASES:
        these = [t for t in trials if t not in found and FEATURES[t.feature].phase == phase]
        for together in [[trial] for trial in these] if phase == "alone" else [these]:
            found |= _tried(place, together)
        found |= _hopeless(found, [trial for trial in trials if trial not in found])
    by_caller: dict[Caller, dict[str, Outcome]] = {}
    for trial in trials:
        by_caller.setdefault(trial.caller, {})[trial.feature] = found[trial]
    return by_caller


def _hopeless(found: Outcomes, rest: Iterable[Trial]) -> Outcomes:
    """Answer the outcomes of those of whom not even a plain call arrives."""
    plain = {trial.caller: outcome for trial, outcome in found.items() if trial.feature == "args"}
    lost = {caller for caller, o in plain.items() if o.kind in {"died", "broken"} or o.note == NOT_EXECUTED}
    return {trial: plain[trial.caller] for trial in rest if trial.caller in lost}


def _tried(place: Place, trials: Sequence[Trial]) -> Outcomes:
    """Try all of these together, and in two halves where the worker does not survive that."""
    found = _tried_once(place, trials) if trials else {}
    if len(trials) == 1 or not any(outcome.kind == "died" for outcome in found.values()):
        return found
    middle = len(trials) // 2
    return _tried(place, trials[:middle]) | _tried(place, trials[middle:])


def _tried_once(place: Place, trials: Sequence[Trial]) -> Outcomes:
    sent: dict[Trial, Sent] = {}
    found: Outcomes = {}
    early: Outcomes = {}
    for trial in trials:
        feature = FEATURES[trial.feature]
        made = trial.caller.send(feature, place.scenario)
        if isinstance(made, Outcome):
            found[trial] = made
            continue
        sent[trial] = made
        if feature.phase == "waiting":
            early[trial] = trial.caller.read(feature, made)
    death = place.settle(_Satisfied(sent))
    for trial, made in sent.items():
        found[trial] = Outcome("died", death) if death else _judged(trial, made, place.events, early)
    if death is not None or any(outcome.note == NOT_EXECUTED for outcome in found.values()):
        place.renew()  # somebody may still hold what was not executed, or hand it out for ever
    return found


def _judged(trial: Trial, sent: Sent, events: Sequence[Event], early: Outcomes) -> Outcome:
    feature = FEATURES[trial.feature]
    if loss := feature.judge(sent, events):
        return Outcome("lost", loss)
    if feature.reading is None:
        return Outcome("works")
    return early.get(trial) or trial.caller.read(feature, sent)


class _Satisfied:
    """Whether nothing is missing of what was sent; asks again only for what was missing."""

    def __init__(self, sent: Mapping[Trial, Sent]) -> None:
        self._missing = list(sent.items())

    def __call__(self, events: Sequence[Event]) -> bool:
        while self._missing:
            trial, sent = self._missing[-1]
            if FEATURES[trial.feature].judge(sent, events) is not None:
                return False
            self._missing.pop()
        return True
