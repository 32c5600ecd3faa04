"""What the core refuses, in the words of RabbitMQ 3.10.8 (each text was read off a running one)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from celeriac.reference.broker.broker import Broker
from celeriac.reference.broker.errors import BrokerError, ChannelError, ConnectionError_
from celeriac.reference.broker.model import Channel, Properties
from celeriac.reference.clock import VirtualClock

LOCKED = (
    "405 RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'own' in vhost '/'. It could be originally "
    "declared on another connection or the exclusive property value does not match that of the original declaration."
)
DEFAULT = "403 ACCESS_REFUSED - operation not permitted on the default exchange"
UNEQUAL = "406 PRECONDITION_FAILED - inequivalent arg"
NOT_NOW = "received the value '3' of type 'signedint' but current is none"
NO_MORE = "received none but current is the value '5' of type 'signedint'"
NEW_TEXT = "received the value 'amq.fanout' of type 'longstr' but current is none"
INVALID = "406 PRECONDITION_FAILED - invalid arg"


def world(dialect: str = "rabbit-3.10") -> tuple[Broker, Channel, Channel]:
    """Answer a broker with a queue ``q``, an exchange ``x`` and two connections, the second owning ``own``."""
    broker = Broker(VirtualClock(), dialect)
    mine, other = (broker.open_channel(broker.open_session(), 1) for _ in range(2))
    broker.declare_queue(mine, "q")
    broker.declare_queue(other, "own", exclusive=True)
    broker.declare_exchange(mine, "x", "direct")
    mine.last_queue = ""
    return broker, mine, other


def _publish(b: Broker, c: Channel, exchange: str = "", **properties: Any) -> None:
    b.publish(c, exchange, "q", Properties(**properties), b"")


def _declare(b: Broker, c: Channel, **arguments: Any) -> None:
    b.declare_queue(c, "new", arguments={name.replace("_", "-"): value for name, value in arguments.items()})


def _twice(b: Broker, c: Channel, first: dict[str, Any], second: dict[str, Any]) -> None:
    _declare(b, c, **first)
    _declare(b, c, **second)


def _internal(b: Broker, c: Channel) -> None:
    b.declare_exchange(c, "inner", internal=True)
    _publish(b, c, "inner")


def _reuse_tag(b: Broker, c: Channel) -> None:
    b.consume(c, "q", "c")
    b.consume(c, "q", "c")


def _share(b: Broker, c: Channel, first: bool, second: bool) -> None:
    b.consume(c, "q", exclusive=first)
    b.consume(c, "q", exclusive=second)


def _delete_used(b: Broker, c: Channel) -> None:
    b.consume(c, "q")
    b.delete_queue(c, "q", if_unused=True)


def _delete_full(b: Broker, c: Channel) -> None:
    _publish(b, c)
    b.delete_queue(c, "q", if_empty=True)


def _delete_bound(b: Broker, c: Channel) -> None:
    b.bind_queue(c, "q", "x", "k")
    b.delete_exchange(c, "x", if_unused=True)


def _mix(b: Broker, c: Channel, first: str, second: str) -> None:
    getattr(b, f"select_{first}")(c)
    getattr(b, f"select_{second}")(c)


def _match(b: Broker, c: Channel, value: Any) -> None:
    b.bind_queue(c, "q", "amq.headers", "", {"x-match": value})


Act = Callable[[Broker, Channel], object]

CHANNEL: list[tuple[str, Act]] = [
    ("404 NOT_FOUND - no queue 'nope' in vhost '/'", lambda b, c: b.declare_queue(c, "nope", passive=True)),
    ("404 NOT_FOUND - no queue '' in vhost '/'", lambda b, c: b.declare_queue(c, "", passive=True)),
    ("404 NOT_FOUND - no queue 'nope' in vhost '/'", lambda b, c: b.purge_queue(c, "nope")),
    ("404 NOT_FOUND - no queue 'nope' in vhost '/'", lambda b, c: b.get(c, "nope")),
    ("404 NOT_FOUND - no queue 'nope' in vhost '/'", lambda b, c: b.consume(c, "nope")),
    ("404 NOT_FOUND - no queue 'nope' in vhost '/'", lambda b, c: b.bind_queue(c, "nope", "x")),
    ("404 NOT_FOUND - no exchange 'nope' in vhost '/'", lambda b, c: b.bind_queue(c, "no", "nope")),
    ("404 NOT_FOUND - no exchange 'nope' in vhost '/'", lambda b, c: b.bind_exchange(c, "nope", "x")),
    ("404 NOT_FOUND - no exchange 'nope' in vhost '/'", lambda b, c: _publish(b, c, "nope")),
    ("404 NOT_FOUND - no exchange 'nope' in vhost '/'", lambda b, c: b.declare_exchange(c, "nope", passive=True)),
    ("404 NOT_FOUND - no previously declared queue", lambda b, c: b.purge_queue(c, "")),
    (f"{UNEQUAL} 'durable' for queue 'q' in vhost '/': received 'true' but current is 'false'",
     lambda b, c: b.declare_queue(c, "q", durable=True)),
    (f"{UNEQUAL} 'auto_delete' for queue 'q' in vhost '/': received 'true' but current is 'false'",
     lambda b, c: b.declare_queue(c, "q", auto_delete=True)),
    (LOCKED.replace("own", "q"), lambda b, c: b.declare_queue(c, "q", exclusive=True)),
    (f"{UNEQUAL} 'x-max-priority' for queue 'new' in vhost '/': {NOT_NOW}",
     lambda b, c: _twice(b, c, {}, {"x_max_priority": 3})),
    (f"{UNEQUAL} 'x-message-ttl' for queue 'new' in vhost '/': {NO_MORE}",
     lambda b, c: _twice(b, c, {"x_message_ttl": 5}, {})),
    (f"{UNEQUAL} 'x-message-ttl' for queue 'new' in vhost '/': received '6' but current is '5'",
     lambda b, c: _twice(b, c, {"x_message_ttl": 5}, {"x_message_ttl": 6})),
    (f"{UNEQUAL} 'type' for exchange 'x' in vhost '/': received 'topic' but current is 'direct'",
     lambda b, c: b.declare_exchange(c, "x", "topic")),
    (f"{UNEQUAL} 'durable' for exchange 'amq.direct' in vhost '/': received 'false' but current is 'true'",
     lambda b, c: b.declare_exchange(c, "amq.direct")),
    (f"{UNEQUAL} 'internal' for exchange 'x' in vhost '/': received 'true' but current is 'false'",
     lambda b, c: b.declare_exchange(c, "x", internal=True)),
    (f"{UNEQUAL} 'alternate-exchange' for exchange 'x' in vhost '/': {NEW_TEXT}",
     lambda b, c: b.declare_exchange(c, "x", arguments={"alternate-exchange": "amq.fanout"})),
    (DEFAULT, lambda b, c: b.bind_queue(c, "q", "", "k")),
    (DEFAULT, lambda b, c: b.unbind_queue(c, "q", "", "k")),
    (DEFAULT, lambda b, c: b.declare_exchange(c, "", passive=True)),
    (DEFAULT, lambda b, c: b.delete_exchange(c, "")),
    (DEFAULT, lambda b, c: b.bind_exchange(c, "", "x")),
    ("403 ACCESS_REFUSED - deletion of system exchange 'amq.topic' in vhost '/' not allowed",
     lambda b, c: b.delete_exchange(c, "amq.topic")),
    ("403 ACCESS_REFUSED - exchange name 'amq.foo' contains reserved prefix 'amq.*'",
     lambda b, c: b.declare_exchange(c, "amq.foo")),
    ("403 ACCESS_REFUSED - queue name 'amq.foo' contains reserved prefix 'amq.*'",
     lambda b, c: b.declare_queue(c, "amq.foo")),
    ("403 ACCESS_REFUSED - cannot publish to internal exchange 'inner' in vhost '/'", _internal),
    ("403 ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use", lambda b, c: _share(b, c, True, False)),
    ("403 ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use", lambda b, c: _share(b, c, False, True)),
    (LOCKED, lambda b, c: b.declare_queue(c, "own", exclusive=True)),
    (LOCKED, lambda b, c: b.declare_queue(c, "own", passive=True)),
    (LOCKED, lambda b, c: b.get(c, "own")),
    (LOCKED, lambda b, c: b.consume(c, "own")),
    (LOCKED, lambda b, c: b.purge_queue(c, "own")),
    (LOCKED, lambda b, c: b.delete_queue(c, "own")),
    (LOCKED, lambda b, c: b.bind_queue(c, "own", "x")),
    ("406 PRECONDITION_FAILED - queue 'q' in vhost '/' in use", _delete_used),
    ("406 PRECONDITION_FAILED - queue 'q' in vhost '/' not empty", _delete_full),
    ("406 PRECONDITION_FAILED - exchange 'x' in vhost '/' in use", _delete_bound),
    ("406 PRECONDITION_FAILED - unknown delivery tag 5", lambda b, c: b.ack(c, 5)),
    ("406 PRECONDITION_FAILED - unknown delivery tag 7", lambda b, c: b.nack(c, 7, multiple=True)),
    ("406 PRECONDITION_FAILED - unknown delivery tag 0", lambda b, c: b.reject(c, 0)),
    ("406 PRECONDITION_FAILED - cannot switch from tx to confirm mode", lambda b, c: _mix(b, c, "tx", "confirms")),
    ("406 PRECONDITION_FAILED - cannot switch from confirm to tx mode", lambda b, c: _mix(b, c, "confirms", "tx")),
    ("406 PRECONDITION_FAILED - channel is not transactional", lambda b, c: b.commit_tx(c)),
    ("406 PRECONDITION_FAILED - channel is not transactional", lambda b, c: b.rollback_tx(c)),
    ("406 PRECONDITION_FAILED - user_id property set to 'bob' but authenticated user was 'guest'",
     lambda b, c: _publish(b, c, user_id="bob")),
    ("406 PRECONDITION_FAILED - invalid expiration 'abc': no_integer", lambda b, c: _publish(b, c, expiration="abc")),
    ("406 PRECONDITION_FAILED - invalid expiration ' 5': no_integer", lambda b, c: _publish(b, c, expiration=" 5")),
    ("406 PRECONDITION_FAILED - invalid expiration '-5': {value_negative,-5}",
     lambda b, c: _publish(b, c, expiration="-5")),
    ("406 PRECONDITION_FAILED - invalid expiration '5.5': {leftover_string,\".5\"}",
     lambda b, c: _publish(b, c, expiration="5.5")),
    ('406 PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,"CC",signedint}',
     lambda b, c: _publish(b, c, headers={"CC": 3})),
    ('406 PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,"BCC",longstr}',
     lambda b, c: _publish(b, c, headers={"BCC": "a"})),
    (f"{INVALID} 'x-message-ttl' for queue 'new' in vhost '/': {{value_negative,-1}}",
     lambda b, c: _declare(b, c, x_message_ttl=-1)),
    (f"{INVALID} 'x-message-ttl' for queue 'new' in vhost '/': \"expected integer, got double\"",
     lambda b, c: _declare(b, c, x_message_ttl=1.5)),
    (f"{INVALID} 'x-message-ttl' for queue 'new' in vhost '/': \"expected integer, got bool\"",
     lambda b, c: _declare(b, c, x_message_ttl=True)),
    (f"{INVALID} 'x-expires' for queue 'new' in vhost '/': {{value_zero,0}}", lambda b, c: _declare(b, c, x_expires=0)),
    (f"{INVALID} 'x-max-length' for queue 'new' in vhost '/': \"expected integer, got longstr\"",
     lambda b, c: _declare(b, c, x_max_length="a")),
    (f"{INVALID} 'x-overflow' for queue 'new' in vhost '/': invalid_overflow",
     lambda b, c: _declare(b, c, x_overflow="foo")),
    (f"{INVALID} 'x-overflow' for queue 'new' in vhost '/': {{unacceptable_type,signedint}}",
     lambda b, c: _declare(b, c, x_overflow=3)),
    (f"{INVALID} 'x-max-priority' for queue 'new' in vhost '/': {{max_value_exceeded,256}}",
     lambda b, c: _declare(b, c, x_max_priority=256)),
    ("406 PRECONDITION_FAILED - invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue 'new' in vhost '/'",
     lambda b, c: _declare(b, c, x_dead_letter_exchange=3)),
    (f"{INVALID} 'x-dead-letter-routing-key' for queue 'new' in vhost '/': routing_key_but_no_dlx_defined",
     lambda b, c: _declare(b, c, x_dead_letter_routing_key="k")),
    (f"{INVALID} 'x-queue-type' for queue 'new' in vhost '/': \"unsupported queue type 'foo'\"",
     lambda b, c: _declare(b, c, x_queue_type="foo")),
    ("406 PRECONDITION_FAILED - invalid property 'non-durable' for queue 'new' in vhost '/'",
     lambda b, c: _declare(b, c, x_queue_type="quorum")),
    (f"{INVALID} 'x-priority' for queue 'q' in vhost '/': \"expected integer, got longstr\"",
     lambda b, c: b.consume(c, "q", arguments={"x-priority": "a"})),
    ('406 PRECONDITION_FAILED - Invalid x-match field value <<"foo">>; expected all, any, all-with-x, or any-with-x',
     lambda b, c: _match(b, c, "foo")),
    ("406 PRECONDITION_FAILED - Invalid x-match field type signedint (value 1); expected longstr",
     lambda b, c: _match(b, c, 1)),
]  # fmt: skip

CONNECTION: list[tuple[str, Act]] = [
    ("503 COMMAND_INVALID - unknown exchange type 'foo'", lambda b, c: b.declare_exchange(c, "new", "foo")),
    ("530 NOT_ALLOWED - attempt to reuse consumer tag 'c'", _reuse_tag),
    ("540 NOT_IMPLEMENTED - prefetch_size!=0 (10)", lambda b, c: b.qos(c, 1, prefetch_size=10)),
    ("540 NOT_IMPLEMENTED - requeue=false", lambda b, c: b.recover(c, requeue=False)),
    ("504 CHANNEL_ERROR - second 'channel.open' seen", lambda b, c: b.open_channel(c.session, c.number)),
]


def _refused(act: Act) -> BrokerError:
    broker, channel, _ = world()
    with pytest.raises(BrokerError) as caught:
        act(broker, channel)
    return caught.value


@pytest.mark.parametrize(("text", "act"), CHANNEL, ids=[str(number) for number in range(len(CHANNEL))])
def test_a_channel_error_has_rabbitmqs_code_and_text(text: str, act: Act) -> None:
    """What costs the client its channel is told in RabbitMQ's words, cut at 255 bytes."""
    error = _refused(act)
    assert isinstance(error, ChannelError)
    assert str(error) == text[: 255 + len("406 ")]


