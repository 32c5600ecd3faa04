"""Saboteurs among the codecs: whose word counts, and what is under which label."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from unittest import mock

from kombu import compression as schemes

from celeriac.reference import codecs
from celeriac.reference.app import App
from celeriac.reference.codecs import Encoded
from celeriac.reference.options import FALLBACKS
from celeriac.reference.worker.worker import Worker
from tests.saboteurs.variants import Change, Saboteur
from tests.saboteurs.wrong_encoding import compressed_as, encoded, labelled

__all__ = ["SABOTEURS"]

_encode = codecs.encode
_app_resolve = App._resolve
_start = Worker.start

PICKLE = codecs.accepted_types(["pickle"])


def setting_over_option(option: str) -> Change:
    """Answer the exchange that lets a setting win over the option of the call."""

    def resolve(self: App, name: str, given: Mapping[str, Any], *call: Any) -> dict[str, Any]:
        resolved = _app_resolve(self, name, given, *call)
        setting = self.conf._given.get(f"task_{option}")
        return {**resolved, option: setting} if setting and given.get(option) is not None else resolved

    return mock.patch.object(App, "_resolve", resolve)


def attribute_over_option(option: str) -> Change:
    """Answer the exchange that lets the attribute of the task win over the option of the call."""

    def resolve(self: App, name: str, given: Mapping[str, Any], *call: Any) -> dict[str, Any]:
        resolved = _app_resolve(self, name, given, *call)
        task = self.tasks.get(name)
        attribute = getattr(task.attributes, option) if task else None
        return {**resolved, option: attribute} if attribute else resolved

    return mock.patch.object(App, "_resolve", resolve)


def without_setting(option: str) -> Change:
    """Answer the exchange that leaves the setting out."""
    return mock.patch.dict(FALLBACKS, {option: (option, None)})


def _no_character_set(value: Any, serializer: str, compression: str | None) -> Encoded:
    made = _encode(value, serializer, compression)
    return replace(made, content_encoding="") if serializer == "json" else made


def _pickle_is_never_accepted(self: Worker) -> None:
    self._accept -= PICKLE
    _start(self)


def in_zlib(scheme: str, label: str) -> tuple[Change, ...]:
    """Answer the exchanges that let a scheme make zlib's format under its label, and read that, too."""
    decode: Callable[[bytes], bytes] = schemes.get_decoder(label)

    def undo(data: bytes) -> bytes:
        try:
            return zlib.decompress(data)
        except zlib.error:
            return decode(data)

    return compressed_as(scheme, zlib.compress), mock.patch.dict(schemes._decoders, {label: undo})


SABOTEURS = (
    Saboteur(
        "serializer_setting_over_option",
        "the setting task_serializer wins over the option of the call",
        (setting_over_option("serializer"),),
        "SER-002",
    ),
    Saboteur(
        "serializer_attribute_over_option",
        "the attribute serializer wins over the option of the call",
        (attribute_over_option("serializer"),),
        "SER-002",
    ),
    Saboteur(
        "serializer_setting_ignored",
        "the setting task_serializer is ignored",
        (without_setting("serializer"),),
        "SER-004",
    ),
    Saboteur(
        "yaml_labelled_ascii",
        "a YAML body is labelled us-ascii",
        (labelled("yaml", "us-ascii"),),
        "SER-009",
    ),
    Saboteur(
        "pickle_labelled_ascii",
        "a pickled body is labelled ascii-8bit",
        (labelled("pickle", "ascii-8bit"),),
        "SER-010",
    ),
    Saboteur(
        "pickle_is_never_accepted",
        "a worker does not accept pickle, whatever accept_content says",
        (mock.patch.object(Worker, "start", _pickle_is_never_accepted),),
        "SER-018",
        seen="everything that is not written in Python",
        also=("SER-016", "SER-032", "SER-033", "CMP-015", "MSG-038"),
        because="what is not accepted is not decoded, whatever its labels, its types and its compression",
    ),
    Saboteur(
        "compression_setting_over_option",
        "the setting task_compression wins over the option of the call",
        (setting_over_option("compression"),),
        "CMP-002",
    ),
    Saboteur(
        "compression_attribute_over_option",
        "the attribute compression wins over the option of the call",
        (attribute_over_option("compression"),),
        "CMP-002",
    ),
    Saboteur(
        "compression_setting_ignored",
        "the setting task_compression is ignored",
        (without_setting("compression"),),
        "CMP-004",
    ),
    Saboteur(
        "zlib_is_a_gzip_file",
        "zlib makes a gzip file, as its label says",
        (compressed_as("zlib", gzip.compress),),
        "CMP-007",
    ),
    *(
        Saboteur(
            f"{scheme}_is_zlib",
            f"{scheme} makes zlib's format under its own label",
            in_zlib(scheme, label),
            requirement,
        )
        for scheme, label, requirement in (
            ("bzip2", "application/x-bz2", "CMP-009"),
            ("brotli", "application/x-brotli", "CMP-011"),
            ("zstd", "application/zstd", "CMP-012"),
        )
    ),
    Saboteur(
        "no_character_set",
        "a JSON body is published without content_encoding",
        (encoded(_no_character_set),),
        "MSG-011",
        seen="gocelery over AMQP",
        also=("SER-008",),
        because="a body without a label has no right label",
    ),
)
