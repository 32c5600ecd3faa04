"""The broker in process: unmodified py-amqp on a socket look-alike that is a function call.

    listen("test", broker)
    kombu.Connection("inproc://test")       # and everything built on kombu

What the client sends is fed to the connection at once; where it would block, the broker's clock is asked to move on
until there is something to read (virtual time), so a scenario of hours takes milliseconds and no thread.  When nothing
can ever arrive, the clock's ``DeadlockError`` is raised instead of hanging.  Names are case-insensitive, as hosts are.

What stands between clients and broker can be tampered with: a ``Line`` sees every write of either side, answers what of
it arrives, and may end the connection there.
"""

from __future__ import annotations

import errno
import itertools
import threading
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

import amqp
from amqp.transport import TCPTransport
from kombu.transport import TRANSPORT_ALIASES, pyamqp

from celeriac.reference.broker.broker import Broker
from celeriac.reference.broker.connection import ServerConnection
from celeriac.reference.broker.handshake import ServerOptions, Tuning
from celeriac.reference.clock import WallClock

__all__ = [
    "Attempt",
    "Connection",
    "InprocSocket",
    "Line",
    "Transport",
    "attempts",
    "drop",
    "listen",
    "on_attempt",
    "refuse",
    "tamper",
    "unlisten",
]


_CUT = "the broker has cut the connection"

#: Is told who writes what; answers what of it arrives, and whether the connection ends there.
Line: TypeAlias = Callable[[Literal["client", "broker"], bytes], tuple[bytes, bool]]


class Attempt(NamedTuple):
    """Somebody tried to connect.

    Attributes:
        at: seconds since the Unix epoch on the broker's clock.
        accepted: False when the attempt was refused.
    """

    at: float
    accepted: bool


@dataclass(eq=False)
class _Site:
    """A name at which a broker can be reached."""

    name: str
    broker: Broker
    options: ServerOptions
    refusing: bool = False
    attempts: list[Attempt] = field(default_factory=list)
    watcher: Callable[[Attempt], None] | None = None
    lines: Callable[[int], Line] | None = None
    sockets: list[InprocSocket] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def connect(self) -> InprocSocket:
        """Accept or refuse a client, and remember which."""
        attempt = Attempt(self.broker.clock.now().timestamp(), not self.refusing)
        self.attempts.append(attempt)
        if self.watcher is not None:
            self.watcher(attempt)
        if not attempt.accepted:
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"inproc://{self.name} refuses connections")
        number = next(self.numbers)
        socket = InprocSocket(self, number, self.lines(number) if self.lines else None)
        self.sockets.append(socket)
        return socket

    def drop(self, numbers: Container[int] | None = None) -> None:
        """Reset every connection, or those with these numbers."""
        for socket in tuple(self.sockets):
            if numbers is None or socket.number in numbers:
                socket.sever()


_sites: dict[str, _Site] = {}


def listen(name: str, broker: Broker, options: ServerOptions | None = None) -> str:
    """Make ``broker`` reachable at ``inproc://NAME``, attach it to its clock, and answer that URL.

    Raises:
        ValueError: the name is taken.
    """
    key = name.lower()
    if key in _sites:
        raise ValueError(f"inproc://{key} is taken; unlisten({name!r}) first, or choose another name")
    _sites[key] = _Site(key, broker, options or ServerOptions(tuning=Tuning(heartbeat=0)))
    broker.clock.attach(broker)
    return f"inproc://{key}"


def unlisten(name: str) -> None:
    """Reset every connection, free the name and detach the broker from its clock; unknown names are ignored."""
    site = _sites.pop(name.lower(), None)
    if site is not None:
        site.drop()
        site.broker.clock.detach(site.broker)


def refuse(name: str, refusing: bool) -> None:
    """Refuse new connections from now on, or accept them again; existing ones go on."""
    _site(name).refusing = refusing


def drop(name: str, numbers: Container[int] | None = None) -> None:
    """Cut every connection, or those with these numbers, as a crash would: a reset, and what it held goes back."""
    _site(name).drop(numbers)


def tamper(name: str, lines: Callable[[int], Line] | None) -> None:
    """Put a line between broker and client of each further connection, which is told by its number; None ends that."""
    _site(name).lines = lines


def attempts(name: str) -> list[Attempt]:
    """Answer every connection attempt so far, in order."""
    return list(_site(name).attempts)


def on_attempt(name: str, watcher: Callable[[Attempt], None] | None) -> None:
    """Call ``watcher`` with each connection attempt, before it is accepted or refused; None ends that."""
    _site(name).watcher = watcher


def _site(name: str) -> _Site:
    try:
        return _sites[name.lower()]
    except KeyError:
        known = ", ".join(sorted(_sites)) or "nobody does"
        raise ConnectionRefusedError(
            errno.ECONNREFUSED,
            f"nobody listens at inproc://{name.lower()}; listening: {known}; call listen({name!r}, broker) first",
        ) from None


