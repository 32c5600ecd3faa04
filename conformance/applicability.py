"""Whether a check applies to a claim, a broker and a clock; decided before the check runs, from values alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from celeriac.conformance.checks import Needs
from celeriac.conformance.claim import Claim
from celeriac.conformance.providers import LEASES, LINKS
from celeriac.spec import Requirement

__all__ = ["UNCLAIMED", "Scene", "obstacle"]

#: How the reason begins when it is the claim that leaves something out.
UNCLAIMED = "the claim has no "


@dataclass(frozen=True, slots=True)
class Scene:
    """Where a check would play.

    Attributes:
        flavour: flavour of the broker.
        clock: kind of clock.
        managed: whether the broker's time-outs are known.
        missing: features that the implementation lacks at run time -> why.
        horizon: seconds that the clock can go in one check.
    """

    flavour: str
    clock: str
    managed: bool = True
    missing: Mapping[str, str] = field(default_factory=dict)
    horizon: float = float("inf")


def obstacle(needs: Needs, requirements: Sequence[Requirement], claim: Claim, scene: Scene) -> str | None:
    """Answer why a check does not apply, None when it does."""
    return next(_obstacles(needs, requirements, claim, scene), None)


def _obstacles(
    needs: Needs, requirements: Sequence[Requirement], claim: Claim, scene: Scene
) -> Iterator[str]:
    wanted = needs.roles or tuple(r.role for r in requirements if r.role != "broker")
    yield from (f"{UNCLAIMED}role {role}" for role in dict.fromkeys(wanted) if role not in claim.roles)
    yield from (f"{UNCLAIMED}mode {mode}" for mode in needs.modes if mode not in claim.modes)
    features = [*needs.features, *(r.feature for r in requirements if r.feature)]
    for feature in dict.fromkeys(features):
        if not claim.claims(feature):
            yield f"{UNCLAIMED}feature {feature}"
        elif feature in scene.missing:
            yield f"{feature} is missing here: {scene.missing[feature]}"
    if needs.link and needs.link != LINKS[scene.flavour]:
        yield f"needs the {needs.link} link, {scene.flavour} speaks {LINKS[scene.flavour]}"
    if needs.clock and needs.clock != scene.clock:
        yield f"needs the {needs.clock} clock, this is the {scene.clock} clock"
    if needs.horizon > scene.horizon:
        hours = needs.horizon / 3600
        yield f"takes {hours:.1f} hours; the {scene.clock} clock cannot be moved so far"
    if needs.lease:
        yield from _lease_obstacles(needs.lease, scene)


def _lease_obstacles(lease: str, scene: Scene) -> Iterator[str]:
    if lease not in LEASES[scene.flavour]:
        yield f"{scene.flavour} has no time-out of the kind {lease}"
    elif not scene.managed:
        yield (
            "the time-outs of this broker are not known; add them to its URL in milliseconds: "
            "?consumer_timeout=2000&channel_tick_interval=500"
        )
