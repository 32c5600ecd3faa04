"""How a broker is set to have a lease, by version, and when what is held too long then comes back."""

from __future__ import annotations

from typing import Literal, get_args

import pytest

from celeriac.conformance import embedded
from celeriac.conformance.embedded import DIALECTS, LEASE_DIALECTS
from celeriac.conformance.providers import LEASES, Lease, LeaseTimes, Setup, find
from celeriac.conformance.providers import rabbitmq as rabbit
from celeriac.conformance.providers.base import FOR_EVER
from celeriac.conformance.providers.embedded import EmbeddedProvider
from celeriac.conformance.providers.versions import Patience, patience_of
from celeriac.conformance.travel import ControlFile
from celeriac.conformance.verdicts import NotApplicable

Kind = Literal["channel-close", "redeliver", "consumer-cancel"]
CLOSE: Kind = "channel-close"
CANCEL: Kind = "consumer-cancel"
AGAIN: Kind = "redeliver"
CLOSING = {"classic": CLOSE, "quorum": CLOSE}
BOTH = ("classic", "quorum")
AS_IT_COMES = Setup()

#: What ``setting`` answers: how the broker is set and when a delivery comes back, or why there is no such lease.
Answer = tuple[Setup, LeaseTimes] | str


# -- what a version of RabbitMQ does ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("versions", "timeout", "interval", "endings", "own"),
    [
        (("3.7.28", "3.8.0", "3.8.9", "3.8.14", "0.1"), None, 60.0, CLOSING, ()),
        (("3.8.15", "3.8.16"), 900.0, 60.0, CLOSING, ()),
        (("3.8.17", "3.8.34", "3.9.0", "3.10.8", "3.11.28"), 1800.0, 60.0, CLOSING, ()),
        (("3.12", "3.12.0", "3.13.7", "4.0.5", "4.1.0-rc.1", "4.2.9"), 1800.0, 60.0, CLOSING, BOTH),
        (("4.3", "4.3.0", "4.3.6", "4.10.0", "5.0.0"), 1800.0, 0.0, {"quorum": CANCEL}, ("quorum",)),
    ],
)
def test_patience_follows_from_the_version(
    versions: tuple[str, ...],
    timeout: float | None,
    interval: float,
    endings: dict[str, str],
    own: tuple[str, ...],
) -> None:
    """A version is as patient as the last row that it has reached says, compared by numbers and not by letters."""
    for version in versions:
        assert patience_of(version) == Patience(timeout, interval, endings, own, own), version  # type: ignore[arg-type]


@pytest.mark.parametrize("version", ["", "unknown", "main"])
def test_no_version_is_taken_for_the_oldest(version: str) -> None:
    """What names no number is judged like the first version, of which nothing is promised."""
    assert patience_of(version).timeout is None


# -- RabbitMQ ---------------------------------------------------------------------------------------------------

