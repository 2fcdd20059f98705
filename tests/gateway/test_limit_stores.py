"""What every store of limits does, held for the one in memory and the one on Valkey alike. The clock is the test's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from storekit import START, Clock, Lab, budget, memory_lab, rate, running, valkey_store

from gateway.admission.stores.base import Claim, Granted, Kind, Level, Refused, Spending, Unseeded
from gateway.admission.stores.memory import LATE, MemoryStore

USD = 10**12


@pytest.fixture(params=["memory", "valkey"])
async def lab(request: pytest.FixtureRequest) -> AsyncIterator[Lab]:
    if request.param == "memory":
        yield memory_lab()
        return
    clock = Clock()
    async with valkey_store(request.getfixturevalue("valkey_url"), clock) as store:
        yield Lab(store, clock)


async def refused(lab: Lab, *claims: Claim) -> Refused:
    answer = await lab.store.reserve("refused", claims)
    assert isinstance(answer, Refused), answer
    return answer


async def test_a_grant_tells_the_level_of_every_counter(lab: Lab) -> None:
    await lab.seed({"key:a:day": 5})
    lab.clock.now = START + 0.25
    _, first = await lab.granted(rate(100, 30), running(9), budget(1000, 200))
    assert first.levels == [Level(30, 30, 59.75), Level(1, 1), Level(205, 200)]
    lab.clock.now = START + 10.5
    _, second = await lab.granted(rate(100, 20), running(9), budget(1000, 300))
    assert second.levels == [Level(50, 20, 59.5), Level(2, 1), Level(505, 300)]


@pytest.mark.parametrize("scarce", [0, 1, 2])
async def test_a_refusal_takes_nothing_of_any_counter(lab: Lab, scarce: int) -> None:
    await lab.seed({"key:a:day": 0})
    wanted = [rate(10, 4), running(2), budget(100, 40)]
    await lab.take(*wanted)
    tight = [rate(4, 4), running(1), budget(40, 40)]
    answer = await refused(lab, *(tight[i] if i == scarce else claim for i, claim in enumerate(wanted)))
    assert answer.index == scarce
    assert answer.levels == [Level(4, 0, 60.0), Level(1), Level(40)]
    assert await lab.store.holds() == 1
    _, after = await lab.granted(*wanted)
    assert [level.used for level in after.levels] == [8, 2, 80]


async def test_two_hundred_at_once_take_exactly_the_room_there_is(lab: Lab) -> None:
    await lab.seed({"key:a:day": 0})
    claims = [rate(1000, 1), running(40), budget(37 * USD + 5, USD)]
    answers = await asyncio.gather(*(lab.store.reserve(f"h{i}", claims) for i in range(200)))
    assert sum(isinstance(answer, Granted) for answer in answers) == 37
    assert await lab.store.budget("key:a:day") == (0, 37 * USD)


# Rates


async def test_a_rate_is_free_again_sixty_seconds_after_the_second_it_was_taken_in(lab: Lab) -> None:
    lab.clock.now = START + 0.9
    await lab.take(rate(1))
    lab.clock.now = START + 59.99
    assert not await lab.room(rate(1))
    lab.clock.now = START + 60.0
    assert await lab.room(rate(1))


@pytest.mark.parametrize(("need", "wait"), [(1, 40.5), (3, 40.5), (4, 50.5), (9, 59.5)])
async def test_a_refused_rate_tells_the_wait_exactly(lab: Lab, need: int, wait: float) -> None:
    for second, amount in ((0, 3), (10, 5), (19, 2)):
        lab.clock.now = START + second
        await lab.take(rate(10, amount))
    lab.clock.now = START + 19.5
    answer = await refused(lab, rate(10, need))
    assert answer.retry_after == wait
    assert answer.levels == [Level(10, 0, 59.5)]
    lab.clock.now += wait - 0.001
    assert not await lab.room(rate(10, need))
    lab.clock.now += 0.001
    assert await lab.room(rate(10, need))


async def test_a_rate_takes_what_there_is_down_to_the_least(lab: Lab) -> None:
    _, answer = await lab.granted(rate(100, 80, least=10))
    assert answer.levels[0].taken == 80
    assert (await refused(lab, rate(100, 80, least=21))).retry_after == 60
    hold, answer = await lab.granted(rate(100, 80, least=20))
    assert answer.levels == [Level(100, 20, 60.0)]
    await lab.store.settle(hold, [rate(100, 80, least=20)], [5])
    assert await lab.room(rate(100, 15))
    assert not await lab.room(rate(100, 16))


async def test_more_than_a_limit_never_has_room(lab: Lab) -> None:
    await lab.seed({"key:a:day": 0})
    assert (await refused(lab, rate(10, 11))).retry_after is None
    assert (await refused(lab, running(0))).retry_after is None
    assert (await refused(lab, budget(10, 11))).retry_after is None


async def test_a_lowered_limit_refuses_until_use_is_below_it(lab: Lab) -> None:
    await lab.take(rate(100, 50))
    lab.clock.now = START + 30
    await lab.take(rate(100, 10))
    answer = await refused(lab, rate(20, 5))
    assert (answer.retry_after, answer.levels[0].used) == (30, 60)
    assert not await lab.room(rate(20, 0, least=0))
    lab.clock.now = START + 60
    assert await lab.room(rate(20, 10))
    assert not await lab.room(rate(20, 11))


async def test_settling_gives_back_what_was_not_used_in_the_second_it_was_taken_in(lab: Lab) -> None:
    hold = await lab.take(rate(100, 90))
    lab.clock.now = START + 20
    await lab.store.settle(hold, [rate(100, 90)], [30])
    assert (await refused(lab, rate(100, 71))).retry_after == 40
    assert await lab.room(rate(100, 70))
    lab.clock.now = START + 60
    assert await lab.room(rate(100, 100))


async def test_settling_gives_nothing_back_that_no_longer_counts(lab: Lab) -> None:
    hold = await lab.take(rate(100, 90))
    lab.clock.now = START + 60
    await lab.take(rate(100, 90))
    await lab.store.settle(hold, [rate(100, 90)], [0])
    assert (await refused(lab, rate(100, 11))).levels[0].used == 90


async def test_a_rate_books_the_surplus_in_the_second_of_the_settlement(lab: Lab) -> None:
    hold = await lab.take(rate(100, 10))
    lab.clock.now = START + 30
    await lab.store.settle(hold, [rate(100, 10)], [150])
    answer = await refused(lab, rate(100, 1))
    assert (answer.retry_after, answer.levels[0]) == (60, Level(150, 0, 60.0))
    lab.clock.now = START + 60
    assert (await refused(lab, rate(100, 1))).levels[0] == Level(140, 0, 30.0)
    lab.clock.now = START + 90
    assert await lab.room(rate(100, 100))


async def test_the_reset_of_a_rate_is_when_its_last_amount_that_is_left_goes(lab: Lab) -> None:
    await lab.take(rate(100, 10))
    lab.clock.now = START + 5
    hold = await lab.take(rate(100, 10))
    await lab.store.settle(hold, [rate(100, 10)], [0])
    _, answer = await lab.granted(rate(100, 0, least=0))
    assert answer.levels == [Level(10, 0, 55.0)]
    lab.clock.now = START + 60
    _, answer = await lab.granted(rate(100, 0, least=0))
    assert answer.levels == [Level(0, 0, 0.0)]


async def test_a_clock_set_back_frees_nothing_and_stops_no_one_for_long(lab: Lab) -> None:
    hold = await lab.take(rate(10, 6))
    lab.clock.now = START - 45
    await lab.take(rate(10, 4))
    assert (await refused(lab, rate(10, 1))).retry_after == 60  # time stands still until the clock is back
    await lab.store.settle(hold, [rate(10, 6)], [0])
    lab.clock.now = START + 59
    assert not await lab.room(rate(10, 7))
    lab.clock.now = START + 60
    await lab.take(rate(10, 10))
    lab.clock.now = START - 86_400 * 365
    assert (await refused(lab, rate(10, 1))).retry_after == 60
    lab.clock.now += 59
    assert not await lab.room(rate(10, 1))
    lab.clock.now += 1
    assert await lab.room(rate(10, 10))


async def test_a_clock_far_ahead_frees_everything_at_once(lab: Lab) -> None:
    await lab.take(rate(10, 10))
    lab.clock.now = START + 86_400 * 365 * 5
    assert await lab.room(rate(10, 10))


# Concurrency


async def test_what_is_under_way_is_counted_and_given_back(lab: Lab) -> None:
    holds = [await lab.take(running(2)) for _ in range(2)]
    assert (await refused(lab, running(2))).retry_after == 1
    await lab.store.settle(holds[0], [running(2)], [0])
    assert await lab.room(running(2))
    assert (await refused(lab, running(1))).levels == [Level(1)]
    await lab.store.settle(holds[1], [running(2)], [1])
    assert await lab.store.holds() == 0


# Budgets


async def test_a_budget_is_unknown_until_it_is_seeded(lab: Lab) -> None:
    claims = [budget(100, 10, "key:a"), rate(5), budget(100, 10, "team:b")]
    assert await lab.store.reserve("h", claims) == Unseeded([0, 2])
    await lab.seed({"key:a": 80})
    assert await lab.store.reserve("h", claims) == Unseeded([2])
    await lab.seed({"team:b": 0})
    _, answer = await lab.granted(*claims, hold="h")
    assert [level.used for level in answer.levels] == [90, 1, 10]


async def test_seeding_only_ever_raises(lab: Lab) -> None:
    await asyncio.gather(*(lab.seed({"key:a:day": spent}) for spent in (30, 70, 50)))
    assert await lab.store.budget("key:a:day") == (70, 0)
    hold = await lab.take(budget(100, 20))
    await lab.store.settle(hold, [budget(100, 20)], [20])
    await lab.seed({"key:a:day": 80})
    assert await lab.store.budget("key:a:day") == (90, 0)


async def test_a_budget_holds_the_worst_case_and_keeps_what_it_came_to(lab: Lab) -> None:
    await lab.seed({"key:a:day": 10})
    hold = await lab.take(budget(100, 90))
    assert await lab.store.budget("key:a:day") == (10, 90)
    answer = await refused(lab, budget(100, 1))
    assert (answer.retry_after, answer.first) == (1, False)  # what is held may come back
    assert await lab.store.settle(hold, [budget(100, 90)], [33]) == [Spending(10, 43)]
    assert await lab.store.budget("key:a:day") == (43, 0)
    assert await lab.room(budget(100, 57))
    assert (await refused(lab, budget(100, 58))).retry_after is None


async def test_more_than_was_held_is_booked_all_the_same(lab: Lab) -> None:
    await lab.seed({"key:a:day": 0})
    hold = await lab.take(budget(100, 60))
    await lab.store.settle(hold, [budget(100, 60)], [150])
    assert await lab.store.budget("key:a:day") == (150, 0)
    assert not await lab.room(budget(100, 0))


async def test_only_the_first_refusal_for_what_is_spent_says_so(lab: Lab) -> None:
    await lab.seed({"key:a:hardly": 79})
    assert not (await refused(lab, budget(100, 22, "key:a:hardly"))).first
    await lab.seed({"key:a:day": 80})
    hold = await lab.take(budget(100, 15))
    firsts = [
        (await refused(lab, budget(100, amount))).first
        for amount in (
            10,  # no room for what is held
            21,
            21,
        )
    ]
    assert firsts == [False, True, False]
    await lab.seed({"key:a:next day": 100})
    assert (await refused(lab, budget(100, 1, "key:a:next day"))).first
    await lab.store.settle(hold, [budget(100, 15)], [0])


async def test_a_refusal_names_the_claim_with_the_longest_wait(lab: Lab) -> None:
    await lab.seed({"key:a:day": 0})
    await lab.take(rate(5, 5), running(1), budget(100, 100))
    assert (await refused(lab, running(1), rate(5, 1), budget(100, 1))).index == 1
    assert (await refused(lab, running(1), budget(100, 1), rate(9, 1))).index == 0
    assert (await refused(lab, rate(5, 1), rate(5, 6, counter="other"))).index == 1


async def test_a_settlement_in_an_older_window_leaves_the_new_one_alone(lab: Lab) -> None:
    await lab.seed({"monday": 0})
    hold = await lab.take(budget(100, 100, "monday"))
    lab.clock.now = START + 86_400
    await lab.seed({"tuesday": 0})
    await lab.take(budget(100, 100, "tuesday"))
    assert await lab.store.settle(hold, [budget(100, 100, "monday")], [70]) == [Spending(0, 70)]
    assert await lab.store.budget("monday") == (70, 0)
    assert await lab.store.budget("tuesday") == (0, 100)


async def test_the_second_settlement_of_a_hold_changes_nothing(lab: Lab) -> None:
    await lab.seed({"key:a:day": 0})
    claims = [rate(100, 50), running(2), budget(100, 60)]
    hold = await lab.take(*claims)
    other = await lab.take(running(2))
    assert await lab.store.settle(hold, claims, [20, 1, 30]) == [None, None, Spending(0, 30)]
    assert await lab.store.settle(hold, claims, [90, 1, 60]) == [None, None, Spending(30, 30)]
    assert await lab.store.budget("key:a:day") == (30, 0)
    assert await lab.room(rate(100, 80))
    assert not await lab.room(rate(100, 81))
    assert not await lab.room(running(1))
    await lab.store.settle(other, [running(2)], [1])


async def test_a_hold_that_was_lost_books_what_it_spent_and_nothing_else(lab: Lab) -> None:
    await lab.seed({"key:a:day": 5})
    await lab.take(rate(100, 50), running(3), budget(100, 20))
    claims = [rate(100, 50), running(3), budget(100, 60)]
    assert await lab.store.settle("lost", claims, [70, 1, 40]) == [None, None, Spending(5, 45)]
    assert await lab.store.settle("lost", claims, [70, 1, 40]) == [None, None, Spending(45, 45)]
    assert await lab.store.budget("key:a:day") == (45, 20)
    assert (await refused(lab, rate(100, 51))).levels[0].used == 50
    assert (await refused(lab, running(1))).levels[0].used == 1


async def test_a_lost_hold_spends_even_from_a_budget_nobody_knows(lab: Lab) -> None:
    await lab.store.settle("lost", [budget(100, 60)], [40])
    assert await lab.store.budget("key:a:day") == (40, 0)
    assert await lab.store.reserve("h", [budget(100, 1)]) == Unseeded([0])
    await lab.seed({"key:a:day": 35})
    assert await lab.store.budget("key:a:day") == (40, 0)


async def test_money_is_exact_to_the_pico_dollar_at_any_size(lab: Lab) -> None:
    limit = 10**18 + 1
    await lab.seed({"key:a:day": limit - 2_000_001})
    holds = [await lab.take(budget(limit, 1)) for _ in range(2)]
    big = await lab.take(budget(limit, 1_999_999))
    assert await lab.store.budget("key:a:day") == (limit - 2_000_001, 2_000_001)
    assert (await refused(lab, budget(limit, 1))).levels == [Level(limit)]
    await lab.store.settle(holds[0], [budget(limit, 1)], [1])
    await lab.store.settle(big, [budget(limit, 1_999_999)], [999_999])
    assert await lab.store.settle(holds[1], [budget(limit, 1)], [0]) == [Spending(limit - 1_000_001, limit - 1_000_001)]
    assert await lab.room(budget(limit, 1_000_001))
    assert not await lab.room(budget(limit, 1_000_002))


async def test_sums_pass_the_largest_single_amount(lab: Lab) -> None:
    largest = 2**63 - 1
    await lab.seed({"key:a:day": 0})
    for expected in (largest, 2 * largest, 3 * largest):
        spendings = await lab.store.settle(f"lost-{expected}", [budget(largest, 1)], [largest])
        assert spendings == [Spending(expected - largest, expected)]


# In memory


async def test_counters_in_memory_go_when_they_count_nothing() -> None:
    lab = memory_lab()
    store = lab.store
    assert isinstance(store, MemoryStore)

    def kept() -> int:
        return len(store._rates) + len(store._running) + len(store._budgets)

    await lab.seed({f"day {i}": 7 for i in range(100)})
    for i in range(100):
        claims = [rate(9, counter=f"rate {i}"), running(9, f"running {i}"), budget(9, 1, f"day {i}")]
        hold = await lab.take(*claims)
        if i:
            await store.settle(hold, claims, [1, 1, 1])
    assert kept() == 300
    lab.clock.now = START + 61
    for _ in range(200):
        await lab.take(rate(10**6, 1, counter="busy"))
    assert kept() == 102  # budgets, what is under way, and the busy one
    lab.clock.now = START + 86_400 + LATE + 1
    for _ in range(200):
        await lab.take(rate(10**6, 1, counter="busy"))
    assert kept() == 3
    assert await store.budget("day 0") == (7, 1)
    assert await store.budget("day 1") == (0, 0)


async def test_amounts_may_be_of_any_kind_of_whole_number(lab: Lab) -> None:
    """The largest limit there is, used up and given back."""
    limit = 10**12
    claim = Claim(Kind.RATE, "large", limit, limit)
    hold = await lab.take(claim)
    assert not await lab.room(rate(limit, 1, counter="large"))
    await lab.store.settle(hold, [claim], [limit - 1])
    assert await lab.room(rate(limit, 1, counter="large"))


async def test_in_memory_a_second_counts_for_sixty_and_not_for_one_more() -> None:
    now = 1_000.0
    store = MemoryStore(lambda: now)
    claim = Claim(Kind.RATE, "key:k:requests", 2, 1, 1)
    for now in (1_000.0, 1_001.0):
        assert isinstance(await store.reserve(f"at {now}", [claim]), Granted)
    now = 1_059.9
    assert isinstance(await store.reserve("too early", [claim]), Refused)
    for now in (1_060.0, 1_061.0):
        answer = await store.reserve(f"at {now}", [claim])
        assert isinstance(answer, Granted) and answer.levels == [Level(2, 1, 60.0)]
