"""An application of aio-celery for a scenario, with the probe tasks registered."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import aio_celery
from aio_celery.config import DefaultConfig

from celeriac.adapters.aio_celery.probes import probes
from celeriac.adapters.probes import Reporter
from celeriac.conformance.adapter import Scenario, Unsupported

__all__ = ["application", "settings_lacking"]

#: The settings that aio-celery has.
SETTINGS = frozenset(field.name for field in dataclasses.fields(DefaultConfig))

#: What aio-celery takes as an argument of its worker command instead.
ARGUMENTS = frozenset({"worker_concurrency"})

#: The attributes that its tasks have.
ATTRIBUTES = frozenset(inspect.signature(aio_celery.Celery.task).parameters) - {
    "self",
    "args",
    "bind",
    "name",
}


def settings_lacking(scenario: Scenario, settings: Mapping[str, Any]) -> Unsupported | None:
    """Answer what a scenario asks for that aio-celery does not have, None where it has everything.

    Args:
        scenario: its settings and its attributes of tasks.
        settings: further settings.
    """
    attributes = (name for given in scenario.task_attributes.values() for name in given)
    return _lacking((*scenario.settings, *settings), SETTINGS | ARGUMENTS, "setting") or _lacking(
        attributes, ATTRIBUTES, "task attribute"
    )


def _lacking(wanted: Iterable[str], offered: frozenset[str], what: str) -> Unsupported | None:
    missing = next((name for name in wanted if name not in offered), None)
    return None if missing is None else Unsupported(missing, f"aio-celery has no {what} {missing}")


def application(
    scenario: Scenario, reporter: Reporter, *, broker_url: str, settings: Mapping[str, Any]
) -> aio_celery.Celery:
    """Answer the application of a scenario.

    Args:
        scenario: see ``settings_lacking``; its settings are given to aio-celery as they are.
        reporter: what the probe tasks report through.
        broker_url: the way to the broker.
        settings: further settings, which win.
    """
    app = aio_celery.Celery(scenario.id)
    given = {name: value for name, value in scenario.settings.items() if name not in ARGUMENTS}
    given |= {name: value for name, value in settings.items() if name not in ARGUMENTS}
    urls = {"broker_url": broker_url, "result_backend": scenario.backend_url}
    app.conf.update(**urls, task_default_queue=scenario.queue, **given)
    for name, function in probes(reporter).items():
        attributes = scenario.task_attributes.get(name, {})
        app.task(name=name, bind=True, **attributes)(function)
    return app
