"""What is ready in a queue: per priority the new messages in order, and the returned ones by position.

A returned message goes back to its original place.  It was taken from the front, so the returned messages of
a priority all precede the new ones; a small heap keeps them in order.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

__all__ = ["Backlog"]


class Placed(Protocol):
    """Something that has a place in a queue."""

    position: int
    priority: int


T = TypeVar("T", bound=Placed)


class _Level(Generic[T]):
    """The ready messages of one priority."""

    def __init__(self) -> None:
        self.fresh: deque[T] = deque()
        self.returned: list[tuple[int, T]] = []

    def __bool__(self) -> bool:
        return bool(self.fresh or self.returned)

    def head(self) -> T:
        return self.returned[0][1] if self.returned else self.fresh[0]

    def pop(self) -> T:
        return heapq.heappop(self.returned)[1] if self.returned else self.fresh.popleft()

    def __iter__(self) -> Iterator[T]:
        yield from (item for _, item in sorted(self.returned, key=lambda pair: pair[0]))
        yield from self.fresh


class Backlog(Generic[T]):
    """An ordered collection with a head; higher priorities first, then lower positions.

    Args:
        max_priority: the highest priority an item may have.
    """

    def __init__(self, max_priority: int = 0) -> None:
        self._levels: list[_Level[T]] = [_Level() for _ in range(max_priority + 1)]
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[T]:
        for level in reversed(self._levels):
            yield from level

    def push(self, item: T) -> None:
        """Add a new item behind everything of its priority."""
        self._levels[item.priority].fresh.append(item)
        self._count += 1

    def put_back(self, item: T) -> None:
        """Return an item to the place it was taken from."""
        heapq.heappush(self._levels[item.priority].returned, (item.position, item))
        self._count += 1

    def head(self) -> T | None:
        """Answer the next item without taking it, or None."""
        if not self._count:
            return None
        return self._top().head()

    def pop(self) -> T:
        """Take the next item.

        Raises:
            IndexError: there is none.
        """
        if not self._count:
            message = "pop from an empty backlog"
            raise IndexError(message)
        self._count -= 1
        return self._top().pop()

    def _top(self) -> _Level[T]:
        if len(self._levels) == 1:
            return self._levels[0]
        return next(level for level in reversed(self._levels) if level)

    def clear(self) -> list[T]:
        """Take everything, in order."""
        items = list(self)
        self.__init__(len(self._levels) - 1)  # type: ignore[misc]
        return items
