"""Everything wrong on purpose, and everything odd but lawful, by id."""

from __future__ import annotations

from unittest import mock

from celeriac.adapters.reference.adapter import ReferenceAdapter
from celeriac.conformance.adapter import Adapter
from tests.saboteurs import (
    odd,
    odd_leases,
    odd_workers,
    wrong_brokers,
    wrong_calling,
    wrong_choices,
    wrong_composing,
    wrong_connections,
    wrong_delivering,
    wrong_details,
    wrong_encoding,
    wrong_following,
    wrong_holding,
    wrong_in_the_field,
    wrong_labels,
    wrong_leases,
    wrong_linking,
    wrong_losing,
    wrong_messages,
    wrong_moments,
    wrong_on_redis,
    wrong_options,
    wrong_receiving,
    wrong_results,
    wrong_routing,
    wrong_sending,
    wrong_settling,
    wrong_values,
    wrong_watching,
)
from tests.saboteurs.variants import Oddity, Saboteur, Variant, adapter_of

__all__ = ["BROKEN", "ODDITIES", "ON_REDIS", "REFERENCE", "REFERENCE_ON_REDIS", "SABOTEURS", "VARIANTS"]

SABOTEURS: tuple[Saboteur, ...] = (
    *wrong_options.SABOTEURS,
    *wrong_moments.SABOTEURS,
    *wrong_messages.SABOTEURS,
    *wrong_sending.SABOTEURS,
    *wrong_losing.SABOTEURS,
    *wrong_encoding.SABOTEURS,
    *wrong_labels.SABOTEURS,
    *wrong_holding.SABOTEURS,
    *wrong_receiving.SABOTEURS,
    *wrong_following.SABOTEURS,
    *wrong_linking.SABOTEURS,
    *wrong_composing.SABOTEURS,
    *wrong_connections.SABOTEURS,
    *wrong_results.SABOTEURS,
    *wrong_watching.SABOTEURS,
    *wrong_delivering.SABOTEURS,
    *wrong_brokers.SABOTEURS,
    *wrong_leases.SABOTEURS,
    *wrong_details.SABOTEURS,
    *wrong_settling.SABOTEURS,
    *wrong_values.SABOTEURS,
    *wrong_calling.SABOTEURS,
    *wrong_choices.SABOTEURS,
    *wrong_routing.SABOTEURS,
    *wrong_in_the_field.SABOTEURS,
)

#: Those that need a real Redis to be caught.
ON_REDIS: tuple[Saboteur, ...] = wrong_on_redis.SABOTEURS

ODDITIES: tuple[Oddity, ...] = (*odd.ODDITIES, *odd_workers.ODDITIES, *odd_leases.ODDITIES)

#: The reference itself, by which every variant is measured.
REFERENCE = Variant("reference", "the reference as it is", ())
REFERENCE_ON_REDIS = Variant("reference_on_redis", "the reference as it is, on Redis", ())

#: Adapters that are wrong themselves, which is no comment on what they drive.
BROKEN = (
    Variant(
        "adapter_raises",
        "the adapter raises when it is asked to call a task",
        (mock.patch.object(ReferenceAdapter, "call", side_effect=RuntimeError("the driver is broken")),),
    ),
    Variant(
        "adapter_talks_nonsense",
        "the adapter answers with a text when it is asked to start a worker",
        (mock.patch.object(ReferenceAdapter, "start_worker", return_value="of course"),),
    ),
)

VARIANTS = {
    variant.id: variant
    for variant in (REFERENCE, REFERENCE_ON_REDIS, *SABOTEURS, *ON_REDIS, *ODDITIES, *BROKEN)
}


def __getattr__(name: str) -> type[Adapter]:
    """Answer the adapter of a variant, for ``--adapter=tests.saboteurs.roster:ID``."""
    try:
        return adapter_of(VARIANTS[name])
    except KeyError:
        raise AttributeError(name) from None
