"""The application of a reference worker process: built as standard input orders, with the probe tasks.

To be named to the worker command, as ``worker.py`` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from celeriac.adapters.reference.application import application, register, reporter
from celeriac.adapters.worker_child import orders

__all__ = ["app", "told"]

told = orders()

app = application(told.scenario, broker_url=told.spec.broker_url, settings=told.spec.settings)

_report = reporter(app, told.spec.name, told.emit)

register(app, told.scenario, _report)


def _observe(kind: str, data: Mapping[str, Any]) -> None:
    if kind == "ready":
        _report("ready")


app.observers.append(_observe)
