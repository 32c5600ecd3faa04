"""Redis traffic to records, from bytes written by hand."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celeriac.conformance.history import KINDS
from celeriac.conformance.tap import Ledger
from celeriac.conformance.tap.observer import BROKER, CLIENT, Direction
from celeriac.conformance.tap.redis import RedisObserver

derandomised = settings(derandomize=True, database=None, deadline=None, max_examples=60)

Record = tuple[str, dict[str, Any]]
Step = tuple[Direction, bytes]

OK, QUEUED, NIL = b"+OK\r\n", b"+QUEUED\r\n", b"*-1\r\n"


def bulk(value: bytes | str) -> bytes:
    """Write a bulk string."""
    data = value.encode() if isinstance(value, str) else value
    return b"$%d\r\n%s\r\n" % (len(data), data)


def array(*items: bytes) -> bytes:
    """Write an array of written items."""
    return b"*%d\r\n" % len(items) + b"".join(items)


def sent(*words: bytes | str) -> Step:
    """Let the client send a command."""
    return CLIENT, array(*map(bulk, words))


def answered(*replies: bytes) -> Step:
    """Let the server send written replies."""
    return BROKER, b"".join(replies)


def envelope(
    task_id: str = "t1", tag: str = "tag-1", *, redelivered: bool = False, **properties: Any
) -> bytes:
    """Write a message as kombu puts it into a list."""
    message = {
        "body": base64.b64encode(b"[[], {}, {}]").decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"id": task_id, "task": "t.add", **({"redelivered": True} if redelivered else {})},
        "properties": {
            "correlation_id": task_id,
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": "q"},
            "body_encoding": "base64",
            "delivery_tag": tag,
            **properties,
        },
    }
    return json.dumps(message).encode()


class Conversation:
    """Connections to one server, and the records that their observers emit."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.records: list[Record] = []
        self.connection = self.open()

    def open(self) -> Callable[..., None]:
        """Answer a function that lets a new connection see steps."""

        def emit(kind: str, **data: Any) -> None:
            assert kind in KINDS
            self.records.append((kind, data))

        observer = RedisObserver(emit, self.ledger)

        def play(*steps: Step) -> None:
            for direction, data in steps:
                for frame in observer.read(direction, data):
                    observer.note(frame)

        return play

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.records]


DELIVERY = array(bulk("q"), bulk(envelope()))
TAKEN: list[Step] = [sent("BRPOP", "q", "1"), answered(DELIVERY)]


def test_a_push_of_an_envelope_is_published() -> None:
    """LPUSH of an envelope is published with decoded headers, properties, body and task id."""
    world = Conversation()
    world.connection(sent("LPUSH", "q", envelope(priority=0, reply_to="r", expiration="1000")))
    ((kind, data),) = world.records
    assert kind == "published"
    assert (data["queue"], data["bucket"], data["task_id"], data["body"]) == ("q", 0, "t1", b"[[], {}, {}]")
    assert (data["exchange"], data["routing_key"], data["mandatory"]) == ("", "q", False)
    assert data["headers"] == {"id": "t1", "task": "t.add"}
    assert data["properties"] == {
        "correlation_id": "t1",
        "delivery_mode": 2,
        "priority": 0,
        "reply_to": "r",
        "expiration": "1000",
        "content_type": "application/json",
        "content_encoding": "utf-8",
    }
    assert list(data["envelope"]) == ["body", "content-encoding", "content-type", "headers", "properties"]


def test_the_priority_step_is_split_from_the_queue() -> None:
    """The list of priority step 6 belongs to its queue, and the step is recorded as bucket."""
    world = Conversation()
    world.connection(sent("LPUSH", "q\x06\x166", envelope()))
    assert [(data["queue"], data["bucket"]) for _, data in world.records] == [("q", 6)]


def test_a_message_in_a_hash_of_its_own_is_published() -> None:
    """What celery-redis-plus writes is published to the queue that the hash names; another hash is nothing."""
    world = Conversation()
    fields = ("payload", envelope(), "routing_key", "q", "priority", "0", "eta", "0")
    world.connection(sent("HSET", "message:tag-1", *fields), sent("HSET", "message:other", "payload", "x"))
    ((kind, data),) = world.records
    assert (kind, data["queue"], data["task_id"], data["key"]) == ("published", "q", "t1", b"message:tag-1")


