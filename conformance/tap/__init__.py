"""The wire tap: a loopback proxy that decodes AMQP 0-9-1 and RESP into the history."""

from __future__ import annotations

from celeriac.conformance.tap.observer import Frame
from celeriac.conformance.tap.proxy import Garbled, Tap
from celeriac.conformance.tap.redis import Ledger

__all__ = ["Frame", "Garbled", "Ledger", "Tap"]
