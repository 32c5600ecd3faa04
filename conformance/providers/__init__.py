"""Providers: how a broker is obtained.

========= =================================== =====================================================
flavour   source                              what it is
========= =================================== =====================================================
embedded  (none)                              the reference's own broker on TCP, in a thread
rabbitmq  ``process`` ``container`` ``amqp:``   a private node; a container; somebody's broker
redis     ``process`` ``container`` ``redis:``  the same
valkey    ``process`` ``container`` ``redis:``  the same; the process may come from a wheel
========= =================================== =====================================================

    with find("rabbitmq", "process") as provider:
        node = provider.node("channel-close")
        node.url, node.lease
"""

from __future__ import annotations

from celeriac.conformance.providers.base import (
    LEASES,
    LINKS,
    BrokerInfo,
    Lease,
    LeaseTimes,
    Link,
    Node,
    Provider,
    Setup,
    Unavailable,
)

__all__ = [
    "FLAVOURS",
    "LEASES",
    "LINKS",
    "SOURCES",
    "BrokerInfo",
    "Lease",
    "LeaseTimes",
    "Link",
    "Node",
    "Provider",
    "Setup",
    "Unavailable",
    "default_source",
    "find",
]

FLAVOURS = tuple(LINKS)
#: Every source but a URL.
SOURCES = ("container", "process")


def find(flavour: str, source: str | None = None) -> Provider:
    """Answer a provider; nothing is started yet.

    Args:
        flavour: one of ``FLAVOURS``.
        source: one of ``SOURCES``, a URL, or None for ``default_source(flavour)``; for the embedded broker the name
            of a dialect, or None, or one of ``SOURCES`` that others are taken from: it is in none of them.

    Raises:
        ValueError: there is no such flavour or source.
    """
    if flavour not in LINKS:
        raise ValueError(f"unknown broker {flavour!r}; known: {', '.join(FLAVOURS)}")
    if flavour == "embedded":
        if source is not None and "://" in source:
            raise ValueError("the embedded broker has no URL; say --broker=rabbitmq, redis or valkey as well")
        return _embedded(None if source in SOURCES else source)
    source = source or default_source(flavour)
    if "://" in source:
        return _url(flavour, source)
    if source not in SOURCES:
        raise ValueError(f"unknown source {source!r} of a broker; known: {', '.join(SOURCES)} or a URL")
    return _container(flavour) if source == "container" else _process(flavour)


def default_source(flavour: str) -> str:
    """Answer ``container`` where an engine answers and has an image, else ``process``; see ``find``."""
    from celeriac.conformance.providers import engine

    try:
        return "container" if engine.image(flavour) else "process"
    except Unavailable:
        return "process"


def _embedded(dialect: str | None) -> Provider:
    from celeriac.conformance.providers.embedded import EmbeddedProvider

    return EmbeddedProvider(dialect)


def _url(flavour: str, url: str) -> Provider:
    from celeriac.conformance.providers.url import UrlProvider

    return UrlProvider(flavour, url)


def _container(flavour: str) -> Provider:
    from celeriac.conformance.providers.container import RabbitContainer, RedisContainer

    return RabbitContainer() if flavour == "rabbitmq" else RedisContainer(flavour)


def _process(flavour: str) -> Provider:
    from celeriac.conformance.providers.rabbitmq import RabbitProcess
    from celeriac.conformance.providers.redis import RedisProcess

    return RabbitProcess() if flavour == "rabbitmq" else RedisProcess(flavour)
