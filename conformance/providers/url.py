"""A broker that somebody else runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

import amqp
import redis

from celeriac.conformance.providers.base import (
    Lease,
    LeaseTimes,
    Link,
    Node,
    Provider,
    Setup,
    Unavailable,
)
from celeriac.conformance.providers.readiness import announced_version
from celeriac.conformance.providers.redis import SHORT as VISIBILITY
from celeriac.conformance.providers.versions import patience_of
from celeriac.conformance.verdicts import NotApplicable, WithdrawnError

if TYPE_CHECKING:
    from celeriac.conformance.travel import ControlFile

__all__ = ["UrlProvider"]

_SCHEMES: Mapping[str, Link] = {"amqp": "amqp", "pyamqp": "amqp", "redis": "redis"}
_PORTS: Mapping[Link, int] = {"amqp": 5672, "redis": 6379}

#: What a URL can tell of a broker's time-out, or of what clients are told.
KINDS: Mapping[Link, tuple[Lease, ...]] = {
    "amqp": ("channel-close", "consumer-cancel"),
    "redis": ("redeliver",),
}

HELP = (
    "say how the broker is set with ?consumer_timeout=2000&channel_tick_interval=500 (milliseconds) at the end of "
    "the URL"
)


class UrlProvider(Provider):
    """The broker at a URL; nothing is started or stopped.

    The URL of a RabbitMQ whose lease is short says so with ``?consumer_timeout=MS&channel_tick_interval=MS``
    (the latter is 60000 unless told); without it there is no lease to check.

    Raises:
        ValueError: the URL cannot be used for this flavour.
    """

    def __init__(self, flavour: str, url: str) -> None:
        super().__init__(flavour, "url")
        parts = urlsplit(url)
        if _SCHEMES.get(parts.scheme) != self.link:
            known = " or ".join(f"{scheme}://" for scheme, link in _SCHEMES.items() if link == self.link)
            raise ValueError(
                f"--broker={flavour} needs a URL that begins with {known}, not {parts.scheme}://"
            )
        options = dict(parse_qsl(parts.query))
        times = {name: options.pop(name, None) for name in ("consumer_timeout", "channel_tick_interval")}
        self._lease = _lease(self.link, times["consumer_timeout"], times["channel_tick_interval"])
        self.leases = KINDS[self.link] if self._lease else ()
        self._parts = parts._replace(scheme=self.link, query=urlencode(options))

    def node(self, lease: Lease | None = None) -> Node:
        """Answer the broker.

        Raises:
            Unavailable: it does not answer, or no such lease was told.
            NotApplicable: it would have to be set for this lease, which is for others to do, or its version has none.
        """
        if lease == "channel-close" and self._lease is None:
            raise Unavailable(
                f"the broker at {self._address} has no short consumer_timeout that we know of: {HELP}"
            )
        if lease is not None and lease not in self.leases:
            raise NotApplicable(
                f"the broker at {self._address} is set by others; {lease} is nothing its URL can tell"
            )
        return super().node(lease)

    def follow(self, control: ControlFile) -> None:
        """Refuse: nothing can be preloaded into what others have started.

        Raises:
            WithdrawnError: always.
        """
        raise WithdrawnError(f"the clock of the broker at {self._address} is somebody else's")

    def setting(self, lease: Lease) -> tuple[Setup, LeaseTimes]:
        """Answer what the URL tells, or what clients are told; how it ends, the version says.

        Raises:
            NotApplicable: this version ends overdue deliveries in another way.
        """
        assert self._lease is not None, "leases is empty otherwise"
        if self.link == "redis":
            return Setup(), self._lease
        version = self.info().version
        ending = next(iter(patience_of(version).endings.values()))
        if lease != ending:
            raise NotApplicable(f"RabbitMQ {version} ends overdue deliveries by {ending}, not by {lease}")
        return Setup(), replace(self._lease, kind=ending)

    def visibility(self, lease: Lease) -> float | None:
        """Answer what clients of Redis are told."""
        return VISIBILITY.timeout if self.link == "redis" else None

    def start(self, setup: Setup) -> Node:
        """Ask the broker whether it is there."""
        node = _node(self.link, self._parts)
        try:
            announced_version(node)
        except (OSError, amqp.AMQPError, redis.RedisError) as exc:
            message = f"the broker at {self._address} does not answer: {type(exc).__name__}: {exc}"
            raise Unavailable(f"{message}; check --broker-from and that the server runs") from exc
        return node

    def stop(self) -> None:
        """Leave the broker alone."""

    def version(self, node: Node) -> str:
        """Answer the version that the server announces."""
        return announced_version(node)

    @property
    def _address(self) -> str:
        return f"{self._parts.hostname}:{self._parts.port or _PORTS[self.link]}"


def _lease(link: Link, timeout: str | None, interval: str | None) -> LeaseTimes | None:
    if link == "redis":
        return VISIBILITY
    if timeout is None:
        return None
    return LeaseTimes(int(timeout) / 1000, int(interval or 60_000) / 1000, "channel-close")


def _node(link: Link, parts: SplitResult) -> Node:
    def text(part: str | None) -> str | None:
        return None if part is None else unquote(part)

    return Node(
        host=parts.hostname or "127.0.0.1",
        port=parts.port or _PORTS[link],
        link=link,
        url=parts.geturl(),
        username=text(parts.username) or ("guest" if link == "amqp" else None),
        password=text(parts.password) or ("guest" if link == "amqp" else None),
    )
