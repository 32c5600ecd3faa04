"""Brokers in containers, in official images or in a plain Debian with the servers installed."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from typing import Any

from celeriac.conformance import leftovers
from celeriac.conformance.providers import engine
from celeriac.conformance.providers.base import (
    VISIBILITY,
    Lease,
    LeaseTimes,
    Link,
    Node,
    Provider,
    Unavailable,
)
from celeriac.conformance.providers.rabbitmq import CHANNEL_CLOSE, advanced_config, config
from celeriac.conformance.providers.readiness import announced_version, await_ready
from celeriac.conformance.providers.redis import arguments

__all__ = ["ContainerProvider"]

PORTS: dict[Link, int] = {"amqp": 5672, "redis": 6379}

#: Official images become the user rabbitmq in their entry point, Debian's command does so by itself.
RABBIT_COMMAND = """
printf '%s' "$CELERIAC_CONFIG" > /etc/rabbitmq/rabbitmq.conf
printf '%s' "$CELERIAC_ADVANCED_CONFIG" > /etc/rabbitmq/advanced.config
unset CELERIAC_CONFIG CELERIAC_ADVANCED_CONFIG
if command -v docker-entrypoint.sh > /dev/null; then exec docker-entrypoint.sh rabbitmq-server; fi
exec rabbitmq-server
"""


class ContainerProvider(Provider):
    """Containers through testcontainers, their ports published on loopback only."""

    def __init__(self, flavour: str) -> None:
        super().__init__(flavour, "container")
        self.leases = ("channel-close",) if self.link == "amqp" else ("redeliver",)
        self._containers: list[Any] = []

    def start(self, lease: Lease | None) -> Node:
        """Start a container; on Redis one serves every lease."""
        if self.link == "amqp":
            times = CHANNEL_CLOSE if lease else None
            return Node.local("amqp", self._run(times), times)
        port = next(iter(self._nodes.values())).port if self._nodes else self._run(None)
        return Node.local("redis", port, VISIBILITY if lease else None)

    def _run(self, times: LeaseTimes | None) -> int:
        image = engine.image(self.flavour) or engine.pulled(self.flavour)
        container = self._container(image, times)
        self._containers.append(container)
        with _reported_failures(f"the container from {image} could not be started"):
            container.start()
            port = _published(container, PORTS[self.link])
        await_ready(
            Node.local(self.link, port), lambda seconds: _pause(container, seconds), lambda: _log(container)
        )
        return port

    def _container(self, image: str, times: LeaseTimes | None) -> Any:
        _without_absent_ryuk()
        from testcontainers.core.container import DockerContainer

        label = {leftovers.LABEL: leftovers.run_name()}
        container = DockerContainer(image, name=leftovers.enter_container(), labels=label)
        loopback: Any = ("127.0.0.1", None)  # docker's own notation, which testcontainers passes on
        container.ports = {f"{PORTS[self.link]}/tcp": loopback}
        if self.link == "redis":
            options = [*arguments(PORTS["redis"], "0.0.0.0"), "--protected-mode", "no"]  # noqa: S104 - inside
            return container.with_command([f"{self.flavour}-server", *options])
        container.with_env("CELERIAC_CONFIG", config(times, str(PORTS["amqp"])))
        container.with_env("CELERIAC_ADVANCED_CONFIG", advanced_config(times))
        container.with_env("RABBITMQ_NODENAME", "celeriac@localhost")
        container.with_env("RABBITMQ_LOGS", "-")
        return container.with_command(["sh", "-c", RABBIT_COMMAND])

    def stop(self) -> None:
        """Remove the containers."""
        while self._containers:
            container = self._containers.pop()
            name = container._name  # noqa: SLF001 - what enter_container has answered
            container.stop()
            engine.remove(name)  # one whose start was interrupted does not know that it is there
            leftovers.strike_container(name)

    def version(self, node: Node) -> str:
        """Answer the version that the server announces."""
        return announced_version(node)


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
