"""Arguments of a call in the implementation's own terms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kombu.exceptions import OperationalError

from celeriac.conformance.adapter import ErrorClass, Signature

__all__ = ["ERRORS", "native"]

#: The exception class behind each portable name.
ERRORS: Mapping[str, type[Exception]] = {
    "connection": ConnectionError,
    "timeout": TimeoutError,
    "operational": OperationalError,
    "value": ValueError,
}


def _keep(signature: Signature) -> Signature:
    return signature


def native(value: Any, signature: Callable[[Signature], Any] = _keep) -> Any:
    """Answer ``value`` with every ``ErrorClass`` as a class and every ``Signature`` made by ``signature``.

    Raises:
        KeyError: an ``ErrorClass`` has an unknown name.
    """
    if isinstance(value, ErrorClass):
        return ERRORS[value.name]
    if isinstance(value, Signature):
        return signature(value)
    if isinstance(value, list | tuple):
        return type(value)(native(item, signature) for item in value)
    if isinstance(value, dict):
        return {key: native(item, signature) for key, item in value.items()}
    return value
