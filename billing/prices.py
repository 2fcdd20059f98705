"""What a model costs: US dollars per token of each kind, per image, per request, per second of local compute.

Not a price list: where prices come from (a config, a bundled list, an override) is the caller's affair. What a request
costs at a price is `billing.cost`'s.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple, Self

import msgspec

from billing.money import MoneyError, display, whole

MAX_DECIMALS = 12  # of any price; up to 6 of a token's or a second's keep every cost a whole number of pico-dollars
MAX_PRICE = Decimal(1_000_000)  # a dollar a token, or a million a second: above it someone mistook the unit
MAX_TIERS = 16
MAX_MARGIN = Decimal(10)  # eleven times the price: above it someone wrote percents
FACTOR_DECIMALS = 6

_PLAIN = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?", re.ASCII)
TOKEN_PARTS = ("input", "cached_input", "cache_write", "output", "reasoning", "audio_input", "audio_output")
_OUTPUT_PARTS = ("output", "reasoning", "audio_output")
OTHER_PARTS = ("per_image", "per_request", "per_compute_second")
FACTORS = ("batch_discount", "margin")
_FIELDS = (*TOKEN_PARTS, *OTHER_PARTS, *FACTORS)
_UNITS = {"per_image": "image", "per_request": "request", "per_compute_second": "second"}
# Where a kind of token has no price of its own, it costs what this kind does.
_INSTEAD = {
    "cached_input": "input",
    "cache_write": "input",
    "audio_input": "input",
    "reasoning": "output",
    "audio_output": "output",
}


class PriceError(ValueError):
    """A price that cannot be used. `field` names the faulty part, if it is one ("tiers.0.input")."""

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message if field is None else f"{field}: {message}")
        self.field = field
        self.reason = message


class Tier(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Other token prices for a request of more than `above` input tokens: for all of its tokens, not the surplus.

    A kind without a price here keeps the one it has below this tier. USD per million tokens.
    """

    above: int
    input: Decimal | None = None
    cached_input: Decimal | None = None
    cache_write: Decimal | None = None
    output: Decimal | None = None
    reasoning: Decimal | None = None
    audio_input: Decimal | None = None
    audio_output: Decimal | None = None


class Rates(NamedTuple):
    """What one token of each kind costs, in whole 10^-18 dollars; and the dearest of each side."""

    input: int
    cached_input: int
    cache_write: int
    output: int
    reasoning: int
    audio_input: int
    audio_output: int
    dearest_input: int
    dearest_output: int


class ExactPrice(NamedTuple):
    """A price in whole numbers: amounts in 10^-18 dollars, to be multiplied by `numerator` / `denominator` in the end.

    The product is in pico-dollars. `tiers` are (above, rates), the highest first.
    """

    base: Rates
    tiers: tuple[tuple[int, Rates], ...]
    per_image: int
    per_request: int
    per_compute_us: int
    numerator: int
    denominator: int


class Price(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, dict=True):
    """One model's price in USD, exact.

    Per million tokens: `input`, `output`; `cached_input`, `cache_write` and `audio_input` cost what `input` does where
    they are None, `reasoning` and `audio_output` what `output` does. Beside them `per_image`, `per_request`, and
    `per_compute_second` of the local engine's time. `tiers` rise by `above`.
    `margin` is added to the sum ("0.05": 5 % more), `batch_discount` taken off ("0.5": half) of every request at this
    price. Raises PriceError for a number that is negative, too large or too fine, and for bad tiers.
    """

    input: Decimal = Decimal(0)
    output: Decimal = Decimal(0)
    cached_input: Decimal | None = None
    cache_write: Decimal | None = None
    reasoning: Decimal | None = None
    audio_input: Decimal | None = None
    audio_output: Decimal | None = None
    per_image: Decimal | None = None
    per_request: Decimal | None = None
    per_compute_second: Decimal | None = None
    batch_discount: Decimal | None = None
    margin: Decimal | None = None
    tiers: tuple[Tier, ...] = ()

    def __post_init__(self) -> None:
        for field in (*TOKEN_PARTS, *OTHER_PARTS):
            _check_amount(field, getattr(self, field))
        _check_factor("batch_discount", self.batch_discount, Decimal(1))
        _check_factor("margin", self.margin, MAX_MARGIN)
        _check_tiers(self.tiers)

    @classmethod
    def free(cls) -> Self:
        """A price of nothing, which is not the same as having no price."""
        return cls()

    @classmethod
    def parse(cls, fields: Mapping[str, object]) -> Self:
        """Read a mapping of this class's fields; reads `snapshot` back too.

        `input` and `output` stand together; without them there must be a price per image, request or second. Tiers are
        mappings of `above` (an integer) and token prices, in any order. Numbers are plain decimal strings ("0.075"),
        integers or Decimals. Floats are refused: 0.1 is not 0.1.
        Raises PriceError with the field and what to change.
        """
        if not isinstance(fields, Mapping):
            raise PriceError(f"a price is a mapping of {', '.join(_FIELDS)}, tiers, not {type(fields).__name__}")
        given = {str(name): value for name, value in fields.items() if value is not None}
        tiers = _parse_tiers(given.pop("tiers", ()))
        for name in given:
            if name not in _FIELDS:
                raise PriceError(f"unknown; a price has {', '.join(_FIELDS)}, tiers", field=name)
        if ("input" in given) != ("output" in given):
            missing = "output" if "input" in given else "input"
            raise PriceError('is missing; write "0" if it costs nothing', field=missing)
        if "input" not in given:
            for name in TOKEN_PARTS:
                if name in given:
                    raise PriceError("needs input and output beside it", field=name)
            if tiers:
                raise PriceError("need input and output beside them", field="tiers")
            if not given.keys() & set(OTHER_PARTS):
                raise PriceError(f"a price needs input and output, or one of {', '.join(OTHER_PARTS)}")
        return cls(tiers=tiers, **{name: _number(name, value) for name, value in given.items()})

    def snapshot(self) -> dict[str, Any]:
        """JSON-able and exact: `Price.parse(price.snapshot()) == price`."""
        found: dict[str, Any] = _shown(self, _FIELDS)
        if self.tiers:
            found["tiers"] = [{"above": tier.above, **_shown(tier, TOKEN_PARTS)} for tier in self.tiers]
        return found

    @cached_property
    def snapshot_json(self) -> str:
        """`snapshot` as JSON; made once, because every row of the ledger has it."""
        return msgspec.json.encode(self.snapshot()).decode()

    @cached_property
    def exact(self) -> ExactPrice:
        """The price in whole numbers; made once, because every request needs it."""
        parts: dict[str, Decimal | None] = {name: getattr(self, name) for name in TOKEN_PARTS}
        base = _rates(parts)
        tiers: list[tuple[int, Rates]] = []
        for tier in self.tiers:
            parts |= {name: value for name in TOKEN_PARTS if (value := getattr(tier, name)) is not None}
            tiers.append((tier.above, _rates(parts)))
        one = 10**FACTOR_DECIMALS
        margin = whole(self.margin or Decimal(0), FACTOR_DECIMALS)
        discount = whole(self.batch_discount or Decimal(0), FACTOR_DECIMALS)
        plain = not (margin or discount)
        return ExactPrice(
            base=base,
            tiers=tuple(reversed(tiers)),
            per_image=_amount(self.per_image) * 10**6,
            per_request=_amount(self.per_request) * 10**6,
            per_compute_us=_amount(self.per_compute_second),
            numerator=1 if plain else (one + margin) * (one - discount),
            denominator=10**6 if plain else 10**6 * one * one,
        )


