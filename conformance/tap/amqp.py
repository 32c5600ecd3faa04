"""The tap's view of one AMQP connection: frames of both directions to records.

A channel is followed from its first method to its close: which queue a consumer tag stands for, which deliveries
are outstanding, so that ``multiple`` acks and lost channels can be told message by message.

What a client sends after the broker has closed its channel, and before it has said close-ok, never happened for
the broker and is not recorded; what the broker still delivers to a client that has closed is taken back at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from celeriac.conformance.embedded import (
    BODY,
    HEADER,
    HEARTBEAT,
    HEARTBEAT_FRAME,
    METHOD,
    AmqpFrame,
    ContentHeader,
    FrameReader,
    Method,
    decode_content_header,
    decode_method,
)
from celeriac.conformance.tap.amqp_channel import Channel, Consumer, Content, Delivery
from celeriac.conformance.tap.messages import as_result
from celeriac.conformance.tap.observer import BROKER, CLIENT, Direction, Emit, Frame

__all__ = ["AmqpObserver"]

PREFACE = b"AMQP"
PREFACE_SIZE = 8
#: Larger frames than any broker negotiates are taken for garbage instead of being collected.
FRAME_LIMIT = 16 * 1024 * 1024

Handler = Callable[[Channel, dict[str, Any]], None]


class AmqpObserver:
    """Decodes one connection; see ``observer.Observer``."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._readers = {CLIENT: FrameReader(FRAME_LIMIT), BROKER: FrameReader(FRAME_LIMIT)}
        self._prefaces: dict[Direction, bytes | None] = {CLIENT: b"", BROKER: b""}
        self._channels: dict[int, Channel] = {}
        self._opened = False
        self._beating = False
        #: What a method without content means, by sender.
        self._methods: Mapping[tuple[Direction, str], Handler] = {
            (CLIENT, "exchange.declare"): self._exchange_declare,
            (CLIENT, "queue.declare"): self._queue_declare,
            (CLIENT, "connection.tune-ok"): self._tuned,
            (BROKER, "connection.open-ok"): self._open,
            (BROKER, "queue.declare-ok"): self._queue_declare_ok,
            (CLIENT, "queue.bind"): self._queue_bind,
            (CLIENT, "basic.consume"): self._consume,
            (BROKER, "basic.consume-ok"): self._consume_ok,
            (BROKER, "basic.cancel"): self._cancel,
            (CLIENT, "basic.get"): self._get,
            (BROKER, "basic.get-empty"): self._get_empty,
            (CLIENT, "basic.ack"): self._ack,
            (CLIENT, "basic.nack"): self._nack,
            (CLIENT, "basic.reject"): self._nack,
            (CLIENT, "basic.recover"): self._recover,
            (CLIENT, "basic.recover-async"): self._recover,
        }

    def read(self, direction: Direction, data: bytes) -> Iterator[Frame]:
        """Take bytes that ``direction`` sent; yield the frames that they complete."""
        reader = self._readers[direction]
        reader.feed(self._after_preface(direction, data))
        for raw in reader:
            name, value, publishes = self._decode(direction, raw)
            yield Frame(direction, name, raw.channel, value, len(reader), publishes)

    def lost(self) -> None:
        """Record that the broker takes back every outstanding delivery."""
        for channel in self._channels.values():
            self._requeued(channel.take_back())

    def heartbeat_from(self, direction: Direction) -> bytes:
        """Answer a heartbeat where a frame may begin; a client gets one only if it expects them, or consumes."""
        if not self._opened or len(self._readers[direction]):
            return b""
        heard = self._beating or any(channel.consumers for channel in self._channels.values())
        return HEARTBEAT_FRAME if direction == CLIENT or heard else b""

    def _after_preface(self, direction: Direction, data: bytes) -> bytes:
        """Skip the protocol header: clients begin with one, brokers send one only to refuse."""
        preface = self._prefaces[direction]
        if preface is None or not data:
            return data
        data = preface + data
        if direction == BROKER and data[:1] != PREFACE[:1]:
            self._prefaces[direction] = None
            return data
        if not PREFACE.startswith(data[: len(PREFACE)]):
            raise ValueError(f"AMQP begins with {PREFACE!r}, this stream with {data[:PREFACE_SIZE]!r}")
        complete = len(data) >= PREFACE_SIZE
        self._prefaces[direction] = None if complete else data
        return data[PREFACE_SIZE:]

    def note(self, frame: Frame) -> None:
        """Record what a frame means."""
        channel = self._channels.setdefault(frame.channel, Channel())
        content = channel.content[frame.direction]
        if frame.name == "heartbeat":
            return
        if isinstance(frame.value, Method):
            self._method(frame.direction, frame.channel, channel, frame.value)
            return
        if isinstance(frame.value, ContentHeader):
            content.begin(frame.value)
        else:
            content.add(frame.value)
        if not content.missing:
            self._whole(frame.direction, channel, content)

    def _decode(self, direction: Direction, raw: AmqpFrame) -> tuple[str, Any, bool]:
        """Answer a frame's name and value, and whether a client's message is whole with it."""
        if raw.type == METHOD:
            method = decode_method(raw.payload)
            return method.name, method, False
        if raw.type == HEARTBEAT:
            return "heartbeat", raw.payload, False
        if raw.type == HEADER:
            header = decode_content_header(raw.payload)
            return "header", header, direction == CLIENT and not header.body_size
        if raw.type != BODY:
            raise ValueError(f"no frame has the type {raw.type}")
        channel = self._channels.get(raw.channel)
        missing = channel.content[direction].missing if channel else 0
        return "body", raw.payload, direction == CLIENT and 0 < missing == len(raw.payload)

    def _method(self, direction: Direction, number: int, channel: Channel, method: Method) -> None:
        if method.name in ("connection.close", "channel.close"):
            self._closed(direction, number, channel, method)
        elif method.name == "channel.close-ok":
            self._channels[number] = Channel()
        elif method.spec.content:
            channel.content[direction] = Content(method)
        elif channel.closed_by in (None, direction) and (
            handle := self._methods.get((direction, method.name))
        ):
            handle(channel, method.arguments)

    def _whole(self, direction: Direction, channel: Channel, content: Content) -> None:
        channel.content[direction] = Content()
        if direction == BROKER:
            self._delivered(channel, content)
        elif channel.closed_by is None:
            self._published(content)

    # -- connection -------------------------------------------------------------------------------------

    def _tuned(self, channel: Channel, arguments: dict[str, Any]) -> None:
        self._beating = arguments["heartbeat"] > 0

    def _open(self, channel: Channel, arguments: dict[str, Any]) -> None:
        self._opened = True

    # -- channels ---------------------------------------------------------------------------------------

    def _closed(self, direction: Direction, number: int, channel: Channel, method: Method) -> None:
        scope = method.name.partition(".")[0]
        arguments = method.arguments
        self._emit(
            "closed",
            scope=scope,
            by=direction,
            code=arguments["reply_code"],
            text=arguments["reply_text"],
            channel=number,
        )
        for affected in self._channels.values() if scope == "connection" else (channel,):
            affected.closed_by = affected.closed_by or direction
            self._requeued(affected.take_back())

    # -- topology ---------------------------------------------------------------------------------------

    def _exchange_declare(self, channel: Channel, arguments: dict[str, Any]) -> None:
        if not arguments["passive"]:
            self._declared("exchange", arguments["exchange"], arguments)

    def _queue_declare(self, channel: Channel, arguments: dict[str, Any]) -> None:
        name = arguments["queue"]
        if not arguments["nowait"]:
            channel.declaring.append(arguments)
        channel.last_queue = name
        if name and not arguments["passive"]:
            self._declared("queue", name, arguments)

    def _queue_declare_ok(self, channel: Channel, arguments: dict[str, Any]) -> None:
        asked = channel.declaring.popleft() if channel.declaring else {"queue": arguments["queue"]}
        if not asked["queue"]:
            channel.last_queue = arguments["queue"]
            self._declared("queue", arguments["queue"], asked)

    def _declared(self, entity: str, name: str, arguments: dict[str, Any]) -> None:
        kept = {key: arguments[key] for key in ("durable", "auto_delete", "arguments")}
        self._emit("declared", entity=entity, name=name, type=arguments.get("type"), **kept)

    def _queue_bind(self, channel: Channel, arguments: dict[str, Any]) -> None:
        exchange, key = arguments["exchange"], arguments["routing_key"]
        self._emit("bound", queue=channel.queue(arguments["queue"]), exchange=exchange, routing_key=key)

    # -- publishing -------------------------------------------------------------------------------------

    def _published(self, content: Content) -> None:
        arguments = content.arguments
        self._emit(
            "published",
            exchange=arguments["exchange"],
            routing_key=arguments["routing_key"],
            queue=None,
            task_id=content.task_id,
            headers=content.headers,
            properties=content.properties,
            body=content.body,
            mandatory=arguments["mandatory"],
        )
        if "task" not in content.headers:
            self._stored(content)

    def _stored(self, content: Content) -> None:
        record = as_result(content.body, content.properties.get("content_type", ""))
        if record is not None:
            self._emit(
                "stored",
                task_id=record["task_id"],
                state=record["status"],
                result=record["result"],
                record=record,
                expires_in=None,
            )

    # -- consuming --------------------------------------------------------------------------------------

    def _consume(self, channel: Channel, arguments: dict[str, Any]) -> None:
        consumer = Consumer(channel.queue(arguments["queue"]), arguments["no_ack"])
        if arguments["consumer_tag"]:
            channel.consumers[arguments["consumer_tag"]] = consumer
        else:
            channel.consuming.append(consumer)

    def _consume_ok(self, channel: Channel, arguments: dict[str, Any]) -> None:
        if arguments["consumer_tag"] not in channel.consumers and channel.consuming:
            channel.consumers[arguments["consumer_tag"]] = channel.consuming.popleft()

    def _cancel(self, channel: Channel, arguments: dict[str, Any]) -> None:
        self._emit("cancelled", consumer_tag=arguments["consumer_tag"])

    def _get(self, channel: Channel, arguments: dict[str, Any]) -> None:
        channel.getting.append(Consumer(channel.queue(arguments["queue"]), arguments["no_ack"]))

    def _get_empty(self, channel: Channel, arguments: dict[str, Any]) -> None:
        if channel.getting:
            channel.getting.popleft()

    def _delivered(self, channel: Channel, content: Content) -> None:
        arguments = content.arguments
        if "delivery_tag" not in arguments:  # basic.return
            return
        consumer = self._source(channel, arguments)
        delivery = Delivery(arguments["delivery_tag"], content.task_id, consumer.queue)
        self._emit(
            "delivered",
            queue=delivery.queue,
            task_id=delivery.task_id,
            redelivered=arguments["redelivered"],
            delivery_tag=delivery.tag,
            no_ack=consumer.no_ack,
        )
        if not consumer.no_ack:
            channel.outstanding[delivery.tag] = delivery
        if channel.closed_by is not None:
            self._requeued(channel.take_back())

    def _source(self, channel: Channel, arguments: dict[str, Any]) -> Consumer:
        unknown = Consumer(None, no_ack=False)
        if "consumer_tag" in arguments:
            return channel.consumers.get(arguments["consumer_tag"], unknown)
        return channel.getting.popleft() if channel.getting else unknown

    def _ack(self, channel: Channel, arguments: dict[str, Any]) -> None:
        for delivery in channel.settle(arguments["delivery_tag"], arguments["multiple"]):
            self._emit("acked", task_id=delivery.task_id, delivery_tag=delivery.tag)

    def _nack(self, channel: Channel, arguments: dict[str, Any]) -> None:
        settled = channel.settle(arguments["delivery_tag"], arguments.get("multiple", False))
        if arguments["requeue"]:
            self._requeued(settled)
            return
        for delivery in settled:
            self._emit("rejected", task_id=delivery.task_id, delivery_tag=delivery.tag)

    def _recover(self, channel: Channel, arguments: dict[str, Any]) -> None:
        if arguments["requeue"]:
            self._requeued(channel.take_back())

    def _requeued(self, deliveries: Iterable[Delivery]) -> None:
        for delivery in deliveries:
            self._emit("requeued", task_id=delivery.task_id, queue=delivery.queue)
