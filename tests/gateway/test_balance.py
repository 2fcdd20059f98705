"""The orders in which targets are tried, and the latencies that one of them goes by."""

from __future__ import annotations

import random
from collections import Counter
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from routekit import Clock, ScriptedTarget, call, target

from billing.prices import Price
from gateway.routing.balance import Routing, expected_cost, ordered
from gateway.routing.latency import FADES, FAILED, RECENT, Latency, percentile
from gateway.routing.router import Target

CLOCK = Clock()


def free(name: str) -> Price | None:
    return Price.free()


def targets(count: int, clock: Clock = CLOCK, **fields: float) -> list[Target]:
    return [target(f"t{n}", ScriptedTarget(), clock, **fields) for n in range(count)]


def names(found: list[Target]) -> list[str]:
    return [one.name for one in found]


@given(
    routing=st.sampled_from(Routing),
    loads=st.lists(
        st.tuples(st.integers(0, 5), st.none() | st.floats(0, 60), st.none() | st.integers(0, 9)),
        min_size=1,
        max_size=6,
    ),
    seed=st.integers(),
)
def test_every_order_has_every_target_once_the_best_first(
    routing: Routing, loads: list[tuple[int, float | None, int | None]], seed: int
) -> None:
    clock = Clock()
    made = targets(len(loads), clock)
    prices: dict[str, Price | None] = {}
    for one, (in_flight, latency, price) in zip(made, loads, strict=True):
        one.state.in_flight = in_flight
        if latency is not None:
            one.state.whole.observe(latency)
        prices[one.name] = None if price is None else Price.parse({"input": price, "output": price})
    found = ordered(routing, made, call(), prices.__getitem__, random.Random(seed))
    assert sorted(names(found)) == sorted(names(made))
    measures = {
        Routing.ORDERED: lambda one: made.index(one),
        Routing.DIFFICULTY: lambda one: made.index(one),
        Routing.WEIGHTED: lambda one: 0,
        Routing.LEAST_BUSY: lambda one: one.state.in_flight,
        Routing.LOWEST_LATENCY: lambda one: one.state.whole.cost(one.state.in_flight),
        Routing.LOWEST_COST: lambda one: (expected_cost(call(), 4096, prices[one.name]), made.index(one)),
    }
    measured = [measures[routing](one) for one in found]
    assert measured == sorted(measured)


@pytest.mark.parametrize("routing", [Routing.LEAST_BUSY, Routing.LOWEST_LATENCY, Routing.WEIGHTED])
def test_equal_targets_share_the_load_by_weight(routing: Routing) -> None:
    made = [target("light", ScriptedTarget(), CLOCK, weight=1), target("heavy", ScriptedTarget(), CLOCK, weight=3)]
    rng = random.Random(5)
    first = Counter(ordered(routing, made, call(), free, rng)[0].name for _ in range(4000))
    assert 0.72 < first["heavy"] / 4000 < 0.78


def test_the_cheapest_depends_on_what_the_call_will_say() -> None:
    wordy, terse = targets(2)
    prices = {wordy.name: Price.parse({"input": 1, "output": 10}), terse.name: Price.parse({"input": 2, "output": 2})}

    def first(**fields: int) -> str:
        made = call(**fields)
        return ordered(Routing.LOWEST_COST, [wordy, terse], made, prices.get, random.Random(0))[0].name

    assert first(input_estimate=10_000, max_output_tokens=10) == wordy.name
    assert first(input_estimate=10, max_output_tokens=1000) == terse.name
    assert expected_cost(call(), 100, prices[terse.name]) == Decimal("0.000202"), "no answer is longer than the cap"
    assert expected_cost(call(choices=2), 100, prices[terse.name]) == Decimal("0.000402")


def test_latency_is_chosen_by_kind_of_call() -> None:
    quick_start, quick_end = made = targets(2, Clock())
    quick_start.state.first_token.observe(0.1)
    quick_start.state.whole.observe(9)
    quick_end.state.first_token.observe(2)
    quick_end.state.whole.observe(3)
    rng = random.Random(0)
    assert ordered(Routing.LOWEST_LATENCY, made, call(stream=True), free, rng)[0] is quick_start
    assert ordered(Routing.LOWEST_LATENCY, made, call(), free, rng)[0] is quick_end


def test_an_unknown_target_is_tried_first_but_by_one_request() -> None:
    known, unknown = made = targets(2, Clock())
    known.state.whole.observe(0.5)
    rng = random.Random(0)
    assert ordered(Routing.LOWEST_LATENCY, made, call(), free, rng)[0] is unknown
    unknown.state.in_flight = 1
    assert ordered(Routing.LOWEST_LATENCY, made, call(), free, rng)[0] is known


def test_a_peak_counts_at_once_and_fades() -> None:
    clock = Clock()
    latency = Latency(clock)
    latency.observe(1)
    latency.observe(8)
    assert latency.cost(0) == 8
    assert latency.cost(2) == 24
    latency.observe(1)
    assert latency.cost(0) == 8, "no time has passed"
    clock.now += FADES
    assert latency.cost(0) == pytest.approx(8 / 2.71828, rel=1e-4)
    latency.observe(1)
    assert latency.cost(0) == pytest.approx(8 / 2.71828 + 1 - 1 / 2.71828, rel=1e-4)
    clock.now += 100 * FADES
    assert latency.cost(5) < 1e-9


def test_who_fails_fast_is_not_the_fastest() -> None:
    latency = Latency(Clock())
    latency.observe(0.2)
    latency.observe_failure(0.001)
    assert latency.cost(0) == FAILED
    assert latency.recent() == [0.2], "a failure is no measure"


@given(st.lists(st.floats(0, 1e3), min_size=1), st.floats(0.01, 1))
def test_a_percentile_is_the_smallest_value_that_covers_its_share(values: list[float], share: float) -> None:
    found = percentile(sorted(values), share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9
    assert sum(value < found for value in values) < share * len(values) + 1e-9


def test_old_measures_are_forgotten() -> None:
    clock = Clock()
    latency = Latency(clock)
    latency.observe(9)
    clock.now += RECENT + 1
    latency.observe(1)
    assert latency.recent() == [1]
    assert percentile([], 0.5) is None
