"""Where cached answers lie: room, time and damage. A server that fails makes misses, never errors."""

from __future__ import annotations

import asyncio
import os
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from storekit import Clock, stopped, until
from structlog.testing import capture_logs
from valkey import Valkey

from gateway.cache.base import Counts
from gateway.cache.memory import OVERHEAD, MemoryStore
from gateway.cache.seal import PACK_FROM, seal, unseal
from gateway.cache.valkey import ValkeyStore

LIMIT = 2**20


def key(number: int = 0) -> bytes:
    return number.to_bytes(32, "big")


# Memory


async def test_an_entry_is_over_when_its_time_is() -> None:
    clock = Clock()
    store = MemoryStore(10**6, Counts(), now=clock)
    store.put(key(), b"answer", 10.0)
    clock.now += 9.9
    assert await store.get(key()) == b"answer"
    clock.now += 0.1
    assert await store.get(key()) is None
    assert (len(store), store.size) == (0, 0)


async def test_the_longest_unused_entry_leaves_when_there_is_no_room() -> None:
    counts = Counts()
    store = MemoryStore(3 * (100 + OVERHEAD), counts)
    for number in range(3):
        store.put(key(number), b"x" * 100, 60.0)
    await store.get(key(0))
    store.put(key(3), b"x" * 100, 60.0)
    assert [await store.get(key(number)) is not None for number in range(4)] == [True, False, True, True]
    assert (counts.stored, counts.evicted) == (4, 1)


async def test_an_entry_larger_than_all_the_room_throws_nobody_out() -> None:
    store = MemoryStore(1000, Counts())
    store.put(key(0), b"x", 60.0)
    store.put(key(1), b"x" * 1000, 60.0)
    assert await store.get(key(0)) == b"x"
    assert await store.get(key(1)) is None


@given(st.lists(st.tuples(st.integers(0, 6), st.binary(max_size=900), st.floats(0.1, 9), st.floats(0, 3))))
def test_memory_never_holds_more_than_it_may_and_never_a_wrong_value(
    steps: list[tuple[int, bytes, float, float]],
) -> None:
    async def run() -> None:
        clock, known = Clock(), dict[bytes, tuple[bytes, float]]()
        store = MemoryStore(3000, Counts(), now=clock)
        for number, payload, keep, wait in steps:
            found = await store.get(key(number))
            assert found is None or (found == known[key(number)][0] and clock.now < known[key(number)][1])
            store.put(key(number), payload, keep)
            known[key(number)] = payload, clock.now + keep
            assert await store.get(key(number)) == payload
            assert store.size == sum(len(entry) + OVERHEAD for entry, _ in store._entries.values()) <= 3000
            clock.now += wait

    asyncio.run(run())


# The form outside


@given(st.binary(max_size=100), st.integers(0, 200))
def test_a_sealed_entry_opens_to_what_it_was(payload: bytes, times: int) -> None:
    assert unseal(key(), seal(key(), payload * times), LIMIT) == payload * times


@pytest.mark.parametrize("payload", [b"an answer", b"an answer " * PACK_FROM])
@settings(max_examples=30)
@given(st.data())
def test_an_entry_with_any_byte_changed_or_missing_does_not_open(payload: bytes, data: st.DataObject) -> None:
    sealed = bytearray(seal(key(), payload))
    at = data.draw(st.integers(0, len(sealed) - 1))
    assert unseal(key(), bytes(sealed[:at]), LIMIT) is None
    sealed[at] ^= data.draw(st.integers(1, 255))
    assert unseal(key(), bytes(sealed), LIMIT) is None


def test_an_entry_under_another_key_does_not_open() -> None:
    assert unseal(key(1), seal(key(0), b"answer"), LIMIT) is None


def test_a_packed_entry_is_never_unpacked_past_the_limit() -> None:
    sealed = seal(key(), b"\0" * (8 * LIMIT))
    assert len(sealed) < LIMIT // 8
    tracemalloc.start()
    try:
        assert unseal(key(), sealed, LIMIT) is None
        assert tracemalloc.get_traced_memory()[1] < 4 * LIMIT
    finally:
        tracemalloc.stop()


