"""What a model costs: US dollars per million tokens, per second of local compute, or both.

Not a price list: where prices come from (a config, a bundled list, an override) is the caller's affair.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Self

import msgspec

from billing.money import MoneyError, display, whole

MAX_DECIMALS = 6  # what keeps tokens x price a whole number of pico-dollars
MAX_PRICE = Decimal(1_000_000)  # a dollar a token, or a million a second: above it someone mistook the unit

_PLAIN = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?", re.ASCII)
_FIELDS = ("input", "cached_input", "output", "per_compute_second")


class PriceError(ValueError):
    """A price that cannot be used. `field` names the faulty part, if it is one."""

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message if field is None else f"{field}: {message}")
        self.field = field


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """One model's price in USD, exact.

    `input`, `cached_input` and `output` are per million tokens; `cached_input` None means a cached token
    costs what any other input token does. `per_compute_second` is per second of the local engine's time and
    is added to the price of the tokens. Raises PriceError for a negative, too large or too fine number.
    """

    input: Decimal = Decimal(0)
    cached_input: Decimal | None = None
    output: Decimal = Decimal(0)
    per_compute_second: Decimal | None = None

    def __post_init__(self) -> None:
        for field in _FIELDS:
            value = getattr(self, field)
            if value is not None:
                _check(field, value)

    @classmethod
    def free(cls) -> Self:
        """A price of nothing, which is not the same as having no price."""
        return cls()

    @classmethod
    def parse(cls, fields: Mapping[str, object]) -> Self:
        """Read `{input, cached_input?, output}` and/or `{per_compute_second}`; reads `snapshot` back too.

        Numbers are plain decimal strings ("0.075"), integers or Decimals. Floats are refused: 0.1 is not 0.1.
        Raises PriceError with the field and what to change.
        """
        if not isinstance(fields, Mapping):
            raise PriceError(f"a price is a mapping of {', '.join(_FIELDS)}, not {type(fields).__name__}")
        given = {str(name): value for name, value in fields.items() if value is not None}
        for name in given:
            if name not in _FIELDS:
                raise PriceError(f"unknown; a price has {', '.join(_FIELDS)}", field=name)
        if ("input" in given) != ("output" in given):
            missing = "output" if "input" in given else "input"
            raise PriceError('is missing; write "0" if it costs nothing', field=missing)
        if "cached_input" in given and "input" not in given:
            raise PriceError("needs input and output beside it", field="cached_input")
        if not given:
            raise PriceError("a price needs input and output, or per_compute_second")
        return cls(**{name: _number(name, value) for name, value in given.items()})

    def snapshot(self) -> dict[str, str]:
        """JSON-able and exact: `Price.parse(price.snapshot()) == price`."""
        values = ((field, getattr(self, field)) for field in _FIELDS)
        return {field: display(value) for field, value in values if value is not None}


def _number(field: str, value: object) -> Decimal:
    if isinstance(value, bool):
        raise PriceError("must be a number", field=field)
    if isinstance(value, float):
        raise PriceError(f'is a float and not exact; put it in quotes: "{value}"', field=field)
    if isinstance(value, int):
        return Decimal(value)
    if isinstance(value, Decimal):
        return value
    if isinstance(value, str) and _PLAIN.fullmatch(value.strip()):
        return Decimal(value.strip())
    raise PriceError(f"{str(value)[:40]!r} is not a plain decimal number like 0.075", field=field)


def _check(field: str, value: Decimal) -> None:
    try:
        whole(value, MAX_DECIMALS)
    except MoneyError as error:
        raise PriceError(str(error), field=field) from None
    if value < 0:
        raise PriceError("must not be negative", field=field)
    if value > MAX_PRICE:
        unit = "second" if field == "per_compute_second" else "million tokens"
        raise PriceError(f"is above {MAX_PRICE} USD per {unit}", field=field)
