"""Keeps the price book at what the database has: an override binds on every replica within a second or two."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from billing.pricebook import PriceBook
from gateway.storage.prices import PriceRepository

log = structlog.get_logger(__name__)

REFRESH_SECONDS = 1.0


class PriceWatch:
    """Reads the overrides when they have changed. While the database is away the last ones known hold."""

    def __init__(
        self,
        repository: PriceRepository,
        book: PriceBook,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.repository = repository
        self.book = book
        self._sleep = sleep
        self._version: object = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self.refresh()
        self._task = asyncio.create_task(self._run(), name="price-watch")

    async def refresh(self) -> None:
        """Take over what has changed, now. Raises what the driver raises."""
        version = await self.repository.version()
        if version != self._version:
            self.book.replace_overrides(await self.repository.list())
            self._version = version

    def replace(self, book: PriceBook) -> None:
        """Keep `book` from now on; it begins with the overrides that the one before has."""
        book.replace_overrides(self.book.overrides)
        self.book = book

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        failing = False
        while True:
            await self._sleep(REFRESH_SECONDS)
            try:
                await self.refresh()
            except Exception as error:
                if not failing:
                    log.warning("prices cannot be refreshed; the last ones hold", error=type(error).__name__)
                failing = True
            else:
                failing = False
