"""ETA and countdown: when a task may start at the earliest."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from celeriac.conformance import oracles
from celeriac.conformance.adapter import Ok
from celeriac.conformance.checks import check
from celeriac.conformance.decoding import has_offset, moment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from celeriac.conformance.calls import Called, Sent
    from celeriac.conformance.world import World

countdowns = st.one_of(
    st.integers(1, 10**6), st.floats(0.001, 10**6, allow_nan=False).map(lambda value: round(value, 3))
)
offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
aware_moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=offsets)


def require_sum(world: World, requirement: str, called: Called, seconds: float) -> None:
    """Require that the ``eta`` header is a moment between the call and its answer, plus ``seconds``."""
    why = f"the moment of the call plus {seconds} s"
    earliest, latest = called.before + seconds, called.after + seconds
    world.judge(requirement, oracles.moment_within(world.published(called), "eta", earliest, latest, why))


def delay_of(world: World, called: Called) -> tuple[float, float]:
    """Answer the least and the most seconds that the ``eta`` header can be after the call."""
    at = moment(world.published(called).headers.get("eta"))
    world.require("", at is not None, "a moment as eta header", "there is none")
    assert at is not None
    return at - called.after - oracles.MILLISECOND, at - called.before + oracles.MILLISECOND


def require_longer(world: World, requirement: str, longer: Called, than: Called, seconds: float) -> None:
    """Require that one call delays its task by so many seconds more than another.

    What a countdown means by itself is for ETA-001 to decide.
    """
    (least, most), (base_least, base_most) = delay_of(world, longer), delay_of(world, than)
    world.require(
        requirement,
        least - base_most <= seconds <= most - base_least,
        f"an eta header that is {seconds} s later than that of the other call",
        f"it is {(least + most - base_least - base_most) / 2:.6f} s later",
        world.published(longer),
        world.published(than),
    )


@check("ETA-001")
def test_countdown_becomes_the_moment_of_the_call_plus_its_seconds(world: World) -> None:
    """The eta header is the moment of the call plus the countdown."""
    world.begin()

    @world.for_all(st.integers(1, 10**6))
    def _(countdown: int) -> None:
        called = world.call(countdown=countdown)
        require_sum(world, "ETA-001", called, countdown)


@check("ETA-002")
def test_eta_is_carried_as_the_same_instant(world: World) -> None:
    """The eta header denotes the instant that the caller gave, to the millisecond, in any zone."""
    world.begin()

    @world.for_all(aware_moments)
    def _(eta: datetime) -> None:
        record, at = world.published(world.call(eta=eta)), eta.timestamp()
        world.judge(
            "ETA-002", oracles.moment_within(record, "eta", at, at, f"the instant of {eta.isoformat()}")
        )


@check("ETA-003")
def test_eta_header_has_date_time_and_offset(world: World) -> None:
    """The eta header is an ISO 8601 text with a UTC offset, whichever option it was made from."""
    world.begin()

    @world.for_all(st.one_of(st.builds(dict, countdown=countdowns), st.builds(dict, eta=aware_moments)))
    def _(options: dict[str, Any]) -> None:
        record = world.published(world.call(**options))
        text = record.headers.get("eta")
        world.require(
            "ETA-003",
            has_offset(text),
            "an ISO 8601 text of date, time and UTC offset",
            f"{text!r}",
            record,
        )


@check("ETA-004")
def test_no_start_before_the_eta(world: World) -> None:
    """Tasks with various ETAs are each started, and none before its moment."""
    world.begin()
    world.worker()
    sent = [world.send("celeriac.add", (2, 2), eta=world.tick * share) for share in (0.25, 1.0, 0.5, 0.75)]
    for message in sent:
        world.expect("ended", task_id=message.task_id)
    for message in sent:
        assert message.eta is not None
        world.judge("ETA-004", oracles.not_before(world.history, message.task_id, message.eta))


@check("ETA-005")
def test_no_eta_without_eta_or_countdown(world: World) -> None:
    """A call that asks for no delay has null as its eta header."""
    world.begin()
    record = world.published(world.call())
    world.judge("ETA-005", oracles.equal(None, record.headers.get("eta", "absent"), "the eta header", record))


@check("ETA-006")
def test_countdown_of_zero_is_no_countdown(world: World) -> None:
    """A countdown of 0 carries no moment, or one that has come."""
    world.begin()
    called = world.call(countdown=0)
    record = world.published(called)
    text = record.headers.get("eta")
    at = moment(text)
    has_come = at is not None and at <= called.after + oracles.MILLISECOND
    world.require(
        "ETA-006",
        text is None or has_come,
        "a null eta header, or a moment that has come",
        f"{text!r}",
        record,
    )


@check("ETA-007")
def test_countdown_wins_over_eta(world: World) -> None:
    """Given both, the header is made from the countdown."""
    world.begin()

    @world.for_all(aware_moments, st.integers(1, 10**6))
    def _(eta: datetime, countdown: int) -> None:
        alone = world.call(countdown=countdown)
        require_longer(world, "ETA-007", world.call(eta=eta, countdown=countdown), alone, 0)


@check("ETA-008")
def test_countdown_keeps_its_fraction(world: World) -> None:
    """A countdown with a fraction delays by just this fraction more than one of its whole seconds."""
    world.begin()

    @world.for_all(st.integers(1, 1000), st.integers(1, 999))
    def _(whole: int, thousandths: int) -> None:
        fraction = thousandths / 1000
        rounded = world.call(countdown=whole)
        require_longer(world, "ETA-008", world.call(countdown=whole + fraction), rounded, fraction)


@check("ETA-009")
def test_negative_countdown_is_refused_or_past(world: World) -> None:
    """A negative countdown raises and publishes nothing, or is carried as a moment before the call."""
    world.begin()
    called = world.call(countdown=-5)
    if isinstance(called.answer, Ok):
        require_sum(world, "ETA-009", called, -5)
        return
    seen = world.history.of("published")
    world.judge("ETA-009", oracles.equal(0, len(seen), "the number of messages of a refused call", *seen))


@check("ETA-010")
def test_countdown_that_is_no_number_is_refused(world: World) -> None:
    """A text, a list or a mapping as countdown raises, and nothing is published."""
    world.begin()
    for countdown in ("10", "soon", [1], {"seconds": 1}):
        world.require_refusal("ETA-010", countdown=countdown)


@check("ETA-011")
def test_countdown_is_elapsed_seconds_in_every_zone(world: World) -> None:
    """A zone with daylight saving time changes nothing of the instant, however far away it is."""
    world.begin(settings={"timezone": "Europe/Berlin", "enable_utc": True})
    soon = world.call(countdown=7_200)
    for days in range(13, 365, 13):
        later = world.call(countdown=days * 86_400 + 7_200)
        require_longer(world, "ETA-011", later, soon, days * 86_400)


@check("ETA-012")
def test_task_with_an_eta_is_executed_once(world: World) -> None:
    """Each of several held tasks is executed exactly once."""
    world.begin()
    world.worker()
    sent = [world.send("celeriac.add", (1, i), eta=world.tick * (0.5 + i / 10)) for i in range(5)]
    for message in sent:
        world.expect("ended", task_id=message.task_id)
    world.advance(world.tick / 2)
    for message in sent:
        world.judge("ETA-012", oracles.executed(world.history, message.task_id))


@check("ETA-013")
def test_past_eta_is_executed(world: World) -> None:
    """Moments long gone are no obstacle."""
    world.begin()
    world.worker()
    for seconds in (-1, -3600, -86_400 * 365 * 20):
        sent = world.send("celeriac.add", (2, 2), eta=seconds)
        world.expect("ended", task_id=sent.task_id)
        world.judge("ETA-013", oracles.executed(world.history, sent.task_id))


@check("ETA-014")
def test_held_message_is_not_acknowledged(world: World) -> None:
    """The message of a held task is acknowledged when the task starts, not with that of another task before."""
    world.begin()
    world.worker()
    sent = world.send("celeriac.add", (2, 2), eta=world.tick * 1.5)
    world.expect("delivered", task_id=sent.task_id)
    prompt = world.send("celeriac.add", (3, 3))
    world.expect("acked", task_id=prompt.task_id)
    started = world.expect("started", task_id=sent.task_id)
    world.expect("acked", task_id=sent.task_id)
    world.judge("ETA-014", oracles.held_until(world.history, sent.task_id, started.at - world.tick / 2))


def variants(at: float) -> list[str]:
    """Answer texts that all denote the same instant."""
    value = datetime.fromtimestamp(round(at), UTC)
    far_east, far_west = timezone(timedelta(hours=13, minutes=45)), timezone(timedelta(hours=-9, minutes=-30))
    return [
        value.isoformat(timespec="microseconds"),
        value.isoformat(timespec="seconds"),
        value.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        value.astimezone(far_east).isoformat(),
        value.astimezone(far_west).isoformat(timespec="milliseconds"),
    ]


@check("ETA-015")
def test_offsets_are_read_as_the_instant_they_denote(world: World) -> None:
    """The same instant in several zones, with Z and with offsets, holds the task until then."""
    world.begin()
    world.worker()
    at = round(world.now() + 1.1 * world.tick)
    messages = [world.message().with_headers(eta=text) for text in variants(at)]
    for message in messages:
        world.inject(message)
    for message in messages:
        world.expect("ended", task_id=message.task_id)
        world.judge("ETA-015", oracles.not_before(world.history, message.task_id, at))


@check("ETA-016")
def test_eta_without_an_offset_is_utc(world: World) -> None:
    """A naive moment is read as UTC, whatever zone the worker is set to."""
    world.begin(settings={"timezone": "Asia/Tokyo", "enable_utc": True})
    world.worker()
    at = world.now() + world.tick
    naive = datetime.fromtimestamp(at, UTC).replace(tzinfo=None).isoformat()
    message = world.message().with_headers(eta=naive)
    world.inject(message)
    started = world.expect("started", task_id=message.task_id)
    world.judge("ETA-016", oracles.not_before(world.history, message.task_id, at))
    late = started.at - at
    world.require(
        "ETA-016", late < 3600, "started at the moment read as UTC", f"started {late:.0f} s after it", started
    )


#: Several times as many as a worker takes ahead when nobody tells it how many.
MANY = 20


@check("ETA-017")
def test_held_tasks_do_not_stop_the_others(world: World) -> None:
    """A task without an ETA is executed while several times the usual prefetch limit of others is held."""
    world.begin()
    world.worker()
    held = []
    for number in range(MANY):
        held.append(world.send("celeriac.add", (1, number), eta=world.tick * 4))
        if world.wait("delivered", task_id=held[-1].task_id, timeout=world.tick / 2) is None:
            break
        world.advance(world.tick / 40)  # until the worker holds it, not just its socket
    require_prompt(world, held)


@check("ETA-017")
def test_burst_of_held_tasks_does_not_stop_the_others(world: World) -> None:
    """A task without an ETA is executed while as many others are held that all came at once."""
    world.begin()
    world.worker()
    require_prompt(world, [world.send(args=(1, number), eta=world.tick * 2) for number in range(MANY)])


def require_prompt(world: World, held: Sequence[Sent]) -> None:
    """Require that a task without an ETA ends before the first of those that are held is due."""
    prompt = world.send("celeriac.add", (2, 2))
    ended = world.expect("ended", task_id=prompt.task_id)
    earliest = min(message.eta or 0.0 for message in held)
    world.require(
        "ETA-017",
        ended.at < earliest,
        "the task without an ETA ends before the held ones are due",
        f"it ended {ended.at - earliest:+.3f} s from then",
        ended,
    )


@check("ETA-018")
def test_warm_stop_returns_held_messages(world: World) -> None:
    """What a stopped worker held is executed by the next one, once, at its moment."""
    world.begin()
    first = world.worker()
    sent = world.send("celeriac.add", (2, 2), eta=world.tick * 3.5)
    world.expect("delivered", task_id=sent.task_id)
    world.advance(world.tick / 2)  # until the worker holds it, not just its socket
    world.stop(first)
    world.worker()
    world.expect("ended", task_id=sent.task_id)
    assert sent.eta is not None
    world.judge("ETA-018", oracles.not_before(world.history, sent.task_id, sent.eta))
    world.judge("ETA-018", oracles.executed(world.history, sent.task_id))


naive_moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1))


@check("ETA-019")
def test_eta_without_an_offset_is_sent_as_utc(world: World) -> None:
    """A naive moment denotes on the wire what it denotes in UTC, whatever zone the caller is set to."""
    world.begin(settings={"timezone": "America/New_York", "enable_utc": True})

    @world.for_all(naive_moments)
    def _(eta: datetime) -> None:
        record, at = world.published(world.call(eta=eta)), eta.replace(tzinfo=UTC).timestamp()
        why = f"{eta.isoformat()} in UTC"
        world.judge("ETA-019", oracles.moment_within(record, "eta", at, at, why))


@check("ETA-020")
def test_eta_that_is_no_moment_is_refused(world: World) -> None:
    """Words, numbers and lists as eta raise, and nothing is published."""
    world.begin()
    for eta in ("tomorrow", "10", 0, 1_790_000_000, [2030, 5, 6]):
        world.require_refusal("ETA-020", eta=eta)
