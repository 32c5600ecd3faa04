"""Scenarios do not inherit what the workers of earlier ones have left in the broker."""

from __future__ import annotations

import pytest
import redis
from kombu.transport.redis import Channel, Mutex, MutexHeld

from celeriac.conformance.inject import RedisInjector
from celeriac.conformance.providers import Node


def test_sweeps_are_free_when_a_scenario_begins(valkey: Node) -> None:
    """The lock of a worker that was killed while it swept keeps no worker of the next scenario from sweeping."""
    name, expiry = Channel.unacked_mutex_key, Channel.unacked_mutex_expire
    injector = RedisInjector(valkey.url)
    with redis.Redis.from_url(valkey.url) as client:
        assert client.lock(name, timeout=expiry).acquire(blocking=False)
        with pytest.raises(MutexHeld), Mutex(client, name, expiry):
            pass
        injector.open("a-queue")
        with Mutex(client, name, expiry):
            assert client.exists(name)
    injector.close()
