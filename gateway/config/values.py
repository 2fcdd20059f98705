"""The small value forms of the configuration: durations, sizes, prices, names, addresses with secrets."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from billing.budgets import zone
from billing.money import MAX_USD, display
from billing.prices import MAX_DECIMALS, MAX_PRICE

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?i?B?)", re.ASCII | re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_TAG_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+#-]{0,127}", re.ASCII)


def parse_duration(value: object) -> float:
    """Seconds, from a number of seconds or a text such as "500ms", "2s", "10m", "1h", "7d".

    Raises ValueError for anything else, for 0 and less, and for more than a year.
    """
    if isinstance(value, str):
        match = _DURATION.fullmatch(value.strip())
        seconds = float(match[1]) * _SECONDS[match[2]] if match else _number(value, "a duration", '"2s" or "500ms"')
    else:
        seconds = _number(value, "a duration", '"2s" or "500ms"')
    if not 0 < seconds <= 366 * 86400:
        raise ValueError("must be more than 0 and at most a year")
    return seconds


def parse_after(value: object) -> float | Literal["p95"]:
    """Seconds as `parse_duration` gives them, or the word "p95". Raises ValueError."""
    if value == "p95":
        return "p95"
    try:
        return parse_duration(value)
    except ValueError as error:
        raise ValueError(f'{error}, or "p95"') from None


def switched_off(value: Any) -> Any:
    """`false` as None, for a part that is there by default. Raises ValueError for `true`."""
    if value is True:
        raise ValueError("must be false, or a mapping; it is on by itself")
    return None if value is False else value


def parse_size(value: object) -> int:
    """Bytes, from an int or a text such as "10MiB" (2**20) or "512MB" (10**6).

    Raises ValueError for anything else and for less than one byte.
    """
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match:
        unit = match[2].lower().removesuffix("b")
        base = 1024 if unit.endswith("i") else 1000
        size = Decimal(match[1]) * base ** _POWERS[unit.removesuffix("i")]
    else:
        size = Decimal(_number(value, "a size", '"10MiB" or "512MB"'))
    if size != size.to_integral_value() or not 1 <= size < 2**63:
        raise ValueError("must be a whole number of bytes, at least 1")
    return int(size)


def parse_amount(value: object, most: Decimal = MAX_USD) -> Decimal:
    """US dollars as an exact decimal, from a text or a number; at most twelve decimals, never negative.

    Raises ValueError with the reason.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise ValueError('must be US dollars, such as "0.15"')
    try:
        amount = Decimal(str(value).strip())
    except InvalidOperation:
        raise ValueError('must be US dollars, such as "0.15"') from None
    if not amount.is_finite() or not 0 <= amount <= most:
        raise ValueError(f"must be between 0 and {display(most)}")
    if amount != round(amount, MAX_DECIMALS):
        raise ValueError(f"has more than {MAX_DECIMALS} decimals")
    return amount


def parse_price(value: object) -> Decimal:
    """A price; see `parse_amount`, with a lower maximum that catches a price per token taken for one per million."""
    return parse_amount(value, MAX_PRICE)


def check_name(value: str) -> str:
    """A name that is safe as a metric label, in a header and in a path. Raises ValueError."""
    if not _NAME.fullmatch(value):
        raise ValueError("must be 1 to 128 letters, digits or . _ : / @ + # - and begin with a letter or digit")
    return value


def safe_name(text: str) -> str:
    """`text` made to pass `check_name` (it must begin with a letter or digit)."""
    return re.sub(r"[^A-Za-z0-9._:/@+#-]", "_", text)[:120]


def display_url(url: str) -> str:
    """`url` without what may be secret: user and password, query, fragment."""
    bare = re.split(r"[?#]", re.sub(r"://.*@", "://", url, flags=re.DOTALL), maxsplit=1)[0]
    return bare if bare == url else f"{bare} (credentials hidden)"


class SecretUrl(SecretStr):
    """An address that may carry credentials; printed without them. `get_secret_value()` is the whole."""

    def _display(self) -> str:
        return display_url(self.get_secret_value())


def _check_http(url: SecretUrl) -> SecretUrl:
    try:
        parts = urlsplit(url.get_secret_value())
        complete = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        complete = False
    if not complete:
        raise ValueError("must be an http:// or https:// address with a host")
    return url


def _check_database(url: SecretUrl) -> SecretUrl:
    if not url.get_secret_value().startswith(("sqlite+aiosqlite://", "postgresql+asyncpg://")):
        raise ValueError("must begin with sqlite+aiosqlite:// or postgresql+asyncpg://")
    return url


_STATE_SCHEMES = ("memory://", "redis://", "rediss://", "valkey://")


def _check_state(url: SecretUrl) -> SecretUrl:
    if not url.get_secret_value().startswith(_STATE_SCHEMES):
        raise ValueError('must be "memory://", or begin with redis://, rediss:// or valkey://')
    return url


def check_secret(secret: SecretStr) -> SecretStr:
    """A secret that fits into a header. Raises ValueError, which does not tell it."""
    if not secret.get_secret_value().isprintable():
        raise ValueError("must be one line of visible characters; does the variable end with a line break?")
    return secret


def _check_zone(name: str) -> str:
    zone(name)  # BudgetError is a ValueError
    return name


def _check_tag(tag: str) -> str:
    name, separator, value = tag.partition("=")
    if not separator or not _TAG_NAME.fullmatch(name) or not 0 < len(value) <= 256:
        raise ValueError('must be one tag and its value, such as "customer=acme"')
    return tag


def _refuse_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("must be a number")
    return value


def _number(value: object, what: str, example: str) -> float:
    """`value` as a finite float. Raises ValueError naming `what` was expected."""
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            number = float("nan")
        if abs(number) < 1e19:
            return number
    raise ValueError(f"must be {what} such as {example}, or a plain number")


Duration = Annotated[float, BeforeValidator(parse_duration)]
After = Annotated[float | Literal["p95"], BeforeValidator(parse_after)]
Size = Annotated[int, BeforeValidator(parse_size)]
Dollars = Annotated[Decimal, BeforeValidator(parse_price)]
Amount = Annotated[Decimal, BeforeValidator(parse_amount)]
Name = Annotated[str, AfterValidator(check_name)]
HttpUrl = Annotated[SecretUrl, AfterValidator(_check_http)]
Secret = Annotated[SecretStr, AfterValidator(check_secret)]
DatabaseUrl = Annotated[SecretUrl, AfterValidator(_check_database)]
StateUrl = Annotated[SecretUrl, AfterValidator(_check_state)]
TimeZone = Annotated[str, AfterValidator(_check_zone)]
Tag = Annotated[str, AfterValidator(_check_tag)]
Count = Annotated[int, BeforeValidator(_refuse_bool), Field(ge=1)]
Number = Annotated[float, BeforeValidator(_refuse_bool), Field(allow_inf_nan=False)]
Integer = Annotated[int, BeforeValidator(_refuse_bool)]
