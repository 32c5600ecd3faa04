"""Results in this process: every application that names the same ``memory://NAME`` sees the same records."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final
from uuid import uuid4

from celeriac.reference.clock import Clock
from celeriac.reference.codecs import accepted_types, decode, encode
from celeriac.reference.context import Context
from celeriac.reference.settings import Settings

__all__ = ["MemoryBackend"]

_stores: Final[dict[str, dict[str, list[Mapping[str, Any]]]]] = {}


class MemoryBackend:
    """A result back end without a wire; records still pass the serializer, as they would on one."""

    errors: tuple[type[BaseException], ...] = ()

    def __init__(self, name: str, settings: Settings, clock: Clock) -> None:
        self.reply_to = str(uuid4())
        self._serializer = settings.result_serializer
        self._clock = clock
        self._records = _stores.setdefault(name, defaultdict(list))

    def prepare(self, channel: Any, task_id: str) -> None:
        """Do nothing: no record is ever missed."""

    def store(self, record: Mapping[str, Any], context: Context) -> None:
        """Append the record, unless the task has succeeded already."""
        encoded = encode(record, self._serializer)
        accept = accepted_types([self._serializer])
        kept = self._records[record["task_id"]]
        if not any(earlier["status"] == "SUCCESS" for earlier in kept):
            kept.append(decode(encoded.data, encoded.content_type, encoded.content_encoding, accept))

    def records(self, task_id: str) -> list[Mapping[str, Any]]:
        """Answer the records of a task, in order."""
        return self._records[task_id]

    def receive(self, task_id: str, seen: int, timeout: float | None) -> None:
        """Wait on the clock until there are more than ``seen`` records."""
        self._clock.wait_for(lambda: len(self._records[task_id]) > seen, timeout)

    def close(self) -> None:
        """Do nothing: others may still want the records."""
