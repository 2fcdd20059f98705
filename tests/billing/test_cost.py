"""The cost of a request is exact, rounded at most once; and the worst case is never passed."""

from __future__ import annotations

import random
from collections import Counter
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.cost import cost, worst
from billing.money import PICO_DECIMALS, to_pico
from billing.prices import MAX_MARGIN, MAX_PRICE, TOKEN_PARTS, Price, Tier
from billing.usage import MAX_TOKENS, CachedTokens, Usage

amounts = st.decimals(min_value=0, max_value=MAX_PRICE, places=6)
fine_amounts = st.decimals(min_value=0, max_value=1000, places=12)
discounts = st.decimals(min_value=0, max_value=1, places=6)
margins = st.decimals(min_value=0, max_value=MAX_MARGIN, places=6)


def prices(
    amounts: st.SearchStrategy[Decimal], factors: bool = True, bound: int = MAX_TOKENS
) -> st.SearchStrategy[Price]:
    parts = {name: st.none() | amounts for name in TOKEN_PARTS}
    tiers = st.builds(Tier, above=st.integers(0, bound), **(parts | {"input": amounts}))
    others = {name: st.none() | amounts for name in ("per_image", "per_request", "per_compute_second")}
    both = {"batch_discount": st.none() | discounts, "margin": st.none() | margins} if factors else {}
    rising = st.lists(tiers, max_size=3, unique_by=lambda tier: tier.above).map(
        lambda found: tuple(sorted(found, key=lambda tier: tier.above))
    )
    return st.builds(Price, **(parts | {"input": amounts, "output": amounts}), **others, **both, tiers=rising)


@st.composite
def usages(draw: st.DrawFn, bound: int = MAX_TOKENS) -> Usage:
    prompt, completion = draw(st.integers(0, bound)), draw(st.integers(0, bound))
    cached = draw(st.integers(0, prompt))
    written = draw(st.integers(0, prompt - cached))
    thought = draw(st.integers(0, completion))
    return Usage(
        input_tokens=prompt,
        cached_input_tokens=cached,
        cache_write_tokens=written,
        audio_input_tokens=draw(st.integers(0, prompt - cached - written)),
        output_tokens=completion,
        reasoning_tokens=thought,
        audio_output_tokens=draw(st.integers(0, completion - thought)),
        images=draw(st.integers(0, 100)),
        requests=draw(st.integers(0, 1)),
        compute_us=draw(st.integers(0, 10**9)),
    )


def in_fractions(usage: Usage, price: Price) -> Fraction:
    """The cost worked out a second way, from the definitions."""
    parts: dict[str, Decimal | None] = {name: getattr(price, name) for name in TOKEN_PARTS}
    for tier in price.tiers:
        if usage.input_tokens > tier.above:
            parts |= {name: getattr(tier, name) for name in TOKEN_PARTS if getattr(tier, name) is not None}

    def rate(name: str, otherwise: str) -> Fraction:
        value = parts[name]
        return Fraction(parts[otherwise] or 0 if value is None else value)

    fresh = usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens - usage.audio_input_tokens
    said = usage.output_tokens - usage.reasoning_tokens - usage.audio_output_tokens
    tokens = (
        fresh * rate("input", "input")
        + usage.cached_input_tokens * rate("cached_input", "input")
        + usage.cache_write_tokens * rate("cache_write", "input")
        + usage.audio_input_tokens * rate("audio_input", "input")
        + said * rate("output", "output")
        + usage.reasoning_tokens * rate("reasoning", "output")
        + usage.audio_output_tokens * rate("audio_output", "output")
    )
    total = (
        tokens / 10**6
        + usage.images * Fraction(price.per_image or 0)
        + usage.requests * Fraction(price.per_request or 0)
        + usage.compute_us * Fraction(price.per_compute_second or 0) / 10**6
    )
    return total * (1 + Fraction(price.margin or 0)) * (1 - Fraction(price.batch_discount or 0))


def test_the_worked_example_with_a_cached_prompt() -> None:
    told = {
        "prompt_tokens": 262_960,
        "completion_tokens": 1_744,
        "total_tokens": 264_704,
        "prompt_tokens_details": {"cached_tokens": 257_955},
    }
    price = Price.parse({"input": "1.25", "cached_input": "0.625", "output": "10"})
    assert cost(Usage.from_openai(told, CachedTokens.INSIDE), price) == Decimal("0.184918125")


