"""A Celery app for a scenario, with the probe tasks registered."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

import celery
from celery.exceptions import Ignore, Reject, Retry

from celeriac.adapters.celery.variants import Variant
from celeriac.adapters.native import native
from celeriac.adapters.probe_codecs import register_codecs
from celeriac.adapters.probes import Native, Reporter, probes
from celeriac.conformance.adapter import Scenario

__all__ = ["NATIVE", "accepts_pickle", "application", "forget_environment"]

NATIVE = Native(
    ignore=Ignore,
    reject=lambda requeue: Reject("as asked", requeue=requeue),
    retry=Retry,
    sleep=time.sleep,
    now=time.time,
)

#: Settings that keep a worker's traffic to what the calling API causes; a scenario may override them.
QUIET: Mapping[str, Any] = {
    "broker_connection_retry_on_startup": True,
    "worker_enable_remote_control": False,
    "worker_redirect_stdouts": False,
}


def application(
    scenario: Scenario,
    reporter: Reporter,
    variant: Variant,
    *,
    broker_url: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> celery.Celery:
    """Answer the app of a scenario.

    Args:
        scenario: its settings are given to Celery as they are, with native error classes.
        reporter: what the probe tasks report through.
        variant: the package that changes a part of Celery.
        broker_url: another way to the same broker, for a worker.
        settings: further settings, which win.
    """
    register_codecs()
    app = celery.Celery(scenario.id, broker=broker_url or scenario.broker_url, backend=scenario.backend_url)
    given = native({**scenario.settings, **(settings or {})})
    app.conf.update({**QUIET, **variant.settings, "task_default_queue": scenario.queue, **given})
    for name, probe in probes(NATIVE, reporter).items():
        variant.register(app, name, probe, scenario.task_attributes.get(name, {}))
    app.finalize()
    return app


def accepts_pickle(settings: Mapping[str, Any]) -> bool:
    """Answer whether a setting lets a worker decode pickle, which as root it must also be told in the environment."""
    accepted = [*settings.get("accept_content", ()), *(settings.get("result_accept_content") or ())]
    return any(name in {"pickle", "application/x-python-serialize"} for name in accepted)


def forget_environment() -> None:
    """Drop the variables by which Celery would take settings from whoever started this process."""
    for name in [name for name in os.environ if name.startswith("CELERY_")]:
        del os.environ[name]
