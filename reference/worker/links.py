"""What follows a task: callbacks with its result, errbacks with its failure, the rest of its chain."""

from __future__ import annotations

import inspect
import logging
from typing import Any

from celeriac.reference.app import App
from celeriac.reference.canvas import Member, from_wire
from celeriac.reference.context import Context, running
from celeriac.reference.signature import Signature
from celeriac.reference.task import Task

__all__ = ["call_errbacks", "is_called_directly", "send_callbacks"]

logger = logging.getLogger(__name__)


def send_callbacks(app: App, context: Context, value: Any) -> None:
    """Send the callbacks in order, each with ``value`` in front, then the next task of the chain.

    Their results go where the parent's go, unless they say otherwise: that is where somebody waits.  A group is sent
    as its members (LNK-045, LNK-046).

    Raises:
        kombu.exceptions.OperationalError: one could not be sent.
    """
    for callback in context.callbacks:
        _send(from_wire(callback, app), context, value)
    if context.chain:
        *rest, following = context.chain
        _send(from_wire(following, app), context, value, chain=rest or None)


def call_errbacks(app: App, context: Context, error: BaseException, traceback: str) -> None:
    """Tell the errbacks of a failure, in order; a broken one does not keep the others from being told.

    LNK-019 to LNK-025, LNK-028.
    """
    for errback in context.errbacks:
        signature = from_wire(errback, app)
        try:
            task = app.tasks.get(signature.task)
            if isinstance(signature, Signature) and task is not None and is_called_directly(task):
                _call_here(task, signature, context, error, traceback)
            else:
                signature.apply_async((context.id,))
        except Exception:
            logger.exception("errback %s of %s[%s] failed", signature.task, context.task, context.id)


def is_called_directly(task: Task) -> bool:
    """Answer whether an errback takes (request, exception, traceback): unbound, more than one parameter (LNK-019)."""
    if task.attributes.bind:
        return False
    kinds = [parameter.kind for parameter in inspect.signature(task.run).parameters.values()]
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return inspect.Parameter.VAR_POSITIONAL in kinds or sum(kind in positional for kind in kinds) > 1


def _send(signature: Member, context: Context, value: Any, **options: Any) -> None:
    reply_to = signature.options.get("reply_to") or context.reply_to
    signature.apply_async((value,), reply_to=reply_to, **options)


def _call_here(
    task: Task, signature: Signature, context: Context, error: BaseException, traceback: str
) -> None:
    told = () if signature.immutable else (context, error, traceback)
    with running(Context(task.name)):
        task.run(*told, *signature.args, **signature.kwargs)
