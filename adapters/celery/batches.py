"""The probe tasks as celery-batches has tasks: one run for several requests, whose results the task stores itself."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from celery_batches import Batches

from celeriac.adapters.probes import Probe

__all__ = ["register"]

#: How many requests are a batch, and for how many seconds fewer may wait to become one.
FLUSH_EVERY = 10
FLUSH_INTERVAL = 0.25


@dataclass(frozen=True, slots=True)
class _Member:
    """What a probe sees as its task: one request of the batch."""

    app: Any
    request: Any


def register(app: Any, name: str, probe: Probe, attributes: Mapping[str, Any]) -> None:
    """Register a probe that takes its requests one by one and marks each as done, as the package's guide has it."""
    task = app.task(
        name=name,
        base=Batches,
        bind=True,
        shared=False,
        flush_every=FLUSH_EVERY,
        flush_interval=FLUSH_INTERVAL,
        **attributes,
    )
    task(_run(probe.function))


def _run(function: Callable[..., Any]) -> Callable[..., None]:
    def run(self: Any, requests: Collection[Any]) -> None:
        for request in requests:
            value = function(_member(self, request), *request.args, **request.kwargs)
            self.app.backend.mark_as_done(request.id, value, request=request)

    return run


def _member(task: Any, request: Any) -> _Member:
    headers = request.request_dict or {}
    known = {name: headers.get(name) for name in ("retries", "root_id", "parent_id", "eta", "expires")}
    whose = {"id": request.id, "delivery_info": request.delivery_info, "reply_to": request.reply_to}
    seen = SimpleNamespace(**known, **whose, headers=headers, correlation_id=request.correlation_id)
    return _Member(task.app, seen)
