"""Profiles: every requirement counts for exactly one, and the verdict says whether its promises hold."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from celeriac.conformance.applicability import UNCLAIMED
from celeriac.conformance.outcome import RequirementResult
from celeriac.conformance.profiles import MEANINGS, ProfileResult, profiles
from celeriac.spec import PROFILES, load

REQUIREMENTS = load().requirements


def judged(verdicts: Mapping[str, str], reason: str = "") -> dict[str, ProfileResult]:
    """Answer the profiles of a run in which these requirements have these verdicts, and the others were not run."""
    results = {
        name: RequirementResult(requirement, verdicts.get(name, "not-run"), reason)
        for name, requirement in REQUIREMENTS.items()
    }
    return {profile.name: profile for profile in profiles(results)}


def level(wanted: str) -> str:
    """Answer a requirement of the profile reliability with this level."""
    return next(name for name, r in REQUIREMENTS.items() if (r.profile, r.level) == ("reliability", wanted))


def test_every_requirement_has_a_profile_and_every_profile_requirements() -> None:
    """The profiles divide the specification among them."""
    assert {requirement.profile for requirement in REQUIREMENTS.values()} == set(PROFILES)


@pytest.mark.parametrize(
    ("name", "profile"),
    [
        ("BAS-001", "producer"),
        ("MSG-022", "worker"),
        ("LNK-001", "workflow"),
        ("ONM-001", "results"),
        ("ETA-001", "scheduling"),
        ("TIM-001", "reliability"),
    ],
)
def test_profile_of(name: str, profile: str) -> None:
    """Chapters on one question belong to its profile; in the others the role decides."""
    assert REQUIREMENTS[name].profile == profile


@pytest.mark.parametrize("verdict", ["fail", "known-failure"])
def test_a_must_that_does_not_hold_fails_its_profile_and_no_other(verdict: str) -> None:
    """A MUST that does not hold fails its profile, known or not; the others are not touched."""
    found = judged(dict.fromkeys(REQUIREMENTS, "pass") | {level("MUST"): verdict})

    total = found["reliability"].judged
    assert found["reliability"] == ProfileResult("reliability", "failed", total - 1, total, (level("MUST"),))
    assert str(found["reliability"]) == f"failed, 1 of {total} broken"
    assert {profile.verdict for name, profile in found.items() if name != "reliability"} == {"success"}


@pytest.mark.parametrize("verdict", ["error", "inconclusive"])
def test_a_profile_with_something_open_is_not_judged(verdict: str) -> None:
    """Where adapter or harness failed there is no success, and nobody is blamed, but for a MUST that was broken."""
    open_one = dict.fromkeys(REQUIREMENTS, "pass") | {level("MUST"): verdict}

    assert str(judged(open_one)["reliability"]) == "not judged"
    assert judged(open_one | {"RTY-002": "fail"})["reliability"].deviating == ("RTY-002",)


def test_a_should_that_does_not_hold_makes_a_profile_partial() -> None:
    """A SHOULD may be broken for a reason, but it is told."""
    found = judged({level("MUST"): "pass", level("SHOULD"): "known-failure"})["reliability"]

    assert (found.verdict, found.deviating) == ("partial", (level("SHOULD"),))
    assert str(found) == "partial, 1 of 2 hold"


def test_what_the_claim_leaves_out_makes_a_profile_partial() -> None:
    """A part that is not offered is no failure, and no success either."""
    verdicts = {level("MUST"): "pass", level("SHOULD"): "not-applicable"}

    assert judged(verdicts, f"{UNCLAIMED}feature x")["reliability"].verdict == "partial"
    assert judged(verdicts, "needs the redis link")["reliability"].verdict == "success"


def test_a_profile_of_which_nothing_is_offered_is_not_claimed() -> None:
    """Where the claim offers nothing, nobody is blamed."""
    names = [name for name, r in REQUIREMENTS.items() if r.profile == "worker"]

    found = judged(dict.fromkeys(names, "not-applicable"), f"{UNCLAIMED}role worker")["worker"]

    assert (str(found), found.unclaimed) == ("not claimed", tuple(names))


def test_a_profile_that_was_not_run_says_so() -> None:
    """A run of a few requirements gives no verdict on what it left out."""
    found = judged({"BAS-001": "unexpected-pass"})

    assert (str(found["producer"]), str(found["worker"])) == ("success, all 1", "not judged")
    assert set(MEANINGS) >= {profile.verdict for profile in found.values()}