@pytest.mark.parametrize(
    "item", [b"", b"hello", b"[1]", b"{}", b'{"body": ""}', b'{"body": "", "properties": 1}']
)
def test_other_lists_are_ignored(item: bytes) -> None:
    """A push of anything but an envelope leaves no record and harms nothing."""
    world = Conversation()
    world.connection(sent("LPUSH", "q", item), answered(b":1\r\n"), *TAKEN)
    assert world.kinds() == ["delivered"]


def test_a_pop_is_delivered() -> None:
    """The reply to BRPOP is delivered from the queue of its list, with its tag and its redelivered mark."""
    world = Conversation()
    again = array(bulk("q\x06\x163"), bulk(envelope(redelivered=True)))
    world.connection(*TAKEN, sent("BRPOP", "q", "1"), answered(NIL), sent("BRPOP", "q", "1"), answered(again))
    assert world.kinds() == ["delivered", "delivered"]
    assert [(d["queue"], d["task_id"], d["delivery_tag"], d["redelivered"]) for _, d in world.records] == [
        ("q", "t1", "tag-1", False),
        ("q", "t1", "tag-1", True),
    ]


def test_plain_pops_are_delivered() -> None:
    """RPOP is delivered whether it answers one message, several or none."""
    world = Conversation()
    world.connection(sent("RPOP", "q"), sent("RPOP", "q", "2"), sent("RPOP", "q"))
    several = array(bulk(envelope("t2", "b")), bulk(envelope("t3", "c")))
    world.connection(answered(bulk(envelope()), several, b"$-1\r\n"))
    assert [data["task_id"] for _, data in world.records] == ["t1", "t2", "t3"]


def acknowledge(tag: str) -> list[Step]:
    """Answer what kombu does to acknowledge."""
    return [
        sent("MULTI"),
        sent("ZREM", "unacked_index", tag),
        sent("HDEL", "unacked", tag),
        sent("EXEC"),
        answered(OK, QUEUED, QUEUED, array(b":1\r\n", b":1\r\n")),
    ]


def test_removing_the_tag_is_one_ack() -> None:
    """ZREM and HDEL of a held tag are one ack of its task, and removing it again is none."""
    world = Conversation()
    world.connection(*TAKEN, *acknowledge("tag-1"), *acknowledge("tag-1"), *acknowledge("unknown"))
    assert world.records[1:] == [("acked", {"task_id": "t1", "delivery_tag": "tag-1"})]


def test_an_ack_on_another_connection_counts() -> None:
    """A message taken on one connection can be acked on another one."""
    world = Conversation()
    world.connection(*TAKEN)
    world.open()(*acknowledge("tag-1"))
    assert world.kinds() == ["delivered", "acked"]


def test_a_taken_message_is_known_from_the_hash() -> None:
    """A tag that was put into the hash before the pop was seen can still be acked by its task."""
    world = Conversation()
    noted = json.dumps([json.loads(envelope()), "", "q"])
    world.connection(sent("HSET", "unacked", "tag-1", noted), *acknowledge("tag-1"))
    assert world.records == [("acked", {"task_id": "t1", "delivery_tag": "tag-1"})]


RESTORE: list[Step] = [
    sent("WATCH", "unacked"),
    sent("HGET", "unacked", "tag-1"),
    answered(OK, b"$1\r\nx\r\n"),
    sent("MULTI"),
    sent("ZREM", "unacked_index", "tag-1"),
    sent("HDEL", "unacked", "tag-1"),
    sent("RPUSH", "q", envelope(redelivered=True)),
    sent("EXEC"),
]
RESTORED = answered(OK, QUEUED, QUEUED, QUEUED, array(b":1\r\n", b":1\r\n", b":1\r\n"))


def test_giving_back_is_requeued() -> None:
    """A transaction that removes the tag and pushes the message back is requeued, neither acked nor published."""
    world = Conversation()
    world.connection(*TAKEN, *RESTORE, RESTORED)
    assert world.records[1:] == [("requeued", {"task_id": "t1", "queue": "q"})]