class InprocSocket:
    """What py-amqp takes for a connected socket."""

    def __init__(self, site: _Site, number: int, line: Line | None = None) -> None:
        self._site = site
        self.number = number
        self._line = line
        self._timeout: float | None = None
        self._received = b""
        self._severed = False
        self._closed = False
        self._server = ServerConnection(
            site.broker, peer=f"inproc://{site.name}/{number}", options=site.options
        )

    def sendall(self, data: bytes | memoryview) -> None:
        """Hand bytes to the broker; it has acted on them when this returns.

        Raises:
            OSError: the connection is gone.
        """
        self._check()
        if self._server.reset:
            raise ConnectionResetError(errno.ECONNRESET, _CUT)
        if self._server.closed:
            raise BrokenPipeError(errno.EPIPE, "the broker has closed the connection")
        with self._site.lock:
            arriving, cut = self._carried("client", bytes(data))
            self._server.feed(arriving)
        if cut:
            self.sever()

    def recv(self, size: int) -> bytes:
        """Answer up to ``size`` octets; none at all when the broker has closed the connection.

        Raises:
            BlockingIOError: there is nothing, and the timeout is 0.
            TimeoutError: there was nothing for as long as the timeout.
            DeadlockError: there is no timeout, and nothing can ever come.
            OSError: the connection was cut.
        """
        while not self._received and not self._take():
            self._wait()
        data, self._received = self._received[:size], self._received[size:]
        return data

    def sever(self) -> None:
        """Cut the connection from the broker's side."""
        self._severed = True
        self._leave()

    def close(self) -> None:
        """Close the connection from the client's side."""
        self._closed = True
        self._leave()

    def shutdown(self, how: int) -> None:
        """Accept that the client says no more; ``close`` follows."""

    def settimeout(self, timeout: float | None) -> None:
        """Set how long ``recv`` waits, in seconds of the broker's clock."""
        self._timeout = timeout

    def gettimeout(self) -> float | None:
        """Answer how long ``recv`` waits."""
        return self._timeout

    def setsockopt(self, *option: Any) -> None:
        """Accept an option that means nothing here."""

    def getsockopt(self, *option: Any) -> int:
        """Answer an option that means nothing here."""
        return 0

    def getsockname(self) -> tuple[str, int]:
        """Answer a name for messages."""
        return f"inproc client {self.number}", 0

    def getpeername(self) -> tuple[str, int]:
        """Answer a name for messages."""
        return f"inproc://{self._site.name}", 0

    def fileno(self) -> int:
        """Refuse: there is no file.

        Raises:
            OSError: always.
        """
        raise OSError(
            errno.EBADF, "an in-process connection has no file descriptor; use it without an event loop"
        )

    def _take(self) -> bool:
        """Fetch what the broker has to say; answer whether there is anything to tell the client."""
        self._check()
        with self._site.lock:
            self._received, cut = self._carried("broker", self._server.outgoing())
        if cut:
            self.sever()
            return bool(self._received)
        if not self._received and self._server.reset:
            raise ConnectionResetError(errno.ECONNRESET, _CUT)
        return bool(self._received) or self._server.closed

    def _carried(self, sender: Literal["client", "broker"], data: bytes) -> tuple[bytes, bool]:
        return self._line(sender, data) if self._line is not None and data else (data, False)

    def _wait(self) -> None:
        self._check()
        if self._timeout == 0:
            raise BlockingIOError(errno.EAGAIN, "nothing to read")
        if not self._site.broker.clock.wait_for(self._ready, self._timeout):
            raise TimeoutError("timed out")

    def _ready(self) -> bool:
        if isinstance(self._site.broker.clock, WallClock):
            with self._site.lock:
                self._site.broker.step()
        return self._severed or self._closed or self._server.closed or self._server.has_output

    def _check(self) -> None:
        if self._severed:
            raise ConnectionResetError(errno.ECONNRESET, f"connection to inproc://{self._site.name} was cut")
        if self._closed:
            raise OSError(errno.EBADF, "the socket is closed")

    def _leave(self) -> None:
        if self in self._site.sockets:
            self._site.sockets.remove(self)
            with self._site.lock:
                self._server.lost()


class _InprocTransport(TCPTransport):
    """py-amqp's transport, connected by name."""

    def _connect(self, host: str, port: int, timeout: float | None) -> None:
        self.sock = _site(host).connect()


class Connection(pyamqp.Connection):
    """py-amqp's connection as kombu uses it, in process and without heartbeats."""

    def __init__(self, host: str, *args: Any, **options: Any) -> None:
        super().__init__(host, *args, **{**options, "heartbeat": 0, "ssl": False})

    def Transport(  # noqa: N802  py-amqp's name for its factory
        self, host: str, connect_timeout: float | None, *_ignored: Any, **_options: Any
    ) -> _InprocTransport:
        """Make the transport that ``connect`` uses; what concerns real sockets is ignored."""
        return _InprocTransport(host, connect_timeout=connect_timeout)


class Transport(pyamqp.Transport):
    """kombu's transport for ``inproc://NAME``."""

    Connection = Connection
    implements = pyamqp.Transport.implements.extend(asynchronous=False, heartbeats=False)

    def driver_version(self) -> str:
        """Answer py-amqp's version."""
        return str(amqp.__version__)


TRANSPORT_ALIASES["inproc"] = "celeriac.reference.broker.inproc:Transport"
