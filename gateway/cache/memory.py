"""Entries in this process: the longest unused leave first when there is no room."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from gateway.cache.base import Counts

__all__ = ["MemoryStore"]

OVERHEAD = 320  # bytes an entry takes beside its payload: key, tuple, number, place in the order


class MemoryStore:
    """At most `max_bytes` of entries, measured as they lie in memory. `now` counts seconds."""

    def __init__(self, max_bytes: int, counts: Counts, *, now: Callable[[], float] = time.monotonic) -> None:
        self._max_bytes = max_bytes
        self._counts = counts
        self._now = now
        self._entries: OrderedDict[bytes, tuple[bytes, float]] = OrderedDict()  # payload, and when it is over
        self.size = 0  # bytes

    def __len__(self) -> int:
        return len(self._entries)

    async def get(self, key: bytes) -> bytes | None:
        found = self._entries.get(key)
        if found is None:
            return None
        payload, over = found
        if self._now() >= over:
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return payload

    def put(self, key: bytes, payload: bytes, keep: float) -> None:
        size = len(payload) + OVERHEAD
        if size > self._max_bytes:
            return
        if key in self._entries:
            self._drop(key)
        while self.size + size > self._max_bytes:
            oldest = next(iter(self._entries))
            self._drop(oldest)
            self._counts.evicted += 1
        self._entries[key] = payload, self._now() + keep
        self.size += size
        self._counts.stored += 1

    async def start(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        self._entries.clear()
        self.size = 0

    def _drop(self, key: bytes) -> None:
        payload, _ = self._entries.pop(key)
        self.size -= len(payload) + OVERHEAD
