"""Long work in short pieces on the event loop, one piece at a time for all requests together.

Between two pieces everything else gets its turn. Were each request only to yield by itself, fifty of them would still
run fifty pieces in a row.

How long a piece takes depends on what is in it (prose is a hundred times faster than columns of numbers), so pieces
grow and shrink with the time that they take.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar
from weakref import WeakKeyDictionary

MOST = 4_000  # characters of one piece
LEAST = 250
_SHORT = 500  # a text of no more than this is never cut
SECONDS = 0.001  # that one piece should take
BREATH = 0.001  # seconds left to all else after so much work
_DENSE = 12  # a text with more digits than one in so many characters may be slow

_Result = TypeVar("_Result")


class _Queue:
    """Of one event loop. `owed`: seconds that pieces have taken since the loop had time for all else; the last ended at
    `ended`."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.owed = 0.0
        self.ended = 0.0


_queues: WeakKeyDictionary[asyncio.AbstractEventLoop, _Queue] = WeakKeyDictionary()


def is_short(text: str) -> bool:
    """Whether a text is looked at in one go."""
    if len(text) <= _SHORT:
        return True
    return len(text) <= MOST and sum(map(text.count, "0123456789")) * _DENSE < len(text)


class Pace:
    """Of one long text. `size`: characters of the next piece."""

    def __init__(self) -> None:
        self.size = LEAST

    async def take(self, work: Callable[[], _Result]) -> _Result:
        """The result of one piece of work, once it is its turn."""
        result, taken = await _timed_in_turn(work)
        # At most four times as many at once: what follows may be slower.
        self.size = round(min(MOST, 4 * self.size, max(LEAST, self.size * SECONDS / max(taken, 1e-6))))
        return result


async def in_turn(work: Callable[[], _Result]) -> _Result:
    """The result of one piece of work, once it is its turn. The work must not wait for another turn."""
    result, _ = await _timed_in_turn(work)
    return result


async def _timed_in_turn(work: Callable[[], _Result]) -> tuple[_Result, float]:
    """The result, and the seconds that it took."""
    loop = asyncio.get_running_loop()
    queue = _queues.get(loop)
    if queue is None:
        queue = _queues[loop] = _Queue()
    async with queue.lock:
        # What others have to do takes several turns of the loop: one turn between two slow pieces would not do.
        if time.perf_counter() - queue.ended >= BREATH:
            queue.owed = 0.0
        if queue.owed < SECONDS:
            await asyncio.sleep(0)
        else:
            await asyncio.sleep(BREATH)
            queue.owed = 0.0
        started = time.perf_counter()
        result = work()
        queue.ended = time.perf_counter()
        taken = queue.ended - started
        queue.owed += taken
    return result, taken
