"""Saboteurs that take the other of two lawful ways, and take it wrongly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from unittest import mock

from amqp.exceptions import ConnectionError as AmqpConnectionError

from celeriac.reference import publishing
from celeriac.reference.app import App
from tests.saboteurs.exchanges import without
from tests.saboteurs.variants import Saboteur

__all__ = ["SABOTEURS"]

_call = App.call
_publish_raw = publishing.publish_raw


def _refused_too_late(
    self: App, name: str, args: Any, kwargs: Any, options: Mapping[str, Any], check: bool = False
) -> Any:
    countdown = options.get("countdown")
    if not isinstance(countdown, int) or countdown >= 0:
        return _call(self, name, args, kwargs, options, check)
    _call(self, name, args, kwargs, without(options, "countdown"), check)
    raise ValueError(f"countdown is {countdown}, expected a number of at least 0")


def _hushed_up(*args: Any, **kwargs: Any) -> None:
    try:
        _publish_raw(*args, **kwargs)
    except (AmqpConnectionError, ConnectionError):
        return


SABOTEURS = (
    Saboteur(
        "refused_yet_published",
        "a negative countdown is refused after the message was published without it",
        (mock.patch.object(App, "call", _refused_too_late),),
        "ETA-009",
    ),
    Saboteur(
        "loss_is_hushed_up",
        "when the connection is lost while a message is being published, the call returns as if nothing had happened",
        (mock.patch.object(publishing, "publish_raw", _hushed_up),),
        "ERR-004",
        also=("RTY-021", "RTY-022", "RTY-025"),
        because="whoever does not learn of a loss cannot send again",
    ),
)
