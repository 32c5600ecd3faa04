"""Expiration: until when a task is worth executing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from celeriac.conformance import oracles
from celeriac.conformance.adapter import Raised
from celeriac.conformance.checks import check
from celeriac.conformance.decoding import has_offset, moment
from celeriac.conformance.messages import Embed, wire_signature

if TYPE_CHECKING:
    from celeriac.conformance.calls import Called
    from celeriac.conformance.world import World


offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
lifetimes = st.one_of(st.integers(1, 10**6), st.integers(1, 10**9).map(lambda thousands: thousands / 1000))


#: States after which nothing more is stored of a task.
FINAL = frozenset({"SUCCESS", "FAILURE", "REVOKED"})

#: How far ahead expiry may lie: RabbitMQ takes a time to live of ten years at the most.
NINE_YEARS = timedelta(days=9 * 365)


def future(world: World) -> st.SearchStrategy[datetime]:
    """Answer moments between now and nine years from now, in any zone."""
    start = datetime.fromtimestamp(world.now(), UTC)
    ahead = st.timedeltas(timedelta(minutes=1), NINE_YEARS)
    return st.tuples(ahead, offsets).map(lambda drawn: (start + drawn[0]).astimezone(drawn[1]))


@check("EXP-001")
def test_seconds_become_the_moment_of_the_call_plus_them(world: World) -> None:
    """The expires header is the moment of the call plus the seconds given."""
    world.begin()

    @world.for_all(lifetimes)
    def _(seconds: float) -> None:
        called = world.call(expires=seconds)
        why = f"the moment of the call plus {seconds} s"
        earliest, latest = called.before + seconds, called.after + seconds
        judgement = oracles.moment_within(world.published(called), "expires", earliest, latest, why)
        world.judge("EXP-001", judgement)


@check("EXP-002")
def test_datetime_is_carried_as_the_same_instant(world: World) -> None:
    """The expires header denotes the instant that the caller gave, to the millisecond, in any zone."""
    world.begin()

    @world.for_all(future(world))
    def _(expires: datetime) -> None:
        record, at = world.published(world.call(expires=expires)), expires.timestamp()
        why = f"the instant of {expires.isoformat()}"
        world.judge("EXP-002", oracles.moment_within(record, "expires", at, at, why))


@check("EXP-003")
def test_header_has_date_time_and_offset(world: World) -> None:
    """The expires header is an ISO 8601 text with a UTC offset, whatever it was made from."""
    world.begin()

    @world.for_all(st.one_of(lifetimes, future(world)))
    def _(expires: Any) -> None:
        record = world.published(world.call(expires=expires))
        text = record.headers.get("expires")
        expected = "an ISO 8601 text of date, time and UTC offset"
        world.require("EXP-003", has_offset(text), expected, f"{text!r}", record)


@check("EXP-004")
def test_no_expiry_unless_asked_for(world: World) -> None:
    """A call without expires has a null header and no time to live."""
    world.begin()
    record = world.published(world.call())
    world.judge(
        "EXP-004", oracles.equal(None, record.headers.get("expires", "absent"), "the expires header", record)
    )
    ttl = record.properties.get("expiration")
    world.judge("EXP-004", oracles.equal(None, ttl, "the expiration property", record))


def remaining(called: Called, expires: float) -> tuple[int, int]:
    """Answer the least and the most whole milliseconds that may remain until ``expires`` (epoch seconds)."""
    return int((expires - called.after) * 1000 - 0.01), int((expires - called.before) * 1000 + 0.01)


def require_ttl(world: World, requirement: str, called: Called, least: int, most: int) -> None:
    """Require that the expiration property is a decimal text of milliseconds in this range."""
    record = world.published(called)
    ttl = record.properties.get("expiration")
    slack = round(world.history.slack * 1000)
    ok = isinstance(ttl, str) and ttl.isdecimal() and max(0, least - slack) <= int(ttl) <= most + slack
    world.require(
        requirement, ok, f"a decimal text from {least} to {most} ms", f"expiration is {ttl!r}", record
    )


@check("EXP-005", link="amqp")
def test_time_to_live_is_what_remains(world: World) -> None:
    """The expiration property is the text of the remaining milliseconds, cut off, not rounded."""
    world.begin()

    @world.for_all(lifetimes)
    def _(seconds: float) -> None:
        called = world.call(expires=seconds)
        require_ttl(world, "EXP-005", called, int(seconds * 1000 - 0.01), int(seconds * 1000 + 0.01))

    expires = datetime.fromtimestamp(world.now() + 3600, UTC)
    called = world.call(expires=expires)
    require_ttl(world, "EXP-005", called, *remaining(called, expires.timestamp()))


@check("EXP-006")
def test_past_expiry_is_published_as_such(world: World) -> None:
    """An expiry that is past is carried as that moment, with a time to live of 0 over AMQP."""
    world.begin()
    past = datetime.fromtimestamp(world.now() - 3600, UTC)
    for expires in (past, -5, -0.5):
        called = world.call(expires=expires)
        record = world.published(called)
        text = record.headers.get("expires")
        at = moment(text)
        expected = "expires is a moment before the call"
        world.require("EXP-006", at is not None and at < called.after, expected, f"{text!r}", record)
        if world.link == "amqp":
            ttl = record.properties.get("expiration")
            world.judge("EXP-006", oracles.equal("0", ttl, "the expiration property", record))


@check("EXP-007")
def test_other_types_are_refused(world: World) -> None:
    """A word, a list or a mapping as expires raises, and nothing is published."""
    world.begin()
    for expires in ("soon", [60], {"seconds": 60}):
        world.require_refusal("EXP-007", expires=expires)


def receive_expired(world: World, **fields: Any) -> str:
    """Let a worker receive an expired task, then an ordinary one; answer the id of the first."""
    world.begin()
    world.worker()
    expired = world.send("celeriac.add", (2, 2), expires=-1, **fields)
    after = world.send("celeriac.add", (3, 3))
    world.expect("ended", task_id=after.task_id)
    return expired.task_id


@check("EXP-008")
def test_expired_task_is_not_executed(world: World) -> None:
    """The worker goes on to the next message without running the expired one."""
    task_id = receive_expired(world)
    world.judge("EXP-008", oracles.never_started(world.history, task_id))


@check("EXP-009")
def test_expired_task_is_stored_as_revoked(world: World) -> None:
    """The result is REVOKED with a TaskRevokedError."""
    task_id = receive_expired(world)
    world.wait("stored", task_id=task_id)
    world.judge("EXP-009", oracles.revoked(world.history, task_id))


@check("EXP-010")
def test_expired_message_is_acknowledged(world: World) -> None:
    """The message is acknowledged and does not come again."""
    task_id = receive_expired(world)
    world.wait("acked", "rejected", "requeued", task_id=task_id)
    world.judge("EXP-010", oracles.settled(world.history, task_id, ("acked",)))
    deliveries = world.history.of("delivered", task_id=task_id)
    world.judge("EXP-010", oracles.equal(1, len(deliveries), "the number of deliveries", *deliveries))


@check("EXP-011")
def test_task_that_expires_while_held_is_revoked(world: World) -> None:
    """A task that was in time when received, but not when due, is revoked."""
    world.begin()
    world.worker()
    held = world.send("celeriac.add", (2, 2), eta=world.tick, expires=world.tick / 2)
    world.expect("stored", task_id=held.task_id)
    world.judge("EXP-011", oracles.revoked(world.history, held.task_id))
    world.judge("EXP-011", oracles.never_started(world.history, held.task_id))


@check("EXP-011")
def test_task_that_expires_behind_another_is_revoked(world: World) -> None:
    """A task that waited too long for its worker is revoked when its turn comes."""
    world.begin(settings={"worker_concurrency": 1})
    world.worker()
    busy = world.send("celeriac.sleep", (world.tick,))
    behind = world.send("celeriac.add", (2, 2), expires=world.tick / 2)
    world.expect("ended", task_id=busy.task_id)
    world.expect("stored", task_id=behind.task_id)
    world.judge("EXP-011", oracles.revoked(world.history, behind.task_id))
    world.judge("EXP-011", oracles.never_started(world.history, behind.task_id))


@check("EXP-012")
def test_task_in_time_is_executed(world: World) -> None:
    """Tasks that expire later, also one that is held for a while, are executed."""
    world.begin()
    world.worker()
    prompt = world.send("celeriac.add", (2, 2), expires=world.tick * 30)
    held = world.send("celeriac.add", (2, 2), eta=world.tick / 2, expires=world.tick * 30)
    for sent in (prompt, held):
        world.expect("ended", task_id=sent.task_id)
        world.judge("EXP-012", oracles.executed(world.history, sent.task_id))


@check("EXP-013")
def test_expired_task_calls_nobody(world: World) -> None:
    """Neither the callback nor the errback of an expired task is sent or called."""
    embed = Embed(
        callbacks=[wire_signature("celeriac.add", 16, task_id="celeriac-callback")],
        errbacks=[wire_signature("celeriac.handler")],
    )
    task_id = receive_expired(world, embed=embed)
    callbacks = world.history.of("published", task_id="celeriac-callback")
    errbacks = world.history.of("errback", task_id=task_id)
    seen = [*callbacks, *errbacks]
    world.require("EXP-013", not seen, "no callback and no errback", f"{[r.kind for r in seen]}", *seen)


@check("EXP-014")
def test_expires_without_an_offset_is_utc(world: World) -> None:
    """A naive moment, past or coming, has the effect of the same moment in UTC, whatever the worker's zone."""
    world.begin(settings={"timezone": "America/New_York", "enable_utc": True})
    world.worker()
    fates = {}
    for shift in (-600, 600):
        at = datetime.fromtimestamp(world.now() + shift, UTC)
        fates[shift] = fate(world, at)
        naive = fate(world, at.replace(tzinfo=None))
        what = f"with a naive expires of {shift:+} s, executed and stored"
        world.judge("EXP-014", oracles.equal(fates[shift], naive, what))
    seen = "a past and a coming moment have the same effect"
    world.require("EXP-014", fates[-600] != fates[600], "a moment that has passed is noticed", seen)


