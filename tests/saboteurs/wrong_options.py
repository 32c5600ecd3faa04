"""Saboteurs among the callers: call forms, options and where a message goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from unittest import mock

from celeriac.reference import app, message, publishing
from celeriac.reference.app import App
from celeriac.reference.options import OPTIONS
from celeriac.reference.result import AsyncResult
from celeriac.reference.signature import Signature
from celeriac.reference.task import Task
from celeriac.reference.worker import intake
from tests.saboteurs.exchanges import rebuilt, recalled, without
from tests.saboteurs.variants import Change, Saboteur

__all__ = ["SABOTEURS"]

_body = message._body
_arguments = app._arguments

_get = AsyncResult.get
_apply_async = Signature.apply_async
_read_body = intake._body


#: The options by which a signature is a member of something.
_PLACE = ("task_id", "group_id", "group_index", "root_id", "parent_id", "reply_to", "chain")


def _delay_with_options(self: Task, *args: Any, **kwargs: Any) -> Any:
    options = {name: kwargs.pop(name) for name in tuple(kwargs) if name in OPTIONS}
    return self.apply_async(args, kwargs, **options)


def _delay_with_shadow(self: Task, *args: Any, **kwargs: Any) -> Any:
    return self.apply_async(args, kwargs, shadow=f"{self.name} (delayed)")


def _direct_call_wraps(self: Task, *args: Any, **kwargs: Any) -> Any:
    try:
        return self.invoke(args, kwargs)
    except Exception as error:
        raise RuntimeError(f"{self.name} failed") from error


def _signature_without_options(self: Signature, args: Any = (), kwargs: Any = None, **options: Any) -> Any:
    kept = {name: value for name, value in self.options.items() if name in _PLACE}
    forgetful = self if args or kwargs or options else replace(self, options=kept)
    return _apply_async(forgetful, args, kwargs, **options)


def _null_arguments(args: Any, kwargs: Any, options: Mapping[str, Any]) -> list[Any]:
    body = _body(args, kwargs, options)
    return body if options.get("parent_id") else [body[0] or None, *body[1:]]


def _null_is_empty(received: Any, accept: Any) -> Any:
    body = _read_body(received, accept)
    return [body[0] or [], *body[1:]] if isinstance(body, list) and len(body) == 3 else body


def _false_is_not_given(_: App, options: dict[str, Any]) -> Mapping[str, Any]:
    return without(options, "ignore_result") if options.get("ignore_result") is False else options


def _spread_text(args: Any, kwargs: Any) -> Any:
    return _arguments(tuple(args) if isinstance(args, str) else args, kwargs)


def _address_ignored(_: App, options: dict[str, Any]) -> Mapping[str, Any]:
    named = isinstance(options.get("exchange"), str) and options.get("routing_key")
    return without(options, "exchange", "routing_key") if named else options


def _clamped(highest: int) -> Change:
    return rebuilt(lambda built, _: replace(built, priority=max(0, min(built.priority, highest))))


def _get_anyway(self: AsyncResult, *args: Any, **kwargs: Any) -> Any:
    self.ignored = False
    return _get(self, *args, **kwargs)


def _bare_link(args: Any, kwargs: Any, options: Mapping[str, Any]) -> list[Any]:
    body, link = _body(args, kwargs, options), options.get("link")
    single = link is not None and not isinstance(link, list | tuple)
    return [*body[:2], {**body[2], "callbacks": body[2]["callbacks"][0]}] if single else body


def _links_reversed(args: Any, kwargs: Any, options: Mapping[str, Any]) -> list[Any]:
    body = _body(args, kwargs, options)
    return [*body[:2], {**body[2], "callbacks": body[2]["callbacks"] and body[2]["callbacks"][::-1]}]


SABOTEURS = (
    Saboteur(
        "delay_marks_its_calls",
        "delay leaves a mark of its own in the header shadow",
        (mock.patch.object(Task, "delay", _delay_with_shadow),),
        "BAS-002",
    ),
    Saboteur(
        "delay_takes_options",
        "delay takes keywords with the names of options for options",
        (mock.patch.object(Task, "delay", _delay_with_options),),
        "BAS-003",
    ),
    Saboteur(
        "direct_call_wraps_errors",
        "a direct call raises a RuntimeError around the function's own error",
        (mock.patch.object(Task, "__call__", _direct_call_wraps),),
        "BAS-005",
    ),
    Saboteur(
        "signature_forgets_options",
        "a signature that is called with nothing forgets the options that it stores",
        (mock.patch.object(Signature, "apply_async", _signature_without_options),),
        "BAS-007",
    ),
    Saboteur(
        "empty_arguments_are_null",
        "positional arguments that were left out travel as null",
        (
            mock.patch.object(message, "_body", _null_arguments),
            mock.patch.object(intake, "_body", _null_is_empty),
        ),
        "BAS-010",
        seen="older gocelery (its #35)",
    ),
    Saboteur(
        "text_is_spread",
        "a text given as arguments is spread into letters",
        (mock.patch.object(app, "_arguments", _spread_text),),
        "BAS-012",
    ),
    Saboteur(
        "queue_not_declared",
        "the producer does not declare the queue that it sends to",
        (mock.patch.object(publishing, "maybe_declare", return_value=None),),
        "ROU-003",
        also=("ROU-007", "ADV-007"),
        because="a queue that is not declared is neither bound nor given priorities",
        seen="node-celery 0.2.8",
    ),
    Saboteur(
        "address_ignored",
        "exchange and routing key of a call are ignored",
        (recalled(_address_ignored),),
        "ADV-001",
        also=("ROU-018",),
        because="the address of a call that wins over the attribute is an address of a call",
        seen="Celery 5.5.3, for one of the two alone",
    ),
    Saboteur(
        "priority_clamped_to_nine",
        "priorities above 9 are sent as 9",
        (_clamped(9),),
        "ADV-003",
    ),
    Saboteur(
        "priority_out_of_range_clamped",
        "a priority beyond one octet is clamped instead of refused",
        (mock.patch.dict(OPTIONS, priority=lambda name, value: None), _clamped(255)),
        "ADV-005",
        seen="Celery 5.5.3 over Redis",
    ),
    Saboteur(
        "false_is_not_given",
        "ignore_result=False counts as not given",
        (recalled(_false_is_not_given),),
        "RES-002",
    ),
    Saboteur(
        "ignored_result_is_awaited",
        "the caller waits for a result that it has asked not to be kept",
        (mock.patch.object(AsyncResult, "get", _get_anyway),),
        "RES-003",
        also=("RES-027",),
        because="the wait is the same, whoever said that nothing is kept",
    ),
    Saboteur(
        "single_link_travels_bare",
        "a single callback travels as it is, not in a list",
        (mock.patch.object(message, "_body", _bare_link),),
        "LNK-001",
    ),
    Saboteur(
        "links_reversed",
        "callbacks travel in reverse order",
        (mock.patch.object(message, "_body", _links_reversed),),
        "LNK-002",
    ),
)
