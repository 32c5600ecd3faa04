"""What Redis commands mean to tasks: kombu's queues and Celery's result records.

====================================  =========================================================
``LPUSH queue envelope``              published; requeued when somebody held the message
``BRPOP queue ... timeout`` replies   delivered
``HSET unacked tag [envelope, ...]``  the message is held (nothing new: it was delivered)
``HSET message:tag payload envelope`` published by celery-redis-plus, whose queues are sorted sets of tags
``ZREM unacked_index tag``, ``HDEL``  acked, unless the same transaction pushes the message back
``SADD _kombu.binding.EX member``     bound
``PUBLISH /0.EX envelope``            published to a fanout exchange
``SETEX celery-task-meta-ID s map``   stored
``PUBLISH celery-task-meta-ID map``   announced
====================================  =========================================================

A queue of priority step 3 is the list ``queue``, two separator bytes, ``3``; the step is recorded as ``bucket``,
and the name of the list, as it stands, as ``key``.
"""

from __future__ import annotations

import base64
import binascii
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from celeriac.conformance.tap.ledger import Held, Ledger
from celeriac.conformance.tap.messages import as_result, load_json, task_id_of
from celeriac.conformance.tap.observer import Emit
from celeriac.conformance.tap.resp import RespSyntaxError

__all__ = ["Command", "Envelope", "KombuOnRedis"]

SEPARATOR = "\x06\x16"
BINDING = "_kombu.binding."
RESULT = "celery-task-meta-"
UNACKED = "unacked"
MESSAGE = "message:"
#: Properties that exist on Redis only: they describe the envelope, not the message.  That of celery-redis-plus is eta.
ENVELOPE_PROPERTIES = frozenset({"body_encoding", "delivery_info", "delivery_tag", "eta"})
#: Commands, and options of SET, that give a time to live, and how many of their units make a second.
_TIMED: Mapping[str, int] = {"SETEX": 1, "PSETEX": 1000}
_UNITS: Mapping[str, int] = {"EX": 1, "PX": 1000}


