"""Saboteurs among the codecs: who decides, how it is labelled, and what a worker makes of it."""

from __future__ import annotations

import gzip
import json
import lzma
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from unittest import mock
from uuid import UUID

from kombu import serialization
from kombu.exceptions import EncodeError

from celeriac.conformance.probe_codecs import COMPRESSION
from celeriac.reference import codecs, message, settings
from celeriac.reference.app import App
from celeriac.reference.codecs import SCHEMES, Encoded
from celeriac.reference.context import current_worker_context
from celeriac.reference.worker import intake, worker
from celeriac.reference.worker.intake import Refusal
from tests.saboteurs.exchanges import recalled
from tests.saboteurs.variants import Change, Saboteur

__all__ = ["SABOTEURS"]

_encode = codecs.encode
_app_resolve = App._resolve
_read_body = intake._body
_admit = intake.admit


# -- precedence -------------------------------------------------------------------------------------------


def setting_first(option: str) -> Change:
    """Answer the exchange that lets a setting win over the attribute of the task."""

    def resolve(self: App, name: str, given: Mapping[str, Any], *call: Any) -> dict[str, Any]:
        resolved = _app_resolve(self, name, given, *call)
        setting = self.conf._given.get(f"task_{option}")
        return {**resolved, option: setting} if setting and given.get(option) is None else resolved

    return mock.patch.object(App, "_resolve", resolve)


def _pickle_from_outside(self: App, name: str, given: Mapping[str, Any], *call: Any) -> dict[str, Any]:
    resolved = _app_resolve(self, name, given, *call)
    task = self.tasks.get(name)
    somebody = given.get("serializer") or self.conf._given.get("task_serializer")
    somebody = somebody or (task is not None and task.attributes.serializer) or current_worker_context()
    return resolved if somebody else {**resolved, "serializer": "pickle"}


def null_is_the_setting(option: str) -> Change:
    """Answer the exchange that lets an option of null skip the attribute of the task."""

    def change(self: App, options: dict[str, Any]) -> Mapping[str, Any]:
        setting = self.conf._given.get(f"task_{option}")
        null = option in options and options[option] is None
        return {**options, option: setting} if null and setting else options

    return recalled(change)


def unknown_is(option: str, known: Callable[[str], bool], replacement: str | None) -> Change:
    """Answer the exchange that takes an unknown name for another."""

    def change(_: App, options: dict[str, Any]) -> Mapping[str, Any]:
        name = options.get(option)
        return options if name is None or known(name) else {**options, option: replacement}

    return recalled(change)


# -- bodies and labels ------------------------------------------------------------------------------------


def encoded(change: Callable[[Any, str, str | None], Encoded]) -> Change:
    """Answer the exchange of the function that encodes a task's body."""

    def encode(value: Any, serializer: str, compression: str | None = None) -> Encoded:
        return change(value, serializer, compression)

    return mock.patch.object(message, "encode", encode)


def _pickle_at_need(value: Any, serializer: str, compression: str | None) -> Encoded:
    try:
        return _encode(value, serializer, compression)
    except EncodeError:
        return _encode(value, "pickle", compression)


def labelled(name: str, encoding: str) -> Change:
    """Answer the exchange that announces another character set for one serializer."""

    def change(value: Any, serializer: str, compression: str | None) -> Encoded:
        made = _encode(value, serializer, compression)
        return replace(made, content_encoding=encoding) if serializer == name else made

    return encoded(change)


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return str(value) if isinstance(value, datetime | Decimal | UUID) else value


def _pairs_for_keys(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_pairs_for_keys(item) for item in value]
    if not isinstance(value, dict):
        return value
    pairs = [[key, _pairs_for_keys(item)] for key, item in value.items()]
    return dict(pairs) if all(isinstance(key, str) for key in value) else pairs


def json_of(change: Callable[[Any], Any]) -> Change:
    """Answer the exchange that changes values before they become JSON."""
    return encoded(
        lambda value, name, scheme: _encode(change(value) if name == "json" else value, name, scheme)
    )


def compressed_as(name: str, compress: Callable[[bytes], bytes]) -> Change:
    """Answer the exchange that lets a scheme have another format under its label."""

    def change(value: Any, serializer: str, compression: str | None) -> Encoded:
        made = _encode(value, serializer, compression)
        return replace(made, data=compress(_encode(value, serializer).data)) if compression == name else made

    return encoded(change)


def _binary_when_compressed(value: Any, serializer: str, compression: str | None) -> Encoded:
    made = _encode(value, serializer, compression)
    return made if compression is None else replace(made, content_encoding="binary")


# -- the worker's side ------------------------------------------------------------------------------------


def reading(change: Callable[[Any], Any]) -> Change:
    """Answer the exchange that changes what a worker reads from JSON."""

    def body(received: Any, accept: Any) -> Any:
        read = _read_body(received, accept)
        return change(read) if received.content_type == "application/json" else read

    return mock.patch.object(intake, "_body", body)