def test_an_aborted_transaction_did_not_happen() -> None:
    """A transaction behind WATCH that answers nil leaves no record, and the message is still held."""
    world = Conversation()
    world.connection(*TAKEN, *RESTORE, answered(OK, QUEUED, QUEUED, QUEUED, NIL), *acknowledge("tag-1"))
    assert world.kinds() == ["delivered", "acked"]


def test_a_delivery_proves_the_requeue_before_its_reply() -> None:
    """A message delivered again before the restore was answered was requeued first, and once."""
    world = Conversation()
    world.connection(*TAKEN, *RESTORE)
    again = array(bulk("q"), bulk(envelope(redelivered=True)))
    world.open()(sent("BRPOP", "q", "1"), answered(again))
    world.connection(RESTORED)
    assert world.kinds() == ["delivered", "requeued", "delivered"]


def test_replies_are_matched_in_order() -> None:
    """In a pipeline each reply goes to its own command, errors and pushes included."""
    world = Conversation()
    world.connection(
        sent("GET", "a"), sent("SUBSCRIBE", "c"), sent("LPUSH", "s", "x"), *TAKEN[:1], sent("PING")
    )
    push = b">3\r\n+subscribe\r\n+c\r\n:1\r\n"
    world.connection(answered(b"$1\r\nv\r\n", push, b"-WRONGTYPE no list\r\n", DELIVERY, b"+PONG\r\n"))
    assert world.kinds() == ["delivered"]


def test_pushes_answer_no_command() -> None:
    """A push that nobody subscribed to, such as an invalidation, does not shift the replies."""
    world = Conversation()
    world.connection(*TAKEN[:1], answered(b">2\r\n+invalidate\r\n_\r\n", DELIVERY))
    assert world.kinds() == ["delivered"]


def test_subscriptions_of_resp2_answer_no_command() -> None:
    """Messages of RESP2 subscriptions, which look like arrays, do not shift the replies."""
    world = Conversation()
    message = array(bulk("message"), bulk("c"), bulk("text"))
    world.connection(
        sent("SUBSCRIBE", "c"), answered(array(bulk("subscribe"), bulk("c"), b":1\r\n"), message)
    )
    world.connection(sent("UNSUBSCRIBE"), answered(array(bulk("unsubscribe"), bulk("c"), b":0\r\n")), *TAKEN)
    assert world.kinds() == ["delivered"]


def test_pops_inside_a_transaction_are_delivered() -> None:
    """A pop between MULTI and EXEC is delivered when EXEC answers."""
    world = Conversation()
    world.connection(sent("MULTI"), sent("RPOP", "q"), sent("EXEC"))
    world.connection(answered(OK, QUEUED))
    assert world.kinds() == []
    world.connection(answered(array(bulk(envelope()))))
    assert world.kinds() == ["delivered"]


def test_a_discarded_transaction_did_not_happen() -> None:
    """What stands between MULTI and DISCARD leaves no record."""
    world = Conversation()
    world.connection(
        sent("MULTI"), sent("LPUSH", "q", envelope()), sent("DISCARD"), answered(OK, QUEUED, OK), *TAKEN
    )
    assert world.kinds() == ["delivered"]


RECORD = {"task_id": "t1", "status": "SUCCESS", "result": 4, "traceback": None, "children": []}


@pytest.mark.parametrize(
    ("words", "expires_in"),
    [
        (("SETEX", "{key}", "60", "{value}"), 60.0),
        (("PSETEX", "{key}", "1500", "{value}"), 1.5),
        (("SET", "{key}", "{value}"), None),
        (("set", "{key}", "{value}", "ex", "30"), 30.0),
        (("SET", "{key}", "{value}", "NX", "PX", "250"), 0.25),
        (("SETEX", "prefix:{key}", "nonsense", "{value}"), None),
    ],
)
def test_a_result_is_stored(words: tuple[str, ...], expires_in: float | None) -> None:
    """Every way to set a result key is stored, with its record and its time to live in seconds."""
    world = Conversation()
    filled = [
        word.replace("{key}", "celery-task-meta-t1").replace("{value}", json.dumps(RECORD)) for word in words
    ]
    world.connection(sent(*filled))
    assert world.records == [
        (
            "stored",
            {"task_id": "t1", "state": "SUCCESS", "result": 4, "record": RECORD, "expires_in": expires_in},
        )
    ]


