"""RabbitMQ as a private node of this machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from celeriac.conformance.providers.base import Lease, LeaseTimes, Node, Provider, Unavailable
from celeriac.conformance.providers.child import Child, free_port, private_folder
from celeriac.conformance.providers.readiness import announced_version, await_ready

__all__ = ["CHANNEL_CLOSE", "RabbitProcess", "advanced_config", "config"]

#: RabbitMQ works with these times as with its own, 406 after 1.0 to 1.25 s, and a busy worker still is in time.
CHANNEL_CLOSE = LeaseTimes(timeout=1.0, interval=0.25, kind="channel-close")

#: Debian's command changes user and folder; the script behind it does not.
SCRIPTS = ("/usr/lib/rabbitmq/bin/rabbitmq-server",)
#: Where packages put servers that an ordinary user's PATH does not name.
PLACES = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")

HELP = (
    "install RabbitMQ (Debian: apt-get install rabbitmq-server), start a container engine, or name a broker with "
    "--broker-from=amqp://..."
)


def config(lease: LeaseTimes | None, listen: str) -> str:
    """Answer ``rabbitmq.conf`` for a node that listens on ``listen`` (host:port or port)."""
    lines = [
        f"listeners.tcp.1 = {listen}",
        "loopback_users.guest = false",
        "disk_free_limit.absolute = 1MB",
        "log.console = true",
        "log.file = false",
    ]
    if lease is not None:
        lines.append(f"consumer_timeout = {lease.timeout * 1000:.0f}")
    return "\n".join(lines) + "\n"


def advanced_config(lease: LeaseTimes | None) -> str:
    """Answer ``advanced.config``: how often a channel looks at its oldest delivery has no simpler key."""
    tick = f"{{rabbit, [{{channel_tick_interval, {lease.interval * 1000:.0f}}}]}}" if lease else ""
    return f"[{tick}].\n"


class RabbitProcess(Provider):
    """Private nodes: own name, ports, data and epmd; loopback only."""

    leases = ("channel-close",)
    slow = True

    def __init__(self) -> None:
        super().__init__("rabbitmq", "process")
        self._children: list[Child] = []

    @staticmethod
    def server() -> str | None:
        """Answer the server's start script, None where there is none."""
        path = os.pathsep.join([os.environ.get("PATH", os.defpath), *PLACES])
        found = shutil.which("rabbitmq-server", path=path)
        return next((script for script in SCRIPTS if Path(script).exists()), found)

    def start(self, lease: Lease | None) -> Node:
        """Start a node, which takes some seconds."""
        server, epmd = self.server(), shutil.which("epmd")
        if server is None or epmd is None:
            raise Unavailable(
                f"there is no {'epmd' if server else 'rabbitmq-server'} on this machine: {HELP}"
            )
        times = CHANNEL_CLOSE if lease == "channel-close" else None
        folder, port, names = private_folder(), free_port(), str(free_port())
        # Erlang would start a name server that outlives the node; this one is a child like the node.
        mapper = Child([epmd, "-port", names, "-address", "127.0.0.1"], private_folder())
        self._children.append(mapper)
        (folder / "rabbitmq.conf").write_text(config(times, f"127.0.0.1:{port}"))
        (folder / "advanced.config").write_text(advanced_config(times))
        (folder / "enabled_plugins").write_text("[].\n")
        child = Child([server], folder, _environment(folder, port, names))
        self._children.append(child)
        node = Node.local("amqp", port, times)
        await_ready(node, child.pause, child.log)
        return node

    def stop(self) -> None:
        """End the nodes, then their name servers."""
        while self._children:
            self._children.pop().stop()

    def version(self, node: Node) -> str:
        """Answer the version in the server properties."""
        return announced_version(node)


def _environment(folder: Path, port: int, names: str) -> Mapping[str, str]:
    return {
        "HOME": str(folder),
        "RABBITMQ_NODENAME": f"celeriac-{port}@localhost",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "rabbitmq-env.conf"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "generated"),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        "RABBITMQ_SCHEDULER_BUSY_WAIT_THRESHOLD": "none",
        "ERL_EPMD_PORT": names,
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_CRASH_DUMP_SECONDS": "0",
    }
