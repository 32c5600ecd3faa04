"""One execution: the function is called, and what comes of it is stored and passed on."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any

from celeriac.reference.app import App
from celeriac.reference.canvas import flattened
from celeriac.reference.clock import Limit
from celeriac.reference.context import Context, running
from celeriac.reference.errors import (
    Ignore,
    Reject,
    Retry,
    SoftTimeLimitExceeded,
    TaskKilled,
    TaskRevokedError,
    TimeLimitExceeded,
)
from celeriac.reference.results.base import traceback_text
from celeriac.reference.worker.intake import Request
from celeriac.reference.worker.links import call_errbacks, send_callbacks

__all__ = ["Outcome", "execute", "revoke", "store_safely"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an execution.

    Attributes:
        state: SUCCESS, FAILURE, RETRY, IGNORED or REJECTED.
        value: return value or exception.
        requeue: a rejected message is to be delivered again.
    """

    state: str
    value: Any = None
    requeue: bool = False


def execute(app: App, request: Request) -> Outcome:
    """Call the task and store what comes of it; whatever the task raises ends here (MSG-019, RES-011 to RES-017)."""
    with running(request.context):
        try:
            outcome = _call(app, request)
        except Ignore:
            return Outcome("IGNORED")
        except Reject as rejection:
            return Outcome("REJECTED", rejection.reason, rejection.requeue)
        except Retry as retry:
            cause = retry.exc or retry
            store_safely(app, request.context, "RETRY", cause, traceback_text(cause))
            return Outcome("RETRY", retry)
        except TaskKilled:
            return _failed(app, request, TimeLimitExceeded(request.limits[0]))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a task may raise anything
            return _failed(app, request, error)
    return outcome


def revoke(app: App, request: Request) -> None:
    """Store that the task expired; nobody is called (EXP-009, EXP-013)."""
    store_safely(app, request.context, "REVOKED", TaskRevokedError("expired"))


def store_safely(app: App, context: Any, state: str, result: Any, traceback: str | None = None) -> bool:
    """Store a state; a result back end that cannot be reached costs the record, not the worker."""
    try:
        app.store(context, state, result, traceback)
    except Exception:
        logger.exception("the state %s of task %s[%s] could not be stored", state, context.task, context.id)
        return False
    return True


def _call(app: App, request: Request) -> Outcome:
    context = request.context
    with app.clock.limited(*_limits(request)):
        value = request.task.invoke(context.args, context.kwargs)
    send_callbacks(app, context, value)
    app.store(context, "SUCCESS", value)
    return Outcome("SUCCESS", value)


def _limits(request: Request) -> list[Limit]:
    """Answer when a task is told to end, and when it is ended (MSG-041, MSG-042)."""
    hard, soft = request.limits
    told: list[Limit] = [(soft, SoftTimeLimitExceeded(soft))] if soft else []
    return [*told, (hard, TaskKilled())] if hard else told


def _failed(app: App, request: Request, error: BaseException) -> Outcome:
    context = request.context
    text = traceback_text(error)
    logger.error("task %s[%s] raised %s: %s", context.task, context.id, type(error).__name__, error)
    store_safely(app, context, "FAILURE", error, text)
    _fail_chain(app, context, error, text)
    call_errbacks(app, context, error, text)
    return Outcome("FAILURE", error)


def _fail_chain(app: App, context: Context, error: BaseException, text: str) -> None:
    """Store the failure for the rest of the chain, too: somebody waits for its last task (LNK-029)."""
    for signature in flattened(context.chain):
        options = signature.get("options") or {}
        if task_id := options.get("task_id"):
            reply_to = options.get("reply_to") or context.reply_to
            follower = replace(
                context, task=signature["task"], id=task_id, correlation_id=task_id, reply_to=reply_to
            )
            store_safely(app, follower, "FAILURE", error, text)
