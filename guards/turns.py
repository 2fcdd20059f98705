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
_FIRST = 500  # of a text that may be slow; a text of no more than this is never cut
SECONDS = 0.001  # that one piece should take
_DENSE = 12  # a text with more digits than one in so many characters may be slow

_Result = TypeVar("_Result")

_locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


def is_short(text: str) -> bool:
    """Whether a text is looked at in one go."""
    if len(text) <= _FIRST:
        return True
    return len(text) <= MOST and sum(map(text.count, "0123456789")) * _DENSE < len(text)


class Pace:
    """Of one long text. `size`: characters of the next piece."""

    def __init__(self) -> None:
        self.size = _FIRST

    async def take(self, work: Callable[[], _Result]) -> _Result:
        """The result of one piece of work, once it is its turn."""
        taken = 0.0

        def timed() -> _Result:
            nonlocal taken
            started = time.perf_counter()
            result = work()
            taken = time.perf_counter() - started
            return result

        result = await in_turn(timed)
        # At most four times as many at once: what follows may be slower.
        self.size = round(min(MOST, 4 * self.size, max(LEAST, self.size * SECONDS / max(taken, 1e-6))))
        return result


async def in_turn(work: Callable[[], _Result]) -> _Result:
    """The result of one piece of work, once it is its turn. The work must not wait for another turn."""
    loop = asyncio.get_running_loop()
    lock = _locks.get(loop)
    if lock is None:
        lock = _locks[loop] = asyncio.Lock()
    async with lock:
        await asyncio.sleep(0)
        return work()