def _rates(parts: Mapping[str, Decimal | None]) -> Rates:
    # Pico-dollars per million tokens are 10^-18 dollars per token.
    amounts = {name: _amount(_price_of(parts, name)) for name in TOKEN_PARTS}
    return Rates(
        **amounts,
        dearest_input=max(amounts[name] for name in TOKEN_PARTS if name not in _OUTPUT_PARTS),
        dearest_output=max(amounts[name] for name in _OUTPUT_PARTS),
    )


def _price_of(parts: Mapping[str, Decimal | None], name: str) -> Decimal | None:
    value = parts[name]
    return parts[_INSTEAD[name]] if value is None and name in _INSTEAD else value


def _amount(value: Decimal | None) -> int:
    return 0 if value is None else whole(value, MAX_DECIMALS)


def _shown(holder: Price | Tier, names: Sequence[str]) -> dict[str, str]:
    values = ((name, getattr(holder, name)) for name in names)
    return {name: display(value) for name, value in values if value is not None}


def _parse_tiers(value: object) -> tuple[Tier, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise PriceError("must be a list", field="tiers")
    tiers = []
    for index, fields in enumerate(value):
        where = f"tiers.{index}"
        if not isinstance(fields, Mapping):
            raise PriceError("must be a mapping of above and token prices", field=where)
        given = {str(name): amount for name, amount in fields.items() if amount is not None}
        above = given.pop("above", None)
        if not isinstance(above, int) or isinstance(above, bool):
            raise PriceError("must be a whole number of input tokens", field=f"{where}.above")
        for name in given:
            if name not in TOKEN_PARTS:
                raise PriceError(f"unknown; a tier has above, {', '.join(TOKEN_PARTS)}", field=f"{where}.{name}")
        tiers.append(Tier(above=above, **{name: _number(f"{where}.{name}", part) for name, part in given.items()}))
    return tuple(sorted(tiers, key=lambda tier: tier.above))


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


def _check_amount(field: str, value: Decimal | None) -> None:
    if value is None:
        return
    _check_decimal(field, value, MAX_DECIMALS)
    if value > MAX_PRICE:
        raise PriceError(f"is above {MAX_PRICE} USD per {_UNITS.get(field, 'million tokens')}", field=field)


def _check_factor(field: str, value: Decimal | None, most: Decimal) -> None:
    if value is None:
        return
    _check_decimal(field, value, FACTOR_DECIMALS)
    if value > most:
        raise PriceError(f'is above {most}; a factor of "0.05" means 5 %', field=field)


def _check_decimal(field: str, value: Decimal, decimals: int) -> None:
    try:
        whole(value, decimals)
    except MoneyError as error:
        raise PriceError(str(error), field=field) from None
    if value < 0:
        raise PriceError("must not be negative", field=field)


def _check_tiers(tiers: tuple[Tier, ...]) -> None:
    if len(tiers) > MAX_TIERS:
        raise PriceError(f"are more than {MAX_TIERS}", field="tiers")
    for index, tier in enumerate(tiers):
        if tier.above < 0:
            raise PriceError("must not be negative", field=f"tiers.{index}.above")
        if all(getattr(tier, name) is None for name in TOKEN_PARTS):
            raise PriceError("changes no price", field=f"tiers.{index}")
        for name in TOKEN_PARTS:
            _check_amount(f"tiers.{index}.{name}", getattr(tier, name))
    if any(lower.above >= upper.above for lower, upper in pairwise(tiers)):
        raise PriceError("must rise, each `above` once", field="tiers")
