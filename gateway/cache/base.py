"""What a store of cached answers does: keep bytes by key for a while. It knows neither requests nor replies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(slots=True)
class Counts:
    """What has happened since the start. The first three are requests, the others entries."""

    hits: int = 0  # answered from the cache, or with the answer of an equal request under way
    misses: int = 0
    stale: int = 0  # answered with what was too old, because every target failed
    stored: int = 0
    evicted: int = 0  # for want of room, before their time
    errors: int = 0  # reads and writes that failed, and damaged entries


class Store(Protocol):
    """Where entries are kept. A key is 32 bytes. What goes wrong is counted, never raised: a cache may miss."""

    async def get(self, key: bytes) -> bytes | None: ...

    def put(self, key: bytes, payload: bytes, keep: float) -> None:
        """Keep it for `keep` seconds, if there is room. Never waits."""
        ...

    async def start(self) -> None: ...

    async def close(self) -> None: ...
