"""One asyncio loop in one background thread, shared by every tap that is open."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

__all__ = ["SharedLoop"]

T = TypeVar("T")


class SharedLoop:
    """A loop that runs as long as somebody uses it; ``acquire`` and ``release`` come in pairs."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._users = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def acquire(self) -> None:
        """Start the loop for the first user."""
        with self._lock:
            self._users += 1
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name=self._name, daemon=True)
                self._thread.start()

    def release(self) -> None:
        """Stop the loop after the last user."""
        with self._lock:
            self._users -= 1
            if self._users or self._loop is None or self._thread is None:
                return
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        asyncio.run_coroutine_threadsafe(_drain(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work`` on the loop and answer its result; not to be called from the loop itself."""
        if self._loop is None:
            work.close()
            raise RuntimeError(f"{self._name} is not running: acquire() it first")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def do(self, work: Callable[[], None]) -> None:
        """Call ``work`` on the loop and wait for it; at once where this is the loop's own thread."""

        async def done() -> None:
            work()

        if threading.current_thread() is self._thread:
            work()
        else:
            self.run(done())


async def _drain() -> None:
    """Let transports that were closed say goodbye, then cancel what is left."""
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
    await asyncio.sleep(0)
    await asyncio.get_running_loop().shutdown_asyncgens()
