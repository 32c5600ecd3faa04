"""AMQP traffic to records, from frames written by hand."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celeriac.conformance.history import KINDS
from celeriac.conformance.tap.amqp import AmqpObserver
from celeriac.conformance.tap.observer import BROKER, CLIENT, Direction, Frame
from celeriac.reference.broker.codec import (
    HEARTBEAT_FRAME,
    PROTOCOL_HEADER,
    encode_content,
    encode_frame,
    encode_method,
)
from celeriac.reference.broker.fields import encode_properties
from celeriac.reference.broker.methods import BY_NAME

derandomised = settings(derandomize=True, database=None, deadline=None, max_examples=60)

Record = tuple[str, dict[str, Any]]
Step = tuple[Direction, bytes]

_ZERO: dict[str, Any] = {"bit": False, "table": {}, "shortstr": "", "longstr": b""}


def frame(name: str, channel: int = 1, **arguments: Any) -> bytes:
    """Write a method frame; arguments that are not given are empty or zero."""
    spec = BY_NAME[name]
    values = [arguments.pop(item.name, _ZERO.get(item.type, 0)) for item in spec.arguments]
    assert not arguments, f"{name} has no {arguments}"
    return encode_method(channel, name, *values)


def client(name: str, channel: int = 1, **arguments: Any) -> Step:
    """Let the client send a method."""
    return CLIENT, frame(name, channel, **arguments)


def broker(name: str, channel: int = 1, **arguments: Any) -> Step:
    """Let the broker send a method."""
    return BROKER, frame(name, channel, **arguments)


def content(body: bytes = b"[]", channel: int = 1, **properties: Any) -> bytes:
    """Write a content header and body."""
    properties.setdefault("headers", {"id": "t1", "task": "t.add"})
    return encode_content(channel, encode_properties(properties), body, 4096)


def publish(body: bytes = b"[]", *, exchange: str = "", routing_key: str = "q", **properties: Any) -> Step:
    """Let the client publish."""
    method = frame("basic.publish", exchange=exchange, routing_key=routing_key)
    return CLIENT, method + content(body, **properties)


def deliver(tag: int, task_id: str, *, consumer: str = "c", redelivered: bool = False) -> Step:
    """Let the broker deliver."""
    method = frame("basic.deliver", consumer_tag=consumer, delivery_tag=tag, redelivered=redelivered)
    return BROKER, method + content(headers={"id": task_id})


START: list[Step] = [
    (CLIENT, PROTOCOL_HEADER),
    broker("connection.start", 0, version_minor=9),
    client("connection.start-ok", 0),
    broker("connection.tune", 0),
    client("connection.tune-ok", 0),
    client("connection.open", 0, virtual_host="/"),
    broker("connection.open-ok", 0),
    client("channel.open"),
    broker("channel.open-ok"),
]
CONSUME: list[Step] = [
    client("basic.consume", queue="q", consumer_tag="c"),
    broker("basic.consume-ok", consumer_tag="c"),
]
THREE: list[Step] = [*CONSUME, deliver(1, "t1"), deliver(2, "t2"), deliver(3, "t3")]


def feed(observer: AmqpObserver, direction: Direction, data: bytes) -> list[Frame]:
    """Let bytes pass an observer; answer the frames that they complete."""
    frames: list[Frame] = []
    for item in observer.read(direction, data):
        observer.note(item)
        frames.append(item)
    return frames


def told(steps: list[Step], *, lost: bool = False) -> list[Record]:
    """Answer the records of one connection, after its handshake."""
    records: list[Record] = []

    def emit(kind: str, **data: Any) -> None:
        assert kind in KINDS
        records.append((kind, data))

    observer = AmqpObserver(emit)
    for direction, data in [*START, *steps]:
        feed(observer, direction, data)
    if lost:
        observer.lost()
    return records


def kinds(records: list[Record]) -> list[tuple[str, Any]]:
    """Answer kind and task id of each record."""
    return [(kind, data.get("task_id")) for kind, data in records]


def test_a_publish_is_published() -> None:
    """A publish is recorded once its body is whole, with decoded headers, properties and task id."""
    body = b"x" * 10_000
    step = publish(
        body, content_type="application/json", delivery_mode=2, priority=0, timestamp=7, app_id="a"
    )
    assert told([step]) == [
        (
            "published",
            {
                "exchange": "",
                "routing_key": "q",
                "queue": None,
                "task_id": "t1",
                "headers": {"id": "t1", "task": "t.add"},
                "properties": {
                    "content_type": "application/json",
                    "delivery_mode": 2,
                    "priority": 0,
                    "timestamp": 7,
                    "app_id": "a",
                },
                "body": body,
                "mandatory": False,
            },
        )
    ]


def test_a_body_may_be_empty() -> None:
    """A message without a body is published with its header."""
    assert [data["body"] for _, data in told([publish(b"")])] == [b""]


def test_an_unfinished_publish_is_nothing() -> None:
    """A message whose body never became whole was not published."""
    direction, data = publish(b"x" * 100)
    assert told([(direction, data[:-1])], lost=True) == []


def test_the_correlation_id_stands_in_for_the_id() -> None:
    """A message without an id header is about the task of its correlation id."""
    assert kinds(told([publish(headers={}, correlation_id="t9")])) == [("published", "t9")]


def test_declarations_and_bindings_are_recorded() -> None:
    """Exchanges, queues and bindings are recorded; passive declarations declare nothing."""
    records = told(
        [
            client("exchange.declare", exchange="e", type="topic", durable=True),
            client("exchange.declare", exchange="e", passive=True),
            client("queue.declare", queue="q", durable=True, arguments={"x-max-priority": 5}),
            broker("queue.declare-ok", queue="q"),
            client("queue.declare", queue="other", passive=True),
            broker("queue.declare-ok", queue="other"),
            client("queue.bind", queue="q", exchange="e", routing_key="k"),
        ]
    )
    assert [(kind, data.get("entity"), data.get("name")) for kind, data in records] == [
        ("declared", "exchange", "e"),
        ("declared", "queue", "q"),
        ("bound", None, None),
    ]
    assert (records[0][1]["type"], records[0][1]["durable"]) == ("topic", True)
    assert (records[1][1]["type"], records[1][1]["arguments"]) == (None, {"x-max-priority": 5})
    assert records[2][1] == {"queue": "q", "exchange": "e", "routing_key": "k"}


def test_the_broker_may_name_the_queue() -> None:
    """A queue that the broker names is declared under that name, which an empty name then stands for."""
    records = told(
        [
            client("queue.declare", exclusive=True),
            broker("queue.declare-ok", queue="amq.gen-1"),
            client("queue.bind", exchange="e", routing_key="k"),
            client("basic.consume"),
            broker("basic.consume-ok", consumer_tag="named"),
            deliver(1, "t1", consumer="named"),
        ]
    )
    assert [data.get("name") or data["queue"] for _, data in records] == ["amq.gen-1"] * 3


def test_a_delivery_comes_from_the_queue_of_its_consumer() -> None:
    """A delivery is recorded with queue, tag, redelivered mark and whether it needs an ack."""
    records = told(
        [
            *CONSUME,
            client("basic.consume", queue="p", consumer_tag="d", no_ack=True),
            deliver(1, "t1"),
            deliver(2, "t2", consumer="d", redelivered=True),
        ],
        lost=True,
    )
    fields = ("queue", "task_id", "delivery_tag", "redelivered", "no_ack")
    assert [tuple(data.get(name) for name in fields) for _, data in records] == [
        ("q", "t1", 1, False, False),
        ("p", "t2", 2, True, True),
        ("q", "t1", None, None, None),
    ]
    assert records[2][0] == "requeued"


def test_a_get_is_delivered_from_its_queue() -> None:
    """The answer to basic.get is delivered from the queue that was asked, and an empty one is passed over."""
    got = BROKER, frame("basic.get-ok", delivery_tag=1) + content(headers={"id": "t1"})
    records = told(
        [client("basic.get", queue="p"), client("basic.get", queue="q"), broker("basic.get-empty"), got]
    )
    assert [(kind, data["queue"]) for kind, data in records] == [("delivered", "q")]


@pytest.mark.parametrize(
    ("settlement", "expected"),
    [
        (client("basic.ack", delivery_tag=2), [("acked", "t2")]),
        (client("basic.ack", delivery_tag=2, multiple=True), [("acked", "t1"), ("acked", "t2")]),
        (client("basic.ack", multiple=True), [("acked", "t1"), ("acked", "t2"), ("acked", "t3")]),
        (client("basic.ack", delivery_tag=9), []),
        (client("basic.reject", delivery_tag=1), [("rejected", "t1")]),
        (client("basic.reject", delivery_tag=1, requeue=True), [("requeued", "t1")]),
        (client("basic.nack", delivery_tag=3, multiple=True), [("rejected", f"t{n}") for n in (1, 2, 3)]),
        (
            client("basic.nack", delivery_tag=2, multiple=True, requeue=True),
            [("requeued", "t1"), ("requeued", "t2")],
        ),
        (client("basic.recover", requeue=True), [("requeued", f"t{n}") for n in (1, 2, 3)]),
        (broker("basic.ack", delivery_tag=2, multiple=True), []),
        (broker("basic.nack", delivery_tag=2), []),
    ],
)
def test_settlements_are_told_message_by_message(settlement: Step, expected: list[tuple[str, str]]) -> None:
    """Acks, nacks, rejects and recover are recorded for each delivery; the broker's confirms are none of them."""
    assert kinds(told([*THREE, settlement]))[3:] == expected


