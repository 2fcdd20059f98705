"""The store that counts for itself while its Valkey is away."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from storekit import (
    Clock,
    budget,
    nothing_held,
    running,
    stopped,
    until,
    valkey_store,
)

from gateway.admission.stores.base import Granted, Spending, Unseeded
from gateway.admission.stores.fallback import FallbackStore
from gateway.admission.stores.memory import MemoryStore
from gateway.admission.stores.valkey import ValkeyStore


class Local:
    """A FallbackStore with both its halves at hand."""

    def __init__(self, primary: ValkeyStore) -> None:
        self.primary = primary
        self.local = MemoryStore(Clock())
        self.store = FallbackStore(primary, self.local)


@pytest.fixture
async def fallback(valkey_url: str) -> AsyncIterator[Local]:
    async with valkey_store(valkey_url, Clock()) as primary:
        yield Local(primary)


async def test_while_the_server_is_away_the_process_counts_for_itself(fallback: Local, valkey_url: str) -> None:
    store = fallback.store
    claims = [running(1), budget(100, 60)]
    await store.seed({"key:a:day": 5}, {})
    assert isinstance(await store.reserve("shared", claims), Granted)
    with stopped(valkey_url) as go_on:
        assert await store.reserve("local", claims) == Unseeded([1])
        await store.seed({"key:a:day": 5}, {})
        assert isinstance(await store.reserve("local", claims), Granted)
        assert not isinstance(await store.reserve("too many", claims), Granted)
        assert await store.holds() == 3  # and the one nobody knows whether it was taken
        await store.settle("shared", claims, [1, 10])
        assert await store.settle("local", claims, [1, 20]) == [None, Spending(5, 25)]
        assert await store.settle("local", claims, [1, 60]) == [None, Spending(25, 25)]
        go_on()
        await until(lambda: fallback.primary.available)
    await nothing_held(fallback.primary)
    assert await fallback.primary.budget("key:a:day") == (15, 0)
    assert await store.settle("local", claims, [1, 60]) == [None, Spending(25, 25)]
    # What was spent here is in the ledger; the server has to be told, once.
    assert await store.reserve("next", claims) == Unseeded([1])
    assert await store.reserve("next", claims) == Unseeded([1])
    await store.seed({"key:a:day": 35}, {})
    answer = await store.reserve("next", claims)
    assert isinstance(answer, Granted)
    assert answer.levels[1].used == 95
    await store.settle("next", claims, [1, 0])
    assert isinstance(await store.reserve("and so on", claims), Granted)


async def test_a_second_outage_does_not_trust_what_the_first_one_knew(fallback: Local, valkey_url: str) -> None:
    store, claims = fallback.store, [budget(100, 60)]
    with stopped(valkey_url) as go_on:
        await store.reserve("a", claims)
        await store.seed({"key:a:day": 0}, {})
        assert isinstance(await store.reserve("a", claims), Granted)
        await store.settle("a", claims, [0])
        go_on()
        await until(lambda: fallback.primary.available)
    await store.seed({"key:a:day": 0}, {})
    assert isinstance(await store.reserve("b", claims), Granted)
    await store.settle("b", claims, [60])
    with stopped(valkey_url):
        assert await store.reserve("c", claims) == Unseeded([0])
        await store.seed({"key:a:day": 60}, {})
        assert not isinstance(await store.reserve("c", claims), Granted)
    await until(lambda: fallback.primary.available)


async def test_a_server_that_comes_back_between_asking_and_seeding_keeps_no_one_out(
    fallback: Local, valkey_url: str
) -> None:
    store, claims = fallback.store, [budget(100, 60)]
    await store.seed({"key:a:day": 0}, {})
    with stopped(valkey_url) as go_on:
        assert await store.reserve("h", claims) == Unseeded([0])  # given up there, so that it must be taken here
        go_on()
        await until(lambda: fallback.primary.available)
    await nothing_held(fallback.primary)
    await store.seed({"key:a:day": 0}, {})
    assert isinstance(await store.reserve("h", claims), Granted)
    await store.settle("h", claims, [60])
    assert await fallback.local.budget("key:a:day") == (60, 0)


async def test_a_hold_taken_here_ends_here_though_the_server_is_back(fallback: Local, valkey_url: str) -> None:
    store, claims = fallback.store, [running(1), budget(100, 60)]
    with stopped(valkey_url) as go_on:
        await store.reserve("h", claims)
        await store.seed({"key:a:day": 0}, {})
        assert isinstance(await store.reserve("h", claims), Granted)
        go_on()
        await until(lambda: fallback.primary.available)
    assert await store.settle("h", claims, [1, 30]) == [None, Spending(0, 30)]
    assert await fallback.local.holds() == 0
    await store.seed({"key:a:day": 30}, {})
    assert await store.reserve("next", claims) == Unseeded([1])


async def test_a_sum_read_before_something_was_spent_here_is_not_trusted(fallback: Local, valkey_url: str) -> None:
    store, claims = fallback.store, [budget(100, 60)]
    with stopped(valkey_url) as go_on:
        await store.reserve("h", claims)
        await store.seed({"key:a:day": 0}, {})
        assert isinstance(await store.reserve("h", claims), Granted)
        await store.settle("h", claims, [30])
        go_on()
        await until(lambda: fallback.primary.available)
    await store.seed({"key:a:day": 0}, {})
    assert await store.reserve("next", claims) == Unseeded([0])
    await store.seed({"key:a:day": 30}, {})
    assert isinstance(await store.reserve("next", claims), Granted)
