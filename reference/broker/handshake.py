"""From the protocol header to ``connection.open-ok``: who the client is and what both sides agree on.

    header -> start -> start-ok -> tune -> tune-ok, open -> open-ok

RabbitMQ answers nothing at all to a client it does not trust yet; here a client is told what is wrong wherever AMQP
has a way to say it, because whoever meets this broker is testing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from celeriac.reference.broker.codec import Method, encode_method
from celeriac.reference.broker.dialect import Dialect
from celeriac.reference.broker.errors import ConnectionError_
from celeriac.reference.broker.fields import FieldError, decode_table, longstr

__all__ = ["FRAME_MIN_SIZE", "Handshake", "LoginRefused", "ServerOptions", "Tuning"]

#: What every peer must accept before anything was agreed, in octets.
FRAME_MIN_SIZE = 4096

INFORMATION = "Celeriac's embedded test broker: nothing is stored, nothing is clustered."

CAPABILITIES: Mapping[str, bool] = {
    "publisher_confirms": True,
    "exchange_exchange_bindings": True,
    "basic.nack": True,
    "consumer_cancel_notify": True,
    "consumer_priorities": True,
    "authentication_failure_close": True,
    "per_consumer_qos": True,
}


@dataclass(frozen=True, slots=True)
class Tuning:
    """What client and server agree on.

    Attributes:
        channel_max: how many channels may be open at once.
        frame_max: the largest whole frame, in octets.
        heartbeat: seconds without traffic after which the peer counts as gone is twice this; 0 is never.
    """

    channel_max: int = 2047
    frame_max: int = 131_072
    heartbeat: int = 60


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How a server presents itself.

    Attributes:
        credentials: password by user name.
        tuning: what it offers.
        max_message_size: the largest body it takes, in octets.
    """

    credentials: Mapping[str, str] = field(default_factory=lambda: {"guest": "guest"})
    tuning: Tuning = Tuning()
    max_message_size: int = 134_217_728


class LoginRefused(ConnectionError_):
    """Bad credentials; clients that do not announce ``authentication_failure_close`` are not told."""


class Handshake:
    """The server's side of the handshake, as a machine that is fed methods and answers with frames.

    Attributes:
        capabilities: what the client announced.
        tuning: what was offered, and then what was agreed.
        done: the connection is open.
    """

    def __init__(self, options: ServerOptions, dialect: Dialect, vhost: str) -> None:
        self.capabilities: Mapping[str, Any] = {}
        self.tuning = options.tuning
        self._options = options
        self._dialect = dialect
        self._vhost = vhost
        self._expected = "connection.start-ok"
        self.user = ""

    @property
    def done(self) -> bool:
        """Whether the connection is open."""
        return not self._expected

    def start(self) -> bytes:
        """Answer the protocol header."""
        properties = {
            "capabilities": CAPABILITIES,
            "cluster_name": "celeriac@localhost",
            "information": INFORMATION,
            "platform": "Python",
            "product": self._dialect.product,
            "version": self._dialect.version,
        }
        return encode_method(0, "connection.start", 0, 9, properties, b"AMQPLAIN PLAIN", b"en_US")

    def receive(self, method: Method) -> bytes:
        """Take the client's next step and answer it.

        Raises:
            ConnectionError_: the step is out of turn or cannot be accepted; the ids of the method are set.
        """
        if method.name != self._expected:
            state = _STATES[self._expected]
            raise ConnectionError_(504, f"unexpected method in connection state {state}").at(*method.spec.id)
        step: Callable[..., bytes] = getattr(self, _STEPS[method.name])
        return step(*method.values)

    def _start_ok(
        self, properties: Mapping[str, Any], mechanism: str, response: bytes, _locale: str
    ) -> bytes:
        self.capabilities = (
            capabilities if isinstance(capabilities := properties.get("capabilities"), dict) else {}
        )
        user, password = _login(mechanism, response)
        if user is None or self._options.credentials.get(user) != password:
            raise LoginRefused(
                403,
                f"Login was refused using authentication mechanism {mechanism}. "
                "For details see the broker logfile.",
            )
        self.user = user
        self._expected = "connection.tune-ok"
        offer = self.tuning
        return encode_method(0, "connection.tune", offer.channel_max, offer.frame_max, offer.heartbeat)

    def _tune_ok(self, channel_max: int, frame_max: int, heartbeat: int) -> bytes:
        offer = self.tuning
        _agree("channel_max", channel_max, 1, offer.channel_max)
        _agree("frame_max", frame_max, FRAME_MIN_SIZE, offer.frame_max)
        self.tuning = Tuning(channel_max, frame_max, heartbeat)
        self._expected = "connection.open"
        return b""

    def _open(self, vhost: str, _reserved_1: str, _reserved_2: bool) -> bytes:
        if vhost != self._vhost:
            raise ConnectionError_(530, f"vhost {vhost} not found").at(10, 40)
        self._expected = ""
        return encode_method(0, "connection.open-ok", "")


_STEPS: Mapping[str, str] = {
    "connection.start-ok": "_start_ok",
    "connection.tune-ok": "_tune_ok",
    "connection.open": "_open",
}
_STATES: Mapping[str, str] = {
    "connection.start-ok": "starting",
    "connection.tune-ok": "tuning",
    "connection.open": "opening",
}


def _login(mechanism: str, response: bytes) -> tuple[str | None, str | None]:
    if mechanism == "PLAIN":
        parts = response.decode("utf-8", "surrogateescape").split("\0")
        return (parts[1], parts[2]) if len(parts) == 3 else (None, None)
    if mechanism == "AMQPLAIN":
        try:
            table = decode_table(longstr(response))
        except FieldError:
            return None, None
        return table.get("LOGIN"), table.get("PASSWORD")
    return None, None


def _agree(name: str, value: int, least: int, most: int) -> None:
    if value == 0 or value > most:
        shown = "0 (no limit)" if value == 0 else str(value)
        raise ConnectionError_(
            530, f"negotiated {name} = {shown} is higher than the maximum allowed value ({most})"
        )
    if value < least:
        raise ConnectionError_(
            530, f"negotiated {name} = {value} is lower than the minimum allowed value ({least})"
        )
