"""What a provider gives: brokers that answer, and how they take a message back from a consumer that holds it."""

from __future__ import annotations

import atexit
import contextlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import quote, urlsplit

from celeriac.conformance.progress import waiting
from celeriac.conformance.verdicts import NotApplicable

if TYPE_CHECKING:
    from celeriac.conformance.travel import ControlFile

__all__ = [
    "FOR_EVER",
    "LEASES",
    "LINKS",
    "OWN",
    "BrokerInfo",
    "Lease",
    "LeaseTimes",
    "Link",
    "Node",
    "Provider",
    "Setup",
    "Unavailable",
]

Link = Literal["amqp", "redis"]
#: The ways to take a message back, and what a broker can be asked for beside them: to be as patient as the guide
#: advises, and in one case to have redelivered quietly if it were not; to take nothing back by default; to take the
#: time-out from the queue or from a policy.
Lease = Literal[
    "channel-close",
    "redeliver",
    "consumer-cancel",
    "patient",
    "patient-redeliver",
    "endless",
    "queue-argument",
    "policy",
]

#: Every flavour and the protocol it speaks.
LINKS: Mapping[str, Link] = {"embedded": "amqp", "rabbitmq": "amqp", "redis": "redis", "valkey": "redis"}

_OF_RABBITMQ: tuple[Lease, ...] = (
    "channel-close",
    "consumer-cancel",
    "patient",
    "endless",
    "queue-argument",
    "policy",
)
_OF_REDIS: tuple[Lease, ...] = ("redeliver", "patient", "patient-redeliver")

#: Every flavour and the kinds of lease that it can be given; which of them a version has, its provider tells.
LEASES: Mapping[str, tuple[Lease, ...]] = {
    "embedded": tuple(dict.fromkeys((*_OF_RABBITMQ, *_OF_REDIS))),
    "rabbitmq": _OF_RABBITMQ,
    "redis": _OF_REDIS,
    "valkey": _OF_REDIS,
}


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
            handed out again and the holder is not told; ``consumer-cancel``, the holder's consumer is cancelled.
    """

    timeout: float
    interval: float
    kind: Literal["channel-close", "redeliver", "consumer-cancel"]


#: The guide's remedy, a time-out that no countdown outlives, in seconds: 366 days.
FOR_EVER = 31_622_400.0
#: Seconds that a queue's own time-out is set to where the clock can be moved: well below every default.
OWN = 600.0


@dataclass(frozen=True, slots=True)
class Setup:
    """How a server is set; None leaves it as it comes.

    Attributes:
        timeout: ``consumer_timeout`` in seconds.
        interval: how often a channel looks at its oldest delivery, in seconds.
        dialect: of the embedded broker.
    """

    timeout: float | None = None
    interval: float | None = None
    dialect: str | None = None


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
        visibility: the ``visibility_timeout`` in seconds that clients have to be told; None for their own default.
    """

    host: str
    port: int
    link: Link
    url: str
    username: str | None = None
    password: str | None = None
    lease: LeaseTimes | None = None
    visibility: float | None = None

    @classmethod
    def local(cls, link: Link, port: int) -> Self:
        """Answer a node on loopback with the credentials that its flavour has from the start."""
        if link == "redis":
            return cls("127.0.0.1", port, link, f"redis://127.0.0.1:{port}/0")
        url = f"amqp://guest:guest@127.0.0.1:{port}//"
        return cls("127.0.0.1", port, link, url, "guest", "guest")

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

    #: The kinds of lease that this provider's brokers can have.
    leases: tuple[Lease, ...] = ()
    #: Whether a broker takes so long to start that it is worth doing so before it is needed.
    slow = False

    def __init__(self, flavour: str, source: str) -> None:
        self.flavour = flavour
        self.source = source
        self.link = LINKS[flavour]
        self.control: ControlFile | None = None
        self._nodes: dict[Setup, Node] = {}
        self._starting: dict[Setup, Future[Node]] = {}
        self._version: str | None = None
        atexit.register(self.close)

    def follow(self, control: ControlFile) -> None:
        """Start every broker so that its clock can be moved; time-outs are then the defaults instead of short.

        Raises:
            WithdrawnError: the clock of this provider's brokers cannot be moved.
        """
        self.control = control

    def moved(self, seconds: float, unblock: bool = True) -> None:  # noqa: B027 - most have nothing to do
        """Hear that the clock has been moved; for brokers that do not read the control file.

        Args:
            seconds: by how much.
            unblock: whether commands that wait may be ended; not when one of them waits for ever.
        """

    def info(self) -> BrokerInfo:
        """Answer what the broker says of itself; starts the default node.

        Raises:
            Unavailable: it cannot be started.
        """
        if self._version is None:
            self._version = self.version(self.node())
        return BrokerInfo(self.flavour, self.source, self._version, self.link)

    def node(self, lease: Lease | None = None) -> Node:
        """Answer a broker with this kind of lease, started on the first call.

        The lease has the broker's default times where its clock can be moved, else short ones.

        Raises:
            Unavailable: it cannot be started, or this provider has no such lease.
            NotApplicable: this version of the broker has no such thing.
        """
        if lease is None:
            return self._server(Setup())
        if lease not in self.leases:
            known = " or ".join(self.leases) or "none that can be set"
            raise Unavailable(f"{self.flavour} from {self.source} has no lease {lease!r} (it has {known})")
        setup, times = self.setting(lease)
        return replace(self._server(setup), lease=times, visibility=self.visibility(lease))

    @abstractmethod
    def setting(self, lease: Lease) -> tuple[Setup, LeaseTimes]:
        """Answer how a broker is set to have a lease, and when a delivery then comes back.

        Raises:
            NotApplicable: this version of the broker has no such thing.
        """

    def visibility(self, lease: Lease) -> float | None:
        """Answer the ``visibility_timeout`` that clients are told for a lease, in seconds."""
        return None

    def prepare(self, leases: Iterable[Lease]) -> None:
        """Begin to start the brokers with these leases, if that is slow; what goes wrong, ``node`` will say.

        On travel nothing is started ahead: a server that is only starting does not survive that time is moved.
        """
        if self.control is not None:
            return
        for lease in set(leases).intersection(self.leases if self.slow else ()):
            with contextlib.suppress(NotApplicable):
                setup, _ = self.setting(lease)
                if setup not in self._nodes and setup not in self._starting:
                    future = self._starting[setup] = Future()
                    start = partial(self.start, setup)
                    threading.Thread(target=_settle, args=(future, start), daemon=True).start()

    def close(self) -> None:
        """End every broker that this provider started; may be called twice."""
        atexit.unregister(self.close)
        wait(self._starting.values())
        self._starting.clear()
        self._nodes.clear()
        self.stop()

    def set_policy(self, node: Node, name: str, pattern: str, definition: Mapping[str, Any]) -> None:
        """Set a policy of RabbitMQ for the queues whose names match.

        Raises:
            NotApplicable: nobody can here.
        """
        raise NotApplicable(f"no policy can be set on {self.flavour} from {self.source}")

    def _server(self, setup: Setup) -> Node:
        if setup not in self._nodes:
            future = self._starting.pop(setup, None)
            with waiting(f"starting {self.flavour} ({self.source})"):
                self._nodes[setup] = self.start(setup) if future is None else future.result()
        return self._nodes[setup]

    @abstractmethod
    def start(self, setup: Setup) -> Node:
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
