"""Saboteurs among the callers: headers, properties and the shape of the body."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from unittest import mock
from uuid import uuid4

from celeriac.reference import app, message, settings
from celeriac.reference.message import TaskMessage
from celeriac.reference.signature import Signature
from tests.saboteurs.exchanges import rebuilt, with_headers, with_properties, without
from tests.saboteurs.variants import Saboteur

__all__ = ["SABOTEURS"]

_body = message._body
_to_wire = Signature.to_wire


def _own_parent(built: TaskMessage, options: Mapping[str, Any]) -> TaskMessage:
    return built if options.get("parent_id") else with_headers(built, parent_id=built.task_id)


def _own_root(built: TaskMessage, options: Mapping[str, Any]) -> TaskMessage:
    return with_headers(built, root_id=built.task_id)


def _an_hour(built: TaskMessage, options: Mapping[str, Any]) -> TaskMessage:
    none = built.headers["timelimit"] == [None, None]
    return with_headers(built, timelimit=[3600, None]) if none else built


def _no_chord(args: Any, kwargs: Any, options: Mapping[str, Any]) -> list[Any]:
    body = _body(args, kwargs, options)
    return [*body[:2], without(body[2], "chord")]


SABOTEURS = (
    Saboteur(
        "header_missing",
        "the header replaced_task_nesting is missing",
        (rebuilt(lambda built, _: replace(built, headers=without(built.headers, "replaced_task_nesting"))),),
        "MSG-001",
        seen="celery-node 0.5.9, which sends three headers",
    ),
    Saboteur(
        "argsrepr_is_a_list",
        "the header argsrepr is a list of texts",
        (rebuilt(lambda built, _: with_headers(built, argsrepr=[built.headers["argsrepr"]])),),
        "MSG-002",
    ),
    Saboteur(
        "correlation_id_of_its_own",
        "the correlation_id is another id",
        (rebuilt(lambda built, _: with_properties(built, correlation_id=str(uuid4()))),),
        "MSG-003",
    ),
    Saboteur(
        "root_is_its_own_parent",
        "a task called from outside has itself as its parent",
        (rebuilt(_own_parent),),
        "MSG-004",
    ),
    Saboteur(
        "child_is_a_root",
        "a task called from within a task has itself as its root",
        (rebuilt(_own_root),),
        "MSG-005",
        also=("LNK-012", "LNK-025", "LNK-044"),
        because="callbacks, errbacks and the next task of a chain are called from within a task, too",
    ),
    Saboteur(
        "first_call_is_a_retry",
        "the header retries counts the first call",
        (rebuilt(lambda built, _: with_headers(built, retries=built.headers["retries"] or 1)),),
        "MSG-006",
    ),
    Saboteur(
        "no_limit_is_an_hour",
        "a call without time limits gets an hour",
        (rebuilt(_an_hour),),
        "MSG-007",
    ),
    Saboteur(
        "embed_key_missing",
        "the mapping in the body has no chord",
        (mock.patch.object(message, "_body", _no_chord),),
        "MSG-009",
        seen="celery-node 0.5.9, which sends an empty mapping",
    ),
    Saboteur(
        "signature_incomplete",
        "signatures in the body have no subtask_type",
        (mock.patch.object(Signature, "to_wire", lambda self: without(_to_wire(self), "subtask_type")),),
        "MSG-010",
    ),
    Saboteur(
        "messages_are_transient",
        "messages are sent with the delivery mode 1",
        (mock.patch.dict(settings.DEFAULTS, task_default_delivery_mode=1),),
        "MSG-012",
        seen="node-celery 0.2.8",
    ),
    Saboteur(
        "default_priority_of_five",
        "a message without a priority is sent with 5",
        (mock.patch.dict(app._DEFAULTS, priority=5),),
        "MSG-013",
        also=("LNK-010",),
        because="a callback without options is a message without a priority, too",
    ),
)
