"""From the embedded broker's own event record to the history.

The tap does the same from bytes; here nothing is decoded twice, and every stamp is the broker's clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from celeriac.conformance import embedded
from celeriac.conformance.history import History
from celeriac.conformance.tap.messages import as_result, task_id_of

__all__ = ["Recorder"]


class Recorder:
    """Writes what the broker records into ``history``, as observer ``broker``; a subscriber of its events.

    A message that a fault made the broker lose is not recorded as published: the broker has not taken it.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        self._task_ids: dict[int, Any] = {}
        self._properties: Mapping[str, Any] = {}  # of the message being published
        self._ours: set[int | None] = set()
        self._muted = False
        self._losing = False
        self._translations: Mapping[str, Callable[[embedded.Event], None]] = {
            "session.open": self._opened,
            "session.close": self._session_closed,
            "channel.close": self._channel_closed,
            "queue.declare": self._declared,
            "exchange.declare": self._declared,
            "bind": self._bound,
            "publish": self._published,
            "deliver": self._delivered,
            "get": self._delivered,
            "ack": self._settled,
            "reject": self._settled,
            "requeue": self._moved,
            "expire": self._moved,
            "consumer.cancel": self._cancelled,
        }

    @contextmanager
    def muted(self) -> Iterator[None]:
        """Take the sessions that are opened meanwhile for the harness's own; what they do is not recorded."""
        self._muted = True
        try:
            yield
        finally:
            self._muted = False

    def __call__(self, event: embedded.Event) -> None:
        """Translate one event."""
        if event.kind == "session.open" and self._muted:
            self._ours.add(event.session)
        if event.kind == "fault" and event.data["point"] == "publish":
            self._losing = event.data["action"] in {"drop", "nack"}
        if event.kind == "publish":
            self._properties = embedded.properties(event.data["properties"])
            headers, body = event.data["headers"] or {}, bytes(event.data["body"])
            self._task_ids[event.data["message"]] = task_id_of(headers, self._properties, body)
        translate = self._translations.get(event.kind)
        if translate is not None and event.session not in self._ours:
            translate(event)

    def _add(self, event: embedded.Event, kind: str, **data: Any) -> None:
        self._history.add(kind, event.at, "broker", **data)

    def _opened(self, event: embedded.Event) -> None:
        self._add(event, "connected", connection=event.session, peer=event.data["peer"])

    def _disconnected(self, event: embedded.Event) -> None:
        self._add(event, "disconnected", connection=event.session)

    def _channel_closed(self, event: embedded.Event) -> None:
        scope = "connection" if event.kind == "session.close" else "channel"
        fields = {name: event.data[name] for name in ("by", "code", "text")}
        self._add(event, "closed", connection=event.session, scope=scope, **fields)

    def _session_closed(self, event: embedded.Event) -> None:
        if event.data["code"]:
            self._channel_closed(event)
        self._disconnected(event)

    def _declared(self, event: embedded.Event) -> None:
        entity = event.kind.partition(".")[0]
        data = event.data
        self._add(
            event,
            "declared",
            connection=event.session,
            entity=entity,
            name=data[entity],
            arguments=data["arguments"],
            durable=data["durable"],
            type=data.get("type"),
        )

    def _bound(self, event: embedded.Event) -> None:
        data = event.data
        if data["destination_type"] == "queue":
            self._add(
                event,
                "bound",
                connection=event.session,
                queue=data["destination"],
                exchange=data["exchange"],
                routing_key=data["routing_key"],
            )

    def _published(self, event: embedded.Event) -> None:
        if self._losing:
            self._losing = False
            return
        data = event.data
        properties = self._properties
        headers = dict(data["headers"] or {})
        task_id = self._task_ids[data["message"]]
        self._add(
            event,
            "published",
            connection=event.session,
            exchange=data["exchange"],
            routing_key=data["routing_key"],
            queue=None,
            task_id=task_id,
            headers=headers,
            properties=properties,
            body=bytes(data["body"]),
            mandatory=data["mandatory"],
        )
        record = (
            as_result(bytes(data["body"]), properties.get("content_type")) if "task" not in headers else None
        )
        if record is not None:
            self._add(
                event,
                "stored",
                task_id=record["task_id"],
                state=record["status"],
                result=record["result"],
                record=record,
                expires_in=None,
            )

    def _delivered(self, event: embedded.Event) -> None:
        data = event.data
        self._add(
            event,
            "delivered",
            connection=event.session,
            queue=data["queue"],
            task_id=self._task_ids[data["message"]],
            redelivered=data["redelivered"],
            delivery_tag=data["tag"],
            no_ack=data["no_ack"],
        )

    def _settled(self, event: embedded.Event) -> None:
        data = event.data
        kind = "acked" if event.kind == "ack" else "rejected"
        if not data.get("requeue"):
            task_id = self._task_ids[data["message"]]
            self._add(event, kind, connection=event.session, task_id=task_id, delivery_tag=data["tag"])

    def _moved(self, event: embedded.Event) -> None:
        kind = {"requeue": "requeued", "expire": "expired"}[event.kind]
        self._add(event, kind, task_id=self._task_ids[event.data["message"]], queue=event.data["queue"])

    def _cancelled(self, event: embedded.Event) -> None:
        if event.data["by"] == "broker":
            self._add(event, "cancelled", connection=event.session, consumer_tag=event.data["consumer"])
