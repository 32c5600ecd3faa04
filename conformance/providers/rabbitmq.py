"""RabbitMQ as a private node of this machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from celeriac.conformance.providers.base import (
    FOR_EVER,
    LEASES,
    OWN,
    Lease,
    LeaseTimes,
    Node,
    Provider,
    Setup,
    Unavailable,
)
from celeriac.conformance.providers.child import Child, free_port, private_folder
from celeriac.conformance.providers.readiness import announced_version, await_ready
from celeriac.conformance.providers.versions import patience_of
from celeriac.conformance.verdicts import NotApplicable

__all__ = [
    "ARGUMENTS",
    "ON_TRAVEL",
    "RabbitProcess",
    "advanced_config",
    "config",
    "policy_arguments",
    "setting",
]

#: RabbitMQ works with these times as with its own, 406 after 1.0 to 1.25 s, and a busy worker still is in time.
SHORT = Setup(timeout=1.0, interval=0.25)

#: Debian's command changes user and folder; the script behind it does not.
SCRIPTS = ("/usr/lib/rabbitmq/bin/rabbitmq-server",)
#: What Erlang is told beside the server's own; the server's script splits it at spaces.
ARGUMENTS = "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"
LOOPBACK = "-kernel inet_dist_use_interface {127,0,0,1}"
#: The same where the clock is moved.  One scheduler: a moved clock wakes only schedulers that have something to do, and
#: each has the timers of its own processes.  No monitors: each minute RabbitMQ starts a whole Erlang to see to its name
#: server, and every ten seconds it asks for the space on the disk, which would be hundreds of programs at a time.
ON_TRAVEL = (
    "+S 1:1 -eval supervisor:terminate_child(rabbit_sup,rabbit_epmd_monitor_sup),"
    "supervisor:terminate_child(rabbit_sup,rabbit_disk_monitor_sup)."
)
#: Where packages put servers that an ordinary user's PATH does not name.
PLACES = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")

HELP = (
    "install RabbitMQ (Debian: apt-get install rabbitmq-server), start a container engine, or name a broker with "
    "--broker-from=amqp://..."
)


def config(setup: Setup, listen: str) -> str:
    """Answer ``rabbitmq.conf`` for a node that listens on ``listen`` (host:port or port)."""
    lines = [
        f"listeners.tcp.1 = {listen}",
        "loopback_users.guest = false",
        "disk_free_limit.absolute = 1MB",
        "log.console = true",
        "log.file = false",
    ]
    if setup.timeout is not None:
        lines.append(f"consumer_timeout = {setup.timeout * 1000:.0f}")
    return "\n".join(lines) + "\n"


def advanced_config(setup: Setup) -> str:
    """Answer ``advanced.config``: how often a channel looks at its oldest delivery has no simpler key."""
    tick = "" if setup.interval is None else f"{{channel_tick_interval, {setup.interval * 1000:.0f}}}"
    return f"[{{rabbit, [{tick}]}}].\n"


def setting(lease: Lease, version: str, travels: bool) -> tuple[Setup, LeaseTimes]:
    """Answer how a RabbitMQ is set to have a lease, and when a delivery then comes back; see ``Provider.setting``.

    Args:
        lease: what is asked for.
        version: of the server.
        travels: whether its clock can be moved, so that its own times can be waited for.

    Raises:
        NotApplicable: this version has no such thing.
    """
    patience = patience_of(version)
    ending = next(iter(patience.endings.values()))
    interval = patience.interval if travels or not patience.interval else 0.25
    if lease == "patient":
        return Setup(timeout=FOR_EVER), LeaseTimes(FOR_EVER, patience.interval, ending)
    if lease == "endless":
        if patience.timeout is not None and "classic" in patience.endings:
            raise NotApplicable(f"RabbitMQ {version} has a default timeout for classic queues")
        return Setup(), LeaseTimes(FOR_EVER, patience.interval, ending)
    if lease in {"queue-argument", "policy"}:
        if not (patience.argument if lease == "queue-argument" else patience.policy):
            raise NotApplicable(f"no queue of RabbitMQ {version} has a time-out of its own by {lease}")
        return Setup(interval=None if travels else 0.25), LeaseTimes(
            OWN if travels else 1.0, interval, ending
        )
    if lease not in patience.endings.values():
        raise NotApplicable(f"RabbitMQ {version} ends overdue deliveries by {ending}, not by {lease}")
    if not travels:
        return SHORT, LeaseTimes(1.0, interval, ending)
    if patience.timeout is None:
        raise NotApplicable(f"RabbitMQ {version} has no consumer_timeout by default")
    return Setup(), LeaseTimes(patience.timeout, interval, ending)


class RabbitProcess(Provider):
    """Private nodes: own name, ports, data and epmd; loopback only."""

    leases = LEASES["rabbitmq"]
    slow = True

    def __init__(self) -> None:
        super().__init__("rabbitmq", "process")
        self._children: list[Child] = []
        self._environments: dict[int, Mapping[str, str]] = {}

    @staticmethod
    def server() -> str | None:
        """Answer the server's start script, None where there is none."""
        path = os.pathsep.join([os.environ.get("PATH", os.defpath), *PLACES])
        found = shutil.which("rabbitmq-server", path=path)
        return next((script for script in SCRIPTS if Path(script).exists()), found)

    def setting(self, lease: Lease) -> tuple[Setup, LeaseTimes]:
        """Answer how a node is set to have a lease, and when a delivery then comes back."""
        return setting(lease, self.info().version, self.control is not None)

    def start(self, setup: Setup) -> Node:
        """Start a node, which takes some seconds."""
        server, epmd = self.server(), shutil.which("epmd")
        if server is None or epmd is None:
            raise Unavailable(
                f"there is no {'epmd' if server else 'rabbitmq-server'} on this machine: {HELP}"
            )
        folder, port, names = private_folder(), free_port(), str(free_port())
        # Erlang would start a name server that outlives the node; this one is a child like the node.
        mapper = Child([epmd, "-port", names, "-address", "127.0.0.1"], private_folder())
        self._children.append(mapper)
        (folder / "rabbitmq.conf").write_text(config(setup, f"127.0.0.1:{port}"))
        (folder / "advanced.config").write_text(advanced_config(setup))
        (folder / "enabled_plugins").write_text("[].\n")
        self._environments[port] = _environment(folder, port, names)
        following = {**self.control.variables(), ARGUMENTS: f"{LOOPBACK} {ON_TRAVEL}"} if self.control else {}
        child = Child([server], folder, {**self._environments[port], **following})
        self._children.append(child)
        node = Node.local("amqp", port)
        await_ready(node, child.pause, child.log)
        return node

    def set_policy(self, node: Node, name: str, pattern: str, definition: Mapping[str, Any]) -> None:
        """Set a policy for the queues whose names match.

        Raises:
            Unavailable: the node does not take it.
        """
        server = self.server()
        assert server is not None, "a node is running"
        command = [str(Path(server).with_name("rabbitmqctl")), *policy_arguments(name, pattern, definition)]
        environment = {**os.environ, **self._environments[node.port]}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Unavailable(f"the policy {name!r} is refused: {done.stderr.strip() or done.stdout.strip()}")

    def stop(self) -> None:
        """End the nodes, then their name servers."""
        while self._children:
            self._children.pop().stop()

    def version(self, node: Node) -> str:
        """Answer the version in the server properties."""
        return announced_version(node)


def policy_arguments(name: str, pattern: str, definition: Mapping[str, Any]) -> list[str]:
    """Answer what ``rabbitmqctl`` is told to set a policy on queues."""
    return ["set_policy", "--apply-to", "queues", name, pattern, json.dumps(definition)]


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
        ARGUMENTS: LOOPBACK,
        "RABBITMQ_SCHEDULER_BUSY_WAIT_THRESHOLD": "none",
        "ERL_EPMD_PORT": names,
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_CRASH_DUMP_SECONDS": "0",
    }