def test_settled_once() -> None:
    """A delivery that was settled is not settled again, nor requeued when the connection is lost."""
    twice = [client("basic.ack", delivery_tag=1), client("basic.ack", delivery_tag=1)]
    assert kinds(told([*THREE, *twice], lost=True))[3:] == [
        ("acked", "t1"),
        ("requeued", "t2"),
        ("requeued", "t3"),
    ]


def close(sender: Direction, scope: str, code: int, text: str) -> Step:
    """Let somebody close the channel or the connection."""
    number = 1 if scope == "channel" else 0
    return sender, frame(f"{scope}.close", number, reply_code=code, reply_text=text)


@pytest.mark.parametrize("sender", [CLIENT, BROKER])
@pytest.mark.parametrize("scope", ["channel", "connection"])
def test_a_close_requeues(sender: Direction, scope: str) -> None:
    """A close is recorded with scope, side, code and text, and takes back every outstanding delivery once."""
    records = told([*THREE, close(sender, scope, 406, "PRECONDITION_FAILED")], lost=True)[3:]
    assert records[0][0] == "closed"
    expected = {"scope": scope, "by": sender, "code": 406, "text": "PRECONDITION_FAILED"}
    assert expected.items() <= records[0][1].items()
    assert kinds(records[1:]) == [("requeued", f"t{n}") for n in (1, 2, 3)]


