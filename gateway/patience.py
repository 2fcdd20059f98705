"""Time limits for what requests wait for on the gate's own side: keys from the database, sums from the ledger.

A limit by the clock alone blames the database when the event loop was held up: after a stall the timer and the answer
are both ready, and the timer goes first. These limits count only the time in which the loop ran.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

LOOK_SECONDS = 0.05  # between two looks at the clock
LATE_SECONDS = 0.1  # a look so long after the one before it tells of a loop that stood still: that time does not count
MOST = 6.0  # times its seconds: where the loop never runs well, a limit ends after so long by the clock


class Countdown:
    """Calls `ended` once, after `seconds` in which the event loop ran, unless it is cancelled before."""

    def __init__(self, seconds: float, ended: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._ended = ended
        self._left = seconds
        self._seen = self._loop.time()
        self._last = self._seen + MOST * seconds
        self._wait()

    def cancel(self) -> None:
        self._timer.cancel()

    def _wait(self) -> None:
        self._timer = self._loop.call_later(min(LOOK_SECONDS, self._left), self._look)

    def _look(self) -> None:
        now = self._loop.time()
        passed, self._seen = now - self._seen, now
        if passed < LATE_SECONDS:
            self._left -= passed
        if self._left <= 0 or now >= self._last:
            self._ended()
        else:
            self._wait()


@asynccontextmanager
async def patience(seconds: float) -> AsyncIterator[None]:
    """As `asyncio.timeout`, by a Countdown. Raises TimeoutError."""
    async with asyncio.timeout(None) as limit:
        countdown = Countdown(seconds, lambda: limit.reschedule(asyncio.get_running_loop().time()))
        try:
            yield
        finally:
            countdown.cancel()
