"""The reference with something in it that does not follow when time is moved."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from celeriac.adapters.fork_server import ForkServer
from celeriac.adapters.reference.adapter import ReferenceAdapter
from celeriac.conformance.adapter import Adapter

__all__ = ["LateProducer", "LateWorker"]


class LateProducer(ReferenceAdapter):
    """All of it stays in this process, into which nothing is preloaded."""

    def preload(self, variables: Mapping[str, str]) -> Adapter:
        """Ignore what is to be preloaded."""
        return self


class LateWorker(ReferenceAdapter):
    """The producer follows; the workers are started without the library."""

    def __init__(self) -> None:
        super().__init__()
        plain = ["env", "-u", "LD_PRELOAD", sys.executable]
        self._server = ForkServer([*plain, "-m", "celeriac.adapters.reference.worker"])
