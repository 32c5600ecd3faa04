"""Saboteurs among what follows a task: callbacks, the rest of a chain, errbacks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from unittest import mock

from kombu.exceptions import EncodeError

from celeriac.reference import codecs, message
from celeriac.reference.app import App
from celeriac.reference.canvas import Member
from celeriac.reference.codecs import Encoded
from celeriac.reference.context import Context, running
from celeriac.reference.signature import Signature
from celeriac.reference.worker import execution, intake, links, worker
from celeriac.reference.worker.execution import Outcome
from celeriac.reference.worker.links import is_called_directly, send_callbacks
from tests.saboteurs.variants import Change, Saboteur

__all__ = ["SABOTEURS"]

_body = message._body
_signatures = intake._signatures
_encode = codecs.encode
_send = links._send
_call_here = links._call_here
_call_errbacks = links.call_errbacks
_execute = execution.execute

#: The error that errbacks are told of when nothing has failed.
NOTHING = ValueError("nothing has failed")


# -- the caller's side ------------------------------------------------------------------------------------


def _bare_is_a_list_of_one(embed: Mapping[str, Any], name: str) -> tuple[Any, ...]:
    found = embed.get(name)
    return _signatures({name: [found]} if isinstance(found, Mapping) else embed, name)


def _errbacks_reversed(args: Any, kwargs: Any, options: Mapping[str, Any]) -> list[Any]:
    positional, named, embed = _body(args, kwargs, options)
    errbacks = embed["errbacks"]
    return [positional, named, {**embed, "errbacks": errbacks and errbacks[::-1]}]


def _bare_errback(args: Any, kwargs: Any, options: Mapping[str, Any]) -> list[Any]:
    positional, named, embed = _body(args, kwargs, options)
    given = options.get("link_error")
    if not isinstance(given, Signature) or options.get("parent_id"):
        return [positional, named, embed]
    return [positional, named, {**embed, "errbacks": given.to_wire()}]


def _no_links_in_yaml(value: Any, serializer: str, compression: str | None = None) -> Encoded:
    if serializer == "yaml" and value[2]["callbacks"]:
        raise EncodeError("cannot represent a signature")
    return _encode(value, serializer, compression)


# -- callbacks and chains ---------------------------------------------------------------------------------


def sent(change: Callable[[Signature, Context, Any], Signature]) -> Change:
    """Answer the exchange that changes each callback before it is sent; chains and groups are left alone."""

    def send(member: Member, context: Context, value: Any, **options: Any) -> None:
        if isinstance(member, Signature) and "chain" not in options:
            member = change(member, context, value)
        _send(member, context, value, **options)

    return mock.patch.object(links, "_send", send)


def continued(change: Callable[[Signature, Any, Any], tuple[Signature, Any]]) -> Change:
    """Answer the exchange that changes the next task of a chain, and what is left of the chain after it."""

    def send(member: Member, context: Context, value: Any, **options: Any) -> None:
        if "chain" in options and isinstance(member, Signature):
            member, options["chain"] = change(member, value, options["chain"])
        _send(member, context, value, **options)

    return mock.patch.object(links, "_send", send)


def unknown_sent(times: int) -> Change:
    """Answer the exchange that sends a callback that the worker does not know more or less than once."""

    def send(member: Any, context: Context, value: Any, **options: Any) -> None:
        simple = isinstance(member, Signature) and member.app is not None and "chain" not in options
        known = not simple or member.task in member.app.tasks
        for _ in range(1 if known else times):
            _send(member, context, value, **options)

    return mock.patch.object(links, "_send", send)


def _without_options(signature: Signature, context: Context, value: Any) -> Signature:
    return replace(signature, options={})


def _options_stick(app: App, context: Context, value: Any) -> None:
    gathered: dict[str, Any] = {}
    sharing = []
    for callback in context.callbacks:
        gathered |= callback.get("options") or {}
        sharing.append({**callback, "options": dict(gathered)})
    send_callbacks(app, replace(context, callbacks=tuple(sharing)), value)


def _child_of_the_root(signature: Signature, context: Context, value: Any) -> Signature:
    return signature.set(parent_id=context.root_id)


def _root_of_its_own(signature: Signature, context: Context, value: Any) -> Signature:
    return signature.set(root_id=context.id)


# -- what follows which end -------------------------------------------------------------------------------


def after(state: str, follow: Callable[[App, Context], None]) -> Change:
    """Answer the exchange that does something more after a task that ends in a state."""

    def execute(app: App, request: Any) -> Outcome:
        outcome = _execute(app, request)
        if outcome.state == state:
            with running(request.context):
                follow(app, request.context)
        return outcome

    return mock.patch.object(worker, "execute", execute)


def _goes_on(app: App, context: Context) -> None:
    send_callbacks(app, replace(context, callbacks=()), None)


def _tells_of_nothing(app: App, context: Context) -> None:
    _call_errbacks(app, context, NOTHING, "no traceback")


# -- errbacks ---------------------------------------------------------------------------------------------


def here(change: Callable[..., tuple[Any, ...]]) -> Change:
    """Answer the exchange that changes what an errback that the worker calls is called with."""

    def call_here(*told: Any) -> None:
        _call_here(*change(*told))

    return mock.patch.object(links, "_call_here", call_here)


def _called_and_published(*told: Any) -> tuple[Any, ...]:
    _, signature, context, *_ = told
    signature.apply_async((context.id,))
    return told


def _request_of_the_errback(task: Any, signature: Any, context: Context, *rest: Any) -> tuple[Any, ...]:
    return (task, signature, Context(task.name, id="the errback's own"), *rest)


def _only_its_text(
    task: Any, signature: Any, context: Context, error: Exception, text: str
) -> tuple[Any, ...]:
    return task, signature, context, Exception(str(error)), text


def _no_traceback(task: Any, signature: Any, context: Context, error: Any, text: str) -> tuple[Any, ...]:
    return task, signature, context, error, None


def _first_argument_only(task: Any, signature: Signature, *rest: Any) -> tuple[Any, ...]:
    return (task, replace(signature, args=signature.args[:1]), *rest)


def errbacks_of(change: Callable[[App, Context], tuple[Any, ...]]) -> Change:
    """Answer the exchange that changes the errbacks of a failed task."""

    def call_errbacks(app: App, context: Context, *rest: Any) -> None:
        _call_errbacks(app, replace(context, errbacks=change(app, context)), *rest)

    return mock.patch.object(execution, "call_errbacks", call_errbacks)


def turned(known: bool) -> Change:
    """Answer the exchange that turns round those errbacks that the worker knows, or those that it does not."""

    def change(app: App, context: Context) -> tuple[Any, ...]:
        theirs = [one for one in context.errbacks if (one["task"] in app.tasks) is known]
        others = [one for one in context.errbacks if one not in theirs]
        return (*theirs[::-1], *others)

    return errbacks_of(change)


def _their_root_is_the_parent(app: App, context: Context) -> tuple[Any, ...]:
    own = {"root_id": context.id}
    return tuple({**one, "options": {**(one.get("options") or {}), **own}} for one in context.errbacks)


def _text_for_the_id(app: App, context: Context, error: BaseException, traceback: str) -> None:
    others = []
    for errback in context.errbacks:
        task = app.tasks.get(errback["task"])
        if task is None or is_called_directly(task):
            others.append(errback)
        else:
            task.apply_async((str(error),))
    _call_errbacks(app, replace(context, errbacks=tuple(others)), error, traceback)


SABOTEURS = (
    Saboteur(
        "single_errback_travels_bare",
        "a single errback travels as it is, not in a list",
        (
            mock.patch.object(message, "_body", _bare_errback),
            mock.patch.object(intake, "_signatures", _bare_is_a_list_of_one),
        ),
        "LNK-003",
    ),
    Saboteur(
        "errbacks_reversed",
        "errbacks travel in reverse order",
        (mock.patch.object(message, "_body", _errbacks_reversed),),
        "LNK-004",
    ),
    Saboteur(
        "no_links_in_yaml",
        "a call with a callback cannot be encoded as YAML",
        (mock.patch.object(message, "encode", _no_links_in_yaml),),
        "LNK-005",
        seen="Celery 5.5.3 and 5.7.0",
    ),
    Saboteur(
        "unknown_callback_dropped",
        "a callback that the worker does not know is not published",
        (unknown_sent(times=0),),
        "LNK-006",
    ),
    Saboteur(
        "unknown_callback_twice",
        "a callback that the worker does not know is published twice",
        (unknown_sent(times=2),),
        "LNK-006",
    ),
    Saboteur(
        "callback_loses_its_keywords",
        "the keyword arguments of an immutable callback are lost",
        (sent(lambda callback, *_: replace(callback, kwargs={}) if callback.immutable else callback),),
        "LNK-009",
    ),
    Saboteur(
        "callback_loses_its_options",
        "a callback is published without the options that its signature stores",
        (sent(_without_options),),
        "LNK-010",
        seen="celery-node 0.5.9, which drops links altogether",
    ),
    Saboteur(
        "callback_options_stick",
        "the options of a callback hold for those after it, too",
        (mock.patch.object(execution, "send_callbacks", _options_stick),),
        "LNK-010",
    ),
    Saboteur(
        "callback_is_a_sibling",
        "the parent of a callback is the root of the tree",
        (sent(_child_of_the_root),),
        "LNK-012",
    ),
    Saboteur(
        "callback_begins_a_tree",
        "the root of a callback is its parent",
        (sent(_root_of_its_own),),
        "LNK-012",
        seen="rusty-celery 0.5.5, whose messages have no root at all",
    ),
    Saboteur(
        "failure_goes_on",
        "the chain goes on after a task that raises",
        (after("FAILURE", _goes_on),),
        "LNK-014",
    ),
    Saboteur(
        "ignored_tells_errbacks",
        "the errbacks of a task that asks to be ignored are told",
        (after("IGNORED", _tells_of_nothing),),
        "LNK-016",
    ),
    Saboteur(
        "result_comes_last_in_a_chain",
        "the next task of a chain gets the result behind its own arguments",
        (
            continued(
                lambda task, value, rest: (replace(task, args=(*task.args, value), immutable=True), rest)
            ),
        ),
        "LNK-017",
    ),
    Saboteur(
        "chain_is_turned_round",
        "what is left of a chain travels in reverse order",
        (continued(lambda task, _, rest: (task, rest and rest[::-1])),),
        "LNK-018",
    ),
    Saboteur(
        "errback_called_and_published",
        "an errback that the worker calls is published as well",
        (here(_called_and_published),),
        "LNK-019",
    ),
    Saboteur(
        "errback_gets_its_own_request",
        "an errback is called with a request of its own instead of the parent's",
        (here(_request_of_the_errback),),
        "LNK-020",
    ),
    Saboteur(
        "errback_gets_the_text",
        "an errback is called with the text of the exception in a plain Exception",
        (here(_only_its_text),),
        "LNK-020",
    ),
    Saboteur(
        "errback_without_traceback",
        "an errback is called without the traceback",
        (here(_no_traceback),),
        "LNK-020",
    ),
    Saboteur(
        "errback_loses_arguments",
        "of its own arguments an errback gets the first only",
        (here(_first_argument_only),),
        "LNK-021",
    ),
    Saboteur(
        "called_errbacks_turned_round",
        "the errbacks that the worker calls are called in reverse order",
        (turned(known=True),),
        "LNK-022",
    ),
    Saboteur(
        "published_errbacks_turned_round",
        "the errbacks that the worker does not know are published in reverse order",
        (turned(known=False),),
        "LNK-022",
    ),
    Saboteur(
        "old_errback_gets_the_text",
        "an errback of one argument gets the text of the exception",
        (mock.patch.object(execution, "call_errbacks", _text_for_the_id),),
        "LNK-024",
    ),
    Saboteur(
        "errback_begins_a_tree",
        "the root of a published errback is its parent",
        (errbacks_of(_their_root_is_the_parent),),
        "LNK-025",
    ),
    Saboteur(
        "success_tells_errbacks",
        "the errbacks of a task that returns are told, too",
        (after("SUCCESS", _tells_of_nothing),),
        "LNK-026",
    ),
    Saboteur(
        "retry_tells_errbacks",
        "the errbacks of a task that asks to be retried are told of each attempt",
        (after("RETRY", _tells_of_nothing),),
        "LNK-027",
    ),
)