def fate(world: World, expires: datetime) -> tuple[bool, str]:
    """Answer whether a worker executes a task with this ``expires`` header, and the state that it stores."""
    message = world.message().with_headers(expires=expires.isoformat())
    world.inject(message)
    history, task_id = world.history, message.task_id
    world.until(lambda: any(record.state in FINAL for record in history.of("stored", task_id=task_id)))
    states = [record.state for record in history.of("stored", task_id=task_id)]
    if states[-1:] == ["SUCCESS"]:
        world.wait("started", task_id=task_id)  # the worker's own report may come after what the wire shows
    return bool(history.of("started", task_id=task_id)), states[-1] if states else "nothing"


@check("EXP-015", roles=("producer", "worker", "result-consumer"))
def test_result_of_an_expired_task_raises(world: World) -> None:
    """Whoever asks for the result gets the error for a revoked task."""
    world.begin()
    world.worker()
    called = world.call(eta=_at(world, 1), expires=_at(world, 0.5), serializer="json")
    answer = world.get(called)
    world.require(
        "EXP-015",
        isinstance(answer, Raised) and answer.category == "revoked",
        "an error of the category revoked",
        f"{answer}",
    )


def _at(world: World, ticks: float) -> datetime:
    return datetime.fromtimestamp(world.now() + ticks * world.tick, UTC)


