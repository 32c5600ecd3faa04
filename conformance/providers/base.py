"""What a provider gives: brokers that answer, and how they take a message back from a consumer that holds it."""

from __future__ import annotations

import atexit
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Literal, Self
from urllib.parse import quote, urlsplit

__all__ = [
    "LINKS",
    "VISIBILITY",
    "BrokerInfo",
    "Lease",
    "LeaseTimes",
    "Link",
    "Node",
    "Provider",
    "Unavailable",
]

Link = Literal["amqp", "redis"]
Lease = Literal["channel-close", "redeliver"]

#: Every flavour and the protocol it speaks.
LINKS: Mapping[str, Link] = {"embedded": "amqp", "rabbitmq": "amqp", "redis": "redis", "valkey": "redis"}


class Unavailable(Exception):  # noqa: N818 - a state of the machine, not an error of the program
    """A broker cannot be had here; the text says why and what to do about it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """When a delivery that is held too long comes back.

    Attributes:
        timeout: seconds that a delivery may be held.
        interval: seconds between two looks, by which the broker may be late.
        kind: ``channel-close``, the broker closes the holder's channel with 406; ``redeliver``, the message is
            handed out again and the holder is not told.
    """

    timeout: float
    interval: float
    kind: Lease


#: On Redis the clients keep the lease: ``timeout`` is their ``visibility_timeout``, and they look for what is overdue
#: as soon as one of them connects.  So nobody has to wait for the 100 s between two looks of kombu's event loop.
VISIBILITY = LeaseTimes(timeout=1.0, interval=0.0, kind="redeliver")


@dataclass(frozen=True, slots=True)
class BrokerInfo:
    """Which broker a run was made with.

    Attributes:
        flavour: embedded, rabbitmq, redis or valkey.
        source: in-process, thread, process, container or url.
        version: as the server says.
        link: the protocol.
    """

    flavour: str
    source: str
    version: str
    link: Link


@dataclass(frozen=True, slots=True)
class Node:
    """A broker that answers.

    Attributes:
        url: for clients, credentials included.
        lease: what was asked for with ``Provider.node``; None is the server's default.
    """

    host: str
    port: int
    link: Link
    url: str
    username: str | None = None
    password: str | None = None
    lease: LeaseTimes | None = None

    @classmethod
    def local(cls, link: Link, port: int, lease: LeaseTimes | None = None) -> Self:
        """Answer a node on loopback with the credentials that its flavour has from the start."""
        if link == "redis":
            return cls("127.0.0.1", port, link, f"redis://127.0.0.1:{port}/0", lease=lease)
        url = f"amqp://guest:guest@127.0.0.1:{port}//"
        return cls("127.0.0.1", port, link, url, "guest", "guest", lease)

    def url_at(self, port: int) -> str:
        """Answer the URL for clients that go through a tap on this port of loopback."""
        user = quote(self.username or "", safe="")
        password = f":{quote(self.password, safe='')}" if self.password is not None else ""
        login = f"{user}{password}@" if user or password else ""
        return urlsplit(self.url)._replace(netloc=f"{login}127.0.0.1:{port}").geturl()


class Provider(ABC):
    """Starts brokers when they are asked for, and ends what it started.

    A provider is a context manager, and whatever was not closed is closed when the interpreter ends.
    """

    #: The ways to take a message back that this provider's brokers can be set to.
    leases: tuple[Lease, ...] = ()
    #: Whether a broker takes so long to start that it is worth doing so before it is needed.
    slow = False

    def __init__(self, flavour: str, source: str) -> None:
        self.flavour = flavour
        self.source = source
        self.link = LINKS[flavour]
        self._nodes: dict[Lease | None, Node] = {}
        self._starting: dict[Lease | None, Future[Node]] = {}
        atexit.register(self.close)

    def info(self) -> BrokerInfo:
        """Answer what the broker says of itself; starts the default node.

        Raises:
            Unavailable: it cannot be started.
        """
        return BrokerInfo(self.flavour, self.source, self.version(self.node()), self.link)

    def node(self, lease: Lease | None = None) -> Node:
        """Answer a broker with this kind of lease at short times, started on the first call.

        Raises:
            Unavailable: it cannot be started, or this broker has no such lease.
        """
        if lease is not None and lease not in self.leases:
            known = " or ".join(self.leases) or "none that can be set"
            raise Unavailable(f"{self.flavour} from {self.source} has no lease {lease!r} (it has {known})")
        if lease not in self._nodes:
            future = self._starting.pop(lease, None)
            self._nodes[lease] = self.start(lease) if future is None else future.result()
        return self._nodes[lease]

    def prepare(self, leases: Iterable[Lease]) -> None:
        """Begin to start the brokers with these leases, if that is slow; what goes wrong, ``node`` will say."""
        for lease in set(leases).intersection(self.leases if self.slow else ()) - {
            *self._nodes,
            *self._starting,
        }:
            future = self._starting[lease] = Future()
            threading.Thread(target=_settle, args=(future, partial(self.start, lease)), daemon=True).start()

    def close(self) -> None:
        """End every broker that this provider started; may be called twice."""
        atexit.unregister(self.close)
        wait(self._starting.values())
        self._starting.clear()
        self._nodes.clear()
        self.stop()

    @abstractmethod
    def start(self, lease: Lease | None) -> Node:
        """Start a broker and answer it once it serves clients."""

    @abstractmethod
    def stop(self) -> None:
        """End what ``start`` started."""

    @abstractmethod
    def version(self, node: Node) -> str:
        """Answer the version that ``node`` announces."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()


def _settle(future: Future[Node], start: Callable[[], Node]) -> None:
    try:
        future.set_result(start())
    except BaseException as error:  # noqa: BLE001 - it is told to whoever asks for the broker
        future.set_exception(error)
