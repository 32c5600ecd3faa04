"""Arguments of a call in the implementation's own terms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kombu import Exchange, Queue
from kombu.exceptions import OperationalError

from celeriac.conformance.adapter import ErrorClass, ExchangeRef, QueueRef, Router, Signature

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


def _queue(wanted: QueueRef) -> Queue:
    exchange = None if wanted.exchange is None else _exchange(wanted.exchange)
    return Queue(wanted.name, exchange, wanted.routing_key, queue_arguments=dict(wanted.arguments) or None)


def _exchange(wanted: ExchangeRef) -> Exchange:
    return Exchange(wanted.name, type=wanted.type)


def _function(wanted: Router) -> Callable[..., Any]:
    answers = native(dict(wanted.answers))

    def route(name: str, *_: Any, **__: Any) -> Any:
        return answers.get(name)

    return route


#: What stands for an object of the implementation -> what makes the object.
_MADE: Mapping[type, Callable[[Any], Any]] = {
    ErrorClass: lambda wanted: ERRORS[wanted.name],
    ExchangeRef: _exchange,
    QueueRef: _queue,
    Router: _function,
}


def native(value: Any, signature: Callable[[Signature], Any] = _keep) -> Any:
    """Answer ``value`` with classes, kombu's entities and functions for what stands for them.

    Args:
        value: an option or a setting, nested at will.
        signature: makes the native form of a ``Signature``.

    Raises:
        KeyError: an ``ErrorClass`` has an unknown name.
    """
    if type(value) in _MADE:
        return _MADE[type(value)](value)
    if isinstance(value, Signature):
        return signature(value)
    if isinstance(value, list | tuple):
        return type(value)(native(item, signature) for item in value)
    if isinstance(value, dict):
        return {key: native(item, signature) for key, item in value.items()}
    return value