def _whole_floats_are_integers(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_whole_floats_are_integers(item) for item in value]
    if isinstance(value, dict):
        return {key: _whole_floats_are_integers(item) for key, item in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _marks_are_mappings(received: Any, accept: Any) -> Any:
    body = _read_body(received, accept)
    marked = received.content_type == "application/json" and body
    return json.loads(received.body) if marked else body


def _decoded_by_setting(received: Any, app: App, *rest: Any) -> Any:
    name = app.conf._given.get("task_serializer")
    if name:
        received.content_type, received.content_encoding, _ = serialization.dumps(None, name)
    return _admit(received, app, *rest)


def _decompressed_by_setting(received: Any, app: App, *rest: Any) -> Any:
    own, header = app.conf.task_compression, received.headers.get("compression")
    if own and header and header != _encode(None, "json", own).compression:
        raise Refusal(f"{header} is not {own}", "ack")
    return _admit(received, app, *rest)


def _acknowledged_when_refused(received: Any, accept: Any) -> Any:
    try:
        return _read_body(received, accept)
    except Refusal as refusal:
        raise Refusal(refusal.reason, "ack") from refusal


SABOTEURS = (
    Saboteur(
        "pickle_by_default",
        "without any serializer bodies are pickled",
        (mock.patch.object(App, "_resolve", _pickle_from_outside),),
        "SER-001",
        seen="Celery before 4.0",
    ),
    Saboteur(
        "serializer_setting_wins",
        "the setting task_serializer wins over the attribute of the task",
        (setting_first("serializer"),),
        "SER-003",
    ),
    Saboteur(
        "null_serializer_skips_the_attribute",
        "an option serializer of null leads to the setting",
        (null_is_the_setting("serializer"),),
        "SER-005",
        seen="Celery 5.5.3",
    ),
    Saboteur(
        "unknown_serializer_is_json",
        "a serializer that nobody knows is taken for json",
        (unknown_is("serializer", serialization.registry.name_to_type.__contains__, "json"),),
        "SER-006",
    ),
    Saboteur(
        "pickled_at_need",
        "arguments that JSON cannot carry are pickled",
        (encoded(_pickle_at_need),),
        "SER-007",
    ),
    Saboteur(
        "json_labelled_ascii",
        "a JSON body is labelled us-ascii",
        (labelled("json", "us-ascii"),),
        "SER-008",
    ),
    Saboteur(
        "msgpack_labelled_ascii",
        "a msgpack body is labelled ascii-8bit",
        (labelled("msgpack", "ascii-8bit"),),
        "SER-011",
    ),
    Saboteur(
        "keys_become_pairs",
        "a mapping with keys other than texts travels as a list of pairs",
        (json_of(_pairs_for_keys),),
        "SER-012",
    ),
    Saboteur(
        "whole_floats_become_integers",
        "a worker reads 1.0 as 1",
        (reading(_whole_floats_are_integers),),
        "SER-013",
        seen="celery-node 0.5.9, as all of JavaScript",
    ),
    Saboteur(
        "types_travel_as_texts",
        "a datetime, a decimal or a UUID travels as a plain text",
        (json_of(_plain),),
        "SER-014",
        seen="celery-node 0.5.9",
    ),
    Saboteur(
        "marked_types_stay_mappings",
        "a worker passes marked types to the task as mappings",
        (mock.patch.object(intake, "_body", _marks_are_mappings),),
        "SER-015",
    ),
    Saboteur(
        "decoded_by_the_setting",
        "a worker with a task_serializer decodes every body with that one",
        (mock.patch.object(worker, "admit", _decoded_by_setting),),
        "SER-016",
    ),
    Saboteur(
        "pickle_accepted_by_default",
        "a worker without accept_content decodes pickle",
        (mock.patch.dict(settings.DEFAULTS, accept_content=("json", "pickle")),),
        "SER-017",
        seen="Celery before 4.0",
    ),
    Saboteur(
        "refused_content_is_acknowledged",
        "a message whose content type is not accepted is acknowledged instead of rejected",
        (mock.patch.object(intake, "_body", _acknowledged_when_refused),),
        "SER-019",
        seen="Celery 5.5.3, for messages without a task header",
    ),
    Saboteur(
        "compressed_by_default",
        "a body is compressed although nobody asked for it",
        (mock.patch.dict(settings.DEFAULTS, task_compression="zlib"),),
        "CMP-001",
    ),
    Saboteur(
        "compression_setting_wins",
        "the setting task_compression wins over the attribute of the task",
        (setting_first("compression"),),
        "CMP-003",
    ),
    Saboteur(
        "null_compression_skips_the_attribute",
        "an option compression of null leads to the setting",
        (null_is_the_setting("compression"),),
        "CMP-005",
        seen="Celery 5.5.3",
    ),
    Saboteur(
        "unknown_compression_is_none",
        "a compression that nobody knows is left out",
        (unknown_is("compression", {*SCHEMES, COMPRESSION.name}.__contains__, None),),
        "CMP-006",
    ),
    Saboteur(
        "gzip_is_a_file",
        "gzip makes a real gzip file",
        (compressed_as("gzip", gzip.compress),),
        "CMP-008",
    ),
    Saboteur(
        "lzma_is_bare",
        "lzma makes the older bare format",
        (compressed_as("lzma", lambda data: lzma.compress(data, format=lzma.FORMAT_ALONE)),),
        "CMP-010",
    ),
    Saboteur(
        "compressed_body_is_binary",
        "the character set of a compressed body is labelled binary",
        (encoded(_binary_when_compressed),),
        "CMP-013",
    ),
    Saboteur(
        "decompressed_by_the_setting",
        "a worker with a task_compression reads no other",
        (mock.patch.object(worker, "admit", _decompressed_by_setting),),
        "CMP-014",
    ),
)
