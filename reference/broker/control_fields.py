"""How a request to the control channel is read: which fields it may have, and what is said of a wrong one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from celeriac.reference.broker.readable import to_json
from celeriac.reference.suggest import unknown

__all__ = [
    "Field",
    "Fields",
    "Refused",
    "checked",
    "is_count",
    "is_number",
    "is_object",
    "is_text",
    "is_texts",
]

Fields = Mapping[str, Any]
_REQUIRED = object()


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a request: what it has to be, in words and as a test, and what stands for it when it is not given."""

    what: str
    fits: Callable[[Any], bool]
    default: Any = _REQUIRED


class Refused(Exception):  # noqa: N818  it is an answer
    """A request that gets an error for an answer.

    Attributes:
        kind: what the answer calls the error; see ``control_requests``.
    """

    def __init__(self, kind: Literal["request", "timeout", "token"], sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind


def checked(op: str, wanted: Mapping[str, Field], request: Mapping[str, Any]) -> Fields:
    """Answer the fields of a request, complete.

    Raises:
        Refused: one is unknown, missing or not what it has to be.
    """
    given = {name: value for name, value in request.items() if name not in {"op", "id"}}
    for name in given:
        if name not in wanted:
            none = f"{op} has no fields, not even {name!r}"
            raise Refused("request", unknown(f"field of {op}", name, wanted) if wanted else none)
    for name, field in wanted.items():
        value = given.setdefault(name, field.default)
        if value is _REQUIRED:
            raise Refused("request", f"{op} needs {name}, which is {field.what}")
        if not field.fits(value):
            raise Refused("request", f"{name} of {op} is {field.what}, not {to_json(value)[:80]}")
    return given


def is_number(value: Any) -> bool:
    """Say whether a value of JSON is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_count(value: Any) -> bool:
    """Say whether it is a whole number from 0 to as far as every language can count."""
    return isinstance(value, int) and is_number(value) and 0 <= value < 2**53


def is_texts(value: Any) -> bool:
    """Say whether it is a list of strings."""
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def is_text(value: Any) -> bool:
    """Say whether it is a string."""
    return isinstance(value, str)


def is_object(value: Any) -> bool:
    """Say whether it is an object."""
    return isinstance(value, dict)
