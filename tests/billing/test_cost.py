"""Usage is read as the provider means it, and its cost is exact."""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.cost import cost
from billing.money import to_pico
from billing.prices import MAX_PRICE, Price
from billing.usage import MAX_TOKENS, CachedTokens, Usage, UsageError

numbers = st.decimals(min_value=0, max_value=MAX_PRICE, places=6)
prices = st.builds(
    Price, input=numbers, output=numbers, cached_input=st.none() | numbers, per_compute_second=st.none() | numbers
)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    prompt, completion = draw(st.integers(0, MAX_TOKENS)), draw(st.integers(0, MAX_TOKENS))
    return Usage(
        input_tokens=prompt,
        cached_input_tokens=draw(st.integers(0, prompt)),
        output_tokens=completion,
        reasoning_tokens=draw(st.integers(0, completion)),
        compute_us=draw(st.integers(0, 10**12)),
    )


def test_the_worked_example_with_a_cached_prompt() -> None:
    told = {
        "prompt_tokens": 262_960,
        "completion_tokens": 1_744,
        "total_tokens": 264_704,
        "prompt_tokens_details": {"cached_tokens": 257_955},
    }
    price = Price.parse({"input": "1.25", "cached_input": "0.625", "output": "10"})
    assert cost(Usage.from_openai(told, CachedTokens.INSIDE), price) == Decimal("0.184918125")


@given(usages(), prices)
def test_cost_equals_the_sum_in_fractions(usage: Usage, price: Price) -> None:
    cached_price = price.input if price.cached_input is None else price.cached_input
    exact = (
        Fraction(usage.input_tokens - usage.cached_input_tokens) * Fraction(price.input)
        + usage.cached_input_tokens * Fraction(cached_price)
        + usage.output_tokens * Fraction(price.output)
        + usage.compute_us * Fraction(price.per_compute_second or 0)
    ) / 10**6
    with localcontext() as context:
        context.prec = 4
        result = cost(usage, price)
    assert Fraction(result) == exact
    assert (exact * 10**12).denominator == 1


def test_compute_time_is_priced_to_the_microsecond() -> None:
    price = Price.parse({"input": "1", "output": "2", "per_compute_second": "0.000123"})
    usage = Usage(input_tokens=3, output_tokens=5, compute_us=7)
    assert to_pico(cost(usage, price)) == 3_000_000 + 10_000_000 + 7 * 123


def test_reasoning_tokens_are_billed_once() -> None:
    price = Price.parse({"input": "0", "output": "1"})
    plain, thinking = Usage(output_tokens=9), Usage(output_tokens=9, reasoning_tokens=8)
    assert cost(plain, price) == cost(thinking, price) == Decimal("0.000009")


def test_cached_tokens_beside_the_input_are_added_to_it() -> None:
    told = {"prompt_tokens": 10, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 90}}
    usage = Usage.from_openai(told, CachedTokens.BESIDE)
    assert (usage.input_tokens, usage.cached_input_tokens) == (100, 90)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"prompt_tokens": 8, "total_tokens": 8}, Usage(input_tokens=8)),
        ({"prompt_tokens": 8}, Usage(input_tokens=8)),
        ({"prompt_tokens": 8, "completion_tokens": None, "total_tokens": 10}, Usage(input_tokens=8, output_tokens=2)),
        (
            {"prompt_tokens": 8, "completion_tokens": 2, "prompt_tokens_details": None},
            Usage(input_tokens=8, output_tokens=2),
        ),
        (
            {"prompt_tokens": 8, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": None}},
            Usage(input_tokens=8, output_tokens=2),
        ),
        (
            {"prompt_tokens": 8, "completion_tokens": 2, "completion_tokens_details": {"reasoning_tokens": 2}},
            Usage(input_tokens=8, output_tokens=2, reasoning_tokens=2),
        ),
    ],
)
def test_missing_parts_of_usage_are_nothing(told: dict[str, Any], expected: Usage) -> None:
    assert Usage.from_openai(told, CachedTokens.INSIDE) == expected


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"completion_tokens": 5},
        {"prompt_tokens": -1, "completion_tokens": 5},
        {"prompt_tokens": True, "completion_tokens": 5},
        {"prompt_tokens": 5.0, "completion_tokens": 5},
        {"prompt_tokens": "5", "completion_tokens": 5},
        {"prompt_tokens": MAX_TOKENS + 1, "completion_tokens": 5},
        {"prompt_tokens": 5, "total_tokens": 4},
        {"prompt_tokens": 5, "completion_tokens": 5, "prompt_tokens_details": [1]},
        {"prompt_tokens": 5, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 6}},
        {"prompt_tokens": 5, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": -1}},
        {"prompt_tokens": 5, "completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 6}},
    ],
)
def test_usage_that_cannot_be_true_is_refused(told: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Usage.from_openai(told, CachedTokens.INSIDE)


def test_usage_that_is_no_object_is_refused() -> None:
    with pytest.raises(UsageError, match="not an object"):
        Usage.from_openai([1, 2], CachedTokens.INSIDE)  # type: ignore[arg-type]