#: lease, version, whether the clock can be moved -> what ``setting`` answers.
ON_RABBITMQ: dict[tuple[Lease, str, bool], Answer] = {
    ("channel-close", "3.10.8", False): (Setup(1.0, 0.25), LeaseTimes(1.0, 0.25, CLOSE)),
    ("channel-close", "3.10.8", True): (AS_IT_COMES, LeaseTimes(1800.0, 60.0, CLOSE)),
    ("channel-close", "3.8.16", True): (AS_IT_COMES, LeaseTimes(900.0, 60.0, CLOSE)),
    ("channel-close", "3.8.9", False): (Setup(1.0, 0.25), LeaseTimes(1.0, 0.25, CLOSE)),
    ("channel-close", "3.8.9", True): "RabbitMQ 3.8.9 has no consumer_timeout by default",
    ("channel-close", "4.0.5", True): (AS_IT_COMES, LeaseTimes(1800.0, 60.0, CLOSE)),
    (
        "channel-close",
        "4.3.6",
        True,
    ): "RabbitMQ 4.3.6 ends overdue deliveries by consumer-cancel, not by channel-close",
    (
        "channel-close",
        "4.3.6",
        False,
    ): "RabbitMQ 4.3.6 ends overdue deliveries by consumer-cancel, not by channel-close",
    (
        "consumer-cancel",
        "3.10.8",
        True,
    ): "RabbitMQ 3.10.8 ends overdue deliveries by channel-close, not by consumer-cancel",
    ("consumer-cancel", "4.3.6", True): (AS_IT_COMES, LeaseTimes(1800.0, 0.0, CANCEL)),
    ("consumer-cancel", "4.3.6", False): (Setup(1.0, 0.25), LeaseTimes(1.0, 0.0, CANCEL)),
    ("patient", "3.10.8", True): (Setup(FOR_EVER), LeaseTimes(FOR_EVER, 60.0, CLOSE)),
    ("patient", "3.10.8", False): (Setup(FOR_EVER), LeaseTimes(FOR_EVER, 60.0, CLOSE)),
    ("patient", "4.3.6", True): (Setup(FOR_EVER), LeaseTimes(FOR_EVER, 0.0, CANCEL)),
    ("endless", "3.8.9", True): (AS_IT_COMES, LeaseTimes(FOR_EVER, 60.0, CLOSE)),
    ("endless", "3.10.8", True): "RabbitMQ 3.10.8 has a default timeout for classic queues",
    ("endless", "4.0.5", True): "RabbitMQ 4.0.5 has a default timeout for classic queues",
    ("endless", "4.3.6", True): (AS_IT_COMES, LeaseTimes(FOR_EVER, 0.0, CANCEL)),
    (
        "queue-argument",
        "3.10.8",
        True,
    ): "no queue of RabbitMQ 3.10.8 has a time-out of its own by queue-argument",
    ("queue-argument", "4.0.5", True): (AS_IT_COMES, LeaseTimes(600.0, 60.0, CLOSE)),
    ("queue-argument", "4.0.5", False): (Setup(None, 0.25), LeaseTimes(1.0, 0.25, CLOSE)),
    ("queue-argument", "4.3.6", True): (AS_IT_COMES, LeaseTimes(600.0, 0.0, CANCEL)),
    ("policy", "3.11.28", False): "no queue of RabbitMQ 3.11.28 has a time-out of its own by policy",
    ("policy", "3.12.0", False): (Setup(None, 0.25), LeaseTimes(1.0, 0.25, CLOSE)),
    ("policy", "4.0.5", True): (AS_IT_COMES, LeaseTimes(600.0, 60.0, CLOSE)),
    ("policy", "4.3.6", True): (AS_IT_COMES, LeaseTimes(600.0, 0.0, CANCEL)),
}


@pytest.mark.parametrize(("asked", "answer"), ON_RABBITMQ.items(), ids=lambda value: str(value)[:60])
def test_a_rabbitmq_is_set_by_its_version(asked: tuple[Lease, str, bool], answer: Answer) -> None:
    """A RabbitMQ has its own times where they can be waited for, short ones where not, and nothing that it lacks."""
    lease, version, travels = asked
    if isinstance(answer, str):
        with pytest.raises(NotApplicable) as caught:
            rabbit.setting(lease, version, travels)
        assert str(caught.value) == answer
    else:
        assert rabbit.setting(lease, version, travels) == answer


def test_every_lease_of_rabbitmq_is_in_the_table() -> None:
    """Each kind of lease that a RabbitMQ may have is had by some version with a clock that can be moved."""
    had = {
        lease
        for (lease, _, travels), answer in ON_RABBITMQ.items()
        if travels and not isinstance(answer, str)
    }
    assert had == set(LEASES["rabbitmq"])


# -- Redis ------------------------------------------------------------------------------------------------------


def test_redis_is_left_as_it_is() -> None:
    """On Redis the clients keep the lease: short where time is real, their own default where it can be moved."""
    control = ControlFile()
    with find("redis", "process") as provider:
        assert provider.setting("redeliver") == (AS_IT_COMES, LeaseTimes(1.0, 0.0, AGAIN))
        assert provider.visibility("redeliver") == 1.0
        provider.follow(control)
        assert provider.setting("redeliver") == (AS_IT_COMES, LeaseTimes(3600.0, 100.0, AGAIN))
        assert provider.visibility("redeliver") is None
        for lease in LEASES["redis"][1:]:
            assert provider.setting(lease) == (AS_IT_COMES, LeaseTimes(FOR_EVER, 100.0, AGAIN))
            assert provider.visibility(lease) == FOR_EVER
    control.close()


# -- the embedded broker ----------------------------------------------------------------------------------------

#: dialect -> how it ends overdue deliveries, its times, whether queues have their own, whether classic ones have none.
DIALECT_TIMES: dict[str, tuple[Kind, float, float, bool, bool]] = {
    "rabbit-3.8": (CLOSE, 900.0, 60.0, False, False),
    "rabbit-3.10": (CLOSE, 1800.0, 60.0, False, False),
    "rabbit-4.0": (CLOSE, 1800.0, 60.0, True, False),
    "rabbit-4.3": (CANCEL, 1800.0, 0.0, True, True),
    "redis-kombu": (AGAIN, 3600.0, 100.0, False, False),
}
#: Times for a clock that cannot be moved.
SHORT = LeaseTimes(1.0, 0.25, CLOSE)