# Valkey


@asynccontextmanager
async def running(url: str, counts: Counts, **options: Any) -> AsyncIterator[ValkeyStore]:
    prefix = options.pop("prefix", f"test-{uuid4().hex}:")
    # A patience that a busy machine does not use up; the tests of a slow server give their own.
    store = ValkeyStore(
        url, counts, **{"max_entry": LIMIT, "prefix": prefix, "patience": 5.0, "probe": 0.02, **options}
    )
    await store.start()
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
def server(valkey_url: str) -> Iterator[Valkey]:
    with Valkey.from_url(valkey_url) as client:
        yield client


async def stored(counts: Counts, many: int = 1) -> None:
    await until(lambda: counts.stored == many)


@pytest.mark.parametrize("payload", [b"", b"answer\r\n$-1\r\n", os.urandom(LIMIT - 64), b"\0" * LIMIT])
async def test_replicas_share_entries_of_any_content_and_size(valkey_url: str, payload: bytes) -> None:
    counts, prefix = Counts(), f"test-{uuid4().hex}:"
    async with running(valkey_url, counts, prefix=prefix) as one, running(valkey_url, counts, prefix=prefix) as other:
        assert await other.get(key()) is None
        one.put(key(), payload, 60.0)
        await stored(counts)
        found = await asyncio.gather(*(other.get(key(number)) for number in (0, 1, 0)))
    assert found == [payload, None, payload]
    assert counts.errors == 0


async def test_the_server_forgets_an_entry_when_its_time_is_over(valkey_url: str, server: Valkey) -> None:
    counts = Counts()
    async with running(valkey_url, counts, prefix="test-px:") as store:
        store.put(key(), b"answer", 60.0)
        await stored(counts)
        left = server.pttl(f"test-px:{key().hex()}")
        assert isinstance(left, int)
        assert 0 < left <= 60_000
        store.put(key(), b"answer", 0.0001)
        await stored(counts, 2)
        await until(lambda: server.exists(f"test-px:{key().hex()}") == 0)
        assert await store.get(key()) is None


async def test_a_damaged_or_foreign_entry_is_a_miss(valkey_url: str, server: Valkey) -> None:
    counts = Counts()
    async with running(valkey_url, counts, prefix="test-bad:") as store:
        name = f"test-bad:{key().hex()}"
        store.put(key(), b"answer", 60.0)
        await stored(counts)
        server.append(name, b"!")
        assert await store.get(key()) is None
        server.delete(name)
        server.lpush(name, b"a list")
        assert await store.get(key()) is None
        assert counts.errors == 2
        assert store.available


async def test_a_slow_server_is_a_miss_and_its_late_answers_go_to_nobody_else(valkey_url: str) -> None:
    counts = Counts()
    async with running(valkey_url, counts, patience=0.05, timeout=30.0) as store:
        store.put(key(1), b"one", 60.0)
        store.put(key(2), b"two", 60.0)
        await stored(counts, 2)
        with stopped(valkey_url) as go_on, capture_logs() as logs:
            assert await store.get(key(1)) is None
            assert await store.get(key(1)) is None
            assert (counts.errors, len(logs)) == (2, 1)
            go_on()
            while (found := await store.get(key(2))) is None:
                await asyncio.sleep(0)
            assert found == b"two"


async def test_a_server_that_stands_still_is_left_and_comes_back_by_itself(valkey_url: str) -> None:
    counts = Counts()
    async with running(valkey_url, counts, timeout=0.1) as store:
        store.put(key(), b"answer", 60.0)
        await stored(counts)
        with stopped(valkey_url):
            assert await store.get(key()) is None
            assert not store.available
            assert await store.get(key()) is None
            store.put(key(1), b"lost", 60.0)
        await until(lambda: store.available)
        assert await store.get(key()) == b"answer"
        assert await store.get(key(1)) is None


async def test_a_server_that_is_not_there_yet_is_no_fault() -> None:
    counts = Counts()
    with capture_logs() as logs:
        async with running("redis://127.0.0.1:1", counts) as store:
            await until(lambda: counts.errors > 2)
            assert await store.get(key()) is None
    assert len(logs) == 1
