"""What the doctor and an adapter say to one another, as the author of that kind of adapter writes it.

The author of a process reads lines of JSON; the author of a class reads a method, and what it should return.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from celeriac.conformance import envelopes
from celeriac.conformance.adapter import Adapter, Answer, Event, Ok
from celeriac.conformance.envelopes import OPERATIONS
from celeriac.conformance.guard import AroundAdapter

__all__ = ["AsClass", "AsLines", "Exchange", "Exhibit", "Form", "Missing", "Overheard", "Skipped"]


@dataclass(slots=True)
class Exchange:
    """One request and its answer.

    Attributes:
        number: of the request in its process, from 1.
        operation: what was asked for.
        arguments: by the names of the method's.
        answer: what was answered, None when nothing was.
    """

    number: int
    operation: str
    arguments: Mapping[str, Any]
    answer: Answer | None = None


@dataclass(frozen=True, slots=True)
class Exhibit:
    """What was said where something is missing, and what would satisfy: lines, as the author writes them."""

    asked: Sequence[str]
    got: str
    wanted: Sequence[str]


class Missing(Exception):  # noqa: N818 - a finding, not an error
    """A step that is not there yet; its text says what is missing next.

    Attributes:
        operation: the request at which it shows, empty for none.
        events: what should have been reported.
        given: what else the adapter was given: a message in a queue, as lines.
        wanted: what else should have been there, as lines.
        exhibit: what was said, where the operation does not tell.
    """

    def __init__(
        self,
        text: str,
        operation: str = "",
        *,
        events: Sequence[Event] = (),
        given: Sequence[str] = (),
        wanted: Sequence[str] = (),
        exhibit: Exhibit | None = None,
    ) -> None:
        super().__init__(text)
        self.operation = operation
        self.events = events
        self.given = given
        self.wanted = wanted
        self.exhibit = exhibit


class Skipped(Exception):  # noqa: N818 - a finding, not an error
    """A step that this adapter does not have to take; its text says why."""


class Form(ABC):
    """How exchanges look to the author of an adapter."""

    @abstractmethod
    def request(self, exchange: Exchange) -> str:
        """Answer what was asked."""

    @abstractmethod
    def answer(self, exchange: Exchange, answer: Answer) -> str:
        """Answer what an answer to it looks like."""

    @abstractmethod
    def event(self, event: Event) -> str:
        """Answer what an event looks like."""


class AsLines(Form):
    """Lines of JSON."""

    def request(self, exchange: Exchange) -> str:
        """Answer the line that was sent."""
        protocol = {"protocol": envelopes.PROTOCOL} if exchange.operation == "hello" else {}
        arguments = {**exchange.arguments, **protocol}
        message = envelopes.request_to_json(exchange.number, exchange.operation, arguments)
        return envelopes.line(message).decode().rstrip()

    def answer(self, exchange: Exchange, answer: Answer) -> str:
        """Answer the line that answers it."""
        return envelopes.line(envelopes.answer_to_json(exchange.number, answer)).decode().rstrip()

    def event(self, event: Event) -> str:
        """Answer the line that reports it."""
        return envelopes.line(envelopes.event_to_json(event)).decode().rstrip()


class AsClass(Form):
    """Calls of a method, and what it returns."""

    def request(self, exchange: Exchange) -> str:
        """Answer the call that was made."""
        arguments = ", ".join(f"{name}={value!r}" for name, value in exchange.arguments.items())
        return f"adapter.{exchange.operation}({arguments})"

    def answer(self, exchange: Exchange, answer: Answer) -> str:
        """Answer the statement that answers it."""
        if exchange.operation == "hello" and isinstance(answer, Ok):
            return f"return {answer.value!r}"
        return f"return {answer!r}"

    def event(self, event: Event) -> str:
        """Answer the statement that reports it."""
        return f"self.emit({event!r})"


class Overheard(AroundAdapter):
    """An adapter that is listened to.

    Args:
        inner: the adapter.

    Attributes:
        exchanges: everything that was asked of its present process, in order.
    """

    def __init__(self, inner: Adapter) -> None:
        super().__init__(inner)
        self.exchanges: list[Exchange] = []

    def last(self, operation: str) -> Exchange | None:
        """Answer the latest exchange of an operation, None when there is none."""
        return next((each for each in reversed(self.exchanges) if each.operation == operation), None)

    def close(self) -> None:
        """Release everything."""
        self.inner.close()


def _overheard(operation: str) -> Callable[..., Any]:
    signature = inspect.signature(getattr(Adapter, operation))

    def ask(self: Overheard, *args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        arguments = {name: value for name, value in bound.arguments.items() if name != "self"}
        exchange = Exchange(len(self.exchanges) + 1, operation, arguments)
        self.exchanges.append(exchange)
        answer = getattr(self.inner, operation)(*args, **kwargs)
        exchange.answer = Ok(answer) if operation == "hello" else answer
        return answer

    return ask


for _operation in OPERATIONS:
    setattr(Overheard, _operation, _overheard(_operation))
