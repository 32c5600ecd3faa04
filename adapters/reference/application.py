"""An application of the reference for a scenario, with the probe tasks registered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from celeriac.adapters.native import native
from celeriac.adapters.probe_codecs import register_codecs
from celeriac.adapters.probes import Native, Reporter, probes
from celeriac.conformance.adapter import Event, Scenario
from celeriac.reference import App
from celeriac.reference.errors import Ignore, Reject, Retry

__all__ = ["application", "register", "reporter"]


def application(
    scenario: Scenario, *, broker_url: str | None = None, settings: Mapping[str, Any] | None = None
) -> App:
    """Answer the application of a scenario; it has no tasks yet.

    Args:
        scenario: its settings, with native error classes, and its clock are given to the reference as they are.
        broker_url: another way to the same broker, for a worker.
        settings: further settings, which win.

    Raises:
        TypeError: a setting is unknown.
    """
    register_codecs()
    given = native({"task_default_queue": scenario.queue, **scenario.settings, **(settings or {})})
    return App(scenario.id, broker_url or scenario.broker_url, scenario.backend_url, scenario.clock, **given)


def reporter(app: App, worker: str, emit: Callable[[Event], None]) -> Reporter:
    """Answer what reports for ``worker`` by the clock of ``app``."""
    return Reporter(worker, lambda: app.clock.now().timestamp(), emit)


def register(app: App, scenario: Scenario, report: Reporter) -> None:
    """Register the probe tasks with the scenario's attributes."""
    native = Native(
        ignore=Ignore,
        reject=lambda requeue: Reject("as asked", requeue=requeue),
        retry=Retry,
        sleep=app.clock.sleep,
        now=report.now,
    )
    for name, probe in probes(native, report).items():
        attributes = scenario.task_attributes.get(name, {})
        app.task(name=name, bind=probe.bind, **attributes)(probe.function)
