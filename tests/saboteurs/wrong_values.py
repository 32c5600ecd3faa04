"""Saboteurs among the codecs, continued: registered ones, the danger of decoding, and the values of each encoding."""

from __future__ import annotations

import base64
import pickle
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import date, datetime
from typing import Any
from unittest import mock

from celeriac.conformance.probe_codecs import COMPRESSION, SERIALIZER
from celeriac.reference import codecs, message
from celeriac.reference.app import App
from celeriac.reference.codecs import Encoded
from celeriac.reference.worker import intake, worker
from tests.saboteurs.exchanges import recalled, refused
from tests.saboteurs.variants import Change, Saboteur

__all__ = ["SABOTEURS"]

_encode = codecs.encode
_accepted_types = codecs.accepted_types
_read_body = intake._body

PICKLE = "application/x-python-serialize"


def deep(change: Callable[[Any], Any], value: Any) -> Any:
    """Answer a value with everything in it changed, from the inside out."""
    if isinstance(value, list | tuple | set):
        return change(type(value)(deep(change, item) for item in value))
    if isinstance(value, dict):
        return change({key: deep(change, item) for key, item in value.items()})
    return change(value)


def written(serializer: str, change: Callable[[Any], Any]) -> Change:
    """Answer the exchange that changes the arguments of messages in one encoding."""

    def encode(value: Any, name: str, compression: str | None = None) -> Encoded:
        if name == serializer:
            args, *rest = value
            value = [[deep(change, item) for item in args], *rest]
        return _encode(value, name, compression)

    return mock.patch.object(message, "encode", encode)


def read(content_type: str, change: Callable[[Any], Any]) -> Change:
    """Answer the exchange that changes the positional arguments that a worker reads from one encoding."""

    def body(received: Any, accept: Any) -> Any:
        found = _read_body(received, accept)
        mine = received.content_type == content_type and isinstance(found, list | tuple) and found
        return [change(found[0]), *found[1:]] if mine else found

    return mock.patch.object(intake, "_body", body)


def _marked_tuple(value: Any) -> Any:
    return {"__tuple__": list(value)} if isinstance(value, tuple) else value


def _octets_as_hex(value: Any) -> Any:
    if isinstance(value, bytes) and not value.isascii():
        return {"__type__": "base64", "__value__": value.hex()}
    return value


def _dates_as_texts(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date | datetime) else value


def _bytes_as_texts(value: Any) -> Any:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _lists_only(value: Any) -> Any:
    return list(value) if isinstance(value, tuple | set) else value


def _no_second_mention(args: Any) -> Any:
    seen: set[int] = set()

    def once(value: Any) -> Any:
        known = isinstance(value, list | dict) and id(value) in seen
        seen.add(id(value))
        return None if known else value

    return [once(item) for item in args]


def _decoded_to_be_sure(received: Any, accept: Any) -> Any:
    if received.content_type == PICKLE:
        with suppress(Exception):
            pickle.loads(received.body)
    return _read_body(received, accept)


def _names_only(names: Iterable[str]) -> frozenset[str]:
    return _accepted_types([name for name in names if "/" not in name])


def taken_for(option: str, name: str, replacement: str | None) -> Change:
    """Answer the exchange that takes one value of an option for another."""

    def change(_: App, options: dict[str, Any]) -> Mapping[str, Any]:
        return {**options, option: replacement} if options.get(option) == name else options

    return recalled(change)


SABOTEURS = (
    Saboteur(
        "registered_serializer_is_json",
        "a registered serializer is not used, and json is in its place",
        (taken_for("serializer", SERIALIZER.name, "json"),),
        "SER-020",
    ),
    Saboteur(
        "registered_serializer_is_refused",
        "a worker refuses a registered serializer, whatever accept_content says",
        (refused(lambda message: message.content_type if message.content_type == SERIALIZER.label else ""),),
        "SER-021",
    ),
    Saboteur(
        "registered_serializer_is_trusted",
        "a worker accepts what is registered, whatever accept_content says",
        (
            mock.patch.object(
                worker, "accepted_types", lambda names: _accepted_types([*names, SERIALIZER.name])
            ),
        ),
        "SER-022",
    ),
    Saboteur(
        "decoded_before_refused",
        "a pickled body is decoded, and then refused",
        (mock.patch.object(intake, "_body", _decoded_to_be_sure),),
        "SER-023",
    ),
    Saboteur(
        "tuples_are_marked",
        "a tuple travels in JSON as a mapping with a mark",
        (written("json", _marked_tuple),),
        "SER-024",
    ),
    Saboteur(
        "octets_are_hexadecimal",
        "bytes that are no text travel in JSON in hexadecimal, marked as base64",
        (written("json", _octets_as_hex),),
        "SER-025",
    ),
    Saboteur(
        "yaml_dates_are_texts",
        "dates travel in YAML as texts",
        (written("yaml", _dates_as_texts),),
        "SER-026",
    ),
    Saboteur(
        "yaml_timestamps_stay_texts",
        "a worker passes YAML's timestamps on as texts",
        (read("application/x-yaml", lambda args: deep(_dates_as_texts, args)),),
        "SER-027",
        seen="YAML readers with a schema for JSON's types only",
    ),
    Saboteur(
        "yaml_references_are_null",
        "a worker reads a reference of YAML as null",
        (read("application/x-yaml", _no_second_mention),),
        "SER-028",
    ),
    Saboteur(
        "msgpack_bytes_are_texts",
        "bytes travel in msgpack as texts",
        (written("msgpack", _bytes_as_texts),),
        "SER-029",
        seen="encoders of msgpack's first version, which had no binary type",
    ),
    Saboteur(
        "msgpack_binaries_stay_texts",
        "a worker passes msgpack's binary values on as texts",
        (read("application/x-msgpack", lambda args: deep(_bytes_as_texts, args)),),
        "SER-030",
        also=("MSG-038",),
        because="one of the sample messages has bytes among its arguments",
    ),
    Saboteur(
        "pickled_lists_only",
        "tuples and sets are pickled as lists",
        (written("pickle", _lists_only),),
        "SER-031",
    ),
    Saboteur(
        "unpickled_lists_only",
        "a worker passes tuples and sets of a pickled message on as lists",
        (read(PICKLE, lambda args: deep(_lists_only, args)),),
        "SER-032",
        also=("MSG-038",),
        because="one of the sample messages has a tuple among its arguments",
    ),
    Saboteur(
        "content_types_are_no_names",
        "a worker overlooks what accept_content gives as a content type",
        (mock.patch.object(worker, "accepted_types", _names_only),),
        "SER-033",
    ),
    Saboteur(
        "json_is_always_accepted",
        "a worker accepts JSON, whatever accept_content says",
        (mock.patch.object(worker, "accepted_types", lambda names: _accepted_types([*names, "json"])),),
        "SER-034",
    ),
    Saboteur(
        "registered_scheme_is_none",
        "a registered compression is not used, and the body not compressed",
        (taken_for("compression", COMPRESSION.name, None),),
        "CMP-016",
    ),
    Saboteur(
        "registered_scheme_is_refused",
        "a worker refuses messages under a registered compression",
        (
            refused(
                lambda message: "turned" if message.headers.get("compression") == COMPRESSION.label else ""
            ),
        ),
        "CMP-017",
    ),
)
