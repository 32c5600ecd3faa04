"""What the broker wants to say, as bytes: effects become frames, confirms are gathered.

Confirms of one channel wait until the end of what is being processed and go out as one ``basic.ack`` with
``multiple``; they are never held back behind a nack or a close, and never claim a tag that was left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from celeriac.reference.broker.codec import encode_content, encode_method
from celeriac.reference.broker.content import wire_properties
from celeriac.reference.broker.effects import CancelConsumer, CloseChannel, Confirm, Deliver, GetOk, Return

__all__ = ["Confirms", "Sender"]


class Confirms:
    """The confirms of one channel that wait to be sent."""

    __slots__ = ("_channel", "_first", "_last", "_settled")

    def __init__(self, channel: int) -> None:
        self._channel = channel
        self._settled = 0  # every tag up to here was answered
        self._first = self._last = 0

    def add(self, confirm: Confirm) -> bytes:
        """Gather a confirm; answer the frames that must go out at once."""
        tag = confirm.delivery_tag
        if confirm.ok and not confirm.multiple:
            frames = b"" if tag == self._last + 1 and self._first else self.flush()
            self._first, self._last = self._first or tag, tag
            return frames
        name, flags = (
            ("basic.ack", (confirm.multiple,)) if confirm.ok else ("basic.nack", (confirm.multiple, False))
        )
        frames = self.flush() + encode_method(self._channel, name, tag, *flags)
        if confirm.multiple or tag == self._settled + 1:
            self._settled = tag
        return frames

    def flush(self) -> bytes:
        """Answer the frames that confirm everything gathered."""
        first, last = self._first, self._last
        if not first:
            return b""
        self._first = self._last = 0
        if first == self._settled + 1:
            self._settled = last
            return encode_method(self._channel, "basic.ack", last, first < last)
        return b"".join(
            encode_method(self._channel, "basic.ack", tag, False) for tag in range(first, last + 1)
        )


class Sender:
    """Collects the bytes that a connection has to send.

    Attributes:
        frame_max: the negotiated limit of a whole frame, in octets.
    """

    def __init__(self) -> None:
        self.frame_max = 0
        self._out: list[bytes] = []
        self._confirms: dict[int, Confirms] = {}

    def __bool__(self) -> bool:
        return bool(self._out)

    def take(self) -> bytes:
        """Remove and answer everything."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._out.append(data)

    def method(self, channel: int, name: str, *values: object) -> None:
        """Send a method."""
        self._out.append(encode_method(channel, name, *values))

    def flush(self) -> None:
        """Send the confirms that were gathered."""
        for confirms in self._confirms.values():
            if frames := confirms.flush():
                self._out.append(frames)

    def forget(self, channel: int) -> None:
        """Send the confirms of a channel that is about to close, and start anew."""
        confirms = self._confirms.pop(channel, None)
        if confirms is not None:
            self._out.append(confirms.flush())

    def deliver(self, effect: Deliver) -> None:
        """Send a delivery to a consumer."""
        message, channel = effect.message, effect.channel
        self._out.append(
            encode_method(
                channel,
                "basic.deliver",
                effect.consumer_tag,
                effect.delivery_tag,
                effect.redelivered,
                effect.exchange,
                effect.routing_key,
            )
            + encode_content(channel, wire_properties(message), message.body, self.frame_max)
        )

    def got(self, channel: int, got: GetOk) -> None:
        """Answer basic.get with a message."""
        self.method(
            channel,
            "basic.get-ok",
            got.delivery_tag,
            got.redelivered,
            got.exchange,
            got.routing_key,
            got.message_count,
        )
        self.raw(encode_content(channel, wire_properties(got.message), got.message.body, self.frame_max))

    def returned(self, effect: Return) -> None:
        """Give an unroutable message back to its publisher."""
        message, channel = effect.message, effect.channel
        self.method(channel, "basic.return", effect.code, effect.text, effect.exchange, effect.routing_key)
        self.raw(encode_content(channel, wire_properties(message), message.body, self.frame_max))

    def confirm(self, effect: Confirm) -> None:
        """Gather a confirm."""
        confirms = self._confirms.get(effect.channel)
        if confirms is None:
            confirms = self._confirms[effect.channel] = Confirms(effect.channel)
        if frames := confirms.add(effect):
            self._out.append(frames)

    def cancel(self, effect: CancelConsumer) -> None:
        """Tell a client that its consumer is gone."""
        self.method(effect.channel, "basic.cancel", effect.consumer_tag, True)

    def close_channel(self, effect: CloseChannel) -> None:
        """Close a channel."""
        self.forget(effect.channel)
        self.method(
            effect.channel, "channel.close", effect.code, effect.text, effect.class_id, effect.method_id
        )

    SENDS: ClassVar[Mapping[type, Callable[..., None]]] = {
        Deliver: deliver,
        Return: returned,
        Confirm: confirm,
        CancelConsumer: cancel,
    }
