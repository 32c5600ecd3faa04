"""Brokers in containers, in official images or in a plain Debian with the servers installed."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from typing import Any

from celeriac.conformance import leftovers
from celeriac.conformance.providers import engine
from celeriac.conformance.providers.base import (
    LEASES,
    Lease,
    LeaseTimes,
    Link,
    Node,
    Provider,
    Setup,
    Unavailable,
)
from celeriac.conformance.providers.rabbitmq import (
    ARGUMENTS,
    ON_TRAVEL,
    advanced_config,
    config,
    policy_arguments,
    setting,
)
from celeriac.conformance.providers.readiness import announced_version, await_ready
from celeriac.conformance.providers.redis import RedisLeases, arguments

__all__ = ["RabbitContainer", "RedisContainer"]

PORTS: dict[Link, int] = {"amqp": 5672, "redis": 6379}

#: Where a container sees the control file.
CLOCK_FOLDER = "/celeriac-clock"

#: Official images become the user rabbitmq in their entry point, Debian's command does so by itself.
RABBIT_COMMAND = """
printf '%s' "$CELERIAC_CONFIG" > /etc/rabbitmq/rabbitmq.conf
printf '%s' "$CELERIAC_ADVANCED_CONFIG" > /etc/rabbitmq/advanced.config
unset CELERIAC_CONFIG CELERIAC_ADVANCED_CONFIG
if command -v docker-entrypoint.sh > /dev/null; then exec docker-entrypoint.sh rabbitmq-server; fi
exec rabbitmq-server
"""


class _Containers:
    """Containers through testcontainers, their ports published on loopback only; for both protocols."""

    flavour: str
    link: Link

    def __init__(self) -> None:
        self._started: list[Any] = []

    def _run(self, container: Any) -> Node:
        self._started.append(container)
        with _reported_failures(f"the container from {container.image} could not be started"):
            container.start()
            node = Node.local(self.link, _published(container, PORTS[self.link]))
        await_ready(node, lambda seconds: _pause(container, seconds), lambda: _log(container))
        return node

    def _container(self) -> Any:
        image = engine.image(self.flavour) or engine.pulled(self.flavour)
        _without_absent_ryuk()
        from testcontainers.core.container import DockerContainer

        label = {leftovers.LABEL: leftovers.run_name()}
        container = DockerContainer(image, name=leftovers.enter_container(), labels=label)
        loopback: Any = ("127.0.0.1", None)  # docker's own notation, which testcontainers passes on
        container.ports = {f"{PORTS[self.link]}/tcp": loopback}
        return container

    def stop(self) -> None:
        """Remove the containers."""
        while self._started:
            container = self._started.pop()
            name = container._name  # noqa: SLF001 - what enter_container has answered
            container.stop()
            engine.remove(name)  # one whose start was interrupted does not know that it is there
            leftovers.strike_container(name)

    def version(self, node: Node) -> str:
        """Answer the version that the server announces."""
        return announced_version(node)


class RabbitContainer(_Containers, Provider):
    """RabbitMQ, with a clock that can be moved where the image has the library for it."""

    leases = LEASES["rabbitmq"]
    slow = True

    def __init__(self) -> None:
        Provider.__init__(self, "rabbitmq", "container")
        _Containers.__init__(self)
        self._by_port: dict[int, Any] = {}

    def setting(self, lease: Lease) -> tuple[Setup, LeaseTimes]:
        """Answer how a node is set to have a lease, and when a delivery then comes back."""
        return setting(lease, self.info().version, self.control is not None)

    def start(self, setup: Setup) -> Node:
        """Start a container."""
        container = self._container()
        container.with_env("CELERIAC_CONFIG", config(setup, str(PORTS["amqp"])))
        container.with_env("CELERIAC_ADVANCED_CONFIG", advanced_config(setup))
        container.with_env("RABBITMQ_NODENAME", "celeriac@localhost")
        container.with_env("RABBITMQ_LOGS", "-")
        if self.control is not None:
            container.with_volume_mapping(str(self.control.folder), CLOCK_FOLDER, "ro")
            container.env.update({**self.control.variables(CLOCK_FOLDER), ARGUMENTS: ON_TRAVEL})
        node = self._run(container.with_command(["sh", "-c", RABBIT_COMMAND]))
        self._by_port[node.port] = container
        return node

    def set_policy(self, node: Node, name: str, pattern: str, definition: Mapping[str, Any]) -> None:
        """Set a policy for the queues whose names match.

        Raises:
            Unavailable: the node does not take it.
        """
        told = ["rabbitmqctl", "-n", "celeriac@localhost", *policy_arguments(name, pattern, definition)]
        code, said = self._by_port[node.port].exec(told)
        if code:
            raise Unavailable(f"the policy {name!r} is refused: {said.decode('utf-8', 'replace').strip()}")


class RedisContainer(_Containers, RedisLeases):
    """Redis or Valkey."""

    def __init__(self, flavour: str) -> None:
        RedisLeases.__init__(self, flavour, "container")
        _Containers.__init__(self)

    def start(self, setup: Setup) -> Node:
        """Start a container."""
        options = [*arguments(PORTS["redis"], "0.0.0.0"), "--protected-mode", "no"]  # noqa: S104 - inside
        return self._run(self._container().with_command([f"{self.flavour}-server", *options]))


def _without_absent_ryuk() -> None:
    """Do without testcontainers' reaper where its image would have to be fetched: containers are ended here."""
    from testcontainers.core.config import testcontainers_config

    if "TESTCONTAINERS_RYUK_DISABLED" not in os.environ and not engine.has(testcontainers_config.ryuk_image):
        testcontainers_config.ryuk_disabled = True


def _published(container: Any, port: int) -> int:
    wrapped = container.get_wrapped_container()
    wrapped.reload()
    bindings = wrapped.ports.get(f"{port}/tcp")
    if not bindings:
        raise Unavailable(f"the container ended while starting; its log ends:\n{_log(container)}")
    return int(bindings[0]["HostPort"])


def _pause(container: Any, seconds: float) -> None:
    wrapped = container.get_wrapped_container()
    wrapped.reload()
    if wrapped.status != "running":
        raise Unavailable(f"the container is {wrapped.status}; its log ends:\n{_log(container)}")
    time.sleep(seconds)


def _log(container: Any) -> str:
    text: str = b"".join(container.get_logs()).decode("utf-8", "replace")
    return "\n".join(text.splitlines()[-20:])


@contextlib.contextmanager
def _reported_failures(what: str) -> Iterator[None]:
    from docker.errors import DockerException

    try:
        yield
    except DockerException as exc:
        raise Unavailable(f"{what}: {exc}") from exc
