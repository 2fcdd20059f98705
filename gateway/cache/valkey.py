"""Entries in Valkey or Redis, shared by replicas. A server that is slow or away makes misses, never errors.

It has a connection of its own: an answer of a megabyte must not stand before a limit's reservation.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog

from gateway.admission.stores.address import parse_address
from gateway.admission.stores.base import StoreUnavailable
from gateway.admission.stores.link import Link, connect
from gateway.cache.base import Counts
from gateway.cache.seal import seal, unseal

__all__ = ["ValkeyStore"]

log = structlog.get_logger(__name__)

WARN_SECONDS = 60.0  # between two warnings


class ValkeyStore:
    """Entries of at most `max_entry` bytes on the server that `url` names (see `parse_address`).

    A read waits `patience` seconds. A server that leaves a command unanswered for `timeout` is away, and tried again
    every `probe` seconds. How much it keeps is the server's own to limit (`maxmemory`, and a policy that evicts).
    Raises StoreConfigError.
    """

    def __init__(
        self,
        url: str,
        counts: Counts,
        *,
        max_entry: int,
        prefix: str = "sluicegate:cache:",
        patience: float = 0.05,
        timeout: float = 0.5,
        probe: float = 1.0,
    ) -> None:
        self._address = parse_address(url)
        self._counts = counts
        self._max_entry = max_entry
        self._prefix = prefix
        self._patience = patience
        self._timeout = timeout
        self._probe = probe
        self._link: Link | None = None
        self._broken = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._warned: float | None = None

    @property
    def available(self) -> bool:
        return self._link is not None

    async def start(self) -> None:
        """Connect, if the server is there. Never raises: a server that is away may come."""
        await self._connect()
        self._keeper = asyncio.create_task(self._keep())

    async def close(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self._link is not None:
            self._link.close()

    async def get(self, key: bytes) -> bytes | None:
        if self._link is None:
            return None
        # Not GET: the link reads no null, and this answers an empty string for a key that is not there.
        reply = self._link.send(b"GETRANGE", self._name(key), b"0", b"-1")
        try:
            async with asyncio.timeout(self._patience):
                sealed = await reply
        except (StoreUnavailable, TimeoutError) as error:
            self._failed(str(error) or f"no answer in {self._patience:g} s")
            return None
        if not sealed:
            return None
        payload = unseal(key, sealed, self._max_entry)
        if payload is None:
            self._failed("an entry is damaged, or of another version")
        return payload

    def put(self, key: bytes, payload: bytes, keep: float) -> None:
        if self._link is not None:
            kept = b"%d" % max(1, int(keep * 1000))
            written = self._link.send(b"SET", self._name(key), seal(key, payload), b"PX", kept)
            written.add_done_callback(self._written)

    def _written(self, reply: asyncio.Future[bytes]) -> None:
        if (error := reply.exception()) is None:
            self._counts.stored += 1
        else:
            self._failed(str(error))

    def _name(self, key: bytes) -> bytes:
        return f"{self._prefix}{key.hex()}".encode()

    async def _keep(self) -> None:
        """Be connected, until cancelled."""
        while True:
            if self._link is None:
                await asyncio.sleep(self._probe)
                await self._connect()
                continue
            self._broken.clear()
            await self._broken.wait()

    async def _connect(self) -> None:
        with suppress(StoreUnavailable):
            link = await connect(self._address, self._timeout, self._lost)
            if link.open:
                self._link = link
            return
        self._failed("the server cannot be reached")

    def _lost(self, link: Link) -> None:
        if link is self._link:
            self._link = None
            self._broken.set()

    def _failed(self, error: str) -> None:
        """Count a failure, and log it unless one was logged a moment ago."""
        self._counts.errors += 1
        now = asyncio.get_running_loop().time()
        if self._warned is None or now - self._warned >= WARN_SECONDS:
            self._warned = now
            log.warning("the response cache is impaired; calls go to their models", error=error)
