"""Money is exact or refused."""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.money import MAX_PICO, MoneyError, display, from_pico, to_pico


@given(st.integers(0, MAX_PICO))
def test_every_storable_amount_survives_the_way_to_sql_and_back(pico: int) -> None:
    assert to_pico(from_pico(pico)) == pico
    assert Fraction(from_pico(pico)) == Fraction(pico, 10**12)


@given(st.integers(-(2**80), 2**80))
def test_what_is_shown_is_plain_and_says_the_same(pico: int) -> None:
    shown = display(from_pico(pico))
    assert Decimal(shown) == from_pico(pico)
    assert set(shown) <= set("-0123456789.")
    assert shown == "0" or not (shown.endswith("0") and "." in shown)


@pytest.mark.parametrize(
    ("amount", "shown"),
    [("1E+2", "100"), ("0E-12", "0"), ("-0", "0"), ("1E-12", "0.000000000001"), ("5.00", "5"), ("700", "700")],
)
def test_no_exponent_is_ever_shown(amount: str, shown: str) -> None:
    assert display(Decimal(amount)) == shown


@pytest.mark.parametrize("amount", [0.1, 1, "1", True, None])
def test_only_decimals_are_money(amount: object) -> None:
    with pytest.raises(MoneyError, match="must be a Decimal"):
        to_pico(amount)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "amount",
    [
        "NaN",
        "sNaN",
        "Infinity",
        "-Infinity",
        "-0.000000000001",
        "1E-13",
        "0.1234567890123",
        "9223372.036854775808",
        "1E+999999",
        "1E-999999",
        "1." + "0" * 80 + "1",
    ],
)
def test_what_cannot_be_stored_exactly_is_refused(amount: str) -> None:
    with pytest.raises(MoneyError):
        to_pico(Decimal(amount))


def test_the_largest_row_is_stored() -> None:
    assert to_pico(Decimal("9223372.036854775807")) == MAX_PICO


@pytest.mark.parametrize("pico", [1.0, Decimal(1), True, "1"])
def test_pico_dollars_are_integers(pico: object) -> None:
    with pytest.raises(MoneyError):
        from_pico(pico)  # type: ignore[arg-type]


def test_a_low_precision_of_the_thread_changes_nothing() -> None:
    with localcontext() as context:
        context.prec = 3
        assert to_pico(Decimal("9223372.036854775807")) == MAX_PICO
        assert display(from_pico(184_918_125_000)) == "0.184918125"