def test_a_result_in_another_format_is_stored() -> None:
    """A record in msgpack or YAML is decoded, a pickled one is stored without being decoded."""
    msgpack, yaml = pytest.importorskip("msgpack"), pytest.importorskip("yaml")
    world = Conversation()
    for value in (msgpack.packb(RECORD), yaml.safe_dump(RECORD), b"\x80\x04]\x94."):
        world.connection(sent("SETEX", "celery-task-meta-t1", "60", value))
    assert [(data["state"], data["result"]) for _, data in world.records] == [
        ("SUCCESS", 4),
        ("SUCCESS", 4),
        (None, None),
    ]


def test_a_binding_is_bound() -> None:
    """SADD to the set of an exchange is bound, and kombu's other sets of similar names are not."""
    world = Conversation()
    member = "key\x06\x16\x06\x16queue"
    world.connection(
        sent("SADD", "_kombu.binding.ex", member), sent("SADD", "_kombu.binding_permanent.ex", member)
    )
    assert world.records == [("bound", {"queue": "queue", "exchange": "ex", "routing_key": "key"})]


def test_a_fanout_message_is_published() -> None:
    """PUBLISH of an envelope to an exchange's channel is published without a queue; other messages are not."""
    world = Conversation()
    world.connection(
        sent("PUBLISH", "/0.ex", envelope()), sent("PUBLISH", "/0.ex", "{}"), sent("PUBLISH", "x", "y")
    )
    assert [(kind, data["queue"], data["task_id"]) for kind, data in world.records] == [
        ("published", None, "t1")
    ]


def test_a_published_result_is_announced() -> None:
    """PUBLISH of a record on the channel of its task is announced, and what is no record is announced as such."""
    world = Conversation()
    world.connection(
        sent("PUBLISH", "celery-task-meta-t1", json.dumps(RECORD)),
        sent("PUBLISH", "celery-task-meta-t2", "x"),
    )
    assert world.records == [
        ("announced", {"task_id": "t1", "state": "SUCCESS", "record": RECORD}),
        ("announced", {"task_id": "t2", "state": None, "record": {}}),
    ]


def test_a_command_that_is_no_array_of_strings_is_an_error() -> None:
    """Requests that no server would take raise ValueError, which ends the decoding of that side."""
    with pytest.raises(ValueError, match="a command is an array of strings"):
        Conversation().connection((CLIENT, b"*1\r\n:1\r\n"))


STORY: list[Step] = [
    sent("SADD", "_kombu.binding.ex", "k\x06\x16\x06\x16q"),
    answered(b":1\r\n"),
    sent("LPUSH", "q\x06\x163", envelope()),
    answered(b":1\r\n"),
    *TAKEN,
    *RESTORE,
    RESTORED,
    *TAKEN,
    *acknowledge("tag-1"),
    sent("SETEX", "celery-task-meta-t1", "60", json.dumps(RECORD)),
    answered(OK),
]


def told(steps: list[Step]) -> list[Record]:
    """Answer the records of one connection."""
    world = Conversation()
    world.connection(*steps)
    return world.records


def test_the_records_do_not_depend_on_single_bytes() -> None:
    """A conversation seen byte by byte gives the same records as seen in whole chunks."""
    single = [(direction, data[at : at + 1]) for direction, data in STORY for at in range(len(data))]
    assert told(single) == told(STORY)
    assert [kind for kind, _ in told(STORY)] == [
        "bound",
        "published",
        "delivered",
        "requeued",
        "delivered",
        "acked",
        "stored",
    ]


@derandomised
@given(st.lists(st.integers(1, 300), min_size=1, max_size=20))
def test_the_records_do_not_depend_on_the_split(sizes: list[int]) -> None:
    """A conversation cut into chunks of any sizes gives the same records."""
    cut: list[Step] = []
    for direction, data in STORY:
        at = 0
        while at < len(data):
            size = sizes[len(cut) % len(sizes)]
            cut.append((direction, data[at : at + size]))
            at += size
    assert told(cut) == told(STORY)
