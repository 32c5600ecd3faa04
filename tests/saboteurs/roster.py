"""Everything wrong on purpose, and everything odd but lawful, by id.

A whole suite for each of them takes minutes, so that every day only some from each chapter are judged, and all of
them when the environment says ``CELERIAC_SABOTEURS=all``.
"""

from __future__ import annotations

import os
from typing import TypeVar
from unittest import mock

from celeriac.adapters.reference.adapter import ReferenceAdapter
from celeriac.conformance.adapter import Adapter
from tests.saboteurs import (
    odd,
    wrong_brokers,
    wrong_details,
    wrong_encoding,
    wrong_following,
    wrong_holding,
    wrong_linking,
    wrong_messages,
    wrong_moments,
    wrong_options,
    wrong_receiving,
    wrong_results,
    wrong_sending,
    wrong_settling,
    wrong_watching,
)
from tests.saboteurs.variants import Oddity, Saboteur, Variant, adapter_of

__all__ = ["BROKEN", "EVERYDAY", "ODDITIES", "REFERENCE", "SABOTEURS", "VARIANTS", "chosen"]

SABOTEURS: tuple[Saboteur, ...] = (
    *wrong_options.SABOTEURS,
    *wrong_moments.SABOTEURS,
    *wrong_messages.SABOTEURS,
    *wrong_sending.SABOTEURS,
    *wrong_encoding.SABOTEURS,
    *wrong_holding.SABOTEURS,
    *wrong_receiving.SABOTEURS,
    *wrong_following.SABOTEURS,
    *wrong_linking.SABOTEURS,
    *wrong_results.SABOTEURS,
    *wrong_watching.SABOTEURS,
    *wrong_brokers.SABOTEURS,
    *wrong_details.SABOTEURS,
    *wrong_settling.SABOTEURS,
)

ODDITIES: tuple[Oddity, ...] = odd.ODDITIES

Kind = TypeVar("Kind", bound=Variant)

#: The reference itself, by which every variant is measured.
REFERENCE = Variant("reference", "the reference as it is", ())

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

VARIANTS = {variant.id: variant for variant in (REFERENCE, *SABOTEURS, *ODDITIES, *BROKEN)}

#: Those that are judged every day.
EVERYDAY = frozenset(
    (
        # options and links
        "delay_takes_options",
        "queue_not_declared",
        "single_link_travels_bare",
        "result_is_spread",
        "null_in_time",
        # moments
        "countdown_an_hour_late",
        "eta_without_offset",
        "countdown_loses_its_fraction",
        "one_timer_for_all",
        "acknowledges_everything_before",
        "prefetch_not_raised",
        "ttl_in_seconds",
        "run_then_revoked",
        "expired_is_given_back",
        # sending
        "one_attempt_too_many",
        "cap_above_start",
        "null_retries_give_up",
        "new_id_for_each_retry",
        "policy_sticks",
        "retry_errors_only_adds",
        "error_of_the_transport",
        "published_without_confirm",
        # encodings
        "serializer_setting_wins",
        "pickle_accepted_by_default",
        "gzip_is_a_file",
        # messages and records
        "success_is_never_ignored",
        "embed_key_missing",
        "unknown_task_requeued",
        "short_body_kills",
        "bad_eta_runs_at_once",
        # leases
        "never_reconnects",
        "countdown_starts_again",
        "keeps_what_it_has_lost",
        "second_copy_executed",
        # oddities
        "other_headers",
        "zulu_milliseconds",
        "compact_json",
        "slow_worker",
        "late_acknowledgement",
        "lenient_worker",
    )
)


def chosen(variants: tuple[Kind, ...]) -> tuple[Kind, ...]:
    """Answer those of some variants that are to be judged now."""
    everything = os.environ.get("CELERIAC_SABOTEURS") == "all"
    return tuple(variant for variant in variants if everything or variant.id in EVERYDAY)


def __getattr__(name: str) -> type[Adapter]:
    """Answer the adapter of a variant, for ``--adapter=tests.saboteurs.roster:ID``."""
    try:
        return adapter_of(VARIANTS[name])
    except KeyError:
        raise AttributeError(name) from None