def test_after_the_broker_closed_the_client_says_nothing() -> None:
    """What a client still sends on a channel that the broker has closed is not recorded."""
    late = [client("basic.ack", delivery_tag=1), publish(), client("queue.declare", queue="late")]
    assert kinds(told([*THREE, close(BROKER, "channel", 406, "gone"), *late]))[4:] == [
        ("requeued", "t1"),
        ("requeued", "t2"),
        ("requeued", "t3"),
    ]


def test_a_delivery_that_crosses_a_close_is_taken_back() -> None:
    """What the broker delivers to a client that has just closed is requeued at once."""
    records = told([*CONSUME, close(CLIENT, "channel", 0, ""), deliver(1, "t1")], lost=True)
    assert kinds(records) == [("closed", None), ("delivered", "t1"), ("requeued", "t1")]


def test_a_channel_can_be_opened_again() -> None:
    """After close-ok the number stands for a new channel with nothing outstanding."""
    again = [
        close(BROKER, "channel", 406, "gone"),
        client("channel.close-ok"),
        client("channel.open"),
        *CONSUME,
        deliver(1, "t4"),
        client("basic.ack", delivery_tag=1),
    ]
    assert kinds(told([*THREE, *again], lost=True))[-2:] == [("delivered", "t4"), ("acked", "t4")]


def test_a_cancel_by_the_broker_is_recorded() -> None:
    """The broker's cancel is recorded, the client's is not."""
    records = told(
        [*CONSUME, broker("basic.cancel", consumer_tag="c"), client("basic.cancel", consumer_tag="d")]
    )
    assert records == [("cancelled", {"consumer_tag": "c"})]


RECORD = {"task_id": "t1", "status": "SUCCESS", "result": 4, "traceback": None, "children": []}


def test_a_result_is_published_and_stored() -> None:
    """A result record sent to a reply queue is stored, beside being published."""
    body = json.dumps(RECORD).encode()
    records = told([publish(body, headers={}, correlation_id="t1", content_type="application/json")])
    assert kinds(records) == [("published", "t1"), ("stored", "t1")]
    stored = {"task_id": "t1", "state": "SUCCESS", "result": 4, "record": RECORD, "expires_in": None}
    assert records[1][1] == stored


@pytest.mark.parametrize(
    "content_type", ["application/x-python-serialize", "text/plain", "", "application/x-msgpack"]
)
def test_what_is_no_result_is_only_published(content_type: str) -> None:
    """Bodies in formats that are not decoded, or that do not decode, are published and nothing else."""
    body = b"\x80\x04]\x94."
    assert kinds(told([publish(body, headers={}, correlation_id="t1", content_type=content_type)])) == [
        ("published", "t1")
    ]


