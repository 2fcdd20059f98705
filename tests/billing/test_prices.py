"""Prices are read exactly, or refused with the field and the reason."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.prices import MAX_PRICE, Price, PriceError

numbers = st.decimals(min_value=0, max_value=MAX_PRICE, places=6)
prices = st.builds(
    Price,
    input=numbers,
    output=numbers,
    cached_input=st.none() | numbers,
    per_compute_second=st.none() | numbers,
)


def test_a_price_is_read_as_the_config_writes_it() -> None:
    price = Price.parse({"input": "0.15", "cached_input": "0.075", "output": "0.60"})
    assert price == Price(input=Decimal("0.15"), cached_input=Decimal("0.075"), output=Decimal("0.6"))


def test_a_local_engine_may_be_priced_by_its_time_alone() -> None:
    price = Price.parse({"per_compute_second": "0.0004"})
    assert (price.input, price.output, price.per_compute_second) == (0, 0, Decimal("0.0004"))


@given(prices)
def test_a_snapshot_reads_back_as_the_same_price(price: Price) -> None:
    assert Price.parse(json.loads(json.dumps(price.snapshot()))) == price


def test_free_is_a_price_of_nothing() -> None:
    assert Price.free().snapshot() == {"input": "0", "output": "0"}


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"input": 0.15, "output": "1"}, "input", "put it in quotes"),
        ({"input": True, "output": "1"}, "input", "must be a number"),
        ({"input": "-1", "output": "1"}, "input", "negative"),
        ({"input": "1e-3", "output": "1"}, "input", "plain decimal"),
        ({"input": "1_0", "output": "1"}, "input", "plain decimal"),
        ({"input": "NaN", "output": "1"}, "input", "plain decimal"),
        ({"input": Decimal("NaN"), "output": "1"}, "input", "not an amount"),
        ({"input": "٣", "output": "1"}, "input", "plain decimal"),
        ({"input": "0.1234567", "output": "1"}, "input", "more than 6 decimals"),
        ({"input": "1000000.1", "output": "1"}, "input", "above 1000000 USD per million tokens"),
        ({"per_compute_second": "1000001"}, "per_compute_second", "per second"),
        ({"input": "1"}, "output", "missing"),
        ({"output": "1"}, "input", "missing"),
        ({"cached_input": "1", "per_compute_second": "1"}, "cached_input", "needs input and output"),
        ({"input": "1", "output": "1", "outptu": "1"}, "outptu", "unknown"),
        ({}, None, "needs input and output, or per_compute_second"),
    ],
)
def test_a_price_that_cannot_be_used_is_refused_with_the_reason(
    fields: dict[str, Any], field: str | None, reason: str
) -> None:
    with pytest.raises(PriceError, match=reason) as refused:
        Price.parse(fields)
    assert refused.value.field == field


def test_trailing_zeros_are_no_decimals() -> None:
    assert Price.parse({"input": "0.15000000000", "output": "1"}).input == Decimal("0.15")
