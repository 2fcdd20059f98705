"""The small value forms: durations, sizes, prices, and addresses that hide what is secret in them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from gateway.config.values import (
    SecretUrl,
    check_name,
    check_secret,
    display_url,
    parse_duration,
    parse_price,
    parse_size,
    safe_name,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2s", 2),
        ("500ms", 0.5),
        ("10m", 600),
        ("1h", 3600),
        ("7d", 604800),
        (3, 3),
        (0.25, 0.25),
        ("1.5s", 1.5),
        ("4", 4),
    ],
)
def test_durations_are_seconds(text: object, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "2 parsecs", "-1s", 0, "0s", True, None, [], "nan", float("inf"), "400d", "1e400", "٣s"]
)
def test_what_is_no_positive_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="must be"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("10MiB", 10 * 2**20),
        ("512MB", 512 * 10**6),
        ("1gib", 2**30),
        ("64k", 64000),
        ("1.5KiB", 1536),
        (77, 77),
        ("8 B", 8),
    ],
)
def test_sizes_are_bytes(text: object, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "ten", "1.5B", 0, "0MiB", -5, True, None, "9999999TiB", float("nan"), 1.5])
def test_what_is_no_whole_number_of_bytes_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="must be"):
        parse_size(text)


@given(st.integers(0, 10**18))
def test_a_price_of_twelve_decimals_is_exact_as_text_and_the_thirteenth_is_refused(pico: int) -> None:
    price = Decimal(pico) / 10**12
    assert parse_price(f"{price:f}") == price
    with pytest.raises(ValueError, match="12 decimals"):
        parse_price(f"{price % 1000:.12f}1")


def test_a_price_written_as_a_number_means_its_digits_not_its_binary_neighbour() -> None:
    assert parse_price(0.15) == Decimal("0.15")
    assert parse_price(3) == Decimal(3)


@pytest.mark.parametrize("value", ["-0.1", "nan", "inf", "free", "", True, None, "1e999999", "1e-13", [1], "1000001"])
def test_what_is_no_price_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"must be|decimals"):
        parse_price(value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://api.openai.com/v1", "https://api.openai.com/v1"),
        ("postgresql+asyncpg://u:p@ss/w?rd@db/x", "postgresql+asyncpg://db/x (credentials hidden)"),
        ("https://host/v1?key=abc#d", "https://host/v1 (credentials hidden)"),
        ("sqlite+aiosqlite:///sluicegate.db", "sqlite+aiosqlite:///sluicegate.db"),
    ],
)
def test_an_address_is_shown_without_its_credentials(url: str, shown: str) -> None:
    assert display_url(url) == shown
    assert str(SecretUrl(url)) == shown
    assert SecretUrl(url).get_secret_value() == url


@pytest.mark.parametrize("secret", ["sk-a\n", "sk-a\r\nx: y", "sk-\x00"])
def test_a_secret_that_fits_into_no_header_is_refused_and_not_told(secret: str) -> None:
    with pytest.raises(ValueError, match="must be one line") as refused:
        check_secret(SecretStr(secret))
    assert "sk-" not in str(refused.value)
    assert check_secret(SecretStr("sk-a b/c=")).get_secret_value() == "sk-a b/c="


@given(st.text(min_size=1))
def test_a_derived_name_is_always_a_valid_name(text: str) -> None:
    assert check_name(safe_name(f"openai/{text}"))


@pytest.mark.parametrize("name", ["", "-a", "a b", "a\n", "ä", "a" * 129])
def test_names_that_cannot_stand_in_a_header_or_label_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="must be 1 to 128"):
        check_name(name)
