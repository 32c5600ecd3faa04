"""Everything wrong on purpose, and everything odd but lawful, by id."""

from __future__ import annotations

from celeriac.conformance.adapter import Adapter
from tests.saboteurs import (
    odd,
    wrong_brokers,
    wrong_encoding,
    wrong_holding,
    wrong_messages,
    wrong_moments,
    wrong_options,
    wrong_receiving,
    wrong_sending,
)
from tests.saboteurs.variants import Oddity, Saboteur, Variant, adapter_of

__all__ = ["ODDITIES", "SABOTEURS", "VARIANTS"]

SABOTEURS: tuple[Saboteur, ...] = (
    *wrong_options.SABOTEURS,
    *wrong_moments.SABOTEURS,
    *wrong_messages.SABOTEURS,
    *wrong_sending.SABOTEURS,
    *wrong_encoding.SABOTEURS,
    *wrong_holding.SABOTEURS,
    *wrong_receiving.SABOTEURS,
    *wrong_brokers.SABOTEURS,
)

ODDITIES: tuple[Oddity, ...] = odd.ODDITIES

#: The reference itself, by which every variant is measured.
REFERENCE = Variant("reference", "the reference as it is", ())

VARIANTS = {variant.id: variant for variant in (REFERENCE, *SABOTEURS, *ODDITIES)}


def __getattr__(name: str) -> type[Adapter]:
    """Answer the adapter of a variant, for ``--adapter=tests.saboteurs.roster:ID``."""
    try:
        return adapter_of(VARIANTS[name])
    except KeyError:
        raise AttributeError(name) from None
