"""Time limits that do not count a loop that stood still."""

from __future__ import annotations

import asyncio
import time

import pytest

from gateway import patience as module
from gateway.patience import Countdown, patience


async def stalls(each: float, times: int) -> None:
    """Hold the event loop up again and again, with a breath between."""
    for _ in range(times):
        time.sleep(each)
        await asyncio.sleep(0)


async def test_a_limit_ends_after_its_seconds() -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        async with patience(0.15):
            await asyncio.Event().wait()
    assert 0.14 <= time.monotonic() - began < 2


async def test_what_ends_within_the_limit_is_left_alone() -> None:
    async with patience(0.05):
        await asyncio.sleep(0)
    await asyncio.sleep(0.1)  # and nothing comes later


async def test_an_error_inside_comes_out_as_it_is() -> None:
    with pytest.raises(KeyError):
        async with patience(0.05):
            raise KeyError


async def test_time_in_which_the_loop_stood_still_does_not_count() -> None:
    async with patience(0.2):
        await stalls(0.3, 3)
        await asyncio.sleep(0.05)


async def test_a_loop_that_never_runs_well_ends_the_limit_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 3.0)
    with pytest.raises(TimeoutError):
        async with patience(0.2):
            await stalls(0.15, 20)


async def test_a_countdown_that_is_cancelled_calls_nobody() -> None:
    ended: list[int] = []
    countdown = Countdown(0.02, lambda: ended.append(1))
    other = Countdown(0.02, lambda: ended.append(2))
    countdown.cancel()
    await asyncio.sleep(0.2)
    assert ended == [2]
    other.cancel()