@check("EXP-016", link="amqp")
def test_broker_drops_what_has_expired(world: World) -> None:
    """A message that waited longer than its time to live is not delivered, its neighbour is."""
    world.begin()
    message = world.message()
    world.inject(message.with_properties(expiration=str(round(world.tick * 250))))
    world.advance(world.tick / 2)
    neighbour = world.send("celeriac.add", (2, 2))
    world.worker()
    world.expect("ended", task_id=neighbour.task_id)
    deliveries = world.history.of("delivered", task_id=message.task_id)
    world.judge("EXP-016", oracles.equal(0, len(deliveries), "the number of deliveries", *deliveries))


@check("EXP-017")
def test_expires_without_an_offset_is_sent_as_utc(world: World) -> None:
    """A naive moment denotes on the wire what it denotes in UTC, whatever zone the caller is set to."""
    world.begin(settings={"timezone": "America/New_York", "enable_utc": True})

    @world.for_all(future(world))
    def _(moment: datetime) -> None:
        utc = moment.astimezone(UTC)
        expires, at = utc.replace(tzinfo=None), utc.timestamp()
        judgement = oracles.moment_within(
            world.published(world.call(expires=expires)), "expires", at, at, f"{expires.isoformat()} in UTC"
        )
        world.judge("EXP-017", judgement)


