"""The container engine: whether it answers, and which images it has."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from celeriac.conformance.providers.base import Unavailable

__all__ = ["IMAGES", "answers", "has", "image", "pulled", "remove"]

#: Where a server is found, by flavour: the official image, which for RabbitMQ is better with ``libfaketime`` added
#: (``scripts/images --official``), then what ``scripts/images`` makes without a registry.
IMAGES: Mapping[str, tuple[str, ...]] = {
    "rabbitmq": ("celeriac-rabbitmq-3.13", "rabbitmq:3.13", "celeriac-bookworm"),
    "redis": ("redis:7", "celeriac-bookworm"),
    "valkey": ("valkey/valkey:8", "celeriac-trixie"),
}

#: Names that begin like this are made here; no registry has them.
MADE_HERE = "celeriac-"

HELP = "start the engine (dockerd), run `pip install 'celeriac[containers]'`, or use --broker-from=process"


def answers() -> bool:
    """Answer whether a container engine can be talked to."""
    try:
        with _client():
            return True
    except Unavailable:
        return False


def image(flavour: str) -> str | None:
    """Answer the image to use for ``flavour`` if one is there: what the environment names, else the first known.

    Raises:
        Unavailable: no engine answers.
    """
    with _client() as client:
        return next((name for name in _candidates(flavour) if _present(client, name)), None)


def pulled(flavour: str) -> str:
    """Fetch what the environment names for ``flavour``, else the official image, and answer its name.

    Raises:
        Unavailable: no engine answers, or the image cannot be had.
    """
    with _client() as client:
        names = _candidates(flavour)
        official = next((name for name in names if not name.startswith(MADE_HERE)), names[0])
        return _pulled(client, flavour, official)


def has(name: str) -> bool:
    """Answer whether the image is there.

    Raises:
        Unavailable: no engine answers.
    """
    with _client() as client:
        return _present(client, name)


def remove(name: str) -> bool:
    """Remove a container with its volumes, running or not; answer whether it was there.

    Raises:
        Unavailable: no engine answers, or it cannot remove it.
    """
    from docker.errors import DockerException, NotFound

    with _client() as client:
        try:
            client.containers.get(name).remove(force=True, v=True)
        except NotFound:
            return False
        except DockerException as exc:
            raise Unavailable(f"the container {name} cannot be removed: {exc}") from exc
    return True


def _candidates(flavour: str) -> tuple[str, ...]:
    named = os.environ.get(f"CELERIAC_IMAGE_{flavour.upper()}")
    return (named,) if named else IMAGES[flavour]


def _present(client: Any, name: str) -> bool:
    from docker.errors import ImageNotFound

    try:
        client.images.get(name)
    except ImageNotFound:
        return False
    return True


def _pulled(client: Any, flavour: str, name: str) -> str:
    from docker.errors import DockerException

    try:
        client.images.pull(name)
    except DockerException as exc:
        advice = f"set CELERIAC_IMAGE_{flavour.upper()}, or make one on Debian with scripts/images"
        raise Unavailable(f"the image {name} is not here and cannot be pulled ({exc}): {advice}") from exc
    return name


@contextlib.contextmanager
def _client() -> Iterator[Any]:
    try:
        import docker
        from docker.errors import DockerException
    except ImportError as exc:
        raise Unavailable(f"no client for a container engine is installed: {HELP}") from exc
    try:
        _knock()
        client = docker.from_env(timeout=60)
    except (DockerException, OSError) as exc:
        raise Unavailable(f"no container engine answers ({exc}): {HELP}") from exc
    try:
        client.ping()
        yield client
    except (DockerException, OSError) as exc:
        raise Unavailable(f"the container engine does not answer ({exc}): {HELP}") from exc
    finally:
        client.close()


def _knock() -> None:
    """Connect to the engine's Unix socket once; docker's client leaves its own open where nobody listens.

    Raises:
        OSError: nobody does.
    """
    from docker.utils import parse_host

    host = parse_host(os.environ.get("DOCKER_HOST"), sys.platform == "win32")
    scheme, _, path = host.partition("://")
    if scheme == "http+unix":
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(path)