TIERED = {
    "input": "1.25",
    "cached_input": "0.125",
    "output": "10",
    "tiers": [{"above": 200_000, "input": "2.5", "cached_input": "0.25", "output": "15"}],
}


@pytest.mark.parametrize(
    ("used", "price", "expected"),
    [
        # 1,000 x 0.15 + 500 x 0.60 millionths
        ({"input_tokens": 1000, "output_tokens": 500}, {"input": "0.15", "output": "0.60"}, "0.00045"),
        # 40 fresh x 3 + 900 read x 0.3 + 60 written x 3.75 + 10 x 15 = 120 + 270 + 225 + 150
        (
            {"input_tokens": 1000, "cached_input_tokens": 900, "cache_write_tokens": 60, "output_tokens": 10},
            {"input": "3", "cached_input": "0.3", "cache_write": "3.75", "output": "15"},
            "0.000765",
        ),
        # without prices of their own: 1,000 x 3 + 10 x 15
        (
            {"input_tokens": 1000, "cached_input_tokens": 900, "cache_write_tokens": 60, "output_tokens": 10},
            {"input": "3", "output": "15"},
            "0.00315",
        ),
        # 100 x 0.4 + (50 - 30) x 1.2 + 30 thought x 4 = 40 + 24 + 120
        (
            {"input_tokens": 100, "output_tokens": 50, "reasoning_tokens": 30},
            {"input": "0.4", "output": "1.2", "reasoning": "4"},
            "0.000184",
        ),
        # reasoning is a part of the output: 50 x 1.2, not 80 x 1.2
        ({"output_tokens": 50, "reasoning_tokens": 30}, {"input": "0", "output": "1.2"}, "0.00006"),
        # (200 - 150) x 2.5 + 150 heard x 40 + (80 - 60) x 10 + 60 spoken x 80 = 125 + 6,000 + 200 + 4,800
        (
            {"input_tokens": 200, "audio_input_tokens": 150, "output_tokens": 80, "audio_output_tokens": 60},
            {"input": "2.5", "output": "10", "audio_input": "40", "audio_output": "80"},
            "0.011125",
        ),
        # exactly 200,000 is not above: 200,000 x 1.25 + 1,000 x 10 = 250,000 + 10,000
        ({"input_tokens": 200_000, "output_tokens": 1000}, TIERED, "0.26"),
        # one more, and all of it costs the tier's: 50,001 fresh x 2.5 + 150,000 read x 0.25 + 1,000 x 15
        ({"input_tokens": 200_001, "cached_input_tokens": 150_000, "output_tokens": 1000}, TIERED, "0.1775025"),
        # the second tier names only the input, and keeps the first one's output: 300 x 3 + 10 x 20
        (
            {"input_tokens": 300, "output_tokens": 10},
            {
                "input": "1",
                "output": "10",
                "tiers": [{"above": 200, "input": "3"}, {"above": 100, "input": "2", "output": "20"}],
            },
            "0.0011",
        ),
        # 4 images x 0.04, and nothing for tokens
        ({"input_tokens": 20, "images": 4, "requests": 1}, {"per_image": "0.04"}, "0.16"),
        # a request x 0.005 + 300 x 2.8
        ({"output_tokens": 300, "requests": 1}, {"input": "0", "output": "2.8", "per_request": "0.005"}, "0.00584"),
        # 1.5 s x 0.0004, 3 x 1, 5 x 2
        (
            {"input_tokens": 3, "output_tokens": 5, "compute_us": 1_500_000},
            {"input": "1", "output": "2", "per_compute_second": "0.0004"},
            "0.000613",
        ),
        # 1,000 x 2 = 0.002, 5 % more
        ({"input_tokens": 1000}, {"input": "2", "output": "0", "margin": "0.05"}, "0.0021"),
        # 1,000 x 2 = 0.002, halved
        ({"input_tokens": 1000}, {"input": "2", "output": "0", "batch_discount": "0.5"}, "0.001"),
        # 0.002 x 1.05 x 0.5
        (
            {"input_tokens": 1000},
            {"input": "2", "output": "0", "margin": "0.05", "batch_discount": "0.5"},
            "0.00105",
        ),
        # finer than a pico-dollar a token: 3 x 0.0000005 millionths = 1.5 pico, to the even 2
        ({"input_tokens": 3}, {"input": "0.0000005", "output": "0"}, "0.000000000002"),
        # 1 x 0.5 pico to the even 0; 5 x 0.5 = 2.5 to the even 2
        ({"input_tokens": 1}, {"input": "0.0000005", "output": "0"}, "0"),
        ({"input_tokens": 5}, {"input": "0.0000005", "output": "0"}, "0.000000000002"),
        # the sum is rounded, not its terms: 1 x 0.5 + 1 x 0.5 = 1 pico
        ({"input_tokens": 1, "output_tokens": 1}, {"input": "0.0000005", "output": "0.0000005"}, "0.000000000001"),
        # nothing used
        ({}, {"input": "5", "output": "5", "per_request": "1", "per_image": "1", "margin": "1"}, "0"),
    ],
)
def test_worked_examples(used: dict[str, int], price: dict[str, Any], expected: str) -> None:
    assert cost(Usage(**used), Price.parse(price)) == Decimal(expected)


