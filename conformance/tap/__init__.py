"""The wire tap: a loopback proxy that decodes AMQP 0-9-1 and RESP into the history, and breaks things."""

from __future__ import annotations

from celeriac.conformance.tap.faults import (
    PUBLISH,
    BlackHole,
    Census,
    Cut,
    Delay,
    Fault,
    Faults,
    Partition,
    Refuse,
    Stall,
    duplicate_delivery,
)
from celeriac.conformance.tap.observer import BROKER, CLIENT, Frame
from celeriac.conformance.tap.proxy import Garbled, Tap
from celeriac.conformance.tap.redis import Ledger

__all__ = [
    "BROKER",
    "CLIENT",
    "PUBLISH",
    "BlackHole",
    "Census",
    "Cut",
    "Delay",
    "Fault",
    "Faults",
    "Frame",
    "Garbled",
    "Ledger",
    "Partition",
    "Refuse",
    "Stall",
    "Tap",
    "duplicate_delivery",
]