@pytest.mark.parametrize(("text", "act"), CONNECTION)
def test_a_connection_error_has_rabbitmqs_code_and_text(text: str, act: Act) -> None:
    """What costs the client its connection is told in RabbitMQ's words."""
    error = _refused(act)
    assert isinstance(error, ConnectionError_)
    assert str(error) == text


FORGIVEN: list[Act] = [
    lambda b, c: b.delete_queue(c, "nope"),
    lambda b, c: b.delete_exchange(c, "nope"),
    lambda b, c: b.unbind_queue(c, "nope", "nope", "k"),
    lambda b, c: b.unbind_exchange(c, "nope", "x", "k"),
    lambda b, c: b.unbind_queue(c, "own", "x", "k"),
    lambda b, c: b.cancel(c, "nope"),
    lambda b, c: b.ack(c, 0, multiple=True),
    lambda b, c: b.declare_queue(c, "q", arguments={"x-unheard-of": 3}),
    lambda b, c: b.declare_queue(c, "q", arguments={"x-queue-type": "classic"}),
    lambda b, c: b.declare_exchange(c, "amq.direct", durable=True),
    lambda b, c: _publish(b, c, expiration="+5"),
    lambda b, c: _publish(b, c, headers={"CC": [3]}),
]


@pytest.mark.parametrize("act", FORGIVEN, ids=[str(number) for number in range(len(FORGIVEN))])
def test_what_rabbitmq_forgives_is_forgiven(act: Act) -> None:
    """Deleting, unbinding or cancelling what is not there is no error."""
    broker, channel, _ = world()
    act(broker, channel)
    assert not channel.closed


