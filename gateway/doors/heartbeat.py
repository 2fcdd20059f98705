"""Keeps silent streams alive: proxies close connections on which nothing has come for a while.

One task for all streams of a gate, which is there only while there are any.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Protocol


class Stream(Protocol):
    """`written`: monotonic seconds of the last write; None while a write waits for the caller to read."""

    written: float | None

    async def heartbeat(self) -> None:
        """Send what clients read over. Does not wait: `written` says that the last write is through."""
        ...


class Heartbeats:
    """`interval`: seconds of silence after which a stream gets a heartbeat."""

    def __init__(self, interval: float, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._interval = interval
        self._sleep = sleep
        self._streams: set[Stream] = set()
        self._task: asyncio.Task[None] | None = None

    @contextmanager
    def watching(self, stream: Stream) -> Iterator[None]:
        self._streams.add(stream)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="heartbeats")
        try:
            yield
        finally:
            self._streams.discard(stream)

    async def _run(self) -> None:
        try:
            while self._streams:
                await self._sleep(self._interval / 4)
                silent_since = monotonic() - self._interval
                for stream in list(self._streams):
                    if stream.written is not None and stream.written <= silent_since:
                        await stream.heartbeat()
        finally:
            self._task = None
