"""The probe codecs in kombu's registries, for implementations that use these."""

from __future__ import annotations

from kombu import compression, serialization

from celeriac.conformance.probe_codecs import COMPRESSION, SERIALIZER, dump, load, turn

__all__ = ["register_codecs"]


def register_codecs() -> None:
    """Register both; to do so again changes nothing."""
    serialization.register(SERIALIZER.name, dump, load, SERIALIZER.label, SERIALIZER.encoding)
    compression.register(turn, turn, COMPRESSION.label, aliases=[COMPRESSION.name])