@pytest.mark.parametrize(
    ("dialect", "code"), [("rabbit-3.8", 503), ("rabbit-3.10", 503), ("rabbit-4.0", 406)]
)
def test_an_unknown_exchange_type_is_refused_as_the_dialect_does(dialect: str, code: int) -> None:
    """Whether an unknown exchange type costs the connection or the channel depends on the version."""
    broker, channel, _ = world(dialect)
    with pytest.raises(BrokerError) as caught:
        broker.declare_exchange(channel, "new", "foo")
    assert caught.value.code == code


def test_quorum_queues_refuse_what_they_cannot_do() -> None:
    """Exclusive or ranked quorum queues, and shared prefetch on them, are refused."""
    broker, channel, _ = world()
    quorum = {"x-queue-type": "quorum"}
    with pytest.raises(ChannelError, match="invalid property 'exclusive-owner' for queue 'n' in vhost '/'"):
        broker.declare_queue(channel, "n", durable=True, exclusive=True, arguments=quorum)
    with pytest.raises(
        ChannelError, match=r"invalid arg 'x-max-priority' .* of queue type rabbit_quorum_queue"
    ):
        broker.declare_queue(channel, "n", durable=True, arguments={**quorum, "x-max-priority": 3})
    broker.declare_queue(channel, "n", durable=True, arguments=quorum)
    broker.qos(channel, 3, shared=True)
    with pytest.raises(ConnectionError_, match="queue 'n' in vhost '/' does not support global qos"):
        broker.consume(channel, "n")


def test_an_error_can_be_blamed_on_a_method() -> None:
    """The wire layer adds the ids of the method at fault; the text stays."""
    error = ChannelError(404, "no queue 'q' in vhost '/'").at(50, 10)
    assert (error.code, error.class_id, error.method_id) == (404, 50, 10)
    assert isinstance(error, ChannelError)


def test_a_refused_operation_leaves_no_trace() -> None:
    """An operation that raises has changed nothing, and the record does not know it."""
    for _, act in CHANNEL[:11]:
        broker, channel, _ = world()
        before = (len(broker.events), list(broker.queues), list(broker.exchanges))
        with pytest.raises(ChannelError):
            act(broker, channel)
        assert (len(broker.events), list(broker.queues), list(broker.exchanges)) == before
