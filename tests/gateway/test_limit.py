"""A time limit cancels what it is around, and nothing else."""

from __future__ import annotations

import asyncio

import pytest

from gateway.pipeline.limit import Limit


async def test_what_takes_too_long_is_cancelled_and_told_as_a_timeout() -> None:
    cancelled = False
    with pytest.raises(TimeoutError), Limit(0.01):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled = True
            raise
    task = asyncio.current_task()
    assert cancelled and task is not None and task.cancelling() == 0
    await asyncio.sleep(0)  # nothing is left of it


async def test_what_is_quick_is_not_touched_later() -> None:
    limit = Limit(0.01)
    with limit:
        await asyncio.sleep(0)
    assert limit._handle.cancelled()  # nor does its timer wait for its time
    await asyncio.sleep(0.03)


async def test_no_time_left_is_a_timeout_at_the_first_wait() -> None:
    with pytest.raises(TimeoutError), Limit(-1.0):
        await asyncio.sleep(1)


async def test_an_error_of_its_own_comes_through() -> None:
    with pytest.raises(KeyError), Limit(1.0):
        raise KeyError


async def test_who_is_cancelled_by_another_stays_cancelled() -> None:
    async def work() -> None:
        with Limit(1.0):
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_at_the_very_time_is_no_timeout() -> None:
    limit = Limit(1.0)

    async def work() -> None:
        with limit:
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    limit._expire()
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()


async def test_the_inner_of_two_limits_ends_alone() -> None:
    with Limit(1.0):
        with pytest.raises(TimeoutError), Limit(0.01):
            await asyncio.sleep(1)
        await asyncio.sleep(0)
