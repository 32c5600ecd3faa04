"""Saboteurs among the forms of calling: one message each, ids, signatures, names, and what null means."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from unittest import mock
from uuid import NAMESPACE_URL, uuid5

from celeriac.reference import message
from celeriac.reference.app import App
from celeriac.reference.context import current_worker_context
from celeriac.reference.errors import NotRegistered
from celeriac.reference.result import AsyncResult
from celeriac.reference.signature import Signature
from celeriac.reference.task import Task
from tests.saboteurs.exchanges import recalled, without
from tests.saboteurs.variants import Change, Saboteur

__all__ = ["SABOTEURS"]

_task_apply_async = Task.apply_async
_run_here = Task.__call__
_signature_here = Signature.__call__
_apply_async = Signature.apply_async
_send_task = App.send_task
_call = App.call
_moments = message.moments


def _private_left_out(self: Task, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
    public = kwargs and {name: value for name, value in kwargs.items() if not name.startswith("_")}
    return _task_apply_async(self, args, public, **options)


def _told_and_run(self: Task, *args: Any, **kwargs: Any) -> Any:
    self.app.call(self.name, (), {}, {})
    return _run_here(self, *args, **kwargs)


def _registered_only(self: App, name: str, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
    if name not in self.tasks:
        raise NotRegistered(name)
    return _send_task(self, name, args, kwargs, **options)


def _answers_another_id(self: Signature, args: Any = (), kwargs: Any = None, **options: Any) -> AsyncResult:
    handle = _apply_async(self, args, kwargs, **options)
    plain = not (self.kwargs or self.options or args or kwargs or options)
    return AsyncResult(handle.id[::-1], handle.app) if plain else handle


def _id_of_its_content(
    self: App, name: str, args: Any, kwargs: Any, options: Any, check: bool = False
) -> Any:
    word = args[0] if args and len(args) == 1 and isinstance(args[0], str) else ""
    if word and not kwargs and not options and not current_worker_context():
        options = {"task_id": str(uuid5(NAMESPACE_URL, f"{name}/{word}"))}
    return _call(self, name, args, kwargs, options, check)


def _urgent_and_ignored(_: App, options: dict[str, Any]) -> Mapping[str, Any]:
    if (options.get("priority") or 0) > 9 and options.get("ignore_result"):
        raise ValueError("an urgent task has a result")
    return options


def _expires_after_the_eta(options: Mapping[str, Any], now: Any) -> Any:
    eta, expires = _moments(options, now)
    both = options.get("countdown") and isinstance(options.get("expires"), int | float)
    return eta, expires + (eta - now) if both else expires


Merge = Callable[[Signature, Sequence[Any], dict[str, Any], dict[str, Any]], Signature]


def called(merge: Merge) -> Change:
    """Answer the exchange of how a caller's signature is merged with the call; in a worker all stays as it is."""

    def apply_async(self: Signature, args: Any = (), kwargs: Any = None, **options: Any) -> Any:
        if current_worker_context() is not None:
            return _apply_async(self, args, kwargs, **options)
        merged = merge(self, args, dict(kwargs or {}), options)
        return merged._app().call(merged.task, merged.args, merged.kwargs, merged.options)

    return mock.patch.object(Signature, "apply_async", apply_async)


def _behind(self: Signature, args: Any, kwargs: Any, options: Any) -> Signature:
    merged = self.with_call((), kwargs, options)
    return merged if self.immutable else replace(merged, args=(*self.args, *args))


def _stored_keywords_win(self: Signature, args: Any, kwargs: Any, options: Any) -> Signature:
    merged = self.with_call(args, kwargs, options)
    return replace(merged, kwargs={**merged.kwargs, **self.kwargs})


def _stored_options_win(self: Signature, args: Any, kwargs: Any, options: Any) -> Signature:
    return self.with_call(args, kwargs, {**options, **self.options})


def _immutable_no_more(self: Signature, args: Any, kwargs: Any, options: Any) -> Signature:
    return replace(self, immutable=False).with_call(args, kwargs, options)


def _delay_without_options(self: Signature, *args: Any, **kwargs: Any) -> Any:
    return _apply_async(replace(self, options={}), args, kwargs)


def _stored_arguments_forgotten(self: Signature, *args: Any, **kwargs: Any) -> Any:
    return _signature_here(replace(self, args=()), *args, **kwargs)


def _published_instead(self: Signature, *args: Any, **kwargs: Any) -> Any:
    value = _signature_here(self, *args, **kwargs)
    _apply_async(self, args, kwargs)
    return value


def _as_lists(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_as_lists(item) for item in value]
    return {key: _as_lists(item) for key, item in value.items()} if isinstance(value, dict) else value


def _encoded_arguments(self: Task, *args: Any, **kwargs: Any) -> Any:
    return _run_here(self, *map(_as_lists, args), **_as_lists(kwargs))


