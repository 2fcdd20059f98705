"""What the guards of one process have in common."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from guards.cache import ScanCache
from guards.pool import WorkerPool


@dataclass(frozen=True, slots=True)
class Resources:
    """`secret` keys what a guard derives for a tenant (nonces of placeholders). `pool`: processes for work that would
    hold the event loop up; none is started before a guard asks for one."""

    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    cache: ScanCache = field(default_factory=ScanCache)
    pool: WorkerPool = field(default_factory=WorkerPool)

    async def close(self) -> None:
        await self.pool.close()
