"""The one door to the reference: what the harness uses of the embedded broker and its wire format.

``celeriac.conformance`` judges the reference like any other implementation, so nothing else in it may import
``celeriac.reference``.
"""

from __future__ import annotations

from celeriac.reference.broker.codec import (
    BODY,
    HEADER,
    HEARTBEAT,
    METHOD,
    ContentHeader,
    FrameReader,
    Method,
    decode_content_header,
    decode_method,
)
from celeriac.reference.broker.codec import Frame as AmqpFrame
from celeriac.reference.broker.fields import decode_properties
from celeriac.reference.clock import Clock, DeadlockError, VirtualClock, WallClock

__all__ = [
    "BODY",
    "HEADER",
    "HEARTBEAT",
    "METHOD",
    "AmqpFrame",
    "Clock",
    "ContentHeader",
    "DeadlockError",
    "FrameReader",
    "Method",
    "VirtualClock",
    "WallClock",
    "decode_content_header",
    "decode_method",
    "decode_properties",
]
