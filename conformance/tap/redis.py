"""The tap's view of one Redis connection: which reply belongs to which command.

Replies carry no number: the n-th reply answers the n-th command, transactions answer twice (QUEUED at once, the
values with EXEC), and pushes answer nothing.  What commands and replies mean is said in ``kombu_redis``.

Writes are recorded when they are sent, so that a message is published before it is delivered.  Only a transaction
behind WATCH may come to nothing; it is recorded when its reply, or a delivery of the same message, proves it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from celeriac.conformance.tap.kombu_redis import Command, KombuOnRedis
from celeriac.conformance.tap.ledger import Ledger
from celeriac.conformance.tap.observer import BROKER, CLIENT, Direction, Emit, Frame
from celeriac.conformance.tap.resp import Parser, Push, ReplyError

__all__ = ["Ledger", "RedisObserver"]

SUBSCRIPTIONS = frozenset(
    {"SUBSCRIBE", "UNSUBSCRIBE", "PSUBSCRIBE", "PUNSUBSCRIBE", "SSUBSCRIBE", "SUNSUBSCRIBE"}
)
#: First elements of the arrays that RESP2 sends instead of pushes.
PUBSUB = frozenset(name.lower().encode() for name in SUBSCRIPTIONS) | {b"message", b"pmessage", b"smessage"}

#: Commands that put messages into a queue.
PUSHES = frozenset({"LPUSH", "RPUSH"})

Answered = Callable[[Any], None]


@dataclass(slots=True)
class _Transaction:
    """Commands between MULTI and EXEC."""

    commands: list[Command]
    watching: bool


class RedisObserver:
    """Decodes one connection; see ``observer.Observer``."""

    def __init__(self, emit: Emit, ledger: Ledger) -> None:
        self._meaning = KombuOnRedis(emit, ledger)
        self._requests = Parser(inline=True)
        self._replies = Parser()
        self._unanswered: deque[Answered] = deque()
        self._transaction: _Transaction | None = None
        self._watching = False
        self._subscribed = False

    def read(self, direction: Direction, data: bytes) -> Iterator[Frame]:
        """Take bytes that ``direction`` sent; yield the commands or replies that they complete."""
        if direction == CLIENT:
            for words in self._requests.feed(data):
                if words:
                    name = Command.of(words).name
                    yield Frame(CLIENT, name, 0, words, len(self._requests), name in PUSHES)
            return
        for value in self._replies.feed(data):
            pushed = isinstance(value, Push) or (self._subscribed and _is_pubsub(value))
            yield Frame(BROKER, "push" if pushed else "reply", 0, value, len(self._replies))

    def note(self, frame: Frame) -> None:
        """Record what a command or a reply means."""
        if frame.direction == CLIENT:
            self._request(Command.of(frame.value))
        elif frame.name == "reply" and self._unanswered:
            self._unanswered.popleft()(None if isinstance(frame.value, ReplyError) else frame.value)

    def lost(self) -> None:
        """Do nothing: Redis gives nothing back when a client goes; a later sweep does."""

    def heartbeat_from(self, direction: Direction) -> bytes:
        """Answer nothing: Redis has no such thing."""
        return b""

    def _request(self, command: Command) -> None:
        if command.name in SUBSCRIPTIONS:
            self._subscribed = True
        else:
            self._unanswered.append(self._sent(command))

    def _sent(self, command: Command) -> Answered:
        """Record what ``command`` does now; answer what is to be done with its reply."""
        match command.name:
            case "WATCH" | "UNWATCH":
                self._watching = command.name == "WATCH"
            case "MULTI":
                self._transaction = _Transaction([], self._watching)
            case "DISCARD":
                self._transaction, self._watching = None, False
            case "EXEC":
                transaction, self._transaction = self._transaction, None
                self._watching = False
                return self._executed(transaction) if transaction else _ignore
            case _ if self._transaction is not None:
                self._transaction.commands.append(command)
            case _:
                self._meaning.written([command])
                return lambda reply: self._meaning.read(command, reply)
        return _ignore

    def _executed(self, transaction: _Transaction) -> Answered:
        commands = transaction.commands
        settle = self._meaning.expected(commands) if transaction.watching else None
        if settle is None:
            self._meaning.written(commands)

        def answered(reply: Any) -> None:
            done = isinstance(reply, list)
            if settle is not None:
                settle(done)
            for command, part in zip(commands, reply if done else (), strict=False):
                self._meaning.read(command, part)

        return answered


def _is_pubsub(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], bytes) and value[0] in PUBSUB


def _ignore(reply: Any) -> None:
    """Do nothing with the reply of a command that reads nothing."""
