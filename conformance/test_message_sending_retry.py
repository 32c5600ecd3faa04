"""Message sending retry: attempts and waits, read from the connection attempts that the broker's side sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import strategies as st

from celeriac.conformance import oracles
from celeriac.conformance.adapter import ErrorClass, Ok, Raised
from celeriac.conformance.checks import check
from celeriac.conformance.decoding import moment
from celeriac.conformance.fates import fate_of
from celeriac.conformance.wire_values import from_json
from celeriac.spec import vectors

if TYPE_CHECKING:
    from celeriac.conformance.calls import Called
    from celeriac.conformance.verdicts import Judgement
    from celeriac.conformance.world import World

#: A gap may be shorter than its wait by this much: the granularity of sleeping.
EARLY = 0.005
#: A busy machine may lengthen a wait by so many seconds; what is longer is longer by itself.
LOAD = 1.0

POLICY = {"max_retries": 2, "interval_start": 0.1, "interval_step": 0.2, "interval_max": 1}
POLICY_WAITS = (0.1, 0.3)
#: For checks that count attempts, whenever they are made.
QUICK = {"interval_start": 0.05, "interval_step": 0, "interval_max": 0.05}
DEFAULT_WAITS = (0, 0.2, 0.2)

Schedule = list[float]


def call_in_vain(
    world: World, settings: Mapping[str, Any] | None = None, **options: Any
) -> tuple[Schedule, Called]:
    """Call a task while no connection can be made; answer the moments of the attempts, and the call."""
    world.begin(fresh=True, results=False, settings=settings)
    world.broker_down()
    called = world.call(**options)
    return attempts(world), called


def tries(world: World, settings: Mapping[str, Any] | None = None, **options: Any) -> tuple[int, Called]:
    """Call a task while only the first attempt is turned away; answer how many were made, and the call.

    Whoever makes a second attempt succeeds with it, however long it would go on and with whatever waits.
    """
    world.begin(fresh=True, results=False, settings=settings)
    world.broker_down(attempts=1)
    called = world.call(**options)
    return len(attempts(world)) + isinstance(called.answer, Ok), called


def attempts(world: World) -> Schedule:
    """Answer the moments at which a connection was attempted and turned away."""
    return [record.at for record in world.history.of("refused")]


def schedule(
    world: World,
    waits: Sequence[float],
    settings: Mapping[str, Any] | None = None,
    *,
    tolerance: float = 0.0,
    whole: bool = False,
    **options: Any,
) -> Judgement:
    """Judge the attempts of a call in vain against ``waits``, which are themselves known to ``tolerance`` seconds.

    Unless the ``whole`` schedule matters, attempts beyond these waits do not: how many there are decides RTY-001.
    Where time is real, a call whose waits seem too long is repeated, because load lengthens waits.
    """
    early, late = EARLY + tolerance, world.stage.jitter + tolerance
    runs: list[Schedule] = []
    while True:
        moments = call_in_vain(world, settings, **options)[0]
        runs.append(moments if whole else moments[: len(waits) + 1])
        judgement = oracles.attempts(runs, waits, early=early, lateness=late)
        if (
            judgement.verdict == "pass"
            or len(runs) == world.stage.repeats
            or beyond_load(runs[-1], waits, early)
        ):
            return judgement


def beyond_load(moments: Schedule, waits: Sequence[float], early: float) -> bool:
    """Answer whether attempts deviate from ``waits`` in a way that load does not explain."""
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    return len(gaps) != len(waits) or any(
        not wait - early <= gap <= wait + LOAD for gap, wait in zip(gaps, waits, strict=True)
    )


def waits_of(policy: Mapping[str, Any]) -> list[float]:
    """Answer the waits of a complete policy."""
    start, step, longest = policy["interval_start"], policy["interval_step"], policy["interval_max"]
    return [min(start + n * step, longest) for n in range(policy["max_retries"])]


@check("RTY-001")
@pytest.mark.parametrize("retries", [1, 2, 5])
def test_number_of_attempts(world: World, retries: int) -> None:
    """A call makes one attempt more than max_retries, then raises."""
    moments, called = call_in_vain(world, retry=True, retry_policy={**QUICK, "max_retries": retries})
    world.judge("RTY-001", oracles.equal(retries + 1, len(moments), "the number of attempts"))
    world.require("RTY-001", isinstance(called.answer, Raised), "the call raises", f"{called.answer}")


def cases(world: World) -> list[dict[str, Any]]:
    """Answer the cases of the vector file that end, and that this stage can afford to wait for.

    Those that name classes of errors are left out: these have requirements of their own.
    """
    return [
        case
        for case in vectors("retry-schedules")["cases"]
        if case["effective"]["max_retries"] is not None
        and case["total"] <= world.stage.longest
        and "retry_errors" not in {**case.get("option", {}), **case.get("setting", {})}
    ]


def in_full(case: Mapping[str, Any]) -> dict[str, Any]:
    """Answer the effective policy of a case, every number given."""
    return {name: value for name, value in case["effective"].items() if name != "retry_errors"}


@check("RTY-002")
def test_schedules_of_the_vectors(world: World) -> None:
    """Every policy of the vector file, given in full, has the waits that the file gives."""
    for case in world.sample(cases(world)):
        judgement = schedule(world, case["waits"], retry=True, retry_policy=in_full(case))
        world.judge("RTY-002", judgement.about(case["name"]))


@check("RTY-002")
def test_schedules_of_any_policy(world: World) -> None:
    """The waits follow the formula for policies that nobody thought of."""
    parts = st.integers(0, 12).map(lambda value: value * world.tick / 20)
    policies = st.fixed_dictionaries(
        {
            "max_retries": st.integers(0, 4),
            "interval_start": parts,
            "interval_step": parts,
            "interval_max": parts,
        }
    )

    @world.for_all(policies)
    def _(policy: dict[str, Any]) -> None:
        world.judge("RTY-002", schedule(world, waits_of(policy), retry=True, retry_policy=policy))


@check("RTY-003")
def test_default_schedule(world: World) -> None:
    """Without any policy the waits are 0, 0.2 and 0.2 seconds."""
    world.judge("RTY-003", schedule(world, DEFAULT_WAITS, retry=True))


@check("RTY-004")
def test_retry_is_on_by_default(world: World) -> None:
    """A call that says nothing about retry makes more than one attempt before it raises."""
    moments, called = call_in_vain(world)  # whoever answers an id has waited for no attempt
    holds = len(moments) > 1 and isinstance(called.answer, Raised)
    observed = f"{len(moments)}, and the answer {called.answer}"
    world.require("RTY-004", holds, "more than one attempt, and then an error", observed)


@check("RTY-005")
def test_retry_off_means_one_attempt(world: World) -> None:
    """With retry=False there is one attempt and an error."""
    made, called = tries(world, retry=False)
    world.judge("RTY-005", oracles.equal(1, made, "the number of attempts"))
    world.require("RTY-005", isinstance(called.answer, Raised), "the call raises", f"{called.answer}")


@check("RTY-006")
def test_setting_switches_retry_off(world: World) -> None:
    """The setting task_publish_retry is the default of the option."""
    made, _ = tries(world, {"task_publish_retry": False})
    world.judge("RTY-006", oracles.equal(1, made, "the number of attempts"))


@check("RTY-007")
def test_option_switches_retry_on(world: World) -> None:
    """The option wins over the setting."""
    moments, _ = call_in_vain(world, {"task_publish_retry": False}, retry=True, retry_policy=POLICY)
    world.require("RTY-007", len(moments) > 1, "more than one attempt", f"{len(moments)}")


@check("RTY-008")
def test_no_retries_means_one_attempt(world: World) -> None:
    """With max_retries 0 there is one attempt."""
    moments, _ = call_in_vain(world, retry=True, retry_policy={**POLICY, "max_retries": 0})
    world.judge("RTY-008", oracles.equal(1, len(moments), "the number of attempts"))


@check("RTY-009")
def test_null_retries_for_ever(world: World) -> None:
    """With max_retries null the call outlives an outage that is long against every default."""
    world.begin(fresh=True, results=False)
    world.broker_down()
    world.after(6 * world.tick, world.broker_up)
    policy = {"max_retries": None, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.5}
    called = world.call(retry=True, retry_policy=policy)
    expected = "the call succeeds when the broker is back"
    world.require(
        "RTY-009", isinstance(called.answer, Ok), expected, f"{called.answer} after {len(attempts(world))}"
    )
    world.expect("published")


def call_through_an_outage(world: World, **options: Any) -> Called:
    """Call a task while the broker is away for most of a second."""
    world.begin(fresh=True, results=False)
    world.broker_down()
    world.after(0.7, world.broker_up)
    policy = {"max_retries": 20, "interval_start": 0.1, "interval_step": 0, "interval_max": 0.1}
    return world.call(retry=True, retry_policy=policy, **options)


@check("RTY-010")
def test_outage_is_bridged(world: World) -> None:
    """When the broker comes back in time, exactly one message is published."""
    called = call_through_an_outage(world)
    world.require("RTY-010", isinstance(called.answer, Ok), "the call succeeds", f"{called.answer}")
    world.expect("published")
    messages = world.history.of("published")
    world.judge("RTY-010", oracles.equal(1, len(messages), "the number of messages", *messages))


@check("RTY-010")
def test_outage_of_an_open_connection_is_bridged(world: World) -> None:
    """When the broker dies between two calls and is back after 0.3 s, exactly one message is published."""
    world.begin(fresh=True, results=False)
    world.published(world.call())
    world.broker_down()
    world.after(0.3, world.broker_up)
    policy = {"max_retries": 20, "interval_start": 0.1, "interval_step": 0, "interval_max": 0.1}
    fate = fate_of(world, retry=True, retry_policy=policy)
    holds = fate.succeeded and fate.arrived() and len(fate.messages) == 1
    world.require("RTY-010", holds, "the call succeeds and publishes one message", f"{fate}", *fate.messages)


@check("RTY-011")
def test_retried_message_is_the_message_of_the_call(world: World) -> None:
    """The id is the one answered, and eta and expires count from the call, not from the last attempt."""
    called = call_through_an_outage(world, countdown=100, expires=200)
    record, usual = world.published(called), world.call(countdown=100, expires=200)
    for header in ("eta", "expires"):
        at = moment(record.headers.get(header))
        usually = moment(world.published(usual).headers.get(header))
        late = None if at is None or usually is None else (at - called.before) - (usually - usual.before)
        world.require(
            "RTY-011",
            late is not None and abs(late) < 0.5,
            f"{header} is as long after the call as without an outage",
            f"it is {late} s later than that",
            record,
        )


@check("RTY-012")
def test_option_merges_over_the_setting(world: World) -> None:
    """A key of the option replaces the setting's, and the setting's other keys remain."""
    settings = {"task_publish_retry_policy": {**POLICY, "max_retries": 3, "interval_start": 0.4}}
    judgement = schedule(world, (0.1, 0.3, 0.5), settings, retry=True, retry_policy={"interval_start": 0.1})
    world.judge("RTY-012", judgement)
    for case in world.sample([case for case in cases(world) if "option" in case and "setting" in case]):
        world.judge("RTY-012", as_in_full(world, case))


def as_in_full(world: World, case: Mapping[str, Any]) -> Judgement:
    """Judge that a policy has as many attempts, with the same waits, as the effective policy given in full.

    Load lengthens what is compared with, too: where time is real, the shortest waits of up to three measurements count.
    """
    settings = {"task_publish_retry_policy": from_json(case["setting"])} if "setting" in case else {}
    options = {"retry_policy": from_json(case["option"])} if "option" in case else {}
    jitter = world.stage.jitter
    measured: list[list[float]] = []
    while True:
        full = call_in_vain(world, retry=True, retry_policy=in_full(case))[0]
        measured.append([later - earlier for earlier, later in pairwise(full)])
        waits = [min(same) for same in zip(*measured, strict=False)]
        judgement = schedule(world, waits, settings, tolerance=jitter, whole=True, retry=True, **options)
        if judgement.verdict == "pass" or len(measured) == world.stage.repeats:
            return judgement.about(case["name"])


@check("RTY-013")
def test_missing_keys_have_the_documented_defaults(world: World) -> None:
    """A partial policy, in the setting or in the option, is completed from the default policy."""
    one = {"task_publish_retry_policy": {"max_retries": 1}}
    world.judge("RTY-013", schedule(world, (0,), one, retry=True))
    partial = {"max_retries": 2}
    world.judge("RTY-013", schedule(world, (0, 0.2), None, retry=True, retry_policy=partial))
    world.judge("RTY-013", schedule(world, (0, 0.2), {"task_publish_retry_policy": partial}, retry=True))
    for case in world.sample([case for case in cases(world) if ("option" in case) != ("setting" in case)]):
        world.judge("RTY-013", as_in_full(world, case))


@check("RTY-014")
def test_policy_does_not_outlive_its_call(world: World) -> None:
    """After a call with a policy of its own, a call without one has the schedule that it always has."""
    usual = len(call_in_vain(world, retry=True)[0])
    runs = []
    for _ in range(world.stage.repeats):
        call_in_vain(world, retry=True, retry_policy={**POLICY, "max_retries": 1})
        first = len(attempts(world))
        world.call(retry=True)
        runs.append(attempts(world)[first:])
    jitter = world.stage.jitter
    judgement = oracles.attempts([run[:2] for run in runs], (0,), early=EARLY, lateness=jitter)
    world.judge("RTY-014", judgement)
    what = "the number of attempts of the second call, in each run"
    world.judge("RTY-014", oracles.equal([usual] * len(runs), [len(run) for run in runs], what))


@check("RTY-014")
def test_policy_does_not_reach_a_call_without_retry(world: World) -> None:
    """A later call with retry off tries as often after a call with a policy as after one without retry."""
    later = attempts_without_retry(world, retry=True, retry_policy={**QUICK, "max_retries": 4})
    usual = attempts_without_retry(world, retry=False)
    what = "the number of attempts of a later call with retry off"
    world.judge("RTY-014", oracles.equal(usual, later, what))


def attempts_without_retry(world: World, **options: Any) -> int:
    """Answer how often a call with retry off tries to connect, some time after a call with these options."""
    world.begin(fresh=True, results=False)
    world.published(world.call(**options))
    world.broker_down()
    world.call(retry=False)
    first = len(attempts(world))
    world.call(retry=False)
    return len(attempts(world)) - first


INVALID_POLICIES: Sequence[Any] = (
    {"max_retries": "3"},
    {"max_retries": 1.5},
    {"max_retries": -1},
    {"interval_start": "soon"},
    {"interval_start": -1},
    {"interval_step": None},
    {"interval_max": None},
    {"interval_maximum": 1},
    ["max_retries", 3],
)


@check("RTY-015")
def test_invalid_policies_are_refused_at_once(world: World) -> None:
    """A policy with an unknown key or a value of a wrong kind raises before the first attempt."""
    for policy in INVALID_POLICIES:
        moments, called = call_in_vain(world, retry=True, retry_policy=policy)
        answer = called.answer
        world.require(
            "RTY-015",
            isinstance(answer, Raised) and answer.category != "connection" and not moments,
            f"{policy!r} is refused before the first attempt",
            f"{len(moments)} attempts, then {answer}",
        )


@check("RTY-016")
@pytest.mark.parametrize("policy", [POLICY, {**POLICY, "retry_errors": None}], ids=["absent", "null"])
def test_every_connection_error_is_retried(world: World, policy: dict[str, Any]) -> None:
    """Without retry_errors a refused connection is retried."""
    moments, _ = call_in_vain(world, retry=True, retry_policy=policy)
    world.require("RTY-016", len(moments) > 1, "more than one attempt", f"{len(moments)}")


@check("RTY-017")
def test_other_errors_are_not_retried(world: World) -> None:
    """A refused connection is not retried when only time-outs are to be."""
    policy = {**POLICY, "retry_errors": (ErrorClass("timeout"),)}
    moments, called = call_in_vain(world, retry=True, retry_policy=policy)
    world.judge("RTY-017", oracles.equal(1, len(moments), "the number of attempts"))
    world.require("RTY-017", isinstance(called.answer, Raised), "the call raises", f"{called.answer}")


@check("RTY-018")
def test_named_errors_are_retried_by_the_schedule(world: World) -> None:
    """A refused connection is retried as the policy says when connection errors are named."""
    policy = {**POLICY, "retry_errors": (ErrorClass("connection"), ErrorClass("timeout"))}
    world.judge("RTY-018", schedule(world, POLICY_WAITS, None, retry=True, retry_policy=policy))


@check("RTY-019")
@pytest.mark.parametrize("setting", [True, False], ids=["on", "off"])
def test_null_retry_is_not_given(world: World, setting: bool) -> None:
    """With retry=None a call tries as often as one that does not mention it, under either setting."""
    settings = {"task_publish_retry": setting, "task_publish_retry_policy": POLICY}
    if setting:
        usual, made = (len(call_in_vain(world, settings, **given)[0]) for given in ({}, {"retry": None}))
    else:
        usual, made = (tries(world, settings, **given)[0] for given in ({}, {"retry": None}))
    world.judge("RTY-019", oracles.equal(usual, made, "the number of attempts"))


@check("RTY-020")
def test_null_policy_is_not_given(world: World) -> None:
    """With retry_policy=None a call tries as often as one that does not mention it."""
    settings = {"task_publish_retry_policy": {**POLICY, "max_retries": 1}}
    usual, _ = call_in_vain(world, settings, retry=True)
    moments, _ = call_in_vain(world, settings, retry=True, retry_policy=None)
    world.judge("RTY-020", oracles.equal(len(usual), len(moments), "the number of attempts"))