@dataclass(frozen=True, slots=True)
class Command:
    """A command of Redis: its name in capitals and its arguments."""

    name: str
    args: Sequence[bytes]

    @classmethod
    def of(cls, words: Any) -> Self:
        """Read a request.

        Raises:
            RespSyntaxError: it is not an array of strings.
        """
        if not isinstance(words, list) or not all(isinstance(word, bytes) for word in words):
            raise RespSyntaxError(f"a command is an array of strings, not {str(words)[:80]}")
        return cls(_text(words[0]).upper(), words[1:])

    def text(self, index: int) -> str:
        """Answer an argument as text, empty when it is missing."""
        return _text(self.args[index]) if index < len(self.args) else ""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message as kombu writes it to a list: a JSON object around a body."""

    whole: Mapping[str, Any]
    headers: Mapping[str, Any]
    properties: Mapping[str, Any]

    @classmethod
    def read(cls, text: Any) -> Self | None:
        """Read an envelope; answer None for anything else."""
        try:
            whole = load_json(text) if isinstance(text, bytes) else text
        except ValueError:
            return None
        if (
            not isinstance(whole, dict)
            or "body" not in whole
            or not isinstance(whole.get("properties"), dict)
        ):
            return None
        headers = whole.get("headers")
        return cls(whole, headers if isinstance(headers, dict) else {}, whole["properties"])

    @property
    def tag(self) -> str:
        """The delivery tag, the same in every delivery."""
        return str(self.properties.get("delivery_tag", ""))

    @property
    def info(self) -> Mapping[str, Any]:
        """Where the message was sent to: exchange and routing key."""
        info = self.properties.get("delivery_info")
        return info if isinstance(info, dict) else {}

    @property
    def redelivered(self) -> bool:
        """Whether whoever gave the message back has marked it."""
        return bool(self.headers.get("redelivered") or self.info.get("redelivered"))

    @property
    def task_id(self) -> Any:
        """The id of the task."""
        return task_id_of(self.headers, self.properties, self.body)

    @property
    def body(self) -> bytes:
        """The serialized body, out of its transfer encoding."""
        body = self.whole["body"]
        data = body if isinstance(body, bytes) else str(body).encode()
        if self.properties.get("body_encoding") != "base64":
            return data
        try:
            return base64.b64decode(data)
        except (binascii.Error, ValueError):
            return data

    def fields(self) -> dict[str, Any]:
        """Answer what a ``published`` record says of the message."""
        kept = {name: value for name, value in self.properties.items() if name not in ENVELOPE_PROPERTIES}
        for name in ("content-type", "content-encoding"):
            if name in self.whole:
                kept[name.replace("-", "_")] = self.whole[name]
        return {
            "exchange": self.info.get("exchange"),
            "routing_key": self.info.get("routing_key"),
            "task_id": self.task_id,
            "headers": self.headers,
            "properties": kept,
            "body": self.body,
            "mandatory": False,
            "envelope": self.whole,
        }


class KombuOnRedis:
    """Turns commands and replies of one connection into records."""

    def __init__(self, emit: Emit, ledger: Ledger) -> None:
        self._emit = emit
        self._ledger = ledger
        self._writes: Mapping[str, Callable[[Command], None]] = {
            "LPUSH": self._push,
            "RPUSH": self._push,
            "ZREM": self._settle,
            "HDEL": self._settle,
            "HSET": self._keep,
            "SADD": self._bind,
            "PUBLISH": self._spread,
            "SET": self._store,
            "SETEX": self._store,
            "PSETEX": self._store,
        }

    def written(self, commands: Sequence[Command]) -> None:
        """Record what ``commands``, executed as one, do."""
        given_back = _tags_pushed(commands)
        for command in commands:
            if command.name in ("ZREM", "HDEL") and given_back.intersection(map(_text, command.args[1:])):
                continue
            if (write := self._writes.get(command.name)) is not None:
                write(command)

    def expected(self, commands: Sequence[Command]) -> Callable[[bool], None]:
        """Note that ``commands`` may happen; answer what to call when that is known."""
        tags = _tags_pushed(commands)
        outcome = _Once(lambda: self.written(commands))
        for tag in tags:
            self._ledger.restoring(tag, outcome)

        def settle(done: bool) -> None:
            for tag in tags:
                self._ledger.restored(tag, done)
            if done:
                outcome()

        return settle

    def read(self, command: Command, reply: Any) -> None:
        """Record what the reply to ``command`` hands out."""
        match command.name, reply:
            case (("BRPOP" | "BLPOP"), [bytes() as key, bytes() as item]):
                self._deliver(key, item)
            case (("RPOP" | "LPOP" | "RPOPLPUSH" | "LMOVE" | "BRPOPLPUSH" | "BLMOVE"), bytes() as item):
                self._deliver(command.args[0], item)
            case (("RPOP" | "LPOP"), list() as items):
                for item in items:
                    self._deliver(command.args[0], item)

    def _push(self, command: Command) -> None:
        queue, bucket = _queue(command.text(0))
        for item in command.args[1:]:
            envelope = Envelope.read(item)
            if envelope is None:
                continue
            if envelope.redelivered or self._ledger.holds(envelope.tag):
                self._ledger.settle(envelope.tag)
                self._emit("requeued", task_id=envelope.task_id, queue=queue)
            else:
                self._emit("published", queue=queue, bucket=bucket, key=command.args[0], **envelope.fields())

    def _spread(self, command: Command) -> None:
        _, is_result, task_id = command.text(0).partition(RESULT)
        if is_result:
            record = as_result(command.args[-1]) or {}
            self._emit("announced", task_id=task_id, state=record.get("status"), record=record)
        elif command.text(0).startswith("/") and (envelope := Envelope.read(command.args[-1])) is not None:
            self._emit("published", queue=None, bucket=0, key=command.args[0], **envelope.fields())

    def _deliver(self, key: bytes, item: bytes) -> None:
        envelope = Envelope.read(item)
        if envelope is None:
            return
        queue, _ = _queue(_text(key))
        self._ledger.restored(envelope.tag)
        self._ledger.hold(envelope.tag, Held(envelope.task_id, queue))
        self._emit(
            "delivered",
            queue=queue,
            task_id=envelope.task_id,
            redelivered=envelope.redelivered,
            delivery_tag=envelope.tag,
            no_ack=False,
        )

    def _keep(self, command: Command) -> None:
        if command.text(0).endswith(UNACKED):
            self._take(command)
        elif MESSAGE in command.text(0):
            self._put(command)

    def _put(self, command: Command) -> None:
        pairs = zip(command.args[1::2], command.args[2::2], strict=False)
        fields = {_text(name): value for name, value in pairs}
        if (envelope := Envelope.read(fields.get("payload", b""))) is not None:
            queue = _text(fields.get("routing_key", b""))
            self._emit("published", queue=queue, bucket=0, key=command.args[0], **envelope.fields())

    def _take(self, command: Command) -> None:
        try:
            message, *_ = load_json(command.args[2])
        except (ValueError, TypeError, IndexError):
            return
        if (envelope := Envelope.read(message)) is not None:
            self._ledger.hold(command.text(1), Held(envelope.task_id, None))

    def _settle(self, command: Command) -> None:
        for tag in map(_text, command.args[1:]):
            if (held := self._ledger.settle(tag)) is not None:
                self._emit("acked", task_id=held.task_id, delivery_tag=tag)

    def _bind(self, command: Command) -> None:
        _, found, exchange = command.text(0).partition(BINDING)
        for member in map(_text, command.args[1:] if found else ()):
            routing_key, _, queue = [*member.split(SEPARATOR), "", ""][:3]
            self._emit("bound", queue=queue, exchange=exchange, routing_key=routing_key)

    def _store(self, command: Command) -> None:
        _, found, task_id = command.text(0).partition(RESULT)
        if not found:
            return
        value, expires_in = _value_and_expiry(command)
        record = as_result(value) or {}
        self._emit(
            "stored",
            task_id=task_id,
            state=record.get("status"),
            result=record.get("result"),
            record=record,
            expires_in=expires_in,
        )


class _Once:
    """Calls ``work`` the first time it is called."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work: Callable[[], None] | None = work

    def __call__(self) -> None:
        work, self._work = self._work, None
        if work is not None:
            work()


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _queue(key: str) -> tuple[str, int]:
    """Split the key of a list into the queue's name and its priority step."""
    queue, _, step = key.partition(SEPARATOR)
    return queue, int(step) if step.isdecimal() else 0


def _tags_pushed(commands: Sequence[Command]) -> set[str]:
    pushes = [item for command in commands if command.name in ("LPUSH", "RPUSH") for item in command.args[1:]]
    return {envelope.tag for envelope in map(Envelope.read, pushes) if envelope is not None}


def _value_and_expiry(command: Command) -> tuple[bytes, float | None]:
    """Read the value and the time to live in seconds of a SET in one of its forms."""
    if command.name in _TIMED:
        return _argument(command, 2), _seconds(command.text(1), _TIMED[command.name])
    words = [command.text(index).upper() for index in range(2, len(command.args))]
    times = [_seconds(number, _UNITS[unit]) for unit, number in itertools.pairwise(words) if unit in _UNITS]
    return _argument(command, 1), times[0] if times else None


def _argument(command: Command, index: int) -> bytes:
    return command.args[index] if index < len(command.args) else b""


def _seconds(number: str, divisor: int) -> float | None:
    return int(number) / divisor if number.isdecimal() else None
