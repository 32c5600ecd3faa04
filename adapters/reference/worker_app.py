"""The application of a reference worker process: built as standard input orders, with the probe tasks.

To be named to the worker command: ``python -m celeriac.reference worker celeriac.adapters.reference.worker_app:app``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from celeriac.adapters.reference.application import application, register, reporter
from celeriac.adapters.worker_child import orders

__all__ = ["app"]

_told = orders()

app = application(_told.scenario, broker_url=_told.spec.broker_url, settings=_told.spec.settings)

_report = reporter(app, _told.spec.name, _told.emit)

register(app, _told.scenario, _report)


def _observe(kind: str, data: Mapping[str, Any]) -> None:
    if kind == "ready":
        _report("ready")


app.observers.append(_observe)
