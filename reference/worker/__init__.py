"""The worker: from the delivery of a message to its settlement."""

from __future__ import annotations

from celeriac.reference.worker.worker import Worker

__all__ = ["Worker"]
