"""Leases: how long a consumer may hold a delivery, and what happens when it holds it longer.

Theory of operation
-------------------
A delivery that waits for its acknowledgement is *leased*: it has a holder, a moment when it was taken and a
deadline.  RabbitMQ's ``consumer_timeout`` and the ``visibility_timeout`` of the Redis transport are the same
thing with another policy, and a policy is four answers:

* ``check``: when does anybody look?  Exactly at the deadline; on the channel's own tick, which counts from
  the opening of the channel (RabbitMQ up to 4.2); or in a sweep that some living client makes when it starts
  to consume and at an interval from then on (kombu on Redis).  The last two are late by up to the interval.
* ``scope``: who is looked at?  The oldest delivery of a channel, or each delivery.
* ``action``: close the holder's channel with 406, cancel its consumer, or requeue behind its back.
* ``holder_learns``: False means that the holder carries on with its copy, and that its acknowledgement is
  accepted and ignored: the task runs twice.

So for every broker: a delivery held too long is handed out again no earlier than the timeout and no later
than the timeout plus the check interval.  Times here are milliseconds in the policy, because brokers are
configured in them, and seconds of the clock's ``monotonic()`` everywhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["Action", "Check", "LeasePolicy", "Scope", "next_tick"]


class Check(Enum):
    """When a lease is looked at."""

    EXACT = "exact"
    TICK = "tick"
    SWEEP = "sweep"


class Scope(Enum):
    """Which leases are looked at."""

    OLDEST_ON_CHANNEL = "oldest on channel"
    EACH_DELIVERY = "each delivery"


class Action(Enum):
    """What happens to the holder of an expired lease."""

    CLOSE_CHANNEL = "close channel"
    CANCEL_CONSUMER = "cancel consumer"
    REQUEUE_SILENTLY = "requeue silently"


@dataclass(frozen=True, slots=True)
class LeasePolicy:
    """One broker's rule for deliveries that are held too long.

    Attributes:
        timeout_ms: age at which a delivery is overdue, milliseconds; 0 means at once.
        check: when anybody looks.
        interval_ms: distance of two looks, milliseconds; unused for ``Check.EXACT``.
        scope: who is looked at.
        action: what happens then.
        holder_learns: whether the holder is told.
        queue_argument: a queue's ``x-consumer-timeout`` may shorten or lengthen the timeout, and so may a policy; the
            shorter of the two counts.
        consumer_argument: a consumer's may, too.
    """

    timeout_ms: int
    check: Check
    interval_ms: int
    scope: Scope
    action: Action
    holder_learns: bool
    queue_argument: bool = False
    consumer_argument: bool = False


def next_tick(origin: float, interval: float, deadline: float, *, strictly: bool) -> float:
    """Answer the first of the moments ``origin + k * interval`` (k >= 1) that sees ``deadline`` passed.

    All values are seconds.  ``strictly`` wants a tick after the deadline, as RabbitMQ's comparison does;
    otherwise a tick at the deadline will do.
    """
    step = round(interval * 1e6)
    elapsed = round((deadline - origin) * 1e6)
    count = elapsed // step + 1 if strictly else -(-elapsed // step)
    return origin + max(1, count) * step / 1e6
