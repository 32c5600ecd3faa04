"""The step of values: what a driver must be able to read, whatever the implementation makes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from uuid import UUID

from celeriac.conformance.adapter import ErrorClass, ExchangeRef, Ok, QueueRef, Router, Signature
from celeriac.conformance.doctor_talk import Missing
from celeriac.conformance.verdicts import HarnessError, NotApplicable, Violation

if TYPE_CHECKING:
    from celeriac.conformance.claim import Claim
    from celeriac.conformance.world import World

__all__ = ["sending_mode", "values"]

T = TypeVar("T")
Mode = Literal["apply_async", "send_task", "delay", "direct"]

#: What may stand among the arguments of a call.
VALUES: Mapping[str, Any] = {
    "plain JSON": [None, True, 1, -1.5, "é", ["x"], {"k": [2]}],
    "map": {"$": "a key that is no tag"},
    "bytes": b"\x00\xff",
    "datetime": datetime(2031, 5, 17, 12, 30, 0, 250000, tzinfo=UTC),
    "date": date(2031, 5, 17),
    "time": time_of_day(12, 30),
    "timedelta": timedelta(days=1, seconds=2),
    "decimal": Decimal("0.10"),
    "uuid": UUID("5f4ba0a0-33b1-4e2c-a0f6-9a5e6c1d7e11"),
    "float": float("inf"),
    "complex": complex(1, -2),
    "tuple": (1, 2),
    "set": {1},
}

#: What an author should know whose client refuses a value, where the adapter was left with it.
REFUSED = (
    "A client may refuse a value: its error is an answer, `raised`. What escapes is the adapter's own fault."
)


def sending_mode(claim: Claim) -> Mode:
    """Answer the form in which a task is called to send a message."""
    sending: tuple[Mode, ...] = ("apply_async", "send_task", "delay")
    return next((mode for mode in sending if mode in claim.modes), "apply_async")


def values(world: World, claim: Claim) -> str:
    """Hand over every tagged kind of value; the implementation may refuse them, the adapter must read them."""
    world.begin(results=False)
    mode: Mode = "direct" if "direct" in claim.modes else sending_mode(claim)
    for kind, value in VALUES.items():
        called = _tried(partial(world.call, "celeriac.echo", (value,), mode=mode))
        answer = None if called is None else called.answer
        if mode == "direct" and isinstance(answer, Ok) and answer.value != {"value": [[value], {}]}:
            text = f"A value of the kind {kind} came back as {answer.value!r}: expected {[[value], {}]!r}."
            raise Missing(text, "call")
    place = ExchangeRef(f"{world.queue}-exchange")
    options: list[dict[str, Any]] = [
        {"link": Signature("celeriac.add", (1,))},
        {"retry": True, "retry_policy": {"max_retries": 0, "retry_errors": (ErrorClass("connection"),)}},
        {"queue": QueueRef(f"{world.queue}-queue", place, "key")},
    ]
    for each in options:
        _tried(partial(world.call, mode=sending_mode(claim), **each))
    routes = [Router({"celeriac.add": None})]
    _tried(partial(world.begin, results=False, settings={"task_routes": routes}))
    return f"{len(VALUES) + 5} kinds of values are read"


def _tried(request: Callable[[], T]) -> T | None:
    """Answer what was answered, None where there is no such thing."""
    try:
        return request()
    except (NotApplicable, Violation):
        return None
    except HarnessError as error:
        raise HarnessError(f"{error}\n{REFUSED}") from None