def test_every_dialect_is_in_the_table() -> None:
    """No dialect is left out here."""
    assert set(DIALECT_TIMES) == set(DIALECTS)


@pytest.mark.parametrize("name", DIALECT_TIMES)
@pytest.mark.parametrize("lease", ["channel-close", "consumer-cancel", "redeliver"])
def test_a_dialect_has_the_lease_that_it_ends_deliveries_by(name: str, lease: Lease) -> None:
    """A dialect that is named has its own kind of lease, with its own times or short ones, and no other."""
    kind, timeout, interval, _, _ = DIALECT_TIMES[name]
    if lease != kind:
        with pytest.raises(NotApplicable, match=f"{name} ends overdue deliveries by {kind}, not by {lease}"):
            embedded.setting(lease, name)
        return
    assert embedded.setting(lease, name) == (Setup(dialect=name), LeaseTimes(timeout, interval, kind))
    assert embedded.setting(lease, name, SHORT) == (Setup(1.0, 0.25, name), LeaseTimes(1.0, 0.25, kind))


@pytest.mark.parametrize("name", DIALECT_TIMES)
def test_a_dialect_is_made_patient(name: str) -> None:
    """Every dialect can be told the time-out that no countdown outlives, whatever it does to who outlives it."""
    kind, _, interval, _, _ = DIALECT_TIMES[name]
    expected = Setup(timeout=FOR_EVER, dialect=name), LeaseTimes(FOR_EVER, interval, kind)
    assert embedded.setting("patient", name) == embedded.setting("patient", name, SHORT) == expected


@pytest.mark.parametrize("name", DIALECT_TIMES)
@pytest.mark.parametrize("lease", ["queue-argument", "policy"])
def test_a_dialect_whose_queues_have_their_own_time(name: str, lease: Lease) -> None:
    """Where queues have a time-out of their own the dialect is left as it is, but for how often it looks."""
    kind, _, interval, own, _ = DIALECT_TIMES[name]
    if not own:
        with pytest.raises(NotApplicable, match=f"no queue of {name} has a time-out of its own by {lease}"):
            embedded.setting(lease, name)
        return
    assert embedded.setting(lease, name) == (Setup(dialect=name), LeaseTimes(600.0, interval, kind))
    setup, times = embedded.setting(lease, name, SHORT)
    assert (setup, times) == (Setup(interval=0.25, dialect=name), LeaseTimes(1.0, 0.25, kind))


@pytest.mark.parametrize("name", DIALECT_TIMES)
def test_a_dialect_whose_classic_queues_wait_for_ever(name: str) -> None:
    """Only a dialect without a time-out for classic queues takes nothing back by default."""
    kind, _, _, _, endless = DIALECT_TIMES[name]
    if endless:
        expected = Setup(dialect=name), LeaseTimes(FOR_EVER, 0.0, kind)
        assert embedded.setting("endless", name) == expected
    else:
        with pytest.raises(NotApplicable, match=f"{name} has a default timeout for classic queues"):
            embedded.setting("endless", name)


def test_a_lease_that_is_asked_for_chooses_the_dialect() -> None:
    """Where a run names no dialect, each lease is played on one that has it, and no lease on the default."""
    for lease, name in LEASE_DIALECTS.items():
        setup, times = embedded.setting(lease)
        assert (setup.dialect, times is None) == (name, False), lease
    assert embedded.setting(None) == (Setup(dialect="rabbit-3.10"), None)
    assert embedded.setting(None, "rabbit-4.3") == (Setup(dialect="rabbit-4.3"), None)
    assert set(LEASE_DIALECTS) <= set(get_args(Lease))


def test_the_dialect_that_a_run_names_is_the_broker() -> None:
    """``--broker-from=rabbit-4.3`` is a broker that says it is RabbitMQ 4.3 and has its leases and no others."""
    with find("embedded", "rabbit-4.3") as provider:
        assert isinstance(provider, EmbeddedProvider)
        assert provider.info().version == "rabbit-4.3"
        node = provider.node("consumer-cancel")
        assert node.lease == LeaseTimes(1.0, 0.25, CANCEL)
        with pytest.raises(NotApplicable, match="not by channel-close"):
            provider.node("channel-close")