@given(usages(), prices(amounts, factors=False))
def test_cost_at_ordinary_prices_equals_the_sum_in_fractions(usage: Usage, price: Price) -> None:
    exact = in_fractions(usage, price)
    with localcontext() as context:
        context.prec = 4
        result = cost(usage, price)
    assert Fraction(result) == exact
    assert (exact * 10**PICO_DECIMALS).denominator == 1


@given(usages(bound=10**7), prices(fine_amounts))
def test_what_is_finer_is_rounded_half_even_once(usage: Usage, price: Price) -> None:
    exact = in_fractions(usage, price) * 10**PICO_DECIMALS
    assert to_pico(cost(usage, price)) == round(exact)


@given(st.data())
def test_no_usage_within_the_bounds_costs_more_than_the_worst(data: st.DataObject) -> None:
    usage, price = data.draw(usages(bound=1000)), data.draw(prices(fine_amounts, bound=1000))
    more = st.integers(0, 3)
    most = worst(
        price,
        usage.input_tokens + data.draw(more),
        usage.output_tokens + data.draw(more),
        usage.compute_us / 10**6,
        images=usage.images + data.draw(more),
    )
    assert cost(usage, price) <= most


def test_the_worst_case_by_hand() -> None:
    price = Price.parse({**TIERED, "cache_write": "1.5", "reasoning": "12", "per_request": "0.01", "margin": "0.1"})
    # 1,000 x 1.5 + 100 x 12 = 0.0027; with the request 0.0127; 10 % more
    assert worst(price, 1000, 100) == Decimal("0.01397")
    # above the tier: 300,000 x 2.5 + 100 x 15 = 0.7515; with the request 0.7615; 10 % more
    assert worst(price, 300_000, 100) == Decimal("0.83765")
    # 2 s of an engine at 0.0004 a second
    assert worst(Price.parse({"per_compute_second": "0.0004"}), 10, 10, 2.0) == Decimal("0.0008")


def test_the_worst_case_minds_a_lower_tier_that_is_dearer() -> None:
    price = Price.parse({"input": "9", "output": "9", "tiers": [{"above": 10, "input": "1", "output": "1"}]})
    assert worst(price, 11, 0) >= cost(Usage(input_tokens=10), price)


@pytest.mark.slow
def test_a_million_random_rows_add_up_to_the_exact_sum() -> None:
    """Each row's cost is rounded to nothing, so their sum is that of all tokens of each kind times its price."""
    dice = random.Random(4)
    made = [
        Price(input=Decimal(dice.randrange(10**7)) / 10**6, cached_input=Decimal(dice.randrange(10**6)) / 10**6,
              output=Decimal(dice.randrange(10**8)) / 10**6)
        for _ in range(7)
    ]  # fmt: skip
    tokens: Counter[tuple[int, str]] = Counter()
    pico = 0
    for number in range(1_000_000):
        which, prompt, completion = number % 7, dice.randrange(300_000), dice.randrange(5_000)
        cached = dice.randrange(prompt + 1)
        used = Usage(input_tokens=prompt, cached_input_tokens=cached, output_tokens=completion)
        pico += to_pico(cost(used, made[which]))
        tokens[which, "input"] += prompt - cached
        tokens[which, "cached_input"] += cached
        tokens[which, "output"] += completion
    exact = sum(Fraction(getattr(made[which], kind)) * count for (which, kind), count in tokens.items())
    assert Fraction(pico, 10**PICO_DECIMALS) == exact / 10**6
