"""Replicas on one Valkey: shared counters, and those that die or are taken for dead."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from storekit import (
    Clock,
    budget,
    own_prefix,
    rate,
    running,
    stopped,
    until,
    valkey_store,
)

from gateway.admission.stores import valkey as valkey_module
from gateway.admission.stores.base import Granted, Spending, StoreUnavailable, Unseeded
from gateway.admission.stores.valkey import ValkeyStore


class Pair:
    """Two replicas on one server, and five seconds at a time."""

    def __init__(self, first: ValkeyStore, second: ValkeyStore, clock: Clock) -> None:
        self.first, self.second, self.clock = first, second, clock

    async def wait(self, seconds: int, *, silent: ValkeyStore) -> int:
        released = 0
        for _ in range(0, seconds, 5):
            self.clock.now += 5
            for store in {self.first, self.second} - {silent}:
                await store.beat()
                released += await store.sweep()
        return released


@pytest.fixture
async def pair(valkey_url: str) -> AsyncIterator[Pair]:
    clock, prefix = Clock(), own_prefix()
    async with (
        valkey_store(valkey_url, clock, prefix=prefix) as first,
        valkey_store(valkey_url, clock, prefix=prefix) as second,
    ):
        await first.sweep()
        yield Pair(first, second, clock)


async def test_replicas_share_every_counter(pair: Pair) -> None:
    await pair.first.seed({"key:a:day": 0}, {})
    claims = [running(40), budget(37, 1)]
    answers = await asyncio.gather(
        *((pair.first, pair.second)[i % 2].reserve(f"h{i}", claims) for i in range(200)),
    )
    assert sum(isinstance(answer, Granted) for answer in answers) == 37
    assert await pair.first.holds() + await pair.second.holds() == 37


async def test_what_a_dead_replica_held_is_released_and_its_budgets_asked_anew(pair: Pair) -> None:
    await pair.first.seed({"key:a:day": 0}, {})
    claims = [rate(300, 1), running(300), budget(300, 1)]
    for i in range(250):
        await pair.first.reserve(f"h{i}", claims)
    await pair.second.reserve("alive", claims)
    assert await pair.wait(10, silent=pair.first) == 0
    assert await pair.wait(5, silent=pair.first) == 250
    assert await pair.second.budget("key:a:day") == (0, 1)
    assert await pair.second.reserve("h", claims) == Unseeded([2])
    await pair.second.seed({"key:a:day": 200}, {})
    answer = await pair.second.reserve("h", claims)
    assert isinstance(answer, Granted)
    assert [level.used for level in answer.levels] == [252, 2, 202]  # a rate counts on: the calls were made
    assert await pair.wait(60, silent=pair.first) == 0


async def test_a_replica_taken_for_dead_still_books_what_it_spent(pair: Pair) -> None:
    await pair.first.seed({"key:a:day": 10}, {})
    claims = [rate(100, 5), running(9), budget(100, 60)]
    await pair.first.reserve("late", claims)
    assert await pair.wait(15, silent=pair.first) == 1
    await pair.second.seed({"key:a:day": 10}, {})
    await pair.second.reserve("other", claims)
    assert await pair.first.settle("late", claims, [5, 1, 40]) == [None, None, Spending(10, 50)]
    assert await pair.second.budget("key:a:day") == (50, 60)
    answer = await pair.first.reserve("next", [running(9)])
    assert isinstance(answer, Granted)
    assert answer.levels[0].used == 2
    # It holds again, so it must be found again if it dies.
    assert await pair.wait(15, silent=pair.first) == 1


async def test_nobody_is_dead_because_the_server_stood_still_or_its_clock_was_set(pair: Pair) -> None:
    await pair.first.reserve("h", [running(9)])
    pair.clock.now += 3600
    assert await pair.second.sweep() == 0
    await pair.first.beat()
    assert await pair.wait(10, silent=pair.first) == 0
    assert await pair.wait(5, silent=pair.first) == 1


async def test_a_replica_beats_and_sweeps_by_itself(valkey_url: str) -> None:
    """On the server's own clock: the living keeps its hold, the one that went silent loses it."""
    prefix = own_prefix()
    quick = {"beat": 0.05, "sweep": 0.1, "silence": 0.6}
    living = ValkeyStore(valkey_url, prefix=prefix, **quick)
    async with valkey_store(valkey_url, prefix=prefix) as silent:
        await living.start()
        try:
            await silent.seed({"silent": 0, "living": 0}, {})
            await living.reserve("a", [budget(9, 1, "living")])
            await silent.reserve("b", [budget(9, 1, "silent")])
            async with asyncio.timeout(20):
                while await silent.budget("silent") != (0, 0):
                    await asyncio.sleep(0.02)
            assert await silent.budget("living") == (0, 1)
        finally:
            await living.close()


async def test_when_too_many_settlements_wait_the_sweep_does_their_work(
    pair: Pair, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(valkey_module, "MAX_UNSENT", 3)
    await pair.first.seed({"key:a:day": 0}, {})
    claims = [running(9), budget(100, 10)]
    for i in range(4):
        await pair.first.reserve(f"h{i}", claims)
    with stopped(valkey_url) as go_on:
        for store in (pair.first, pair.second):
            with pytest.raises(StoreUnavailable):
                await store.budget("x")
        for i in range(4):
            await pair.first.settle(f"h{i}", claims, [1, 5])
        go_on()
        await until(lambda: pair.first.available and pair.second.available)
    assert await pair.second.budget("key:a:day") == (0, 40)
    for _ in range(3):
        pair.clock.now += 5
        await pair.first.beat()
        await pair.first.sweep()
    assert await pair.second.budget("key:a:day") == (0, 0)
    assert await pair.second.reserve("h", claims) == Unseeded([1])
