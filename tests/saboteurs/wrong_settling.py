"""Saboteurs among the workers: when a message is acknowledged, further attempts, and the rest of a broken chain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from unittest import mock

from celeriac.reference import task
from celeriac.reference.app import App
from celeriac.reference.context import Context
from celeriac.reference.message import TaskMessage
from celeriac.reference.worker import execution, links
from celeriac.reference.worker.intake import Request
from tests.saboteurs.exchanges import admitted, rebuilt, refused, with_headers
from tests.saboteurs.variants import Change, Saboteur

__all__ = ["SABOTEURS"]

_again = task._options_of
_call_errbacks = links.call_errbacks


def acknowledged(late: bool) -> Change:
    """Answer the exchange that acknowledges every message at the same point, whatever the setting says."""

    def change(request: Request, _: App) -> Request:
        return replace(request, late=late)

    return admitted(change)


def _soft_first(built: TaskMessage, _: Mapping[str, Any]) -> TaskMessage:
    return with_headers(built, timelimit=built.headers["timelimit"][::-1])


def _attempts_skip(request: Any) -> dict[str, Any]:
    return {**_again(request), "retries": 2 * request.retries + 1}


def _errbacks_always_told(app: App, context: Context, *failure: Any) -> None:
    told = tuple({**errback, "immutable": False} for errback in context.errbacks)
    _call_errbacks(app, replace(context, errbacks=told), *failure)


def _compressed_is_json(message: Any) -> str:
    plain = "compression" not in message.headers or message.content_type == "application/json"
    return "" if plain else f"{message.content_type} is not compressed here"


SABOTEURS = (
    Saboteur(
        "soft_limit_first",
        "the soft time limit stands in front of the hard one",
        (rebuilt(_soft_first),),
        "MSG-034",
        seen="clients that follow the order of Celery's page on the protocol",
    ),
    Saboteur(
        "always_acknowledged_late",
        "messages are acknowledged when their task has ended, whatever the setting says",
        (acknowledged(late=True),),
        "MSG-035",
    ),
    Saboteur(
        "always_acknowledged_early",
        "messages are acknowledged before their task, whatever the setting says",
        (acknowledged(late=False),),
        "MSG-036",
    ),
    Saboteur(
        "attempts_skip_numbers",
        "the third attempt of a task calls itself the fourth",
        (mock.patch.object(task, "_options_of", _attempts_skip),),
        "MSG-037",
    ),
    Saboteur(
        "errbacks_always_told",
        "an immutable errback gets the id of the parent, too",
        (mock.patch.object(execution, "call_errbacks", _errbacks_always_told),),
        "LNK-028",
    ),
    Saboteur(
        "broken_chain_is_left",
        "the failure of a task in a chain is not stored for those that would have followed",
        (mock.patch.object(execution, "_fail_chain"),),
        "LNK-029",
    ),
    Saboteur(
        "only_json_is_compressed",
        "a compressed body in another encoding than JSON is refused",
        (refused(_compressed_is_json),),
        "CMP-015",
    ),
)
