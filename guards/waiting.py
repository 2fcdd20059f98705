"""A time limit on a guard's answer that costs nothing where the guard answers without waiting, as most do."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Awaitable, Coroutine, Generator
from time import monotonic
from typing import Any, TypeVar

_Answer = TypeVar("_Answer")


class TooSlow(Exception):
    """There was no answer in time; what was asked has been cancelled."""


async def within(seconds: float, answer: Awaitable[_Answer]) -> _Answer:
    """The answer, if it comes in so many seconds. Raises TooSlow, and what `answer` raises.

    The limit is on waiting: work that never gives the loop a turn cannot be cut short.
    """
    if isinstance(answer, types.CoroutineType):
        began = monotonic()
        try:
            waits_for = answer.send(None)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
        answer = _going_on(answer, waits_for)
        seconds -= monotonic() - began
    try:
        async with asyncio.timeout(seconds) as limit:
            return await answer
    except TimeoutError:
        if limit.expired():
            raise TooSlow from None
        raise


@types.coroutine
def _going_on(work: Coroutine[Any, Any, _Answer], waits_for: Any) -> Generator[Any, Any, _Answer]:
    """Await the rest of a coroutine that was begun by hand and waits for `waits_for`."""
    try:
        yield waits_for
    except BaseException as error:
        try:
            waits_for = work.throw(error)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
        return (yield from _going_on(work, waits_for))
    return (yield from work)  # type: ignore[no-any-return]