def test_a_returned_message_is_no_delivery() -> None:
    """basic.return hands nothing out."""
    assert told([(BROKER, frame("basic.return", reply_code=312) + content())]) == []


def test_heartbeats_mean_nothing() -> None:
    """Heartbeats of both sides leave no record."""
    assert told([(CLIENT, HEARTBEAT_FRAME), (BROKER, HEARTBEAT_FRAME)]) == []


def test_frames_are_named() -> None:
    """The observer answers every frame that a chunk completes, with its name and channel."""
    observer = AmqpObserver(lambda kind, **data: None)
    feed(observer, CLIENT, PROTOCOL_HEADER)
    frames = feed(observer, CLIENT, publish(b"x" * 5000)[1] + HEARTBEAT_FRAME)
    assert [(item.name, item.channel) for item in frames] == [
        ("basic.publish", 1),
        ("header", 1),
        ("body", 1),
        ("body", 1),
        ("heartbeat", 0),
    ]


def test_a_broker_that_refuses_the_version_is_understood() -> None:
    """A broker's own protocol header, and an end of the stream inside one, are no error."""
    observer = AmqpObserver(lambda kind, **data: None)
    assert feed(observer, CLIENT, b"AM") == []
    assert feed(observer, CLIENT, b"QP\x00\x01\x00\x00") == []
    assert feed(observer, BROKER, PROTOCOL_HEADER) == []


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        PROTOCOL_HEADER + b"\x01\x00\x00\x00\x00\x00\x04\x00\x0a\x00\x63\xce",
        PROTOCOL_HEADER + b"\x09\x00\x00\x00\x00\x00\x00\xce",
        PROTOCOL_HEADER + b"\x08\x00\x00\x00\x00\x00\x00\x00",
        PROTOCOL_HEADER + b"\x01\x00\x00\xff\xff\xff\xff",
        PROTOCOL_HEADER + encode_frame(3, 1, b"body"),
        PROTOCOL_HEADER + encode_frame(2, 1, bytes(14)),
        PROTOCOL_HEADER
        + frame("basic.publish")
        + encode_frame(2, 1, bytes(14))
        + encode_frame(3, 1, b"more"),
    ],
)
def test_anything_else_is_an_error(data: bytes) -> None:
    """Bytes that are not AMQP raise ValueError, which ends the decoding of that side."""
    with pytest.raises(ValueError, match=r"."):
        feed(AmqpObserver(lambda kind, **data: None), CLIENT, data)


@derandomised
@given(st.binary(max_size=120), st.sampled_from([CLIENT, BROKER]))
def test_random_bytes_raise_nothing_else(noise: bytes, direction: Direction) -> None:
    """Whatever is sent, the observer records something or raises ValueError."""
    observer = AmqpObserver(lambda kind, **data: None)
    feed(observer, CLIENT, PROTOCOL_HEADER)
    try:
        feed(observer, direction, noise)
    except ValueError:
        return


STORY: list[Step] = [
    client("queue.declare", queue="q"),
    broker("queue.declare-ok", queue="q"),
    publish(b"y" * 5000),
    *THREE,
    client("basic.ack", delivery_tag=2, multiple=True),
    close(BROKER, "channel", 406, "PRECONDITION_FAILED"),
]


def seen(steps: list[Step]) -> list[Record]:
    """Answer the records of a whole connection, handshake included."""
    records: list[Record] = []
    observer = AmqpObserver(lambda kind, **data: records.append((kind, data)))
    for direction, data in steps:
        feed(observer, direction, data)
    observer.lost()
    return records


def test_the_records_do_not_depend_on_single_bytes() -> None:
    """A conversation seen byte by byte gives the same records as seen in whole chunks."""
    whole = [*START, *STORY]
    single = [(direction, data[at : at + 1]) for direction, data in whole for at in range(len(data))]
    assert seen(single) == seen(whole)
    assert [kind for kind, _ in seen(whole)] == [
        "declared",
        "published",
        *["delivered"] * 3,
        "acked",
        "acked",
        "closed",
        "requeued",
    ]


@derandomised
@given(st.lists(st.integers(1, 300), min_size=1, max_size=20))
def test_the_records_do_not_depend_on_the_split(sizes: list[int]) -> None:
    """A conversation cut into chunks of any sizes gives the same records."""
    cut: list[Step] = []
    for direction, data in [*START, *STORY]:
        at = 0
        while at < len(data):
            size = sizes[len(cut) % len(sizes)]
            cut.append((direction, data[at : at + size]))
            at += size
    assert seen(cut) == seen([*START, *STORY])
