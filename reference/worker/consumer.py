"""The worker's connection: deliveries in, settlements out, and one error for every way to lose it."""

from __future__ import annotations

import logging
import select
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from kombu import Consumer as KombuConsumer

from celeriac.reference.app import App
from celeriac.reference.connections import connect_once, connection_errors, discard

__all__ = ["Consumer", "ConsumerLost", "Delivery"]

logger = logging.getLogger(__name__)

#: A message and, if the client library could not take it apart, why.
Delivery = tuple[Any, BaseException | None]

#: The largest prefetch count that AMQP can express; beyond it there is no limit.
_MOST: Final = 65_535

#: Seconds between two looks for what anybody on the same Redis has held for too long, as often as Celery looks.
_SWEEP: Final = 100.0


class ConsumerLost(Exception):  # noqa: N818 - an event, not an error
    """The connection or its channel is gone, and every unsettled delivery has gone back to the broker."""


class Consumer:
    """One connection with one channel that consumes all queues of a worker.

    Args:
        app: names the broker.
        queues: names of the queues.
        prefetch: how many unsettled deliveries the broker may have outstanding; 0 for no limit.
    """

    def __init__(self, app: App, queues: Sequence[str], prefetch: int) -> None:
        self._queues = [app.queues[name] for name in queues]
        # a quorum queue refuses a limit that can be raised, and tasks that wait for their ETA would use up any other
        self._prefetch = 0 if any(map(_is_quorum, self._queues)) else prefetch
        self._sent_prefetch: int | None = None
        self._inbox: list[Delivery] = []
        self._unsettled: dict[Any, None] = {}
        self._connection = app.connection()
        self._clock = app.clock
        self._sweep_at = 0.0
        self._consumer: Any = None
        self._native: Any = None
        #: Seconds after which an idle worker on wall time looks whether it was told to stop.  Over Redis every
        #: tenth idle look makes kombu sweep for expired leases, so it looks less often.
        self.glance = 0.2 if self._is_amqp else 1.0
        self._errors = (*connection_errors(self._connection), *_closings(self._connection))

    @property
    def connected(self) -> bool:
        """Answer whether deliveries can arrive."""
        return self._consumer is not None

    def connect(self) -> None:
        """Connect by one attempt, declare the queues and start to consume them.

        Raises:
            ConsumerLost: it did not work.
        """
        with self._guarded():
            channel = connect_once(self._connection)
            channel.auto_decode = False  # bodies stay bytes until their labels are looked at
            channel.do_restore = False  # or kombu would write what it cannot return to a file
            self._return_orphans(channel)
            consumer = KombuConsumer(
                channel, self._queues, on_message=self._arrived, on_decode_error=self._unreadable
            )
            if self._prefetch:
                self._set_prefetch(channel, self._prefetch)
            consumer.consume()
            self._sweep_at = self._clock.monotonic()
            self._native = self._connection.connection
            self._consumer = consumer

    def receive(self, timeout: float = 0.0) -> list[Delivery]:
        """Answer what has arrived; wait for at most ``timeout`` seconds for the first delivery.

        Raises:
            ConsumerLost: the connection is gone.
        """
        with self._guarded():
            self._sweep()
            self._drain(0.0 if self._inbox else timeout)
        inbox, self._inbox = self._inbox, []
        return inbox

    def extend_prefetch(self, held: int) -> bool:
        """Let ``held`` more deliveries be outstanding than the worker's own prefetch (ETA-017).

        Answers whether the broker had to be told; deliveries may have arrived meanwhile.
        """
        wanted = self._prefetch + held
        if not self._prefetch or wanted == self._sent_prefetch:
            return False
        with self._guarded():
            self._set_prefetch(self._consumer.channel, wanted)
        return True

    def ack(self, message: Any) -> None:
        """Acknowledge a delivery (MSG-022).

        Raises:
            ConsumerLost: the connection is gone, and with it the delivery.
        """
        with self._guarded():
            message.ack()
        self._unsettled.pop(message.delivery_tag, None)

    def reject(self, message: Any, requeue: bool = False) -> None:
        """Give a delivery back to the broker: to be forgotten, or to be delivered again.

        Raises:
            ConsumerLost: the connection is gone, and with it the delivery.
        """
        with self._guarded():
            message.reject(requeue=requeue)
        self._unsettled.pop(message.delivery_tag, None)

    def close(self) -> None:
        """Say goodbye; the broker takes back what is not settled."""
        if self._consumer is not None:
            self._consumer.channel.do_restore = True
            self._consumer = None
            self._connection.release()

    def abandon(self) -> None:
        """Let go of the connection without a word."""
        self._consumer = None
        self._inbox.clear()
        discard(self._connection)

    def _drain(self, timeout: float) -> None:
        transport = self._connection.transport
        if self._is_amqp and timeout:
            # not in drain_events, which waits anew after each heartbeat and would let an ETA pass meanwhile
            select.select([self._native.transport.sock], [], [], timeout)
            timeout = 0.0
        try:
            transport.drain_events(self._native, timeout=timeout)
            while self._is_amqp:
                transport.drain_events(self._native, timeout=0)
        except TimeoutError:
            return
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            if self._is_amqp:
                raise
            # it has been popped from its list, so it cannot come again
            logger.error("what came from the queue is no message and is dropped: %r", error)

    def _sweep(self) -> None:
        """Over Redis, let what was held beyond ``visibility_timeout`` be delivered again (TIM-012).

        kombu does it in every tenth wait that nothing ends, not even the server, so it might never happen.
        """
        now = self._clock.monotonic()
        if not self._is_amqp and now >= self._sweep_at:
            self._sweep_at = now + _SWEEP
            channel = self._consumer.channel
            channel.qos.restore_visible(num=channel.unacked_restore_limit, interval=1)

    @property
    def _is_amqp(self) -> bool:
        return bool(self._connection.transport.driver_type == "amqp")

    def _return_orphans(self, channel: Any) -> None:
        """Give back what was held when the connection was lost: Redis, unlike AMQP, does not notice by itself."""
        if not self._is_amqp:
            for tag in self._unsettled:
                channel.qos.restore_by_tag(tag)
        self._unsettled.clear()

    def _set_prefetch(self, channel: Any, count: int) -> None:
        # per channel, so that it reaches the consumers that are there already
        channel.basic_qos(0, count if count <= _MOST else 0, True)
        self._sent_prefetch = count

    def _arrived(self, message: Any) -> None:
        self._unsettled[message.delivery_tag] = None
        self._inbox.append((message, None))

    def _unreadable(self, message: Any, error: BaseException) -> None:
        self._unsettled[message.delivery_tag] = None
        self._inbox.append((message, error))

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except self._errors as error:
            self.abandon()
            raise ConsumerLost(f"{type(error).__name__}: {error}") from error


def _closings(connection: Any) -> tuple[type[BaseException], ...]:
    """Answer the errors by which a broker closes a channel or a connection, 406 among them (TIM-009)."""
    errors = (*connection.connection_errors, *connection.channel_errors)
    return tuple(error for error in errors if error is not KeyError)


def _is_quorum(queue: Any) -> bool:
    return bool((queue.queue_arguments or {}).get("x-queue-type") == "quorum")
