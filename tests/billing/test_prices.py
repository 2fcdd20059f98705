"""Prices are read exactly, or refused with the field and the reason."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.prices import MAX_PRICE, MAX_TIERS, OTHER_PARTS, TOKEN_PARTS, Price, PriceError, Tier

numbers = st.decimals(min_value=0, max_value=MAX_PRICE, places=6) | st.decimals(min_value=0, max_value=9, places=12)
parts = {name: st.none() | numbers for name in TOKEN_PARTS}
tiers = st.lists(
    st.builds(Tier, above=st.integers(0, 10**6), **(parts | {"input": numbers})),
    max_size=3,
    unique_by=lambda tier: tier.above,
)
prices = st.builds(
    Price,
    **(parts | {"input": numbers, "output": numbers}),
    **{name: st.none() | numbers for name in OTHER_PARTS},
    batch_discount=st.none() | st.decimals(min_value=0, max_value=1, places=6),
    margin=st.none() | st.decimals(min_value=0, max_value=10, places=6),
    tiers=tiers.map(lambda found: tuple(sorted(found, key=lambda tier: tier.above))),
)


def test_a_price_is_read_as_the_config_writes_it() -> None:
    price = Price.parse({"input": "0.15", "cached_input": "0.075", "output": "0.60"})
    assert price == Price(input=Decimal("0.15"), cached_input=Decimal("0.075"), output=Decimal("0.6"))


@pytest.mark.parametrize("part", OTHER_PARTS)
def test_a_price_need_not_be_of_tokens(part: str) -> None:
    price = Price.parse({part: "0.0004"})
    assert (price.input, price.output, getattr(price, part)) == (0, 0, Decimal("0.0004"))


def test_tiers_are_read_in_any_order() -> None:
    high, low = {"above": 200_000, "input": "2.5", "output": "15"}, {"above": 1000, "input": 2, "output": None}
    price = Price.parse({"input": "1", "output": "10", "tiers": [high, low]})
    assert [tier.above for tier in price.tiers] == [1000, 200_000]
    assert price.tiers[0] == Tier(above=1000, input=Decimal(2))


@given(prices)
def test_a_snapshot_reads_back_as_the_same_price(price: Price) -> None:
    assert Price.parse(json.loads(json.dumps(price.snapshot()))) == price


@given(prices)
def test_a_journal_record_reads_back_as_the_same_price(price: Price) -> None:
    _ = price.exact  # what is kept for the next request is no part of the price
    assert msgspec.json.decode(msgspec.json.encode(price), type=Price) == price


def test_a_record_of_the_version_before_reads_as_it_was_written() -> None:
    old = b'{"input":"1.25","cached_input":null,"output":"10","per_compute_second":null}'
    assert msgspec.json.decode(old, type=Price) == Price(input=Decimal("1.25"), output=Decimal(10))


def test_free_is_a_price_of_nothing() -> None:
    assert Price.free().snapshot() == {"input": "0", "output": "0"}


def tiered(*tiers: Any) -> dict[str, Any]:
    return {"input": "1", "output": "1", "tiers": list(tiers)}


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
        ({"input": "0.1234567890123", "output": "1"}, "input", "more than 12 decimals"),
        ({"input": "1000000.1", "output": "1"}, "input", "above 1000000 USD per million tokens"),
        ({"per_compute_second": "1000001"}, "per_compute_second", "per second"),
        ({"per_image": "1000001"}, "per_image", "per image"),
        ({"input": "1"}, "output", "missing"),
        ({"output": "1"}, "input", "missing"),
        ({"cached_input": "1", "per_compute_second": "1"}, "cached_input", "needs input and output"),
        ({"per_request": "1", "tiers": [{"above": 1, "input": "1"}]}, "tiers", "need input and output"),
        ({"input": "1", "output": "1", "outptu": "1"}, "outptu", "unknown"),
        ({"margin": "0.1"}, None, "needs input and output"),
        ({"input": "1", "output": "1", "margin": "5 %"}, "margin", "plain decimal"),
        ({"input": "1", "output": "1", "margin": "10.1"}, "margin", "means 5 %"),
        ({"input": "1", "output": "1", "margin": "0.0000001"}, "margin", "more than 6 decimals"),
        ({"input": "1", "output": "1", "batch_discount": "1.1"}, "batch_discount", "above 1"),
        (tiered({"input": "2"}), "tiers.0.above", "whole number"),
        (tiered({"above": "200000", "input": "2"}), "tiers.0.above", "whole number"),
        (tiered({"above": -1, "input": "2"}), "tiers.0.above", "negative"),
        (tiered({"above": 1, "inptu": "2"}), "tiers.0.inptu", "unknown"),
        (tiered({"above": 1, "per_image": "2"}), "tiers.0.per_image", "unknown"),
        (tiered({"above": 1, "input": 2.5}), "tiers.0.input", "put it in quotes"),
        (tiered({"above": 1, "output": "-2"}), "tiers.0.output", "negative"),
        (tiered({"above": 1}), "tiers.0", "changes no price"),
        (tiered({"above": 1, "input": "2"}, {"above": 1, "input": "3"}), "tiers", "once"),
        (tiered(*({"above": n, "input": "2"} for n in range(MAX_TIERS + 1))), "tiers", "more than"),
        (tiered("above"), "tiers.0", "mapping"),
        ({"input": "1", "output": "1", "tiers": {"above": 1}}, "tiers", "list"),
        ({}, None, "needs input and output, or one of"),
    ],
)
def test_a_price_that_cannot_be_used_is_refused_with_the_reason(
    fields: dict[str, Any], field: str | None, reason: str
) -> None:
    with pytest.raises(PriceError, match=reason) as refused:
        Price.parse(fields)
    assert refused.value.field == field


def test_trailing_zeros_are_no_decimals() -> None:
    assert Price.parse({"input": "0.15000000000000000", "output": "1"}).input == Decimal("0.15")