@check("EXP-018")
def test_task_that_expires_between_two_deliveries_is_revoked(world: World) -> None:
    """A worker that held the task in time gives it back; the next one gets it when it has expired."""
    world.begin()
    first = world.worker()
    sent = world.send("celeriac.add", (2, 2), eta=3 * world.tick, expires=2 * world.tick)
    world.expect("delivered", task_id=sent.task_id)
    world.stop(first)
    assert sent.expires is not None
    world.advance(sent.expires + world.tick / 10 - world.now())
    world.worker()
    world.wait("stored", task_id=sent.task_id)
    world.judge("EXP-018", oracles.revoked(world.history, sent.task_id))
    world.judge("EXP-018", oracles.never_started(world.history, sent.task_id))


@check("EXP-019")
def test_attempts_share_their_expiry(world: World) -> None:
    """The second and the third attempt expire when the first would have."""
    world.begin()
    world.worker()
    sent = world.send("celeriac.retry", (2,), expires=100 * world.tick)
    world.expect("ended", task_id=sent.task_id)
    records = [r for r in world.history.of("published", task_id=sent.task_id) if r.headers.get("retries")]
    world.judge("EXP-019", oracles.equal(2, len(records), "the number of further attempts", *records))
    assert sent.expires is not None
    why = "the expiry of the first attempt"
    for record in records:
        judgement = oracles.moment_within(record, "expires", sent.expires, sent.expires, why)
        world.judge("EXP-019", judgement)


def left(world: World, called: Called) -> tuple[float, float]:
    """Answer the least and the most seconds that the ``expires`` header can be after the call."""
    at = moment(world.published(called).headers.get("expires"))
    world.require("", at is not None, "a moment as expires header", "there is none")
    assert at is not None
    return at - called.after - oracles.MILLISECOND, at - called.before + oracles.MILLISECOND


@check("EXP-020")
def test_expires_is_elapsed_seconds_in_every_zone(world: World) -> None:
    """A zone with daylight saving time changes nothing of the instant, however far away it is."""
    world.begin(settings={"timezone": "Europe/Berlin", "enable_utc": True})
    soon_least, soon_most = left(world, world.call(expires=7_200))
    for days in range(13, 365, 13):
        least, most = left(world, world.call(expires=days * 86_400 + 7_200))
        between = (least - soon_most, most - soon_least)
        expected = f"{days} days more of expires are {days * 86_400} s more"
        holds = between[0] <= days * 86_400 <= between[1]
        world.require("EXP-020", holds, expected, f"they are about {sum(between) / 2:.3f} s")
