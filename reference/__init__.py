"""The reference implementation: Celery's Calling API as the guide describes it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from celeriac.reference.app import App
    from celeriac.reference.canvas import chain, group
    from celeriac.reference.result import AsyncResult, GroupResult
    from celeriac.reference.signature import Signature
    from celeriac.reference.task import Task
    from celeriac.reference.worker import Worker

__all__ = ["App", "AsyncResult", "GroupResult", "Signature", "Task", "Worker", "chain", "group"]

_HOMES = {
    "App": "app",
    "AsyncResult": "result",
    "GroupResult": "result",
    "Signature": "signature",
    "Task": "task",
    "Worker": "worker",
    "chain": "canvas",
    "group": "canvas",
}


def __getattr__(name: str) -> Any:
    # the embedded broker lives in this package and must start without kombu
    if name not in _HOMES:
        raise AttributeError(f"module {__name__} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
