"""The limit on a guard's answer: no cost without waiting, and no way round it."""

from __future__ import annotations

import asyncio
from collections.abc import Generator

import pytest

from guards.waiting import TooSlow, within


class Trail(list[str]):
    """What a coroutine went through."""

    async def quick(self) -> str:
        self.append("quick")
        return "done"

    async def waits(self, times: int = 3) -> str:
        for _ in range(times):
            await asyncio.sleep(0)
            self.append("turn")
        return "done"

    async def hangs(self) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.append("cancelled")
            raise
        return "never"

    async def fails(self, *, later: bool) -> str:
        if later:
            await asyncio.sleep(0)
        raise KeyError("mine")

    async def stubborn(self) -> str:
        """Takes the first cancellation for something else, as careless guards do."""
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            self.append("went on")
        return "late"


async def test_an_answer_without_waiting_needs_no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio, "timeout", None)
    assert await within(1, Trail().quick()) == "done"


async def test_an_answer_that_waits_goes_on_where_it_was() -> None:
    trail = Trail()
    assert await within(1, trail.waits()) == "done"
    assert trail == ["turn"] * 3
    assert await within(1, asyncio.sleep(0.01, "slept")) == "slept"


async def test_any_awaitable_will_do() -> None:
    class Once:
        def __await__(self) -> Generator[None, None, str]:
            yield
            return "done"

    assert await within(1, Once()) == "done"
    assert await within(1, asyncio.create_task(Trail().waits())) == "done"


@pytest.mark.parametrize("later", [False, True])
async def test_what_is_raised_comes_out_as_it_is(later: bool) -> None:
    with pytest.raises(KeyError, match="mine"):
        await within(1, Trail().fails(later=later))


async def test_a_hanging_answer_is_cancelled_and_too_slow() -> None:
    trail = Trail()
    with pytest.raises(TooSlow):
        await within(0.02, trail.hangs())
    assert trail == ["cancelled"]
    current = asyncio.current_task()
    assert current is not None and current.cancelling() == 0


async def test_the_answer_of_one_that_goes_on_all_the_same_counts() -> None:
    trail = Trail()
    assert await within(0.02, trail.stubborn()) == "late"
    assert trail == ["went on"]
    current = asyncio.current_task()
    assert current is not None and current.cancelling() == 0


async def test_a_timeout_of_its_own_is_not_ours() -> None:
    async def gives_up() -> str:
        async with asyncio.timeout(0.01):
            await asyncio.Event().wait()
        return "never"

    with pytest.raises(TimeoutError):
        await within(5, gives_up())


async def test_whoever_waits_may_be_cancelled_itself() -> None:
    trail = Trail()
    waiting = asyncio.create_task(within(5, trail.hangs()))
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert trail == ["cancelled"]


async def test_time_spent_before_the_first_wait_counts() -> None:
    async def late() -> str:
        clock = asyncio.get_running_loop().time
        end = clock() + 0.05
        while clock() < end:
            pass
        await asyncio.sleep(0.05)
        return "late"

    with pytest.raises(TooSlow):
        await within(0.07, late())
