"""Result back ends: ``memory://NAME``, ``rpc://`` and ``redis://...``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from celeriac.reference.clock import Clock
from celeriac.reference.settings import Settings

if TYPE_CHECKING:
    from celeriac.reference.connections import Pool
    from celeriac.reference.results.base import Backend

__all__ = ["open_backend"]


def open_backend(
    url: str | None, broker_url: str, settings: Settings, clock: Clock, pool: Pool
) -> Backend | None:
    """Answer the back end that ``url`` names, None for none.

    Raises:
        ValueError: there is no back end of that kind.
    """
    if url is None:
        return None
    scheme = url.partition("://")[0]
    if scheme == "memory":
        from celeriac.reference.results.memory import MemoryBackend

        return MemoryBackend(url.partition("://")[2], settings, clock)
    if scheme == "rpc":
        from celeriac.reference.results.rpc import RpcBackend

        return RpcBackend(broker_url, settings, clock, pool)
    if scheme in {"redis", "rediss"}:
        from celeriac.reference.results.redis import RedisBackend

        return RedisBackend(url, settings, clock)
    raise ValueError(f"no result back end for {scheme}://; there are memory://, rpc:// and redis://")