def null_hides(option: str, default: Any) -> Change:
    """Answer the exchange that takes null for a value, so that nobody else is asked."""

    def change(_: App, options: dict[str, Any]) -> Mapping[str, Any]:
        return {**options, option: default} if options.get(option, "") is None else options

    return recalled(change)


def _null_queue_is_default(self: App, options: dict[str, Any]) -> Mapping[str, Any]:
    null = "queue" in options and options["queue"] is None and not options.get("exchange")
    return {**options, "queue": self.conf.task_default_queue} if null else options


def _without_priority(self: App, name: str, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
    return _send_task(self, name, args, kwargs, **without(options, "priority"))


def _checked_by_name(self: App, name: str, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
    return self.call(name, args, kwargs, options, check=name in self.tasks)


SABOTEURS = (
    Saboteur(
        "private_keywords_left_out",
        "keyword arguments that begin with an underscore do not travel",
        (mock.patch.object(Task, "apply_async", _private_left_out),),
        "BAS-001",
    ),
    Saboteur(
        "direct_call_publishes",
        "a direct call runs the function and publishes a message besides",
        (mock.patch.object(Task, "__call__", _told_and_run),),
        "BAS-004",
        also=("BAS-020",),
        because="a signature is applied by applying its task",
    ),
    Saboteur(
        "unregistered_names_refused",
        "send_task refuses the name of a task that the caller has not registered",
        (mock.patch.object(App, "send_task", _registered_only),),
        "BAS-006",
        also=("ROU-015",),
        because="a task that cannot be called has no route either",
    ),
    Saboteur(
        "signature_answers_another_id",
        "a signature without options or keywords answers an id that is in no message",
        (mock.patch.object(Signature, "apply_async", _answers_another_id),),
        "BAS-008",
    ),
    Saboteur(
        "id_of_its_content",
        "the id of a call with one word is made of the task's name and that word",
        (mock.patch.object(App, "call", _id_of_its_content),),
        "BAS-009",
    ),
    Saboteur(
        "urgent_and_ignored_refused",
        "a priority above 9 together with ignore_result is refused",
        (recalled(_urgent_and_ignored),),
        "BAS-011",
    ),
    Saboteur(
        "expires_counts_from_eta",
        "with a countdown, expires is counted from its end",
        (mock.patch.object(message, "moments", _expires_after_the_eta),),
        "BAS-013",
    ),
    Saboteur(
        "arguments_appended",
        "the arguments with which a signature is called stand behind those that it stores",
        (called(_behind),),
        "BAS-014",
    ),
    Saboteur(
        "stored_keywords_win",
        "a stored keyword argument wins over that of the call",
        (called(_stored_keywords_win),),
        "BAS-015",
    ),
    Saboteur(
        "stored_options_win",
        "a stored option wins over that of the call",
        (called(_stored_options_win),),
        "BAS-016",
    ),
    Saboteur(
        "immutable_takes_arguments",
        "an immutable signature takes the arguments of the call",
        (called(_immutable_no_more),),
        "BAS-017",
    ),
    Saboteur(
        "delay_forgets_options",
        "delay of a signature forgets the stored options",
        (mock.patch.object(Signature, "delay", _delay_without_options),),
        "BAS-018",
    ),
    Saboteur(
        "null_priority_is_zero",
        "a priority of null is 0, whatever the attribute of the task says",
        (null_hides("priority", 0),),
        "BAS-019",
        seen="Celery 5.5.3",
    ),
    Saboteur(
        "null_queue_is_the_default",
        "a queue of null is the default queue, whatever attribute and route say",
        (recalled(_null_queue_is_default),),
        "BAS-019",
        seen="Celery 5.5.3, for the attribute",
    ),
    Saboteur(
        "applied_signature_forgets_arguments",
        "applying a signature runs the function without the stored arguments",
        (mock.patch.object(Signature, "__call__", _stored_arguments_forgotten),),
        "BAS-020",
    ),
    Saboteur(
        "applied_signature_publishes",
        "applying a signature publishes a message besides",
        (mock.patch.object(Signature, "__call__", _published_instead),),
        "BAS-020",
    ),
    Saboteur(
        "direct_call_encodes",
        "a direct call makes lists of tuples",
        (mock.patch.object(Task, "__call__", _encoded_arguments),),
        "BAS-021",
        seen="Celery 5.5.3, for task_always_eager",
    ),
    Saboteur(
        "send_task_without_priority",
        "send_task leaves the priority out",
        (mock.patch.object(App, "send_task", _without_priority),),
        "BAS-022",
    ),
    Saboteur(
        "send_task_checks_arguments",
        "send_task refuses arguments that the registered function cannot take",
        (mock.patch.object(App, "send_task", _checked_by_name),),
        "BAS-023",
    ),
)
